"""The numbers of the kernel's records, which /dev/kmsg has: one that is missing is a record that nobody has read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

#: level, sequence number, microseconds, flag
_NUMBER = re.compile(rb"\s*\d{1,5},(\d{1,20}),\d{1,20},[-+c*]")
#: the same in a log that may be quoted
_ANYWHERE = re.compile(rb"^[> |]*\d{1,5},\d{1,20},\d{1,20},[-+c*][,;]", re.MULTILINE)


def is_numbered(sample: bytes) -> bool:
    """The log is one of /dev/kmsg, or of netconsole's extended format."""
    return _ANYWHERE.search(sample) is not None


class Numbers:
    """Finds the records that are missing in a log that numbers them.

    The kernel numbers its records by one, and /dev/kmsg leaves out those that were overwritten before they were read.
    A number that is lower begins a new count: another boot, or a second reading.
    """

    def __init__(self) -> None:
        #: the number of the next record, once there was one
        self._next: int | None = None

    def gaps(self, lines: Sequence[bytes]) -> Iterator[tuple[int, str]]:
        """The places in these lines before which records are missing, each with its words."""
        for at, line in enumerate(lines):
            if (m := _NUMBER.match(line)) is None:
                continue
            number, due = int(m[1]), self._next
            # netconsole sends a long record in pieces of one number
            self._next = number + 1
            if due is not None and number > due:
                n = number - due
                which = f"record {due} is" if n == 1 else f"{n:,} records, {due} to {number - 1}, are"
                yield at, f"{which} not in the log: overwritten before they were read, or filtered out"
