"""Complaints that no wording explains: lines in which the driver, or the kernel in the driver's code, says that
something failed.

What they mean for pages is not known, so that a log with such a line proves nothing; no finding is made of it.
"""

from __future__ import annotations

import re

#: words by which a line of the driver's says that something went wrong
_FAILED = re.compile(
    rb"fail|error|\berr\b|time[d]?[ -]?out|stall|\bbug\b|abort|unable|can(?:no|')t|could(?: not|n't)|leak|suppressed"
    rb"|inaccessible|not ready|giving up|corrupt|invalid|fatal|unexpected|WARN",
    re.IGNORECASE,
)
#: what a healthy device's driver prints with such words: no error, and parts that have nothing to do with pages
_HARMLESS = re.compile(
    rb"no errors?\b|\berr(?:or)?[ =:]+0\b|pci atomics failed|vendor specific ID|device_frequency_khz|HW clock|tracer"
    rb"|hwmon|crdump|debugfs|PTP|dcb|not support",
    re.IGNORECASE,
)
#: a frame of the driver's in a backtrace, after a WARN, an Oops or a hang
_FRAME = re.compile(r"\b\w+(?:\.\w+)*\+0x[0-9a-f]+/0x[0-9a-f]+ \[mlx5_core\b")


def complains(message: bytes) -> bool:
    """The driver says in this message that something failed."""
    return _FAILED.search(message) is not None and _HARMLESS.search(message) is None


def crashed(line: str) -> bool:
    """The kernel shows a function of the driver's where it warned, or crashed."""
    return _FRAME.search(line) is not None
