"""The steps of each session of an input: start-up, page commands and page requests, in their order.

They are taken from the observations that the audit takes, so that a step belongs to the session that the audit puts it
in, and to the function under whatever name it has at the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from fwpages.auditor.audit import Audit
from fwpages.auditor.books import Book
from fwpages.auditor.session import AuditedSession
from fwpages.comparison.kinds import Kind
from fwpages.comparison.sides import Step, Steps
from fwpages.pages.words import many
from fwpages.prm.identity import Identity, Mode
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Command, decode_command
from fwpages.prm.opcodes import ManagePages, Opcode, op_mod_suffix, opcode_name
from fwpages.readers.observations import (
    CommandSubmitted,
    FunctionMessage,
    Observation,
    PagesGiven,
    PagesRequested,
    TakeBegun,
)

#: steps of one kind that are kept of a session: a device that gives and takes a million pages in small commands
MAX_STEPS = 20_000
#: and of all sessions together: some 100 MB
MAX_IN_ALL = 500_000
#: commands that are counted apart: more than any driver sends
MAX_KINDS = 500

#: the function of a step: its book, which has its latest name, or the name itself where it has no book
_Function = Book | Identity | None
_Row = tuple[str, _Function, str]


@dataclass(slots=True)
class _Kept:
    """The steps of one session as they come."""

    started: bool = False
    counts: Counter[str] | None = None
    commands: dict[Kind, list[_Row]] = field(default_factory=dict)
    lines: dict[Kind, list[_Row]] = field(default_factory=dict)
    more: dict[Kind, int] = field(default_factory=dict)


class StepKeeper:
    """Keeps the steps of every session of one audit, by the session's place in the report."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}
        self._in_all = 0

    def after(self, audit: Audit, v: Observation) -> None:
        """Keep the step that this observation is, if it is one; the audit has taken it already."""
        if not isinstance(v, CommandSubmitted | PagesRequested | PagesGiven | TakeBegun):
            return
        session = audit.session(v.device)
        if session is None or _of_earlier(v, session):
            return
        kept = self._kept.setdefault(audit.number(v.device), _Kept())
        _shows(kept, v, trace=not audit.log)
        match v:
            case CommandSubmitted():
                self._command(kept, session, v.message)
            case PagesRequested():
                into = kept.commands if _sure(session, v) else kept.lines
                self._add(kept, into, Kind.PAGE_REQUESTS, _request(session, v))
            case PagesGiven():
                count = "" if v.pages is None else f"{v.pages:,} "
                self._add(kept, kept.lines, Kind.PAGE_COMMANDS, (f"GIVE {count}to ", _of_line(session, v), ""))
            case TakeBegun():
                row = (f"TAKE {v.pages:,} of ", _of_line(session, v), "")
                self._add(kept, kept.lines, Kind.PAGE_COMMANDS, row)

    def _command(self, kept: _Kept, s: AuditedSession, message: bytes) -> None:
        opcode, op_mod = int.from_bytes(message[:2], "big"), int.from_bytes(message[6:8], "big")
        if opcode == Opcode.MANAGE_PAGES:
            self._add(kept, kept.commands, Kind.PAGE_COMMANDS, _page_command(s, message))
        elif not kept.started:
            row = (opcode_name(opcode) + op_mod_suffix(opcode, op_mod), None, "")
            self._add(kept, kept.commands, Kind.START_UP, row)
            kept.started = opcode == Opcode.INIT_HCA
        elif kept.counts is not None:
            name = opcode_name(opcode) + op_mod_suffix(opcode, op_mod)
            kept.counts[name if name in kept.counts or len(kept.counts) < MAX_KINDS else "other commands"] += 1

    def _add(self, kept: _Kept, into: dict[Kind, list[_Row]], kind: Kind, row: _Row) -> None:
        rows = into.setdefault(kind, [])
        if len(rows) < MAX_STEPS and self._in_all < MAX_IN_ALL:
            rows.append(row)
            self._in_all += 1
        else:
            kept.more[kind] = kept.more.get(kind, 0) + 1

    def commands(self, number: int) -> Mapping[Kind, Steps]:
        """The steps that commands and events tell, of the session at this place of the report."""
        kept = self._kept.get(number, _Kept())
        return {kind: _steps(rows, kept.more.get(kind, 0)) for kind, rows in kept.commands.items()}

    def counts(self, number: int) -> Mapping[str, int] | None:
        """How often each command came after the start-up; None where the input shows no commands."""
        return self._kept.get(number, _Kept()).counts

    def lines(self, number: int) -> Mapping[Kind, Steps]:
        """The steps that the driver's one-line messages tell."""
        kept = self._kept.get(number, _Kept())
        return {kind: _steps(rows, kept.more.get(kind, 0)) for kind, rows in kept.lines.items()}


