"""Custody of pages: the ledger, the records, the vocabulary of findings, and accounts of sessions."""
