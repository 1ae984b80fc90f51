"""Groups of offences that a correct driver commits because of an injected fault.

A row of a table of faults names the offences that its fault may cause; they are excused, not blamed on the driver.
"""

from __future__ import annotations

#: a function was enabled or disabled and the driver does not know, or the driver believes so and it was not
SWITCHED = frozenset({"already-enabled", "not-enabled", "sf-allocated", "sf-not-allocated"})
#: a close continues after a refused command and leaves the device with its pages, or opened
REFUSED = SWITCHED | {"disabled-with-pages", "wrong-state"}
#: firmware keeps pages that the driver asked back in vain
KEPT = frozenset({"disabled-with-pages"})
#: the driver gives fewer pages than firmware needs
TOO_FEW = frozenset({"pages-missing", "wrong-state"})
#: the driver gives pages that firmware does not want
NOT_WANTED = frozenset({"unrequested-give"})
