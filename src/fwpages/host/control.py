"""Operations of the control plane: tables of steps, one operation at a time, each waiting for its own answers only.

The host calls ``advance`` after each input: it goes on with the operation, the waits and the page path, whose
``pump`` it calls.
"""

from __future__ import annotations

from dataclasses import replace

from fwpages.custody.findings import refused
from fwpages.host import fencing, functions, page_path, vports
from fwpages.host.closing import CLOSE, FAST_CLOSE
from fwpages.host.io import OPEN
from fwpages.host.session import Phase, Program, Progress
from fwpages.host.startup import STARTUP
from fwpages.host.state import HostState
from fwpages.host.steps import Refused, Step
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Teardown
from fwpages.prm.status import status_words

PROGRAMS: dict[Program, tuple[Step, ...]] = {
    Program.OPEN: STARTUP,
    Program.CLOSE: CLOSE,
    Program.FAST_CLOSE: FAST_CLOSE,
    Program.ENABLE: vports.ENABLE,
    Program.DISABLE: vports.DISABLE,
    Program.FUNCTIONS: functions.ASK,
}


def step_of(p: Progress) -> Step:
    """The step that an operation is at."""
    return PROGRAMS[p.program][p.index]


def answered(h: HostState, answer: Answer) -> None:
    """The command that the operation in progress waits for was answered."""
    s = h.session
    p = s.progress
    assert p is not None  # a fence, and a failure, give up the commands of what they end
    step = step_of(p)
    if not answer.ok:
        h.find(
            refused(answer.opcode, 0, valid=True),
            detail=f"{p.operation}, {step.name}: {answer}, syndrome {answer.syndrome:#x}",
        )
        if step.denied is not None:
            step.denied(h)
        if step.refused is Refused.FENCE:
            fencing.ask(h, f"{step.name} was refused", "forced")
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


def failed(h: HostState, why: str) -> None:
    """Fail the operation in progress."""
    s = h.session
    if s.phase is Phase.OPENING:
        h.fail(why)
    elif s.progress is not None:
        operation, s.progress = s.progress.operation, None
        h.done(operation, ok=False, detail=why)


def advance(h: HostState) -> None:
    """Go on with whatever can go on: the operation, the waits, the page path; at the end memory goes back."""
    while _once(h):
        pass
    if h.session.phase is Phase.ENDED and not h.dirty:
        h.unmap()


def _once(h: HostState) -> bool:
    """One round; True when there may be more to do."""
    s = h.session
    if s.phase is Phase.ENDED or s.phase is Phase.FENCING:
        return False
    if s.failure and s.phase is Phase.OPENING:
        _unwind(h)
        return True
    if s.progress is None and s.queue:
        (program, subject), *rest = s.queue
        s.queue = tuple(rest)
        s.progress = Progress(program, subject)
    if s.waits:
        vports.look_at_waits(h)
    if s.progress is not None and _step(h, s.progress):
        return True
    page_path.pump(h)
    return bool(s.failure) and s.phase is Phase.OPENING


def _step(h: HostState, p: Progress) -> bool:
    """One step of the operation; False when it has to wait."""
    s = h.session
    if p.flight is not None:
        return False
    if p.index == len(PROGRAMS[p.program]):
        _finished(h, p)
        return True
    step = step_of(p)
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


def _finished(h: HostState, p: Progress) -> None:
    s = h.session
    s.progress = None
    if p.program is Program.OPEN:
        s.phase = Phase.OPEN
        h.done(OPEN, ok=True)
        functions.ask(h)
    elif p.program is Program.FUNCTIONS:
        h.done(p.operation, ok=True)
    elif p.program is Program.FAST_CLOSE:
        fencing.ask(h, "the pages of a fast or forced close are fenced, not taken", "forced")
    elif p.program is Program.CLOSE:
        if h.dirty:
            fencing.ask(h, "the device did not let go of everything", "forced")
        else:
            fencing.ended(h, ok=not s.failure)
    else:
        _vport_done(h, p)


def _vport_done(h: HostState, p: Progress) -> None:
    """Enabled; or disabled, and then the last of a type is done when the type's pages are back."""
    s, info = h.session, h.vports[p.subject]
    if p.program is Program.DISABLE and all(h.vports[n].type is not info.type for n in s.vports):
        vports.start_wait(h, p.operation, frozenset({info.type}))
    else:
        h.done(p.operation, ok=True)


def _unwind(h: HostState) -> None:
    s = h.session
    s.progress = None
    h.path.queues.clear()
    if s.mode is None:
        fencing.ask(h, s.failure, "reset")
        return
    s.phase, s.end = Phase.CLOSING, "closed"
    s.progress = Progress(Program.CLOSE, int(Teardown.GRACEFUL))
