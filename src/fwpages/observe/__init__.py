"""Traces, kernel logs, audits, accounts and reports."""
