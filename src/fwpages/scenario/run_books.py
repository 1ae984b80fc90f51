"""The books of a run with our own host: each session's, pages over time, failed operations, and the moments that came.

``runner`` (the embedded firmware, virtual time) and ``driven_runner`` (any device, real time) keep them alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from fwpages.custody.records import Record
from fwpages.custody.series import Point, Recorder
from fwpages.device import FunctionSpec, Raised
from fwpages.host import Books, Done, Finding, Host, VportInfo, books
from fwpages.host.io import OperationKind
from fwpages.prm.identity import Mode
from fwpages.scenario.interpreter import OWN, Moment, MomentKind, moment_of


@dataclass(frozen=True, slots=True)
class FailedOperation:
    """An operation that did not succeed, as the scenario names it (``enable vf0``), and why."""

    operation: str
    detail: str


@dataclass(slots=True)
class SessionTimeline:
    """A session's pages over time: changes by the number of the record; and when its mode changed, if it did.

    ``rows`` are the records by number. ``begun`` and ``last`` are seconds of the run.
    """

    begun: float
    last: float
    recorder: Recorder = field(default_factory=Recorder)
    rows: dict[int, Record] = field(default_factory=dict)
    switched: float | None = None


class RunBooks:
    """Notes what happens to ``host``, whose functions are ``pairs``; ``now`` returns the run's seconds.

    ``on_moved`` is called whenever pages have moved.
    """

    def __init__(
        self,
        host: Host,
        now: Callable[[], float],
        pairs: Iterable[tuple[FunctionSpec, VportInfo]],
        on_moved: Callable[[], None] | None = None,
    ) -> None:
        every = tuple(pairs)
        self._host, self._now, self._on_moved = host, now, on_moved
        self._by_vport = {info.vport: spec.name for spec, info in every}
        self._by_identity = {
            who: spec.name for spec, _ in every for who in ((spec.function_id, spec.ec), (spec.vhca_id, False))
        }
        self.moments: set[Moment] = set()
        self.failed: list[FailedOperation] = []
        self.timelines: dict[int, SessionTimeline] = {}
        # by session: an open that is refused for want of a fence ends in the session before it, which is listed once.
        # A session's are final when the next one begins: until then a fence may still prove what became of its pages
        self._books: dict[int, Books] = {}
        host.records.watch = self._moved

    def note(self, e: Done | Finding | Raised) -> None:
        """Note the end of an operation, or a page request."""
        if isinstance(e, Done):
            operation = e.operation
            name = "" if operation.vport is None else self._by_vport[operation.vport]
            moment = moment_of(operation.kind, name)
            if moment is not None:
                self.moments.add(moment)
            if not e.ok:
                self.failed.append(FailedOperation(f"{operation.kind} {name}".rstrip(), e.detail))
            if operation.kind is OperationKind.OPEN:
                self._keep(self._host.before)
        elif isinstance(e, Raised):
            self.moments.add(Moment(MomentKind.REQUEST, self.name_of(e)))

    def name_of(self, e: Raised) -> str:
        """The scenario's name of the function that a page request is about; the supplier's for any other."""
        return self._by_identity.get((e.event.number, e.event.ec), OWN)

    @property
    def sessions(self) -> Mapping[int, Books]:
        """The books of each session, by its number."""
        self._keep(self._host.before)
        if self._host.session.number:
            self._keep(books(self._host))
        return self._books

    def _keep(self, of: Books | None) -> None:
        if of is not None:
            self._books[of.session] = of

    def _moved(self, row: Record) -> None:
        """Note the pages of a function in the time line of its session."""
        now, session = self._now(), self._host.session
        line = self.timelines.setdefault(row.session, SessionTimeline(now, now))
        line.last = now
        line.rows[row.number] = row
        line.recorder.note(row.number, row.outstanding, Point(now, 0))
        if session.mode is Mode.VHCA_ID and line.switched is None and row.session == session.number:
            line.switched = now
        if self._on_moved is not None:
            self._on_moved()
