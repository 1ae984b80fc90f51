"""Kernel logs with mlx5_core's messages, however they were printed: dmesg in all its styles, journalctl, syslog."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from fwpages.observe.dump import Dumps, caller_of
from fwpages.observe.inputs import EXPECTED, InputError, Source, looks_binary
from fwpages.observe.phrases import said, understand
from fwpages.observe.seen import Event, Lost, Place, Restarted, Said, Seen, What
from fwpages.prm.event import PageRequestEvent

#: `mlx5_core 0000:03:00.0 ens1f0np0: give_pages:467:(pid 100): the message`, as dev_dbg, dev_warn and dev_info write it
_NAMED = re.compile(
    r"mlx5_core(?:\.\w+)? "
    r"(?P<device>(?:[0-9a-fA-F]{4,}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]|mlx5_core\.\w+\.\d+)"
    r"(?: [^\s:]+)?(?: \(\w+\))?: (?P<rest>.*)"
)
#: the same from kernels that name the device themselves: `0000:03:00.0:give_pages:300:(pid 1): the message`
_PCI = r"(?:[0-9a-fA-F]{4,}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]"
_BARE = re.compile(rf"(?P<device>{_PCI}):(?P<rest>\w+:\d+:\(pid \d+\): .*)")
_ORIGIN = re.compile(rf"(?:{_PCI}:)?(?P<function>\w+):\d+:\(pid (?P<pid>\d+)\): ?")
_DUMP = re.compile(
    r"(?:cmd\[(?P<slot>\d+)\]: )?(?:(?P<edge>start|end) dump$|"
    r"dump command (?P<data>data )?.*?\((?P<opcode>0x[0-9a-fA-F]+)\) (?P<way>INPUT|OUTPUT))"
)
_LOST = re.compile(
    r"(\d+) (?:callbacks|messages) suppressed|(\d+) (?:printk )?messages (?:dropped|lost)"
    r"|[Mm]issed (\d+) kernel messages"
    r"|[Ss]uppressed (\d+) messages|(\d+) messages? .*lost due to rate-limiting"
)
_COUNTER = re.compile(r"(?:(?:External host|Peer) PF |VFs |SPFs |EC VFs )?FW pages counter is -?\d+ after.*")

_SECONDS = re.compile(r"\[\s*(\d+\.\d+)(?:\s*<\s*\d+\.\d+>)?\]")
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
    if m := _CLOCKS.search(prefix):
        return next((g for g in m.groups() if g), m[0])
    return None


class KernelLog:
    """Reads one log. Raises InputError where nothing of mlx5_core is in it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._dumps = Dumps(source.name)
        self._json = source.peek().lstrip().startswith(b"{")
        self._taking: str | None = None
        self._found = False

    def read(self) -> Iterator[Seen]:
        """What it says, in order."""
        source = self._source
        binary = looks_binary(source.peek())
        for first, lines in source.batches():
            for number, raw in enumerate(lines, first):
                line = raw.rstrip()
                if self._json:
                    line = _journal(line)
                if line[-37:-35] == b": " and line[-9:-8] == b" " and (found := self._words(number, line)) is not None:
                    if found:
                        yield from found
                elif b"mlx5" in line or b"(pid " in line or b"FW pages counter" in line:
                    yield from self._statement(number, line.decode("utf-8", "replace"))
                elif _rare(line):
                    yield from self._rare(number, line.decode("utf-8", "replace"))
        yield from self._dumps.finish()
        place = Place(source.name, source.lines)
        if not self._found:
            why = "is no text" if binary else "says nothing of mlx5_core"
            raise InputError(f"{source.name} {why}{': ' + source.broken if source.broken else ''}; {EXPECTED}")
        if source.broken:
            yield Lost(place=place, device="", name="log-truncated", detail=source.broken, harmless=True)
        if source.skipped:
            detail = f"{source.skipped} lines were too long to be read"
            yield Lost(place=place, device="", name="log-lines-lost", detail=detail)

    def _words(self, number: int, line: bytes) -> Iterable[Seen] | None:
        """A dump line: `cmd[31]: 010: 01080000 00000001 00000000 00000006`, in older kernels without the slot.

        None where it is no dump line after all.
        """
        head = line[:-37]
        at = head.rfind(b" ") + 1
        try:
            data = bytes.fromhex(line[-35:].decode("ascii"))
            offset = int(head[at:], 16)
        except ValueError:
            return None
        if len(data) != 16 or len(head) - at < 3:
            return None
        slot = None
        if head[at - 3 : at] == b"]: ":
            begin = head.rfind(b"cmd[", 0, at)
            number_of = head[begin + 4 : at - 3]
            slot = int(number_of) if begin >= 0 and number_of.isdigit() else None
        return self._dumps.line(number, slot, offset, data, head)

    def _statement(self, number: int, line: str) -> Iterator[Seen]:
        # dynamic debug may put `mlx5_core:function:` in front: the last name in the line is the device's
        named = list(_NAMED.finditer(line))
        m = named[-1] if named else _BARE.search(line)
        if m is None and "suppressed" in line:
            yield from self._rare(number, line)
            return
        if m is None:
            counter = _COUNTER.search(line)
            if counter and "WARN" not in line:
                yield from self._counter(number, line, counter)
            return
        self._found = True
        device, rest = m["device"], m["rest"]
        place = Place(self._source.name, number, clock(line[: m.start()]))
        origin = _ORIGIN.match(rest)
        message = (rest[origin.end() :] if origin else rest).rstrip()
        if (origin and origin["function"] == "dump_command") or "dump" in message:
            yield from self._headline(place, device, message, line)
            return
        statement = understand(origin["function"] if origin else None, message)
        if statement is not None:
            value = said(statement, place, device, message)
            if value.what is What.TAKING:
                self._taking = device
            yield value
            if (event := _event(value)) is not None:
                yield event

    def _headline(self, place: Place, device: str, message: str, line: str) -> Iterator[Seen]:
        m = _DUMP.match(message)
        if m is None:
            return
        slot = None if m["slot"] is None else int(m["slot"])
        caller = caller_of(line)
        if m["edge"] == "start":
            yield from self._dumps.start(place, device, slot, caller)
        elif m["edge"] == "end":
            yield from self._dumps.end(device, slot)
        else:
            yield from self._dumps.headline(
                place,
                device,
                slot,
                int(m["opcode"], 16),
                out=m["way"] == "OUTPUT",
                data_only=m["data"] is not None,
                caller=caller,
            )

    def _counter(self, number: int, line: str, m: re.Match[str]) -> Iterator[Seen]:
        """A WARN names no device: it is the one that took pages back last."""
        statement = understand(None, m[0])
        if statement is not None and self._taking is not None:
            place = Place(self._source.name, number, clock(line[: m.start()]))
            yield said(statement, place, self._taking, m[0])

    def _rare(self, number: int, line: str) -> Iterator[Seen]:
        place = Place(self._source.name, number, clock(line[:80]))
        if "Linux version " in line or "-- Boot " in line or "-- Reboot" in line:
            yield Restarted(place=place)
            return
        m = _LOST.search(line)
        # the limit on callbacks is on the driver's complaints; dumps and debug lines have none
        harmless = "callbacks suppressed" in line
        if m is not None and (not harmless or "mlx5" in line):
            yield Lost(place=place, device="", name="log-lines-lost", detail=m[0], harmless=harmless)


