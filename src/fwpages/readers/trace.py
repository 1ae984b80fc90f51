"""Traces are read: one JSON object a line, versions 0 to 2. ``TraceReader`` makes observations of the lines.

``docs/reference/trace-format.md`` describes the format; ``trace_writer`` writes it.

How it works. A reader has to tell a trace that is whole from one of which something is lost, as a command without its
answer is the device's fault in the first and no fault in the second. In version 1 every line has a number, from the
header on, and the last is of kind ``end``. A number that is passed over is a line that is lost, and a trace without its
end was cut. In version 0, and in traces of other programs, lines have no numbers: there a line that repeats the one
before in the same microsecond is taken for a copy. A line that cannot be read is reported with its reason, the first
eight one by one; the rest of the trace is read nevertheless. Kinds of lines that this version does not know are
counted and noted, so that a later program may add some.

Version 2 is a record of a running kernel: each line names its device, and a message may be there in part.
"""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from pathlib import PurePath
from typing import TypeAlias

import msgspec

from fwpages.custody.findings import Cause
from fwpages.prm.event import decode_page_request
from fwpages.prm.identity import FunctionType, Identity, Names, Supplier, by_identity
from fwpages.prm.layout import LayoutError
from fwpages.readers.inputs import InputError, Source
from fwpages.readers.observations import (
    BusMasterSet,
    CommandCompleted,
    CommandExecuted,
    CommandSubmitted,
    CommandUnanswered,
    CommandUndone,
    Holes,
    LinkChange,
    LinkEvent,
    MemoryMapped,
    MemoryUnmapped,
    MissingInput,
    Note,
    Observation,
    PagesRequested,
    Place,
    TraceHeader,
)
from fwpages.readers.trace_writer import FORMAT, INJECTED, RECORD_VERSION

_READ = f"this program reads up to {RECORD_VERSION}"
#: devices that a record may name: a machine with more functions than this is not known
MAX_DEVICES = 65_536
#: broken lines that are reported one by one; the rest are counted
MAX_BROKEN = 8


Line: TypeAlias = dict[str, object]


#: kinds of lines that name a device in a record
_OF_A_RECORD = frozenset({"submit", "complete", "event", "link"})
#: kinds that do not come twice in the same microsecond; a second answer is the device's fault
_TYPES = frozenset(FunctionType)
_ONCE = frozenset({"command", "submit", "event"})


class _Bad(ValueError):
    """A line that is JSON but lacks the fields of its kind."""


