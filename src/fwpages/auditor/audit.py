"""The audit: what readers observe, sorted by device and session, each of which has one ledger and one account.

``Audit`` is fed with observations in the order of the input. It finds the session that an observation belongs to.
Where one session ends and the next begins is decided by a table (``openings.py``), or by the numbers that a trace
gives to its sessions. The parts of the audit then judge the observation against the session's state (``session.py``)
and yield findings. When a session is over, ``closing.close`` turns its state into an account. A session is not judged
by what comes after it, with one exception: pages that a closed session left with firmware may not be given again by
the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from fwpages.auditor import commands, fences, messages, requests, waits
from fwpages.auditor.cards import Cards
from fwpages.auditor.closing import close
from fwpages.auditor.evidence import FOLDED, Format, Start
from fwpages.auditor.findings import Finding, Found, account
from fwpages.auditor.held_memory import HeldMemory
from fwpages.auditor.losses import input_missing
from fwpages.auditor.openings import TABLE, Opening, Phase, Sign
from fwpages.auditor.session import After, AuditedSession, Link
from fwpages.auditor.surroundings import Surroundings
from fwpages.custody.accounts import End, Missing, Report, SessionAccount
from fwpages.custody.findings import Cause
from fwpages.custody.requests_asked import REQUESTS_LOST
from fwpages.custody.verdicts import RECORD, TRACE, WHOLE_LOG, Lack
from fwpages.pages.space import Addresses
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType, Supplier, func_id
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Command, decode_command
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.readers.inputs import EXPECTED, Input, InputError, Source, Watch, is_trace, open_source
from fwpages.readers.kernel_log import KernelLog
from fwpages.readers.observations import (
    AllPagesReleased,
    BusMasterSet,
    CommandCompleted,
    CommandExecuted,
    CommandSubmitted,
    CommandUnanswered,
    CommandUndone,
    Complaint,
    DeviceNamed,
    DriverMessage,
    FirmwareVersion,
    LinkChange,
    LinkEvent,
    LooksFolded,
    MachineRestart,
    MemoryMapped,
    MemoryUnmapped,
    MissingInput,
    Note,
    Observation,
    PagesGiven,
    PagesRequested,
    Place,
    PlatformLine,
    StartupPagesRequested,
    TakeBegun,
    TraceHeader,
)
from fwpages.readers.trace import TraceReader

__all__ = ["Audit", "InputError", "audit"]

_MANAGE_PAGES = int(Opcode.MANAGE_PAGES).to_bytes(2, "big")
_BOOT = int(QueryPages.BOOT).to_bytes(2, "big")
#: observations that begin no session
_OfSession: TypeAlias = CommandCompleted | PagesRequested | CommandUnanswered | CommandUndone | LinkChange
#: page addresses that closed sessions left behind, never fenced, which later ones are compared with
MAX_LEFTOVERS = 8 << 20


def audit(
    *paths: Input, hosts: set[str] | None = None, unread: list[InputError] | None = None, watch: Watch | None = None
) -> Report:
    """Audit traces and kernel logs; ``-`` is standard input. Each input stands for itself.

    Where ``hosts`` is given, the machines whose names stand in front of the lines are added to it. Where ``unread`` is
    given, the error of an input that cannot be read is added to it, and the report, which says it under ``missing``,
    is that of the others. ``watch`` is called while a file is read.

    Raises InputError where an input cannot be read, or is none of what it should be (with ``unread``: where none can be
    read), and where none is named.
    """
    if not paths:
        raise InputError(f"nothing to audit: no input is named; {EXPECTED}")
    if sum(str(path) == "-" for path in paths) > 1:
        raise InputError("standard input (-) can be read once only")
    reports: list[Report] = []
    errors: list[InputError] = []
    for path in paths:
        try:
            reports.append(_audit_one(path, set() if hosts is None else hosts, watch))
        except InputError as e:
            if unread is None or len(paths) == 1:
                raise
            errors.append(e)
    if unread is not None:
        unread += errors
    if not reports:
        raise errors[0]
    return _joined(reports, errors)


def _joined(reports: list[Report], errors: list[InputError]) -> Report:
    """One report of several inputs; those that could not be read are missing in it."""
    return Report.of(
        [s for r in reports for s in r.sessions],
        [f for r in reports for f in r.findings],
        [*[Missing(what=e.text, command=e.command) for e in errors], *[m for r in reports for m in r.missing]],
        [h for r in reports for h in r.health],
    )


def _audit_one(path: Input, hosts: set[str], watch: Watch | None) -> Report:
    source = open_source(path, watch)
    try:
        return audit_source(source, hosts)
    finally:
        source.close()


def audit_source(
    source: Source,
    hosts: set[str],
    begun: Callable[[Audit], None] | None = None,
    after: Callable[[Audit, Observation], None] | None = None,
) -> Report:
    """Audit an input that is open; ``begun`` gets the audit before the first line is read. InputError as ``audit``.

    ``after`` gets each observation when the audit has taken it.
    """
    engine = Audit(log=not is_trace(source))
    if begun is not None:
        begun(engine)
    reader = KernelLog(source) if engine.log else TraceReader(source)
    try:
        engine.feed(reader.read(), after)
    finally:
        hosts.update(reader.hosts if isinstance(reader, KernelLog) else ())
    report = engine.report()
    if report.sessions:
        return report
    lacks = [Lack.WHOLE_LINES.of(source.name)] if engine.folded else []
    return Report.of((), report.findings, [*lacks, _nothing(source.name, reader)], report.health)


def _nothing(name: str, reader: KernelLog | TraceReader) -> Missing:
    """The evidence that an input without any session lacks."""
    if isinstance(reader, TraceReader):
        command = RECORD if reader.of_kernel else TRACE
        return Missing(what=f"{name}: a session, the trace has none", command=command)
    return Missing(what=f"{name}: a line of mlx5_core, the log has none", command=WHOLE_LOG)


@dataclass(slots=True)
class _Device:
    name: str
    supplier: Supplier | None = None
    numbered: bool = False
    recorded: bool = False
    #: the scenario's names of functions by identity, from the header of a trace
    names: dict[str, str] = field(default_factory=dict)
    #: their types, where no command shows them
    types: dict[str, FunctionType] = field(default_factory=dict)
    #: where its session begins
    begun: Place | None = None
    session: AuditedSession | None = None
    slot: int = 0
    leftovers: Addresses | None = None
    memory: HeldMemory = field(default_factory=HeldMemory)


class Audit:
    """The audit of one input: fed with observations, it reports when the input has ended."""

    def __init__(self, *, log: bool) -> None:
        self.log = log
        self._devices: dict[str, _Device] = {}
        self._done: list[SessionAccount | None] = []
        self._of_no_session: list[Finding] = []
        #: lines of the input may be incomplete
        self.folded = False
        self._cards = Cards()
        self._surroundings = Surroundings()

    def feed(self, stream: Iterable[Observation], after: Callable[[Audit, Observation], None] | None = None) -> None:
        """Take everything that a reader observes; ``after`` gets each observation when it is taken."""
        for v in stream:
            self.see(v)
            if after is not None:
                after(self, v)

    def see(self, v: Observation) -> None:
        """Take one observation."""
        self._look(v)
        self._dispatch(v)
        self._look(v)

    def session(self, device: str) -> AuditedSession | None:
        """The device's open session; None where it has none."""
        known = self._devices.get(device)
        return None if known is None else known.session

    def number(self, device: str) -> int:
        """The place of the device's latest session in the report, from 0. KeyError for a device that has none."""
        return self._devices[device].slot

    def report(self) -> Report:
        """End the input; returns all sessions in the order in which they began.

        Devices of a log that have lines, of which nothing is known here, come last.
        """
        for device in self._devices.values():
            self._finish(device, After.END_OF_INPUT)
        sessions, health = self._cards.settle(self._done)
        return Report.of(sessions, [account(f) for f in self._of_no_session], health=health)

    def _look(self, v: Observation) -> None:
        """Time has passed, or pages have come back."""
        s = self.session(v.device)
        if s is not None and s.waits:
            s.add(waits.look(s, v.place))

    def _dispatch(self, v: Observation) -> None:
        match v:
            case CommandSubmitted():
                s = self._opened(v, _sign_of_command(v, self._session(v)))
                if v.message[:2] == _MANAGE_PAGES:
                    s.evidence.page_seen()
                s.add(commands.submitted(s, v))
                self._device(v.device).memory.submitted(s, v)
            case CommandCompleted() | PagesRequested() | CommandUnanswered() | CommandUndone() | LinkChange():
                self._of_session(v)
            case DriverMessage():
                self._driver_said(v)
            case MissingInput():
                self._missing(v)
            case PlatformLine():
                self._surroundings.see(v)
            case Complaint():
                self._complained(v)
            case CommandExecuted() | MemoryMapped() | MemoryUnmapped() | BusMasterSet():
                self._of_memory(self._device(v.device), v)
            case _:
                self._about_input(v)

    def _driver_said(self, v: DriverMessage) -> None:
        """A message of the driver may begin a session, and says something about its card."""
        s = self._opened(v, _sign_of_line(v, self._session(v)))
        if isinstance(v, PagesGiven | TakeBegun | AllPagesReleased):
            s.evidence.page_seen()
        s.add(messages.said(s, v))
        self._cards.see(v, self._device(v.device).slot)

    def _of_memory(self, d: _Device, v: CommandExecuted | MemoryMapped | MemoryUnmapped | BusMasterSet) -> None:
        """An observation of the memory that the device reaches, or that its firmware holds unseen by the host."""
        match v:
            case CommandExecuted():
                if d.session is not None:
                    d.session.add(commands.executed(d.session, v))
                    d.memory.answered(d.session, v)
            case MemoryMapped():
                d.memory.reach.map(v.iova, v.size)
            case MemoryUnmapped():
                d.memory.unmapped(d.session, v.iova, v.size, v.place)
            case BusMasterSet():
                d.memory.reach.master = v.on

    def _about_input(self, v: Observation) -> None:
        """An observation that is about the input, rather than about what a driver or a device did."""
        match v:
            case LooksFolded():
                self._looks_folded()
            case TraceHeader():
                device = self._device(v.device)
                device.supplier, device.numbered, device.recorded = v.supplier, v.numbered, v.recorded
                device.names = {str(who): name for who, name in v.names.items()}
                device.types = {str(who): kind for who, kind in v.types.items()}
            case Note() | DeviceNamed():
                self._mentioned(v)
            case MachineRestart():
                self._restarted(v)
            case _:
                raise TypeError(f"an audit takes no {type(v).__name__}")

    # -- sessions

    def _device(self, name: str) -> _Device:
        return self._devices.setdefault(name, _Device(name))

    def _begin(self, device: _Device, v: Observation) -> AuditedSession:
        self._finish(device, After.NEXT_SESSION)
        device.slot, device.begun = len(self._done), v.place
        self._done.append(None)
        s = device.session = AuditedSession.begin(
            device.name, v.place, device.supplier, form=self._format(device), number=v.session
        )
        if self.folded:
            s.lose(None, FOLDED)
        if device.leftovers is not None:
            s.inherit(device.leftovers)
        device.memory.begin()
        return s

    def _format(self, device: _Device) -> Format:
        if self.log:
            return Format.LOG
        if device.recorded:
            return Format.RECORD
        if device.numbered and device.memory.watched:
            return Format.SERVED_TRACE
        return Format.NUMBERED_TRACE if device.numbered else Format.TRACE

    def _finish(self, device: _Device, after: After) -> None:
        s, device.session = device.session, None
        if s is None:
            return
        first = device.begun or s.last
        s.add(device.memory.findings(s))
        self._surroundings.attach(s, first)
        done = self._done[device.slot] = close(s, after, first, device.names, device.types)
        if done.end in (End.CLOSED, End.FAILED) and s.ledger.records.out and not s.evidence.lossy:
            device.leftovers = np.union1d(s.ledger.leftovers, s.ledger.left())[:MAX_LEFTOVERS]
        elif Link.FENCED in s.link:
            device.leftovers = None
        elif device.leftovers is not None:
            device.leftovers = s.ledger.leftovers

    def _session(self, v: Observation) -> AuditedSession:
        """The session that this belongs to; a new one where none is open, whose beginning was then not seen."""
        device = self._device(v.device)
        s = device.session
        if s is None or (v.session is not None and s.number is not None and v.session > s.number):
            return self._begin(device, v)
        return s

    def _opened(self, v: Observation, sign: Sign | None) -> AuditedSession:
        """The session that this belongs to, which may begin with it."""
        s = self._session(v)
        if sign is None:
            return s
        opening = TABLE[sign][s.phase]
        if opening is Opening.PERHAPS:
            s.evidence.start = Start.PERHAPS_NEXT
            return s
        if opening is Opening.NEXT:
            s = self._begin(self._device(v.device), v)
        if opening is not Opening.SAME:
            s.add(_begins(s, sign, v.place))
        return s

    # -- observations that begin no session

    def _of_session(self, v: _OfSession) -> None:
        s = self._session(v)
        if v.session is not None and s.number is not None and v.session < s.number:
            s.add(_stale(v))
            return
        match v:
            case CommandCompleted():
                s.add(commands.completed(s, v))
                self._device(v.device).memory.answered(s, v)
            case PagesRequested():
                self._requested(s, v)
            case CommandUnanswered():
                s.add(commands.unanswered(s, v))
            case CommandUndone():
                commands.undone(s, v)
            case LinkChange():
                s.add(fences.happened(s, v))
                if v.what is LinkEvent.FENCED:
                    self._device(v.device).memory.fenced()

    def _requested(self, s: AuditedSession, v: PagesRequested) -> None:
        """Firmware asks for pages, or wants some back."""
        s.evidence.page_seen()
        if not v.ec_known:
            messages.requested(s, v)
        s.add(requests.happened(s, v))
        self._device(v.device).memory.requested(s, v.request)

    def _mentioned(self, v: Note | DeviceNamed) -> None:
        """A note on a session; or a device, which has a session though nothing else of it was seen."""
        if isinstance(v, Note):
            s = self._session(v)
            s.note(v.text)
            if v.fault in REQUESTS_LOST:
                s.link |= Link.REQUESTS_LOST
        elif v.device not in self._devices:
            self._begin(self._device(v.device), v)

    def _complained(self, v: Complaint) -> None:
        """The session of this device, or where none is named all that are open, did not go without complaints."""
        for device in self._devices.values():
            if device.session is not None and v.device in ("", device.name):
                device.session.complain(v.text)

    def _missing(self, v: MissingInput) -> None:
        sessions = [self._session(v)] if v.device else self._that_may_miss(v)
        for s in sessions:
            s.add(input_missing(s, v))
        recorded = any(d.recorded for d in self._devices.values())
        if not sessions and (v.harmless or recorded):
            self._of_no_session.append(Finding(v.cause, v.place, detail=v.detail))

    def _that_may_miss(self, v: MissingInput) -> list[AuditedSession]:
        """The sessions that input of no named device may be missing from: those that are not closed yet."""
        sessions = [d.session for d in self._devices.values() if d.session is not None]
        return [s for s in sessions if not s.closed] or (sessions[-1:] if v.harmless else [])

    def _looks_folded(self) -> None:
        """No session of this log is proven by its lines."""
        self.folded = True
        for device in self._devices.values():
            if device.session is not None:
                device.session.lose(None, FOLDED)

    def _restarted(self, v: MachineRestart) -> None:
        for device in self._devices.values():
            if device.session is not None and v.detail:
                device.session.note(v.detail)
            self._finish(device, After.RESTART)