def _rare(line: bytes) -> bool:
    """One of the lines of others that tell of lost lines, or of a new start."""
    return (
        b"essages " in line
        or b"suppressed" in line
        or b"Missed " in line
        or b"Linux version " in line
        or b"-- Boot " in line
        or b"-- Reboot" in line
    )


def _event(value: Said) -> Event | None:
    """The page request that a line reports; the line does not tell the ec bit."""
    if value.what not in (What.REQUEST, What.RELEASE_REQUEST) or value.number is None or value.pages is None:
        return None
    request = PageRequestEvent(value.number & 0xFFFF, value.pages, release_all=value.what is What.RELEASE_REQUEST)
    return Event(place=value.place, device=value.device, request=request, ec_known=False)


def _journal(line: bytes) -> bytes:
    """A line of ``journalctl -o json`` as plain text."""
    try:
        entry = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return line
    if not isinstance(entry, dict) or not isinstance(entry.get("MESSAGE"), str):
        return b""
    micros = str(entry.get("__MONOTONIC_TIMESTAMP") or entry.get("_SOURCE_MONOTONIC_TIMESTAMP") or "")
    stamp = f"[{int(micros) / 1e6:.6f}] " if micros.isdigit() else ""
    message: str = entry["MESSAGE"]
    return (stamp + message).encode()
