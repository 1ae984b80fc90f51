"""Who owns which page: the ledger, records, the findings, and accounts of what happened."""
