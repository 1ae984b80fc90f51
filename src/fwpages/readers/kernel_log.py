"""Kernel logs with mlx5_core's messages, however they were printed: dmesg in all its styles, journalctl, syslog.

How it works. A line of a log takes one of six paths, tried in this order:

- a *dump line* holds sixteen bytes of a command and names no device: it goes to ``Dumps``. Runs of them, most of a
  debug log, are taken at once;
- a *driver's line* names a device. It is a headline of a dump, which also goes to ``Dumps``, or a message, which
  ``driver_messages.read_message`` turns into one observation;
- a line of mlx5's that *names no device*: a WARN about a page counter. It is kept until the next lines tell the process
  that printed it, and is then attributed to the device whose pages that process took back;
- a *line of another part of the kernel* that may be about an mlx5 function, which ``platform_messages`` reads;
- a *notice* of others: lines were lost, a line was repeated, the machine was restarted;
- any other line is passed over.

The surroundings of a message (time stamps, host names, levels, colours, JSON of a journal) are taken off by
``log_lines``; ``doubles`` recognises lines that two daemons wrote into one file. Nothing here knows how the driver
words a message, nor what an observation means for pages.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from fwpages.custody.findings import Cause
from fwpages.prm.opcodes import Opcode
from fwpages.readers.complaints import complains, crashed
from fwpages.readers.doubles import LEEWAY, Doubles
from fwpages.readers.driver_lines import driver_named, named_line
from fwpages.readers.driver_messages import read_message
from fwpages.readers.dump_lines import parse_dump_line
from fwpages.readers.dumps import Dumps, caller_of
from fwpages.readers.hosts import Hosts
from fwpages.readers.inputs import EXPECTED, InputError, Source, looks_binary
from fwpages.readers.log_lines import (
    bare,
    clock,
    dropped_before,
    is_restart,
    journal,
    lost_lines,
    may_be_notice,
    repeated,
    unrolled,
)
from fwpages.readers.mail_parts import decoded, decoded_sample, is_encoded
from fwpages.readers.numbered import Numbers, is_numbered
from fwpages.readers.observations import (
    Complaint,
    DeviceNamed,
    FirmwareVersion,
    LooksFolded,
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
from fwpages.readers.pasted import Layout, Mended, layout_of
from fwpages.readers.platform_messages import may_be_platform, read_platform

_DUMP = re.compile(
    r"(?:cmd\[(?P<slot>\d{1,4})\]: )?(?:(?P<edge>start|end) dump$|"
    r"dump command (?P<data>data )?.*?\((?P<opcode>0x[0-9a-fA-F]+)\) (?P<direction>INPUT|OUTPUT))"
)
#: a line as dmesg prints it, of a kernel whose driver names its device; without marks that other programs leave
_PLAIN = re.compile(
    rb"\[ *(\d{1,9}\.\d{6})\] mlx5_core ([0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]): "
    rb"(?:(?:[0-9a-fA-F:]{7}[0-9a-fA-F:]*\.[0-7]:)?(\w+):\d+:\(pid (\d+)\): )?([ !$-)+-~]*)\r?"
).fullmatch
_COUNTER = re.compile(r"(?:(?:External host|Peer) PF |VFs |SPFs |EC VFs )?FW pages counter is -?\d+ after.*")

#: a message with the driver's function in front, and no device: of mlx5_core's, not of mlx5_ib's
_UNNAMED = re.compile(
    r"^(?!.*infiniband).*?(?<!\w)(?P<function>[a-z]\w*):\d+:\(pid (?P<pid>\d+)\): (?P<message>.*)", re.DOTALL
)
#: the process of a WARN: `WARNING: CPU: 0 PID: 77 at ...`, since Linux 6.18 `WARNING: ..., CPU#0: rmmod/77`
_WARNED = re.compile(r"WARNING: .*?(?:PID: |CPU#\d+: [^/]*/)(?P<pid>\d+)")
#: bytes of a line with a time that says something: a time alone, as the driver prints between two dumps, has fewer
_SHORTEST = 20
#: at the end of a line: blanks, and the zero bytes that a serial console or a journal cut off by a crash leaves
_AT_END = b" \t\r\n\v\f\0"
#: messages that are remembered as none of those that matter
_MOST_BARREN = 4096
#: times that a line is believed to have been repeated
_MOST_REPEATED = 10_000


class KernelLog:
    """Reads one log. Raises InputError where it is no text, or where lines of two hosts are mixed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._dumps = Dumps(source.name)
        self._json = source.peek().lstrip().startswith(b"{")
        #: the numbers of the kernel's records, where the log has them
        self._numbers = Numbers() if is_numbered(source.peek()) else None
        self._doubles = Doubles()
        self._doubles_noted = False
        #: the last message and the number of its line
        self._last = (0, b"")
        self._clock: float = 0
        self._hosts = Hosts(source.name)
        #: where each was named first
        self._devices: dict[str, Place] = {}
        #: the same, as lines of the plainest kind write them
        self._names: dict[bytes, str] = {}
        #: messages, and the driver's functions that printed them, of which nothing is to be learned
        self._barren: set[tuple[bytes | None, bytes]] = set()
        #: drivers that the lines named before the first device
        self._drivers: set[str] = set()
        self._counters = _UnnamedCounters()

    @property
    def hosts(self) -> tuple[str, ...]:
        """The machines whose lines were read so far."""
        return self._hosts.names

    def read(self) -> Iterator[Observation]:
        """The observations of the log, in the order of its lines."""
        source = self._source
        encoding, binary = _encoding(source.peek()), looks_binary(source.peek())
        yield from self._all_lines(whole=bool(encoding or binary or self._json))
        yield from self._dumps.finish()
        yield from self._attribute(None)
        place = Place(source.name, source.lines)
        self._refuse_other_drivers()
        if not self._devices and (encoding or binary or source.broken):
            why = encoding or ("is no text" if binary else "says nothing of mlx5_core")
            raise InputError(f"{source.name} {why}{': ' + source.broken if source.broken else ''}; {EXPECTED}")
        if source.broken:
            yield MissingInput(place=place, device="", cause=Cause.LOG_TRUNCATED, detail=source.broken, harmless=True)
        if source.skipped:
            detail = f"{source.skipped} lines were too long to be read"
            yield MissingInput(place=place, device="", cause=Cause.LOG_LINES_LOST, detail=detail)
        for device, first in self._devices.items():
            yield DeviceNamed(place=first, device=device)

    def _all_lines(self, *, whole: bool) -> Iterator[Observation]:
        """The lines of the log, decoded and joined again unless they are ``whole``."""
        sample, batches = self._source.peek(), self._source.batches()
        if whole:
            yield from self._lines(Layout(), unrolled(batches) if self._json else batches)
        elif is_encoded(sample):
            yield from self._lines(layout_of(decoded_sample(sample)), decoded(batches))
        else:
            yield from self._lines(layout_of(sample), batches)

    def _lines(self, layout: Layout, batches: Iterable[tuple[int, list[bytes]]]) -> Iterator[Observation]:
        """The lines of the log, joined again where it was folded."""
        if layout.plain:
            for first, lines in batches:
                yield from self._batch(first, lines)
            return
        mended, noted = Mended(layout), False
        for first, lines in mended.batches(batches):
            if mended.unsafe and not noted:
                noted = True
                yield LooksFolded(place=Place(self._source.name, mended.unsafe), device="")
            yield from self._batch(first, lines)

    def _refuse_other_drivers(self) -> None:
        """InputError for a log of other drivers alone: they do not print the messages that are read here."""
        if self._drivers and not self._devices and "mlx5_core" not in self._drivers:
            others = ", ".join(sorted(self._drivers))
            raise InputError(f"{self._source.name} is a log of {others}, which is another driver; {EXPECTED}")

    def _batch(self, first: int, lines: Sequence[bytes]) -> Iterator[Observation]:
        """Lines one after the other, with what their numbers say; ``first`` is the number of the first line."""
        start = 0
        for at, detail in self._numbers.gaps(lines) if self._numbers is not None else ():
            yield from self._consecutive(first + start, lines[start:at])
            start = at
            place = Place(self._source.name, first + at, clock(lines[at][:80].decode("utf-8", "replace")))
            yield MissingInput(place=place, device="", cause=Cause.LOG_LINES_LOST, detail=detail)
        yield from self._consecutive(first + start, lines[start:] if start else lines)

    def _consecutive(self, first: int, lines: Sequence[bytes]) -> Iterator[Observation]:
        """Lines between which none is missing; ``first`` is the number of the first."""
        at, end, dumps = 0, len(lines), self._dumps
        while at < end:
            taken, found = 0, None
            if lines[at][-37:-35] == b": " and not self._doubles.found:
                taken, found = dumps.run(lines, at)
            if not taken:
                taken, found = 1, self._line(first + at, lines[at])
            if found is not None:
                yield from found
            at += taken

    def _line(self, number: int, raw: bytes) -> Iterable[Observation] | None:
        """The observations of one line."""
        plain = _PLAIN(raw)
        if plain is not None and not self._counters.waiting and b"mlx5_core" not in plain[5]:
            return self._plain(number, raw, plain)
        line = raw.rstrip(_AT_END)
        if b"**" not in line and (found := self._dump_line(number, line)) is not None:
            return found
        if len(line) < _SHORTEST and line[:1] in b"[":
            return None
        line = bare(journal(line) if self._json else line)
        if b"messages dropped" in line:
            return self._after_dropped(number, line)
        return self._bare_line(number, line)

    def _bare_line(self, number: int, line: bytes) -> Iterable[Observation] | None:
        """The observations of a line whose surroundings are taken off."""
        if (found := self._dump_line(number, line)) is not None:
            return found
        if not self._devices and b"ml" in line and (driver := driver_named(line)) is not None:
            self._drivers.add(driver)
        if b"mlx5" in line or b"(pid " in line or b"FW pages counter" in line:
            return self._message(number, line)
        if may_be_platform(line) and (found := self._beside(number, line.decode("utf-8", "replace"))):
            return found
        if may_be_notice(line):
            return self._notice(number, line.decode("utf-8", "replace"))
        return None

    def _beside(self, number: int, line: str) -> list[Observation]:
        """A line of another part of the kernel; empty where it is none of those that matter."""
        found = read_platform(Place(self._source.name, number, clock(line[:80])), line)
        return [] if found is None else [found]

    def _after_dropped(self, number: int, line: bytes) -> Iterator[Observation]:
        """A line that may have a notice of lost lines in front."""
        notice = dropped_before(line)
        if notice is not None:
            place = Place(self._source.name, number, clock(line[:80].decode("utf-8", "replace")))
            yield MissingInput(place=place, device="", cause=Cause.LOG_LINES_LOST, detail=notice[0])
            line = notice[1]
        yield from self._bare_line(number, line) or ()

    def _dump_line(self, number: int, line: bytes) -> Iterable[Observation] | None:
        """A line of a dump; None where it is none."""
        parsed = parse_dump_line(line)
        if parsed is None:
            return None
        if self._doubles.found and self._doubles.dumped(line):
            return ()
        return self._dumps.line(number, parsed.slot, parsed.offset, parsed.data, parsed.head)

    # -- the driver's lines

    def _plain(self, number: int, raw: bytes, plain: re.Match[bytes]) -> Iterable[Observation] | None:
        """A line of the driver's as dmesg prints it: nearly every line of a debug log that is no dump line."""
        stamp, name, function, pid, message = plain.groups()
        time = float(stamp)
        if self._doubles.again_at(time, raw[1:], fine=stamp[-3:] != b"000"):
            return self._double(number, raw.decode())
        self._last = (number, raw)
        device = self._names.get(name) or self._named(name, number, stamp)
        kind = (function, message)
        if kind in self._barren:
            return None
        place = Place(self._source.name, number, time)
        text = message.decode().rstrip()
        if function == b"dump_command" or b"dump" in message:
            return self._headline(place, device, text, None)
        found = read_message(place, device, function.decode() if function else None, text)
        if found is not None:
            return self._printed(found, pid.decode() if pid else None)
        if may_be_platform(message) and (beside := self._beside(number, raw.decode())):
            return beside
        if complains(message):
            return (Complaint(place=place, device=device, text=text),)
        if len(self._barren) >= _MOST_BARREN:
            self._barren.clear()
        self._barren.add(kind)
        return None

    def _named(self, name: bytes, number: int, stamp: bytes) -> str:
        """The device of this name, which lines of the plainest kind have for the first time."""
        device = self._names[name] = name.decode()
        self._devices.setdefault(device, Place(self._source.name, number, float(stamp)))
        return device

    def _message(self, number: int, line: bytes) -> Iterator[Observation]:
        """A line of the driver's, or of a daemon's that repeats one."""
        text = line.decode("utf-8", "replace")
        again = repeated(text) if "message repeated " in text else None
        if again is not None and again[1] is not None:
            for _ in range(min(again[0], _MOST_REPEATED)):
                yield from self._once(number, again[1])
        elif self._doubles.again(line):
            yield from self._double(number, text)
        else:
            yield from self._once(number, text)
            self._last = (number, line)

    def _double(self, number: int, text: str) -> Iterator[Observation]:
        """The first double of a log is noted."""
        named = named_line(text)
        if named is not None and not self._doubles_noted:
            self._doubles_noted = True
            words = "lines are in this log twice, with the same microseconds: the second of them are passed over"
            yield Note(place=Place(self._source.name, number), device=named.device, text=words)

    def _once(self, number: int, line: str) -> Iterator[Observation]:
        """A line of the driver's that is no double."""
        named = named_line(line)
        if named is None:
            yield from self._nameless(number, line)
            return
        yield from self._attribute(None)
        prefix, device, function, pid, message = named
        place = Place(self._source.name, number, clock(prefix))
        self._devices.setdefault(device, place)
        if (hosts := self._hosts.follows(prefix)) is not None:
            yield MachineRestart(place=place, detail="lines of the host {} follow those of {}".format(*hosts))
        if function == "dump_command" or "dump" in message:
            yield from self._headline(place, device, message, caller_of(line))
        elif (found := read_message(place, device, function, message)) is not None:
            yield from self._printed(found, pid)
        elif may_be_platform(message.encode()) and (beside := self._beside(number, line)):
            yield from beside
        elif complains(message.encode()):
            yield Complaint(place=place, device=device, text=message)

    def _printed(self, found: Observation, pid: str | None) -> Iterator[Observation]:
        """One message of the driver's is one observation."""
        if isinstance(found, TakeBegun | TakeFailed | ReclaimAbandoned):
            self._counters.reclaims(found.device, pid)
        if not isinstance(found, MissingInput):
            begins = isinstance(found, FirmwareVersion) or (isinstance(found, StartupPagesRequested) and found.boot)
            yield from self._time(found.place, begins=begins)
        yield found

    def _time(self, place: Place, *, begins: bool) -> Iterator[Observation]:
        """Where a load begins at an earlier time than the line before, the machine was restarted in between."""
        if not isinstance(place.time, float):
            return
        if begins and place.time < self._clock - LEEWAY:
            detail = f"the clock went back from {self._clock:.0f} s to {place.time:.0f} s: the machine was restarted"
            yield MachineRestart(place=place, detail=detail)
        self._clock = place.time

    def _headline(self, place: Place, device: str, message: str, caller: str | None) -> Iterator[Observation]:
        """``start dump``, ``dump command X INPUT``, or ``end dump``."""
        headline = _headline(message)
        if headline is None:
            return
        begins = headline.opcode == Opcode.ENABLE_HCA and not headline.out
        yield from self._time(place, begins=begins)
        if headline.edge == "end":
            yield from self._dumps.end(device, headline.slot)
        elif headline.edge == "start":
            yield from self._dumps.start(place, device, headline.slot, caller)
        else:
            yield from self._dumps.headline(
                place,
                device,
                headline.slot,
                headline.opcode,
                out=headline.out,
                data_only=headline.data_only,
                caller=caller,
            )

    # -- lines that name no device

    def _nameless(self, number: int, line: str) -> Iterator[Observation]:
        """A line of mlx5's that names no device."""
        if "suppressed" in line:
            yield from self._notice(number, line)
            if "callbacks suppressed" in line and "mlx5" in line:
                yield Complaint(place=Place(self._source.name, number, clock(line[:80])), text=line)
            return
        counter = _COUNTER.search(line)
        if counter and "WARN" not in line:
            place = Place(self._source.name, number, clock(line[: counter.start()]))
            self._counters.waiting.append((place, counter[0]))
        elif self._counters.waiting and (warned := _WARNED.search(line)):
            yield from self._attribute(warned["pid"])
        elif (m := _UNNAMED.search(line)) is not None:
            yield from self._unnamed(Place(self._source.name, number, clock(line[: m.start()])), m)
        elif may_be_platform(line.encode()):
            yield from self._beside(number, line)
        elif crashed(line):
            yield Complaint(place=Place(self._source.name, number, clock(line[:80])), text=line)

    def _unnamed(self, place: Place, m: re.Match[str]) -> Iterator[Observation]:
        """A message whose device was cut off: of the only device, or of one that has no name but the driver's."""
        device = next(iter(self._devices)) if len(self._devices) == 1 else "mlx5_core"
        found = read_message(place, device, m["function"], m["message"].rstrip())
        if found is not None:
            self._devices.setdefault(device, place)
            yield from self._printed(found, m["pid"])

    def _attribute(self, pid: str | None) -> Iterator[Observation]:
        """Page counters without a device are those of the device that this process, if it is known, took pages from."""
        if not self._counters.waiting:
            return
        device = self._counters.device_of(pid, self._devices)
        waiting, self._counters.waiting = self._counters.waiting, []
        self._devices.setdefault(device, waiting[0][0])
        for place, text in waiting:
            if (found := read_message(place, device, None, text)) is not None:
                yield found

    def _notice(self, number: int, line: str) -> Iterator[Observation]:
        """A notice of lost or repeated lines, or of a restart."""
        place = Place(self._source.name, number, clock(line[:80]))
        if is_restart(line):
            yield MachineRestart(place=place)
        elif (again := repeated(line)) is not None:
            before, text = self._last
            for _ in range(min(again[0], _MOST_REPEATED) if before == number - 1 else 0):
                yield from self._once(number, text.decode("utf-8", "replace"))
            self._last = (number, text)
        elif (detail := lost_lines(line)) is not None:
            yield MissingInput(place=place, device="", cause=Cause.LOG_LINES_LOST, detail=detail)