def _sign_of_command(v: CommandSubmitted, s: AuditedSession) -> Sign | None:
    opcode = int.from_bytes(v.message[:2], "big")
    if opcode == Opcode.QUERY_PAGES and v.message[6:8] == _BOOT:
        return Sign.BOOT_QUERY
    if opcode != Opcode.ENABLE_HCA or len(v.message) < 12:
        return Sign.COMMAND
    try:
        c = decode_command(v.message)
    except LayoutError:
        return Sign.COMMAND
    if not s.naming.is_own_hca(c):
        return Sign.ENABLE_AS_PF if _opened_as_pf(s, c) else Sign.COMMAND
    if c["embedded_cpu_function"]:
        return Sign.ENABLE_ECPF
    return Sign.ENABLE if s.naming.ecpf is None else Sign.ENABLE_CERTAIN


def _opened_as_pf(s: AuditedSession, c: Command) -> bool:
    """An ECPF's first command enables function 0 without the ec bit, and the input shows that it is the first."""
    first = s.evidence.numbered and not s.evidence.incomplete and s.phase is Phase.FRESH
    own = c["function_id"] == 0 and not c["function_id_type"] and not c["embedded_cpu_function"]
    return bool(s.naming.ecpf) and first and own


def _sign_of_line(v: DriverMessage, s: AuditedSession) -> Sign | None:
    if isinstance(v, FirmwareVersion):
        return Sign.VERSION_LINE
    if not isinstance(v, StartupPagesRequested) or not v.boot:
        return None
    counted = s.evidence.lines and not s.evidence.page_commands
    return Sign.BOOT_LINE_AGAIN if counted else Sign.BOOT_LINE


