"""A kernel's lines as programs print them: what is around a message, when it was said, and what tells of lost lines."""

from __future__ import annotations

import re

import msgspec

#: lines among which one that is in the log a second time is looked for
WINDOW = 512
#: lines among which it is looked for whatever the clock says
CLOSE = 64
#: how far a clock may go back by messages that overtake each other (seconds)
LEEWAY = 1.0

_COLOUR = re.compile(rb"(?:\x1b|#033)\[[0-9;]*[mK]")
#: kernels before 4.13 tell of lost lines within the line that comes next
_DROPPED = re.compile(rb"\*\* ?(\d+ printk messages dropped) ?\*\* ?")

#: what tells that lines of the kernel's may be missing. imuxsock and journald's limit on services never lose these
_LOST = re.compile(
    r"(\d+) (?:callbacks|messages) suppressed|(\d+) (?:printk )?messages (?:dropped|lost)"
    r"|[Mm]issed (\d+) kernel messages|[Ff]orwarding to syslog missed (\d+) messages"
    r"|/dev/kmsg buffer overrun, some messages lost"
    r"|[Ss]uppressed (\d+) messages(?! from (?!/?$|kernel))"
    r"|(\d+) messages? .*lost due to rate-limiting"
    r"|im(?:journal|klog): begin to drop messages"
)
#: words, one of which is in every line that tells of lost lines or of a new start
_NOTICES = (b"essages", b"suppressed", b"message repeated ", b"Linux version ", b"-- Boot ", b"-- Reboot")

#: syslog daemons write a line once that came several times, with or without the line itself
_REPEATED = re.compile(r"message repeated (\d{1,9}) times?(?:: \[ ?(.*)\]$)?")

_SECONDS = re.compile(r"\[\s*(\d{1,12}\.\d{1,12})(?:\s*<\s*\d+\.\d+>)?\]")
_MICROS = re.compile(r"[0-9]{1,15}")
#: /dev/kmsg: level, sequence number, microseconds
_RECORD = re.compile(r"^\d+,\d+,(\d{1,15}),")
_CLOCKS = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]?\d*(?:Z|[+-]\d\d:?\d\d)?"
    r"|\[(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\]"
    r"|\[(\w{3}[ \d]\d \d\d:\d\d)\]"
    r"|\w{3} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?"
    r"|\[\s*(\+\d+\.\d+)\]"
    r"|\[<\s*(\d+\.\d+)>\]"
)


def clock(prefix: str) -> float | str | None:
    """The time in a line's prefix: seconds since the start where they are given, else the clock as it stands there."""
    if m := _SECONDS.search(prefix):
        return float(m[1])
    if m := _RECORD.match(prefix):
        return int(m[1]) / 1e6
    if m := _CLOCKS.search(prefix):
        return next((g for g in m.groups() if g), m[0])
    return None


def bare(line: bytes) -> bytes:
    """The line without colours, and without what quoting and escaping have left at its end."""
    line = line.rstrip()
    if b"\x1b[" in line or b"#033[" in line:
        line = _COLOUR.sub(b"", line).rstrip()
    if line.endswith((b'"', b"#015")):
        line = line.removesuffix(b'"').removesuffix(b"#015").rstrip()
    return line


def dropped_before(line: bytes) -> tuple[str, bytes] | None:
    """The notice of lost lines that stands in front of a line, and that line without it."""
    m = _DROPPED.search(line)
    return (m[1].decode(), line[: m.start()] + line[m.end() :]) if m else None


def notable(line: bytes) -> bool:
    """One of the lines of others that may tell of lost lines, or of a new start."""
    return any(word in line for word in _NOTICES)


def restart(line: str) -> bool:
    """The machine was started anew here."""
    return "Linux version " in line or "-- Boot " in line or "-- Reboot" in line


def lost(line: str) -> str | None:
    """What a line says of lines that are missing."""
    m = _LOST.search(line)
    return m[0] if m else None


def repeated(line: str) -> tuple[int, str | None] | None:
    """How often a line came, and the line where it is told; without it, it is the one before."""
    m = _REPEATED.search(line)
    return (int(m[1]), m[2]) if m else None


def journal(line: bytes) -> bytes:
    """A line of ``journalctl -o json`` as plain text; a message with colours in it is a list of bytes there."""
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return line
    if not isinstance(entry, dict):
        return b""
    message = entry.get("MESSAGE")
    if isinstance(message, list) and all(isinstance(b, int) and 0 <= b < 256 for b in message):
        text = bytes(message)
    elif isinstance(message, str):
        text = message.encode()
    else:
        return b""
    micros = str(entry.get("__MONOTONIC_TIMESTAMP") or entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or "")
    return (f"[{int(micros) / 1e6:.6f}] ".encode() if _MICROS.fullmatch(micros) else b"") + text


class Doubles:
    """Tells lines that are in a log twice, as when two daemons write into one file, from those that were said twice.

    Text and microseconds have to be the same; a clock that only counts ticks (milliseconds) proves nothing.
    """

    def __init__(self) -> None:
        #: some line was there twice: dump lines are looked at from then on
        self.found = False
        #: the last lines, and which in a row each was
        self._now: dict[bytes, int] = {}
        self._before: dict[bytes, int] = {}
        self._count = 0
        self._latest = 0.0
        #: the clock counts microseconds
        self._fine = False
        #: a block of lines is there twice, and this is the second of the first such
        self._within = False

    def again(self, line: bytes) -> bool:
        """This very message was there a short while ago: a few lines before, or some more within a second."""
        at = line.find(b"[") + 1
        stamp = line[at : line.find(b"]", at)]
        if stamp[-7:-6] != b"." or not (stamp[-6:] + stamp[:-7].lstrip()).isdigit():
            return False
        self._fine = self._fine or stamp[-3:] != b"000"
        t, message = float(stamp), line[at:]
        since = self._since(message) if self._fine else None
        back = t < self._latest - LEEWAY
        if since is not None and (since <= CLOSE or not back) and not (back and _begins(message)):
            self._within = self._within or not (self.found or since == 1)
            self.found = True
            return True
        if back:
            # another log begins here, or the machine was started anew
            self._now, self._before = {message: self._count}, {}
        self._latest, self._within = t, False
        return False

    def dumped(self, line: bytes) -> bool:
        """The same of a dump line, once lines that name a device have shown that this log has lines twice."""
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
    """A load of the driver begins: what stands at an earlier time than the line before is no copy of that."""
    return b"firmware version" in message or b"ENABLE_HCA" in message or b"boot pages" in message
