"""The audit: everything that readers see, sorted by device and session, and rebuilt into one ledger for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fwpages.auditor.closing import close
from fwpages.auditor.fences import Why
from fwpages.auditor.findings import FoundFault, finding
from fwpages.auditor.session import AuditedSession
from fwpages.custody.accounts import Report
from fwpages.custody.accounts import SessionAccount as SessionReport
from fwpages.custody.findings import Cause
from fwpages.pages.space import Addresses
from fwpages.pages.words import many
from fwpages.prm.identity import Supplier
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import decode_command
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.readers.inputs import InputError, is_trace, open_source
from fwpages.readers.kernel_log import KernelLog
from fwpages.readers.observations import (
    CommandCompleted,
    CommandSubmitted,
    CommandUnanswered,
    DriverMessage,
    FirmwareVersion,
    LinkChange,
    MachineRestart,
    MissingInput,
    Note,
    Observation,
    PagesRequested,
    Place,
    StartupPagesRequested,
    TraceHeader,
)
from fwpages.readers.trace import TraceReader

__all__ = ["Audit", "InputError", "audit"]

_BOOT = int(QueryPages.BOOT).to_bytes(2, "big")
#: page addresses that closed sessions left behind, never fenced, which later ones are compared with
MAX_LEFTOVERS = 8 << 20


def audit(*paths: str | Path) -> Report:
    """Audit traces and kernel logs; ``-`` is standard input. Each input stands for itself.

    Raises InputError where an input cannot be read, or is none of what it should be.
    """
    if sum(str(path) == "-" for path in paths) > 1:
        raise InputError("standard input (-) can be read once only")
    sessions: list[SessionReport] = []
    findings = []
    for path in paths:
        source = open_source(path)
        try:
            engine = Audit(log=not is_trace(source))
            engine.feed(KernelLog(source).read() if engine.log else TraceReader(source).read())
        finally:
            source.close()
        report = engine.report()
        sessions += report.sessions
        findings += report.findings
    return Report(sessions=sessions, findings=findings)


@dataclass(slots=True)
class _Device:
    name: str
    supplier: Supplier | None = None
    numbered: bool = False
    session: AuditedSession | None = None
    slot: int = 0
    leftovers: Addresses | None = None


class Audit:
    """Fed with what one input says; ``report`` when it has ended."""

    def __init__(self, *, log: bool) -> None:
        self.log = log
        self._devices: dict[str, _Device] = {}
        self._done: list[SessionReport | None] = []
        self._lost: list[FoundFault] = []

    def feed(self, stream: Iterable[Observation]) -> None:
        """Everything that a reader hands out."""
        for v in stream:
            self.see(v)

    def see(self, v: Observation) -> None:
        """One thing."""
        self._look(v)
        self._dispatch(v)
        self._look(v)

    def _look(self, v: Observation) -> None:
        """Time has passed, or pages have come back."""
        device = self._devices.get(v.device)
        if device is not None and device.session is not None:
            device.session.waits.look(v.place)

    def _dispatch(self, v: Observation) -> None:
        match v:
            case CommandSubmitted():
                self._submitted(v)
            case CommandCompleted():
                self._completed(v)
            case PagesRequested():
                self._event(v)
            case DriverMessage():
                self._driver_message(v)
            case CommandUnanswered() | LinkChange():
                self._link(v)
            case MissingInput():
                self._missing(v)
            case TraceHeader():
                device = self._device(v.device)
                device.supplier, device.numbered = v.supplier, v.numbered
            case Note():
                self._session(v).note(v.text)
            case MachineRestart():
                for device in self._devices.values():
                    if device.session is not None and v.detail:
                        device.session.note(v.detail)
                    self._finish(device, "restart")

    def report(self) -> Report:
        """All sessions in the order in which they began."""
        for device in self._devices.values():
            self._finish(device, "eof")
        sessions = [s for s in self._done if s is not None]
        return Report(sessions=sessions, findings=[finding(f) for f in self._lost])

    # -- sessions

    def _device(self, name: str) -> _Device:
        return self._devices.setdefault(name, _Device(name))

    def _begin(self, device: _Device, place: Place, number: int | None = None) -> AuditedSession:
        self._finish(device, "next")
        device.slot = len(self._done)
        self._done.append(None)
        s = device.session = AuditedSession(
            device.name, place, device.supplier, log=self.log, numbered=device.numbered, number=number
        )
        if device.leftovers is not None:
            s.pages.leftovers = device.leftovers
        return s

    def _finish(self, device: _Device, why: Why) -> None:
        s, device.session = device.session, None
        if s is None:
            return
        report = self._done[device.slot] = close(s, why)
        if report.end == "closed" and s.custody.records.out and not s.lossy:
            left = s.custody.left()
            device.leftovers = np.union1d(s.pages.leftovers, left)[:MAX_LEFTOVERS]
        elif s.fences.fenced:
            device.leftovers = None
        elif device.leftovers is not None:
            device.leftovers = s.pages.leftovers

    def _session(self, v: Observation) -> AuditedSession:
        """The session that this belongs to; a new one where none is open, whose beginning was then not seen."""
        device = self._device(v.device)
        s = device.session
        if s is None or (v.session is not None and s.number is not None and v.session > s.number):
            return self._begin(device, v.place, v.session)
        return s

    def _stale(self, v: Observation) -> AuditedSession | None:
        """The open session, where this belongs to an earlier one."""
        s = self._device(v.device).session
        old = s is not None and v.session is not None and s.number is not None and v.session < s.number
        return s if old else None

    # -- what was seen

    def _submitted(self, v: CommandSubmitted) -> None:
        s = self._session(v)
        opcode = int.from_bytes(v.message[:2], "big")
        if opcode == Opcode.ENABLE_HCA and len(v.message) >= 12:
            s = self._enabling(v, s)
        elif s.maybe_anew and opcode == Opcode.QUERY_PAGES and v.message[6:8] == _BOOT:
            s = self._begin(self._device(v.device), v.place, v.session)
            s.began = s.enabled = True
        elif s.closed:
            s = self._begin(self._device(v.device), v.place, v.session)
        s.submitted(v)

    def _enabling(self, v: CommandSubmitted, s: AuditedSession) -> AuditedSession:
        """ENABLE_HCA of the function itself begins a session, unless it is the first thing of this one."""
        try:
            c = decode_command(v.message)
        except LayoutError:
            return s
        ec = c["embedded_cpu_function"]
        if not s.life.is_own(c) and not s.closed:
            return s
        if s.used and not (s.began or s.closed or ec) and s.naming.ecpf is None:
            # a function that begins anew, or an ECPF that enables its host PF: what it asks next tells
            s.maybe_anew = True
            return s
        if s.enabled or s.closed or s.used:
            tried = s.number == v.session and not s.enabled and not s.commands and not s.tally.used and s.began
            if not tried or s.closed:
                s = self._begin(self._device(v.device), v.place, v.session)
        s.began = True
        if ec:
            s.naming.ecpf = True
        elif s.naming.ecpf is None:
            s.naming.ecpf = False
        return s

    def _completed(self, v: CommandCompleted) -> None:
        if (s := self._stale(v)) is not None:
            detail = f"an answer to a command of session {v.session}; nothing is taken from it"
            s.fault(Cause.STALE_ANSWER, v.place, detail=detail)
            return
        self._session(v).completed(v)

    def _event(self, v: PagesRequested) -> None:
        if (s := self._stale(v)) is not None:
            detail = f"a page request of session {v.session}: {many(v.request.num_pages)}"
            s.fault(Cause.STALE_PAGE_REQUEST, v.place, detail=detail)
            return
        s = self._session(v)
        if not v.ec_known:
            s.complaints.requested_by_firmware(v)
        s.requests.happened(v)

    def _link(self, v: CommandUnanswered | LinkChange) -> None:
        if self._stale(v) is not None:
            return
        s = self._session(v)
        if isinstance(v, CommandUnanswered):
            s.unanswered(v)
        else:
            s.fences.happened(v)

    def _driver_message(self, v: DriverMessage) -> None:
        device = self._device(v.device)
        s = device.session
        if isinstance(v, FirmwareVersion) or (isinstance(v, StartupPagesRequested) and v.boot):
            if s is None or self._anew(s, v):
                s = self._begin(device, v.place)
            s.began = s.began or not s.used
        s = self._session(v)
        s.complaints.hear(v)

    @staticmethod
    def _anew(s: AuditedSession, v: DriverMessage) -> bool:
        """A driver's line tells of a new load."""
        if isinstance(v, FirmwareVersion):
            return s.used or s.closed
        return s.tally.used and not s.commands

    def _missing(self, v: MissingInput) -> None:
        if v.device:
            self._session(v).missing(v)
            return
        sessions = [d.session for d in self._devices.values() if d.session is not None]
        for s in [s for s in sessions if not s.closed] or (sessions[-1:] if v.harmless else []):
            s.missing(v)
        if not sessions and v.harmless:
            self._lost.append(FoundFault(v.cause, v.place, detail=v.detail))