class TraceReader:
    """Reads one trace. Raises InputError for a version newer than this program knows, or another format."""

    def __init__(self, source: Source) -> None:
        self._source = source
        name = PurePath(source.name).name
        self._device = name.removesuffix(".gz").removesuffix(".jsonl")
        self._broken = 0
        self._unknown: dict[str, int] = {}
        self._understood = 0
        #: the number that the next line should have; None as long as no line has one
        self._next: int | None = None
        self._ended = False
        self._before = b""
        #: a record of a running kernel, and the devices that it has named so far
        self.of_kernel = False
        self._named: dict[str, None] = {}

    def read(self) -> Iterator[Observation]:
        """The observations of the trace, in the order of its lines; what could not be read is ``MissingInput``."""
        source = self._source
        for first, lines in source.batches():
            for number, raw in enumerate(lines, first):
                if raw.strip():
                    yield from self._line(number, raw, last=source.cut)
        yield from self._ends(Place(source.name, source.lines))

    def _ends(self, place: Place) -> Iterator[Observation]:
        """The remarks on the trace as a whole."""
        source = self._source
        if source.broken:
            yield self._cut(place, source.broken)
        if source.skipped:
            yield self._lost(place, f"{source.skipped} lines were too long to be read")
        if self._broken > MAX_BROKEN:
            yield self._lost(place, f"{self._broken} lines in all could not be read")
        yield from self._passed_over(place)
        if not self._understood and not (self.of_kernel and self._ended):
            raise InputError(f"{source.name} holds no command, answer or event that could be read")
        if self._next is not None and not self._ended:
            yield self._lost(place, f"the trace was cut: what came after line {place.line} is not in it")

    def _passed_over(self, place: Place) -> Iterator[Note]:
        """A note for each device and each kind of line that this version does not know."""
        devices = self._named if self.of_kernel else (self._device,)
        for kind, n in self._unknown.items():
            text = f"{n} lines of kind {kind!r} passed over: this version does not know it"
            yield from (Note(place=place, device=name, text=text) for name in devices)

    def _line(self, number: int, raw: bytes, *, last: bool) -> Iterator[Observation]:
        place = Place(self._source.name, number)
        try:
            line = msgspec.json.decode(raw)
            if not isinstance(line, dict):
                raise _Bad("no JSON object")
            yield from self._numbered(place, line.get("n"), head=line.get("kind") == "header")
            if self._copies_last(raw, line):
                text = f"line {number} says the same as the line before, at the same time: passed over"
                yield Note(place=place, device=self._device, text=text)
                return
            self._before = raw
            yield from self._entry(place, line)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            if last:
                yield self._cut(place, "the trace ends in the middle of a line")
            else:
                # the line is there, though it cannot be read: its number is no second loss
                self._next = None if self._next is None else self._next + 1
                yield from self._bad(place, str(e))
        except (_Bad, LayoutError) as e:
            yield from self._bad(place, str(e))

    def _copies_last(self, raw: bytes, line: Line) -> bool:
        """Without numbers, only the same microsecond tells a copy of the last line from a second one."""
        return self._next is None and raw == self._before and "t" in line and line.get("kind") in _ONCE

    def _numbered(self, place: Place, n: object, *, head: bool) -> Iterator[Observation]:
        """Lines are numbered from the header on: numbers that are passed over are lines that are lost."""
        if not isinstance(n, int) or isinstance(n, bool):
            return
        due = 0 if head or self._next is None else self._next
        if head and self._next is not None and not self._ended:
            yield self._lost(place, "another trace begins, and the one before it has no end")
        if n > due:
            missing = f"line {due} is" if n == due + 1 else f"lines {due} to {n - 1} are"
            yield self._lost(place, f"by the numbers in it, {missing} missing before this one")
        self._next = max(due, n + 1)
        self._ended = False

    def _entry(self, place: Place, line: Line) -> Iterator[Observation]:
        t = line.get("t")
        if isinstance(t, (int, float)) and not isinstance(t, bool):
            place = Place(place.file, place.line, t)
        match line.get("kind"):
            case "header":
                yield from self._header(place, line)
            case "end":
                self._ended = True
            case str() as kind:
                yield from self._recorded(place, kind, line)
            case _:
                raise _Bad("the line has no kind")

    def _recorded(self, place: Place, kind: str, line: Line) -> Iterator[Observation]:
        """A line about a command, an answer, a page request or the link."""
        if self.of_kernel and kind in _OF_A_RECORD:
            yield from self._of_record(place, line)
        session = _number(line, "session", None)
        match kind:
            case "command":
                yield from self._command(place, session, line)
            case "submit" | "complete" | "executed":
                yield self._step(place, session, kind, line)
            case "event":
                yield from self._event(place, session, line)
            case "map" | "unmap" | "bus-master":
                yield self._memory(place, session, kind, line)
                return
            case "link":
                yield self._link(place, session, line)
            case "lost" if self.of_kernel:
                yield MissingInput(place=place, device="", cause=Cause.LOG_LINES_LOST, detail=_text(line, "detail"))
            case _:
                self._unknown[kind] = self._unknown.get(kind, 0) + 1
                return
        self._understood += 1

    def _step(self, place: Place, session: int | None, kind: str, line: Line) -> Observation:
        """A step of a command that has an id: its submission, its execution or its answer."""
        key = ("id", session, _number(line, "id"))
        if kind == "submit":
            return self._submit(place, session, key, line)
        device, out = self._device, _bytes(line, "out")
        if kind == "executed":
            return CommandExecuted(place=place, device=device, session=session, key=key, message=out)
        holes = self._holes(line, out)
        return CommandCompleted(
            place=place, device=device, session=session, key=key, message=out, holes=holes, cut=bool(holes)
        )

    def _event(self, place: Place, session: int | None, line: Line) -> Iterator[Observation]:
        """The page request that an event is; nothing for an event of another type."""
        request = decode_page_request(_bytes(line, "eqe"))
        if request is not None:
            yield PagesRequested(place=place, device=self._device, session=session, request=request)

    def _of_record(self, place: Place, line: Line) -> Iterator[Observation]:
        """The device that a line of a record names; it has a header of its own at its first line."""
        device = line.get("device")
        if not isinstance(device, str) or not device:
            raise _Bad("a line of a record names its device")
        self._device = device
        if device not in self._named:
            if len(self._named) >= MAX_DEVICES:
                raise _Bad(f"more than {MAX_DEVICES} devices")
            self._named[device] = None
            yield TraceHeader(place=place, device=device, numbered=self._next is not None, recorded=True)

    def _holes(self, line: Line, message: bytes) -> Holes:
        """The part of a message that a record does not have."""
        length = _number(line, "length", None) if self.of_kernel else None
        return () if length is None or length <= len(message) else ((len(message), length),)

    def _header(self, place: Place, line: Line) -> Iterator[Observation]:
        if line.get("format") != FORMAT:
            raise InputError(f"{place.file} is a trace of format {line.get('format')!r}; expected {FORMAT!r}")
        number = line.get("version")
        if number is None:
            raise InputError(f"{place.file} is a trace whose header has no version; {_READ}")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= RECORD_VERSION:
            raise InputError(f"{place.file} is a trace of version {number!r}; {_READ}")
        self.of_kernel = number == RECORD_VERSION
        if self.of_kernel:
            return
        device = line.get("device", self._device)
        if not isinstance(device, str) or not device:
            raise InputError(f"{place.file} is a trace of device {device!r}; expected a name")
        self._device = device
        supplier = _supplier(line.get("supplier"))
        names = _names(line.get("functions"))
        yield TraceHeader(
            place=place,
            device=device,
            supplier=supplier,
            numbered=self._next is not None,
            names=by_identity(names),
            types=_types(names, line.get("types")),
        )

    def _command(self, place: Place, session: int | None, line: Line) -> Iterator[Observation]:
        key = ("line", place.line)
        yield self._submit(place, session, key, line)
        if line.get("out"):
            out = _bytes(line, "out")
            yield CommandCompleted(place=place, device=self._device, session=session, key=key, message=out)
        else:
            yield CommandUnanswered(place=place, device=self._device, session=session, key=key)

    def _submit(self, place: Place, session: int | None, key: Hashable, line: Line) -> CommandSubmitted:
        slot, message = _number(line, "slot", None), _bytes(line, "in")
        holes = self._holes(line, message)
        return CommandSubmitted(
            place=place,
            device=self._device,
            session=session,
            key=key,
            message=message,
            slot=slot,
            holes=holes,
            cut=bool(holes),
            memory=_addresses(line, "memory"),
        )

    def _memory(self, place: Place, session: int | None, kind: str, line: Line) -> Observation:
        """A line about the memory that the device can reach; it is about no command, answer or event."""
        device = self._device
        if kind == "bus-master":
            on = line.get("on")
            if not isinstance(on, bool):
                raise _Bad("on is true or false")
            return BusMasterSet(place=place, device=device, session=session, on=on)
        iova, size = _address(line.get("iova"), "iova"), _number(line, "size") or 0
        if iova + size > 1 << 64:
            raise _Bad("iova and size go beyond the end of memory")
        made = MemoryMapped if kind == "map" else MemoryUnmapped
        return made(place=place, device=device, session=session, iova=iova, size=size)

    def _link(self, place: Place, session: int | None, line: Line) -> Observation:
        device, what, detail = self._device, line.get("what"), str(line.get("detail") or "")
        if not isinstance(what, str):
            raise _Bad("a link line says what happened in `what`")
        key = None if line.get("id") is None else ("id", session, _number(line, "id"))
        if what in ("aborted", "given-up") and key is not None:
            by_link = what == "aborted"
            return CommandUnanswered(
                place=place, device=device, session=session, key=key, by_link=by_link, detail=detail
            )
        if what == "undone" and key is not None:
            return CommandUndone(place=place, device=device, session=session, key=key, detail=detail)
        if what not in tuple(LinkEvent):
            return self._note(place, session, what, line)
        event = LinkEvent(what)
        return LinkChange(place=place, device=device, session=session, what=event, detail=detail, key=key)

    def _note(self, place: Place, session: int | None, what: str, line: Line) -> Note:
        """An event of the link that changes no account."""
        detail = str(line.get("detail") or "")
        fault = str(line.get("fault") or "") if what == INJECTED else ""
        text = f"link: {what}{': ' if detail else ''}{detail}"
        return Note(place=place, device=self._device, session=session, text=text, fault=fault)

    def _bad(self, place: Place, why: str) -> Iterator[Observation]:
        self._broken += 1
        if self._broken <= MAX_BROKEN:
            yield self._lost(place, f"the line cannot be read: {why}")

    def _lost(self, place: Place, detail: str) -> MissingInput:
        return MissingInput(place=place, device=self._missing_of, cause=Cause.LOG_LINES_LOST, detail=detail)

    @property
    def _missing_of(self) -> str:
        """The device that misses a line which cannot be read: in a record it may be any."""
        return "" if self.of_kernel else self._device

    def _cut(self, place: Place, detail: str) -> MissingInput:
        """The end is missing: the accounts hold as far as was read, unless the trace promised an end."""
        promised, self._ended = self._next is not None, True
        cause = Cause.LOG_TRUNCATED
        return MissingInput(place=place, device=self._missing_of, cause=cause, detail=detail, harmless=not promised)