def _begins(s: AuditedSession, sign: Sign, place: Place) -> Found:
    """The session's beginning was seen, unless it begins with a command that is none."""
    e, naming = s.evidence, s.naming
    match sign:
        case Sign.BOOT_QUERY:
            e.start = Start.ENABLED  # its ENABLE_HCA was the last that came in the session before
        case Sign.COMMAND:
            return
        case Sign.VERSION_LINE:
            e.start = e.start if e.from_start else Start.VERSION_LINE
            return
        case Sign.ENABLE_ECPF:
            naming.ecpf = True
        case Sign.ENABLE:
            naming.ecpf = False
        case Sign.ENABLE_AS_PF:
            naming.ecpf = False
            detail = "ENABLE_HCA of 0x0 without the ec bit is the first command of an ECPF, whose own name has it"
            yield Finding(Cause.IDENTITY_MISMATCH, place, s.books.of(func_id(0)), detail=detail)
    if not e.from_start or e.start is Start.VERSION_LINE:
        e.start = Start.SEEN


def _stale(v: _OfSession) -> Found:
    """It belongs to a session before the one that is open, and changes nothing."""
    if isinstance(v, CommandCompleted):
        detail = f"an answer to a command of session {v.session}; nothing is taken from it"
        yield Finding(Cause.STALE_ANSWER, v.place, detail=detail)
    elif isinstance(v, PagesRequested):
        detail = f"a page request of session {v.session}: {many(v.request.num_pages)}"
        yield Finding(Cause.STALE_PAGE_REQUEST, v.place, detail=detail)
