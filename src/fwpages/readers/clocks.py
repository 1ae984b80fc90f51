"""Clocks as they stand in front of a log's lines, in seconds, so that two of one log can be subtracted.

The forms are those of ``log_lines.clock``: ISO 8601, syslog's and ``dmesg -T``'s. A clock without a year is taken for
one of 2000, which has every day; one without a zone for UTC. So a difference is right within one log, and nothing else
is read from the number.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
#: the year of a clock that has none
_YEAR = 2000
_FORMS = ("%a %b %d %H:%M:%S %Y", "%Y %b %d %H:%M:%S.%f", "%Y %b %d %H:%M:%S", "%Y %b%d %H:%M")


@lru_cache(maxsize=64)
def seconds_of(clock: str) -> float | None:
    """The clock in seconds; None for a text that is none of these forms, or no time that there is."""
    text = clock.strip()
    if _ISO.match(text):
        try:
            when = datetime.fromisoformat(text.replace(",", "."))
        except ValueError:
            return None
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    for form in _FORMS:
        dated = f"{_YEAR} {text}" if form.startswith("%Y") else text
        try:
            return datetime.strptime(dated, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None
