"""Traces are written: one JSON object a line, as ``docs/reference/trace-format.md`` describes it.

``TraceWriter`` writes version 1, and is a ``Tap`` of a link. ``RecordWriter`` writes version 2, a record of a running
kernel, in which messages may be there in part. A program that only writes a trace loads none of the readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TextIO

import msgspec

from fwpages.prm.event import EswitchEvent, PageRequestEvent, encode_eswitch, encode_page_request
from fwpages.prm.identity import FunctionType, Names, Supplier
from fwpages.prm.message import Answer, Command, PageArray, encode_answer, encode_command

FORMAT = "fwpages-trace"
#: what a line of the link says of a fault that the device injected; ``fault`` in it names the fault
INJECTED = "injected"
VERSION = 1
RECORD_VERSION = 2


#: bytes of a trace: a session that moves 1.3 million pages, the most that was seen, has some 50 MB; a driver that never
#: ends its close would fill a disk with its TAKEs
MOST_TRACE = 512 << 20


class _Lines:
    """Writes numbered lines to a text stream, at most ``most`` characters of them where a bound is given."""

    def __init__(self, stream: TextIO, most: int | None = None) -> None:
        self._stream = stream
        self._count = self._size = 0
        self._most = most
        self.full = False

    def put(self, **line: object) -> None:
        """Write one line with the next number; nothing more once one had no room."""
        if self.full:
            return
        text = msgspec.json.encode({"n": self._count, **line}).decode() + "\n"
        self.full = self._most is not None and self._size + len(text) > self._most
        if not self.full:
            self._stream.write(text)
            self._count += 1
            self._size += len(text)


class TraceWriter:
    """Writes a version 1 trace to a text stream; times are in seconds. ``end`` belongs to a whole one.

    ``names`` are the scenario's names of functions, which an audit of the trace shows, and ``types`` their types, which
    it shows where no command does: those of a device that is served to a driver of somebody else. At most ``most``
    bytes are written; a trace that would be longer is cut, and an audit says so.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        device: str,
        supplier: Supplier,
        names: Names | None = None,
        types: Mapping[str, FunctionType] | None = None,
        most: int = MOST_TRACE,
    ) -> None:
        self._lines = _Lines(stream, most)
        self._lines.put(
            kind="header",
            format=FORMAT,
            version=VERSION,
            device=device,
            fwpages=version("fwpages"),
            supplier={
                "ecpf": supplier.ecpf,
                "max_vfs": supplier.max_vfs,
                "max_ec_vfs": supplier.max_ec_vfs,
            },
            functions={name: [str(who) for who in identities] for name, identities in (names or {}).items()},
            **({} if types is None else {"types": {name: kind.value for name, kind in types.items()}}),
        )

    @property
    def full(self) -> bool:
        """The trace has ``most`` bytes: what came since is not in it, and it has no end."""
        return self._lines.full

    def submit(
        self,
        t: float,
        session: int,
        id: int,  # noqa: A002
        slot: int,
        command: Command,
        memory: PageArray | None = None,
    ) -> None:
        """A command goes to the device; LayoutError where it cannot be encoded.

        ``memory``: the pages that its entry and mailboxes lie in, where they are known.
        """
        data = encode_command(command).hex()
        more = {} if memory is None else {"memory": [f"{a:#x}" for a in memory.tolist()]}
        self._at(t, "submit", session, id=id, slot=slot, **{"in": data}, reply=command.reply_length, **more)

    def executed(self, t: float, session: int, id: int, answer: Answer) -> None:  # noqa: A002
        """The device carried a command out and keeps the answer back."""
        self._at(t, "executed", session, id=id, out=encode_answer(answer).hex())

    def map(self, t: float, session: int, iova: int, size: int) -> None:
        """The device can reach ``size`` bytes at ``iova`` from now on."""
        self._at(t, "map", session, iova=f"{iova:#x}", size=size)

    def unmap(self, t: float, session: int, iova: int, size: int) -> None:
        """The device cannot reach them any more; a ``size`` of 0 stands for all memory."""
        self._at(t, "unmap", session, iova=f"{iova:#x}", size=size)

    def bus_master(self, t: float, session: int, *, on: bool) -> None:
        """The driver turned bus mastering on or off."""
        self._at(t, "bus-master", session, on=on)

    def complete(self, t: float, session: int, id: int, answer: Answer, reply_length: int) -> None:  # noqa: A002
        """Its answer, as the ``reply_length`` bytes set aside for it; as more where a device answers with more."""
        data = encode_answer(answer)
        self._at(t, "complete", session, id=id, out=data.ljust(reply_length, b"\0").hex())

    def event(self, t: float, session: int, eqn: int, event: PageRequestEvent) -> None:
        """A page request came in on event queue ``eqn``."""
        self._at(t, "event", session, eqn=eqn, eqe=encode_page_request(event).hex())

    def notified(self, t: float, session: int, eqn: int, event: EswitchEvent) -> None:
        """An event about the e-switch went to event queue ``eqn``."""
        self._at(t, "event", session, eqn=eqn, eqe=encode_eswitch(event).hex())

    def link(self, t: float, session: int, what: str, detail: str = "", id: int | None = None) -> None:  # noqa: A002
        """An event beside commands and page requests; ``what`` is a ``LinkEvent``, ``aborted`` or ``given-up``."""
        more = {} if id is None else {"id": id}
        self._at(t, "link", session, what=what, detail=detail, **more)

    def injected(self, t: float, session: int, fault: str, words: str) -> None:
        """The device did this on purpose: the fault of this name took effect."""
        self._at(t, "link", session, what=INJECTED, detail=f"{fault}: {words}", fault=fault)

    def end(self) -> None:
        """The trace is whole: one without this line was cut."""
        self._lines.put(kind="end")

    def _at(self, t: float, kind: str, session: int, **rest: object) -> None:
        self._lines.put(t=round(t, 6), kind=kind, session=session, **rest)


