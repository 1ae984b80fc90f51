"""Kernel logs with mlx5_core's messages, however they were printed: dmesg in all its styles, journalctl, syslog."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator

from fwpages.custody.findings import Cause
from fwpages.prm.opcodes import Opcode
from fwpages.readers.driver_messages import read_message
from fwpages.readers.dumps import Dumps, caller_of
from fwpages.readers.inputs import EXPECTED, InputError, Source, looks_binary
from fwpages.readers.log_lines import (
    LEEWAY,
    Doubles,
    bare,
    clock,
    dropped_before,
    journal,
    lost,
    notable,
    repeated,
    restart,
)
from fwpages.readers.observations import (
    FirmwareVersion,
    MachineRestart,
    MissingInput,
    Note,
    Observation,
    Place,
    ReclaimAbandoned,
    StartupPagesRequested,
    TakeBegun,
    TakeFailed,
)

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
    r"(?:cmd\[(?P<slot>\d{1,4})\]: )?(?:(?P<edge>start|end) dump$|"
    r"dump command (?P<data>data )?.*?\((?P<opcode>0x[0-9a-fA-F]+)\) (?P<way>INPUT|OUTPUT))"
)
_COUNTER = re.compile(r"(?:(?:External host|Peer) PF |VFs |SPFs |EC VFs )?FW pages counter is -?\d+ after.*")

_HOST = re.compile(r"\d\d:\d\d:\d\d\S* (?P<host>\S+) kernel(?:\[\d+\])?:")
#: whose a WARN is: `WARNING: CPU: 0 PID: 77 at ...`, since Linux 6.18 `WARNING: ..., CPU#0: rmmod/77`
_WARNED = re.compile(r"WARNING: .*?(?:PID: |CPU#\d+: [^/]*/)(?P<pid>\d+)")
#: lines that only a driver prints that takes pages back
_RECLAIMING = (TakeBegun, TakeFailed, ReclaimAbandoned)
#: digits of an offset in a dump, at most
_OFFSET = 8
#: times that a line is believed to have been repeated
_MOST_REPEATED = 10_000


class KernelLog:
    """Reads one log. Raises InputError where nothing of mlx5_core is in it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._dumps = Dumps(source.name)
        self._json = source.peek().lstrip().startswith(b"{")
        self._doubles = Doubles()
        self._told = False
        #: the last message and the number of its line
        self._last = (0, "")
        self._clock: float = 0
        self._hosts: list[str] = []
        self._devices: set[str] = set()
        #: who took pages back last, and in which process
        self._taking: str | None = None
        self._taking_in: dict[str, str] = {}
        #: counters that a WARN told, until it is known of which device
        self._counters: list[tuple[Place, str]] = []

    def read(self) -> Iterator[Observation]:
        """What it says, in order."""
        source = self._source
        encoding = _wide(source.peek())
        binary = looks_binary(source.peek())
        for first, lines in source.batches():
            for number, raw in enumerate(lines, first):
                line = raw.rstrip()
                found = self._words(number, line) if line[-37:-35] == b": " and b"**" not in line else None
                if found is None:
                    line = bare(journal(line) if self._json else line)
                    if b"messages dropped" in line:
                        line = yield from self._dropped(number, line)
                    found = self._words(number, line)
                if found is not None:
                    yield from found
                elif b"mlx5" in line or b"(pid " in line or b"FW pages counter" in line:
                    yield from self._message(number, line)
                elif notable(line):
                    yield from self._notice(number, line.decode("utf-8", "replace"))
        yield from self._dumps.finish()
        yield from self._count(None)
        place = Place(source.name, source.lines)
        if not self._devices:
            why = encoding or ("is no text" if binary else "says nothing of mlx5_core")
            raise InputError(f"{source.name} {why}{': ' + source.broken if source.broken else ''}; {EXPECTED}")
        if source.broken:
            yield MissingInput(place=place, device="", cause=Cause.LOG_TRUNCATED, detail=source.broken, harmless=True)
        if source.skipped:
            detail = f"{source.skipped} lines were too long to be read"
            yield MissingInput(place=place, device="", cause=Cause.LOG_LINES_LOST, detail=detail)

    def _words(self, number: int, line: bytes) -> Iterable[Observation] | None:
        """A dump line: `cmd[31]: 010: 01080000 00000001 00000000 00000006`, in older kernels without the slot.

        None where it is no dump line after all.
        """
        if line[-37:-35] != b": " or line[-9:-8] != b" ":
            return None
        head = line[:-37]
        at = head.rfind(b" ") + 1
        if len(head) - at > _OFFSET:
            # `7,1,5000,-;010:` and `MESSAGE=010:`, where no blank stands before it
            at = max(head.rfind(b";"), head.rfind(b"=")) + 1
        try:
            data = bytes.fromhex(line[-35:].decode("ascii"))
            offset = int(head[at:], 16)
        except ValueError:
            return None
        if len(data) != 16 or len(head) - at < 3 or (len(head) - at > 3 and head[at : at + 1] == b"0"):
            # the driver writes offsets as %03x: others write more zeros
            return None
        if self._doubles.found and self._doubles.dumped(line):
            return ()
        slot = None
        if head[at - 3 : at] == b"]: ":
            begin = head.rfind(b"cmd[", 0, at)
            number_of = head[begin + 4 : at - 3]
            slot = int(number_of) if begin >= 0 and number_of.isdigit() and len(number_of) < _OFFSET else None
        return self._dumps.line(number, slot, offset, data, head)

    def _message(self, number: int, line: bytes) -> Iterator[Observation]:
        """A line of the driver's, or of a daemon's that repeats one."""
        text = line.decode("utf-8", "replace")
        again = repeated(text) if "message repeated " in text else None
        if again is not None and again[1] is not None:
            for _ in range(min(again[0], _MOST_REPEATED)):
                yield from self._statement(number, again[1])
        elif self._doubles.again(line):
            named = _device_in(text)
            if named is not None and not self._told:
                self._told = True
                words = "lines are in this log twice, with the same microseconds: the second of them are passed over"
                yield Note(place=Place(self._source.name, number), device=named["device"], text=words)
        else:
            yield from self._statement(number, text)
            self._last = (number, text)

    def _statement(self, number: int, line: str) -> Iterator[Observation]:
        m = _device_in(line)
        if m is None:
            yield from self._nameless(number, line)
            return
        if self._counters:
            yield from self._count(None)
        device, rest = m["device"], m["rest"]
        self._devices.add(device)
        place = Place(self._source.name, number, clock(line[: m.start()]))
        yield from self._from(line[: m.start()], place)
        origin = _ORIGIN.match(rest)
        message = (rest[origin.end() :] if origin else rest).rstrip()
        if (origin and origin["function"] == "dump_command") or "dump" in message:
            yield from self._headline(place, device, message, line)
            return
        found = read_message(place, device, origin["function"] if origin else None, message)
        if found is None:
            return
        if isinstance(found, _RECLAIMING):
            self._taking = device
            if origin:
                self._taking_in[origin["pid"]] = device
        if not isinstance(found, MissingInput):
            begins = isinstance(found, FirmwareVersion) or (isinstance(found, StartupPagesRequested) and found.boot)
            yield from self._time(place, begins=begins)
        yield found

    def _from(self, prefix: str, place: Place) -> Iterator[Observation]:
        """Syslog puts the host's name in front; InputError where the lines of two are mixed.

        While it starts, a machine has no name yet.
        """
        m = _HOST.search(prefix)
        if m is None or m["host"] == (self._hosts[-1] if self._hosts else "") or m["host"].startswith("localhost"):
            return
        host = m["host"]
        if host in self._hosts:
            name, a, b = self._source.name, self._hosts[-1], host
            raise InputError(
                f"{name} has lines of the hosts {a} and {b} mixed: audit each by itself (grep ' {a} kernel')"
            )
        self._hosts.append(host)
        if len(self._hosts) > 1:
            yield MachineRestart(place=place, detail=f"lines of the host {host} follow those of {self._hosts[-2]}")

    def _nameless(self, number: int, line: str) -> Iterator[Observation]:
        """A line about mlx5 that names no device."""
        if "suppressed" in line:
            yield from self._notice(number, line)
            return
        counter = _COUNTER.search(line)
        if counter and "WARN" not in line:
            place = Place(self._source.name, number, clock(line[: counter.start()]))
            self._counters.append((place, counter[0]))
        elif self._counters and (warned := _WARNED.search(line)):
            yield from self._count(warned["pid"])

    def _time(self, place: Place, *, begins: bool) -> Iterator[Observation]:
        """Where a load begins at an earlier time than the line before, the machine was started anew in between."""
        if not isinstance(place.time, float):
            return
        if begins and place.time < self._clock - LEEWAY:
            words = f"the clock went back from {self._clock:.0f} s to {place.time:.0f} s: the machine was started anew"
            yield MachineRestart(place=place, detail=words)
        self._clock = place.time

    def _headline(self, place: Place, device: str, message: str, line: str) -> Iterator[Observation]:
        m = _DUMP.match(message)
        if m is None:
            return
        slot = None if m["slot"] is None else int(m["slot"])
        caller = caller_of(line)
        begins = m["opcode"] is not None and int(m["opcode"], 16) == Opcode.ENABLE_HCA and m["way"] == "INPUT"
        yield from self._time(place, begins=begins)
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

    def _count(self, pid: str | None) -> Iterator[Observation]:
        """A WARN names no device: it is the one whose pages that process, or else anybody, took back last."""
        counters, self._counters = self._counters, []
        only = next(iter(self._devices)) if len(self._devices) == 1 else None
        device = self._taking_in.get(pid or "") or self._taking or only or "mlx5_core"
        for place, text in counters:
            self._devices.add(device)
            found = read_message(place, device, None, text)
            if found is not None:
                yield found

    def _dropped(self, number: int, line: bytes) -> Generator[Observation, None, bytes]:
        """A notice of lost lines in front of a line: returns the line."""
        cut = dropped_before(line)
        if cut is None:
            return line
        place = Place(self._source.name, number, clock(line[:80].decode("utf-8", "replace")))
        yield MissingInput(place=place, device="", cause=Cause.LOG_LINES_LOST, detail=cut[0])
        return cut[1]

    def _notice(self, number: int, line: str) -> Iterator[Observation]:
        place = Place(self._source.name, number, clock(line[:80]))
        if restart(line):
            yield MachineRestart(place=place)
        elif (again := repeated(line)) is not None:
            before, text = self._last
            for _ in range(min(again[0], _MOST_REPEATED) if before == number - 1 else 0):
                yield from self._statement(number, text)
            self._last = (number, text)
        elif (detail := lost(line)) is not None:
            # the limit on callbacks is on the driver's complaints; dumps and debug lines have none
            harmless = "callbacks suppressed" in line
            if not harmless or "mlx5" in line:
                yield MissingInput(place=place, device="", cause=Cause.LOG_LINES_LOST, detail=detail, harmless=harmless)


def _device_in(line: str) -> re.Match[str] | None:
    """The part of a line that names a device and what is said of it.

    Dynamic debug may put `mlx5_core:function:` in front: the last name in the line is the device's.
    """
    named = list(_NAMED.finditer(line))
    return named[-1] if named else _BARE.search(line)


def _wide(sample: bytes) -> str:
    """Why it is no text that can be read, where it is UTF-16 (as PowerShell's ``>`` writes)."""
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "is UTF-16: make UTF-8 of it (iconv -f UTF-16 -t UTF-8)"
    return ""
