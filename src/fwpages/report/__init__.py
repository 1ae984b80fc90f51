"""Accounts as tables, and the reports of run and serve."""