def _shows(kept: _Kept, v: Observation, *, trace: bool) -> None:
    """Note which sequences this input tells, though nothing of one may come: it is then known to be empty."""
    if isinstance(v, CommandSubmitted):
        kinds = [Kind.START_UP, Kind.PAGE_COMMANDS, *[Kind.PAGE_REQUESTS] * trace]
        kept.counts = Counter() if kept.counts is None else kept.counts
        for kind in kinds:
            kept.commands.setdefault(kind, [])
    elif not trace:
        kept.lines.setdefault(Kind.PAGE_COMMANDS, [])


def _sure(s: AuditedSession, v: PagesRequested) -> bool:
    """The request names its function for certain: a log's line does not have the ec bit of FUNC_ID mode."""
    return v.ec_known or s.naming.mode is Mode.VHCA_ID or s.naming.ecpf is False


def _of_earlier(v: Observation, s: AuditedSession) -> bool:
    """It belongs to a session that is over."""
    return v.session is not None and s.number is not None and v.session < s.number


def _page_command(s: AuditedSession, message: bytes) -> _Row:
    try:
        c = decode_command(message)
    except LayoutError:
        return ("a MANAGE_PAGES that cannot be read", None, "")
    who = _named(s, c["function_id"], bool(c["embedded_cpu_function"]))
    match c.op_mod:
        case ManagePages.GIVE:
            return (f"GIVE {c['input_num_entries']:,} to ", who, "")
        case ManagePages.TAKE:
            return (f"TAKE {c['input_num_entries']:,} of ", who, "")
        case ManagePages.CANT_GIVE:
            return ("CANT_GIVE for ", who, "")
        case _:
            return (_odd(c), who, "")


def _odd(c: Command) -> str:
    return f"{opcode_name(c.opcode)}{op_mod_suffix(c.opcode, c.op_mod)} for "


def _request(s: AuditedSession, v: PagesRequested) -> _Row:
    r = v.request
    who = _named(s, r.number, r.ec)
    if r.release_all:
        return ("released all of ", who, "")
    if r.num_pages < 0:
        return (f"wants {many(-r.num_pages)} of ", who, " back")
    return (f"asks for {many(r.num_pages)} for ", who, "")


def _of_line(s: AuditedSession, v: FunctionMessage) -> _Function:
    return None if v.number is None else _named(s, v.number, bool(v.ec))


def _named(s: AuditedSession, number: int, ec: bool) -> _Function:
    who = s.naming.name(number, ec)
    return s.books.rows.get(who, who)


def _steps(rows: list[_Row], more: int) -> Steps:
    """The steps with the latest names of their functions; equal ones are one value."""
    known: dict[tuple[str, str | None, str], Step] = {}
    steps = []
    for before, function, after in rows:
        key = (before, _latest(function), after)
        if key not in known:
            known[key] = Step(*key)
        steps.append(known[key])
    return Steps(steps, more)


def _latest(function: _Function) -> str | None:
    if function is None:
        return None
    return str(function.identity if isinstance(function, Book) else function)
