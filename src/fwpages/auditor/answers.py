"""Answers that come twice, too late, or to no command that was seen; and commands whose answer is not there."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING

from fwpages.custody.findings import Cause
from fwpages.readers.observations import CommandCompleted, MissingInput, Place

if TYPE_CHECKING:
    from fwpages.auditor.session import AuditedSession, Pending

#: commands that a session remembers as answered, and answers without a command that it tells apart
MAX_DONE = 4096


class Answers:
    """What a session's answers belong to."""

    def __init__(self, session: AuditedSession) -> None:
        self.s = session
        self._done: dict[Hashable, None] = {}
        self._strays: list[tuple[Cause, Place, str]] = []
        #: no line seems to be missing, and yet the trace goes on as if there were one
        self._contradiction = False
        #: answers to commands that were not seen, where the input cannot be expected to have them
        self.passed_over = 0

    def done(self, keys: Iterable[Hashable]) -> None:
        """These commands are answered, or have lost their slots: nothing more is taken from answers to them."""
        for key in keys:
            self._done[key] = None
            if len(self._done) > MAX_DONE:
                del self._done[next(iter(self._done))]

    def stray(self, v: CommandCompleted) -> None:
        """An answer to a command that nobody waits for."""
        s = self.s
        if v.key in self._done:
            detail = "an answer to a command that was answered before, or whose slot is gone; nothing is taken from it"
            self._stray(Cause.STALE_ANSWER, v.place, detail)
        elif s.log or not s.began:
            self.passed_over += 1
        elif s.numbered:
            self._stray(Cause.ANSWER_UNASKED, v.place, "no command of this number was sent")
        else:
            detail = "an answer to a command that is not in the trace"
            s.missing(MissingInput(place=v.place, device=v.device, cause=Cause.LOG_LINES_LOST, detail=detail))

    def _stray(self, cause: Cause, place: Place, detail: str) -> None:
        if len(self._strays) < MAX_DONE:
            self._strays.append((cause, place, detail))
        else:
            self.passed_over += 1

    def none_to(self, p: Pending) -> None:
        """The trace goes on as if this had been answered or given up, and has neither line."""
        s = self.s
        detail = f"{p}: the line with its answer is missing, or the one that says that it was given up"
        self._contradiction = self._contradiction or (s.numbered and not s.holey)
        s.fault(Cause.LOG_LINES_LOST, p.place, p.who, detail=detail)
        s.pages.unknown_outcome(p, detail)
        s.lose(None, detail)

    @property
    def astray(self) -> bool:
        """There are answers without a command: they may belong to those that seem to have none."""
        return bool(self._strays)

    def settle(self) -> None:
        """The session is over: a stray answer is the device's fault, unless lines are missing."""
        s = self.s
        if self._contradiction and (n := s.faults.drop_inferred()):
            s.note(f"{n} findings are left out: the trace contradicts itself, lines of it may be changed")
        for cause, place, detail in self._strays:
            if s.holey:
                self.passed_over += 1
            else:
                s.fault(cause, place, detail=detail)
