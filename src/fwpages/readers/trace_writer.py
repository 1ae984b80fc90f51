"""Traces are written: one JSON object a line, version 1, as ``docs/reference/trace-format.md`` describes it.

``TraceWriter`` is a ``Tap`` of a link. A program that only writes a trace loads none of the readers.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TextIO

import msgspec

from fwpages.prm.event import PageRequestEvent, encode_page_request
from fwpages.prm.identity import Names, Supplier
from fwpages.prm.message import Answer, Command, encode_answer, encode_command

FORMAT = "fwpages-trace"
VERSION = 1


class TraceWriter:
    """Writes a version 1 trace to a text stream; times are in seconds. ``end`` belongs to a whole one.

    ``names`` are the scenario's names of functions, which an audit of the trace shows.
    """

    def __init__(self, stream: TextIO, *, device: str, supplier: Supplier, names: Names | None = None) -> None:
        self._stream = stream
        self._lines = 0
        self._put(
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
        )

    def submit(self, t: float, session: int, id: int, slot: int, command: Command) -> None:  # noqa: A002
        """A command goes to the device; LayoutError where it cannot be encoded."""
        data = encode_command(command).hex()
        self._at(t, "submit", session, id=id, slot=slot, **{"in": data}, reply=command.reply_length)

    def complete(self, t: float, session: int, id: int, answer: Answer, reply_length: int) -> None:  # noqa: A002
        """Its answer, as the ``reply_length`` bytes set aside for it; as more where a device answers with more."""
        data = encode_answer(answer)
        self._at(t, "complete", session, id=id, out=data.ljust(reply_length, b"\0").hex())

    def event(self, t: float, session: int, eqn: int, event: PageRequestEvent) -> None:
        """A page request came in on event queue ``eqn``."""
        self._at(t, "event", session, eqn=eqn, eqe=encode_page_request(event).hex())

    def link(self, t: float, session: int, what: str, detail: str = "", id: int | None = None) -> None:  # noqa: A002
        """An event beside commands and page requests; ``what`` is a ``LinkEvent``, ``aborted`` or ``given-up``."""
        more = {} if id is None else {"id": id}
        self._at(t, "link", session, what=what, detail=detail, **more)

    def end(self) -> None:
        """The trace is whole: one without this line was cut."""
        self._put(kind="end")

    def _at(self, t: float, kind: str, session: int, **rest: object) -> None:
        self._put(t=round(t, 6), kind=kind, session=session, **rest)

    def _put(self, **line: object) -> None:
        self._stream.write(msgspec.json.encode({"n": self._lines, **line}).decode() + "\n")
        self._lines += 1