def _number(line: Line, name: str, default: int | None = -1) -> int | None:
    value = line.get(name, default)
    if value is None and default is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _Bad(f"{name} is a number")
    return value


def _text(line: Line, name: str) -> str:
    value = line.get(name)
    if not isinstance(value, str):
        raise _Bad(f"{name} is a text")
    return value


def _bytes(line: Line, name: str) -> bytes:
    value = line.get(name)
    if not isinstance(value, str):
        raise _Bad(f"{name} holds the bytes in hex")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise _Bad(f"{name} is not hex") from None


def _address(value: object, name: str) -> int:
    """An address, as it is written: a text that begins with 0x."""
    with contextlib.suppress(ValueError):
        if isinstance(value, str) and 0 <= (at := int(value, 16)) < 1 << 64:
            return at
    raise _Bad(f"{name} is an address in hex")


def _addresses(line: Line, name: str) -> tuple[int, ...]:
    of = line.get(name, [])
    if not isinstance(of, list):
        raise _Bad(f"{name} is a list of addresses")
    return tuple(_address(value, name) for value in of)


def _names(value: object) -> Names:
    """The functions' names; what is none is passed over."""
    if not isinstance(value, dict):
        return {}
    return {str(name): [*_identities(of)] for name, of in value.items() if isinstance(of, list)}


def _types(names: Names, value: object) -> dict[Identity, FunctionType]:
    """The type of each identity, where all functions that share it have one type; what is none is passed over."""
    if not isinstance(value, dict):
        return {}
    known = {str(name): FunctionType(kind) for name, kind in value.items() if kind in _TYPES}
    found: dict[Identity, set[FunctionType]] = {}
    for name in known.keys() & names.keys():
        for who in names[name]:
            found.setdefault(who, set()).add(known[name])
    return {who: kinds.pop() for who, kinds in found.items() if len(kinds) == 1}


def _identities(of: list[object]) -> Iterator[Identity]:
    for text in of:
        with contextlib.suppress(ValueError):
            yield Identity.parse(str(text))


def _supplier(value: object) -> Supplier | None:
    if not isinstance(value, dict):
        return None

    def count(name: str) -> int:
        n = value.get(name)
        return n if isinstance(n, int) and n >= 0 else 0

    return Supplier(bool(value.get("ecpf")), count("max_vfs"), count("max_ec_vfs"))
