"""The cost of a page: through the ledger, the page path, a whole run, and the wire; and the cost of the program itself.

A case is timed in rounds. The rounds of peers lie between its own, so that both have the machine in the same minutes.
Absolute figures are those of one machine in one hour: compare within a run.
"""
