"""What a page costs: through the ledger, the page path, a whole life, and the wire; and what the program itself costs.

A case is timed in rounds, and where there are peers their rounds lie between its own, so that both have the machine in
the same minutes. Absolute figures are those of one machine in one hour: compare within a run.
"""