@dataclass(frozen=True, slots=True)
class Part:
    """The first bytes of a message of ``length`` bytes; the rest is not recorded."""

    data: bytes
    length: int


class RecordWriter:
    """Writes a version 2 trace to a text stream: times are in seconds, ids are the caller's, unique in the file.

    ``kernel`` is the release of the kernel that is recorded. ``end`` belongs to a whole one.
    """

    def __init__(self, stream: TextIO, *, kernel: str) -> None:
        self._lines = _Lines(stream)
        self._lines.put(kind="header", format=FORMAT, version=RECORD_VERSION, fwpages=version("fwpages"), kernel=kernel)

    def submit(self, t: float, device: str, id: int, command: Part, reply: int) -> None:  # noqa: A002
        """A command goes to the device; ``reply`` bytes are set aside for its answer."""
        self._at(t, "submit", device, id=id, **{"in": command.data.hex()}, length=command.length, reply=reply)

    def complete(self, t: float, device: str, id: int, answer: Part) -> None:  # noqa: A002
        """Its answer."""
        self._at(t, "complete", device, id=id, out=answer.data.hex(), length=answer.length)

    def given_up(self, t: float, device: str, id: int, detail: str) -> None:  # noqa: A002
        """The driver no longer waits for the answer to command ``id``."""
        self._at(t, "link", device, what="given-up", detail=detail, id=id)

    def undone(self, t: float, device: str, id: int, detail: str) -> None:  # noqa: A002
        """Nothing shows if the device carried command ``id`` out."""
        self._at(t, "link", device, what="undone", detail=detail, id=id)

    def event(self, t: float, device: str, entry: bytes) -> None:
        """A page request: a 64-byte entry of an event queue."""
        self._at(t, "event", device, eqe=entry.hex())

    def lost(self, t: float, detail: str) -> None:
        """Events are missing from here, of any device."""
        self._lines.put(t=round(t, 6), kind="lost", detail=detail)

    def end(self) -> None:
        """The trace is whole: one without this line was cut."""
        self._lines.put(kind="end")

    def _at(self, t: float, kind: str, device: str, **rest: object) -> None:
        self._lines.put(t=round(t, 6), kind=kind, device=device, **rest)
