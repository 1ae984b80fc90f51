"""Operations of the control plane: tables of steps, one operation at a time, each waiting for its own answers only."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fwpages.custody.findings import refused
from fwpages.host import fencing, vports
from fwpages.host import page_path as pagepath
from fwpages.host.closing import CLOSE, FAST_CLOSE
from fwpages.host.io import OPEN
from fwpages.host.session import Phase, Progress, Refused
from fwpages.host.startup import STARTUP
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Teardown
from fwpages.prm.status import status_words

if TYPE_CHECKING:
    from fwpages.host.host import Host


def answered(h: Host, answer: Answer) -> None:
    """The command that the operation under way waits for was answered."""
    s = h.session
    p = s.progress
    if p is None or s.phase is Phase.FENCING:
        return
    step = p.step
    if not answer.ok:
        h.find(
            refused(answer.opcode, 0, valid=True),
            detail=f"{p.operation}, {step.name}: {answer}, syndrome {answer.syndrome:#x}",
        )
        if step.denied is not None:
            step.denied(h)
        if step.refused is Refused.FENCE:
            h.fence(f"{step.name} was refused", "forced")
            return
        if step.refused is Refused.FAIL:
            failed(h, f"{step.name} was refused: {status_words(answer.status)}")
            return
    if step.answered is not None:
        step.answered(h, p.subject, answer)
    if s.progress is p:
        s.progress = replace(p, flight=None, index=p.index + (not step.again))
        if not step.again:
            s.progress = replace(s.progress, entered=False)


def failed(h: Host, why: str) -> None:
    """The operation under way cannot go on."""
    s = h.session
    if s.phase is Phase.OPENING:
        h.fail(why)
    elif s.progress is not None:
        operation, s.progress = s.progress.operation, None
        h.done(operation, ok=False, detail=why)


def advance(h: Host) -> None:
    """Go on with whatever can go on: the operation, the waits, the page path; at the end memory goes back."""
    while _once(h):
        pass
    if h.session.phase is Phase.ENDED and not h.dirty:
        h.unmap()


def _once(h: Host) -> bool:
    """One round; True when there may be more to do."""
    s = h.session
    if s.phase in (Phase.ENDED, Phase.FENCING):
        return False
    if s.failure and s.phase is Phase.OPENING:
        _unwind(h)
        return True
    if s.progress is None and s.queue:
        (program, subject), *rest = s.queue
        s.queue = tuple(rest)
        s.progress = Progress(program, subject)
    vports.look_at_waits(h)
    if s.progress is not None and _step(h, s.progress):
        return True
    pagepath.pump(h)
    return bool(s.failure) and s.phase is Phase.OPENING


def _step(h: Host, p: Progress) -> bool:
    """One step of the operation; False when it has to wait."""
    s = h.session
    if p.flight is not None:
        return False
    if p.index == len(p.program.steps):
        _finished(h, p)
        return True
    step = p.step
    if not p.entered:
        s.progress = p = replace(p, entered=True)
        if step.enter is not None:
            step.enter(h, p.subject)
    if step.send is not None:
        command = step.send(h, p.subject)
        if command is not None:
            s.progress = replace(p, flight=h.next_id)
            h.send(command, h.free_slot())
            return False
    if step.until is not None and not step.until(h, p.subject):
        return False
    s.progress = replace(p, index=p.index + 1, entered=False)
    return True


def _finished(h: Host, p: Progress) -> None:
    s = h.session
    s.progress = None
    if p.program is STARTUP:
        s.phase = Phase.OPEN
        h.done(OPEN, ok=True)
    elif p.program is FAST_CLOSE:
        h.fence("the pages of a fast or forced close are fenced, not taken", "forced")
    elif p.program is CLOSE:
        if h.dirty:
            h.fence("the device did not let go of everything", "forced")
        else:
            fencing.ended(h, ok=not s.failure)
    else:
        _vport_done(h, p)


def _vport_done(h: Host, p: Progress) -> None:
    """Enabled; or disabled, and then the last of a type is done when the type's pages are back."""
    s, info = h.session, h.vports[p.subject]
    if p.program is vports.DISABLE and all(h.vports[n].type is not info.type for n in s.vports):
        vports.start_wait(h, p.operation, frozenset({info.type}))
    else:
        h.done(p.operation, ok=True)


def _unwind(h: Host) -> None:
    s = h.session
    s.progress = None
    h.path.queues.clear()
    if s.mode is None:
        h.fence(s.failure, "reset")
        return
    s.phase, s.end = Phase.CLOSING, "closed"
    s.progress = Progress(CLOSE, int(Teardown.GRACEFUL))