class _UnnamedCounters:
    """Page counters that a WARN printed without a device, and the evidence for the device."""

    def __init__(self) -> None:
        #: place and text of each that is not attributed yet
        self.waiting: list[tuple[Place, str]] = []
        #: the device that took pages back last, in any process and in each
        self._last: str | None = None
        self._by_process: dict[str, str] = {}

    def reclaims(self, device: str, pid: str | None) -> None:
        """This device's driver takes pages back, in this process."""
        self._last = device
        if pid is not None:
            self._by_process[pid] = device

    def device_of(self, pid: str | None, devices: Collection[str]) -> str:
        """The device of a WARN in this process; the driver's name where nothing tells it."""
        only = next(iter(devices)) if len(devices) == 1 else None
        return self._by_process.get(pid or "") or self._last or only or "mlx5_core"


class _Headline(NamedTuple):
    """A line of the driver's about a dump: ``start``, ``end``, or the command whose dump it is."""

    edge: str | None
    slot: int | None
    opcode: int
    out: bool
    data_only: bool


@lru_cache(maxsize=1024)
def _headline(message: str) -> _Headline | None:
    """The parts of a headline; None where it is none. A log has the same few very often."""
    m = _DUMP.match(message)
    if m is None:
        return None
    slot = None if m["slot"] is None else int(m["slot"])
    return _Headline(m["edge"], slot, int(m["opcode"] or "0", 16), m["direction"] == "OUTPUT", m["data"] is not None)


def _encoding(sample: bytes) -> str:
    """The reason why it cannot be read as text, where it is UTF-16 (as PowerShell's ``>`` writes)."""
    if sample[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "is UTF-16: make UTF-8 of it (iconv -f UTF-16 -t UTF-8)"
    return ""
