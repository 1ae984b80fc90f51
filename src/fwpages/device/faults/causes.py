"""Groups of offences that a correct driver commits because of an injected fault.

A row of a table of faults names the offences that its fault may cause; they are excused, not blamed on the driver.
"""

from __future__ import annotations

from fwpages.device.firmware.offences import OffenceName

#: a function was enabled or disabled and the driver does not know, or the driver believes so and it was not
SWITCHED = frozenset(
    {OffenceName.ALREADY_ENABLED, OffenceName.NOT_ENABLED, OffenceName.SF_ALLOCATED, OffenceName.SF_NOT_ALLOCATED}
)
#: a close continues after a refused command and leaves the device with its pages, or opened
REFUSED = SWITCHED | {OffenceName.DISABLED_WITH_PAGES, OffenceName.WRONG_STATE}
#: firmware keeps pages that the driver asked back in vain
KEPT = frozenset({OffenceName.DISABLED_WITH_PAGES})
#: the driver gives fewer pages than firmware needs
TOO_FEW = frozenset({OffenceName.PAGES_MISSING, OffenceName.WRONG_STATE})
#: the driver gives pages that firmware does not want
NOT_WANTED = frozenset({OffenceName.UNREQUESTED_GIVE})
