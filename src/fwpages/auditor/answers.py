"""Answers that come twice, too late, or to no command that was seen; and commands whose answer is not there."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from fwpages.auditor.evidence import Loss
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.losses import input_missing, outcome_unknown
from fwpages.auditor.session import MAX_WITHHELD, AuditedSession, Counted, Pending, Stray
from fwpages.custody.findings import Cause
from fwpages.readers.observations import CommandCompleted, MissingInput

#: commands that a session remembers as answered
MAX_DONE = 4096


def done(s: AuditedSession, keys: Iterable[Hashable]) -> None:
    """These commands are answered, or have lost their slots: answers to them change nothing more."""
    for key in keys:
        s.done[key] = None
        if len(s.done) > MAX_DONE:
            del s.done[next(iter(s.done))]


def stray(s: AuditedSession, v: CommandCompleted) -> Found:
    """An answer came to a command that no answer is expected to."""
    if v.key in s.done:
        detail = "an answer to a command that was answered before, or whose slot is gone; nothing is taken from it"
        _keep(s, Finding(Cause.STALE_ANSWER, v.place, detail=detail))
    elif s.evidence.log or not s.evidence.from_start:
        s.counts[Counted.UNMATCHED] += 1
    elif s.evidence.numbered:
        _keep(s, Finding(Cause.ANSWER_UNASKED, v.place, detail="no command of this number was sent"))
    else:
        detail = "an answer to a command that is not in the trace"
        yield from input_missing(
            s, MissingInput(place=v.place, device=v.device, cause=Cause.LOG_LINES_LOST, detail=detail)
        )


def _keep(s: AuditedSession, finding: Finding) -> None:
    if len(s.withheld) < MAX_WITHHELD:
        s.withheld.append(Stray(finding))
    else:
        s.counts[Counted.UNMATCHED] += 1


def none_to(s: AuditedSession, p: Pending) -> Found:
    """The trace goes on as if this had been answered or given up, and has neither line."""
    e = s.evidence
    detail = f"{p}: the line with its answer is missing, or the one that says that it was given up"
    if e.numbered and not e.incomplete:
        e.lose(Loss.CONSISTENCY, detail)
    yield Finding(Cause.LOG_LINES_LOST, p.place, p.book, detail=detail)
    outcome_unknown(s, p, detail)
    s.lose(None, detail)


def settle(s: AuditedSession) -> Found:
    """The session is over: a stray answer is the device's finding, unless lines are missing."""
    strays = s.kept(Stray)
    if s.evidence.incomplete:
        s.counts[Counted.UNMATCHED] += len(strays)
    else:
        yield from (stray.finding for stray in strays)
