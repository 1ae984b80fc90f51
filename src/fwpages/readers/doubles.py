"""Lines that are in a log twice."""

from __future__ import annotations

#: lines among which one that is in the log a second time is looked for
WINDOW = 512
#: lines among which it is looked for whatever the clock says
CLOSE = 64
#: how far a clock may go back by messages that overtake each other (seconds)
LEEWAY = 1.0


class Doubles:
    """Recognises lines that are in a log twice, as when two daemons write into one file, and not printed twice.

    Text and microseconds have to be the same; a clock that only counts ticks (milliseconds) proves nothing.
    """

    def __init__(self) -> None:
        #: some line was there twice: dump lines are looked at from then on
        self.found = False
        #: the last lines, and the number of each
        self._now: dict[bytes, int] = {}
        self._before: dict[bytes, int] = {}
        self._count = 0
        self._latest = 0.0
        #: the clock counts microseconds
        self._fine = False
        #: a block of lines is there twice, and this is the second of the first such
        self._within = False

    def again(self, line: bytes) -> bool:
        """The same message was there a few lines before, or some more lines before but within a second."""
        at = line.find(b"[") + 1
        stamp = line[at : line.find(b"]", at)]
        return _is_stamp(stamp) and self.again_at(float(stamp), line[at:], fine=stamp[-3:] != b"000")

    def again_at(self, t: float, message: bytes, *, fine: bool) -> bool:
        """The same for a message, which begins with this time; ``fine``: the time has microseconds that are not 0."""
        self._fine = self._fine or fine
        since = self._since(message) if self._fine else None
        back = t < self._latest - LEEWAY
        if since is not None and (since <= CLOSE or not back) and not (back and _begins(message)):
            self._within = self._within or not (self.found or since == 1)
            self.found = True
            return True
        if back:
            # another log begins here, or the machine was restarted
            self._now, self._before = {message: self._count}, {}
        self._latest, self._within = t, False
        return False

    def dumped(self, line: bytes) -> bool:
        """The same for a dump line, once lines that name a device have shown that this log has lines twice."""
        return self._within or self._since(line) is not None

    def _since(self, text: bytes) -> int | None:
        """How many lines ago it was there; it is remembered where it was not."""
        self._count += 1
        n = self._now.get(text) or self._before.get(text)
        if n is not None:
            return self._count - n
        self._now[text] = self._count
        if len(self._now) >= WINDOW:
            self._before, self._now = self._now, {}
        return None


def _begins(message: bytes) -> bool:
    """A load of the driver begins: at an earlier time than the line before, it is no copy."""
    return b"firmware version" in message or b"ENABLE_HCA" in message or b"boot pages" in message


def _is_stamp(text: bytes) -> bool:
    """Seconds with microseconds, such as ``    5.155950``."""
    return text[-7:-6] == b"." and (text[-6:] + text[:-7].lstrip()).isdigit()
