"""Two inputs compared: what one gave and the other did not, counts that differ, findings that are new or gone.

``diff`` is the front door.
"""

from fwpages.comparison.differ import diff

__all__ = ["diff"]
