"""A kernel's lines as programs print them: text around a message, its time, and notices of lost lines and restarts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

#: the end of a line that was quoted or escaped: in code, in CSV, as a string of JSON
_REMAINS = (b'"', b"#015", b"`", b'",', b"',", b'"}', b'"]')
_AT_END = re.compile(rb"(?:#015|\\n|[\"'`][}\]]*,?|\s)+$")
_COLOUR = re.compile(rb"(?:\x1b|#033)\[[0-9;]*[mK]")
#: what stands in JSON behind a string that is a command's output
_FIELDS_AFTER = re.compile(rb'"(?:, *"\w+": .*)?[}\]]*,?\s*$')
#: kernels before 4.13 report lost lines within the line that comes next
_DROPPED = re.compile(rb"\*\* ?(\d+ printk messages dropped) ?\*\* ?")

#: notices that lines of the kernel may be missing. imuxsock and journald's limit on services never lose these, and
#: "callbacks suppressed" hides repetitions of one warning: dumps and the lines about pages have no such limit
_LOST = re.compile(
    r"(\d+) messages suppressed|(\d+) (?:printk )?messages (?:dropped|lost)"
    r"|[Mm]issed (\d+) kernel messages|[Ff]orwarding to syslog missed (\d+) messages"
    r"|/dev/kmsg buffer overrun, some messages lost"
    r"|[Ss]uppressed (\d+) messages(?! from (?!/?$|kernel))"
    r"|(\d+) messages? .*lost due to rate-limiting"
    r"|im(?:journal|klog): begin to drop messages"
)
#: words, one of which is in every notice of lost lines or of a restart
_NOTICES = (b"essages", b"suppressed", b"message repeated ", b"Linux version ", b"-- Boot ", b"-- Reboot")

#: syslog daemons write a line once that came several times, with or without the line itself
_REPEATED = re.compile(r"message repeated (\d{1,9}) times?(?:: \[ ?(.*)\]$)?")

_SECONDS = re.compile(r"\[\s*(\d{1,12}\.\d{1,12})(?:\s*<\s*\d+\.\d+>)?\]")
_MICROS = re.compile(r"[0-9]{1,15}")
#: the field of a line of JSON that has the message: of a journal, of a container's log, of what collects them
MESSAGE_FIELDS = ("MESSAGE", "log", "message", "msg", "line", "_raw")
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
    """The line without colours, and without the remains of quoting and escaping at its end."""
    line = line.rstrip()
    if b"\x1b[" in line or b"#033[" in line:
        line = _COLOUR.sub(b"", line).rstrip()
    if line.endswith(_REMAINS):
        line = _AT_END.sub(b"", line)
    return line


def dropped_before(line: bytes) -> tuple[str, bytes] | None:
    """The notice of lost lines that stands in front of a line, and that line without it."""
    m = _DROPPED.search(line)
    return (m[1].decode(), line[: m.start()] + line[m.end() :]) if m else None


def may_be_notice(line: bytes) -> bool:
    """The line may be a notice of lost lines, or of a restart."""
    return any(word in line for word in _NOTICES)


def is_restart(line: str) -> bool:
    """The machine was restarted here."""
    return "Linux version " in line or "-- Boot " in line or "-- Reboot" in line


def lost_lines(line: str) -> str | None:
    """The words of a notice of lost lines; None in any other line."""
    m = _LOST.search(line)
    return m[0] if m else None


def repeated(line: str) -> tuple[int, str | None] | None:
    """How often a line came, and that line; None in its place where the notice means the line before."""
    m = _REPEATED.search(line)
    return (int(m[1]), m[2]) if m else None


def unrolled(batches: Iterable[tuple[int, list[bytes]]]) -> Iterator[tuple[int, list[bytes]]]:
    """The same batches with a command's output, which is one string in JSON, as its lines; numbered as these."""
    number = 1
    for _, lines in batches:
        out = [piece for line in lines for piece in _pieces(line)]
        yield number, out
        number += len(out)


def _pieces(line: bytes) -> list[bytes]:
    if line.count(rb"\n") <= 1 or any(b'"%s"' % name.encode() in line for name in MESSAGE_FIELDS):
        return [line]
    *pieces, last = line.replace(rb"\t", b"\t").split(rb"\n")
    return [*(piece.replace(rb"\"", b'"') for piece in pieces), _FIELDS_AFTER.sub(b"", last)]


def journal(line: bytes) -> bytes:
    """A line of ``journalctl -o json``, or of a log that a container's runtime keeps, as plain text; else empty."""
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return line
    if isinstance(entry, str):
        return entry.encode()
    found = (entry[name] for name in MESSAGE_FIELDS if name in entry) if isinstance(entry, dict) else iter(())
    text = _journal_message(next(found, None))
    if text is None:
        return b""
    micros = str(entry.get("__MONOTONIC_TIMESTAMP") or entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or "")
    return (f"[{int(micros) / 1e6:.6f}] ".encode() if _MICROS.fullmatch(micros) else b"") + text.rstrip(b"\n")


def _journal_message(message: object) -> bytes | None:
    """The message's text: a string, or a list of bytes where colours are in it."""
    if isinstance(message, list) and all(isinstance(b, int) and 0 <= b < 256 for b in message):
        return bytes(message)
    return message.encode() if isinstance(message, str) else None
