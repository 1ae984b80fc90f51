"""A load that failed, as the driver's lines tell of it: one finding, however many lines it took to say so.

A load fails in one step, and every caller of that step prints a line of its own: the command code prints the status or
the time-out, the step its name, the probe its errno. ``Incident`` gathers them. When the session is over, the findings
that single lines made are absorbed into that of the load, whose blame follows from all of them: a device that reads as
all ones is not there; a first command without an answer went by a path that was never proven; memory is the host's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.incidents import Incident
from fwpages.auditor.session import AuditedSession
from fwpages.custody.findings import Blame, Cause, FindingName
from fwpages.prm.errnos import errno_words
from fwpages.readers.observations import (
    FirmwareAwaited,
    FirmwareVersion,
    LoadFailed,
    LoadStep,
    LoadStepFailed,
    PlatformEvent,
)

ENOMEM, ETIMEDOUT = -12, -110

#: findings about single commands and allocations, which a load that fails explains
_ABSORBED = frozenset(
    {
        FindingName.COMMAND_REFUSED,
        FindingName.COMMAND_UNANSWERED,
        FindingName.COMMAND_NOT_SENT,
        FindingName.ALLOC_FAILED,
        FindingName.DEVICE_ERROR,
        FindingName.LATE_ANSWER,
    }
)


# -- the lines


def begins(s: AuditedSession, v: FirmwareVersion | FirmwareAwaited) -> Found:
    """A load begins, or waits for firmware: both read the device."""
    if v.all_ones:
        i = s.incident_at(v.place)
        i.lose_link(v.text, v.place)
    yield from ()


def step_failed(s: AuditedSession, v: LoadStepFailed) -> Found:
    """A step failed. The first that did is the cause of all that follows."""
    i = s.incident_at(v.place)
    if v.all_ones:
        i.lose_link(v.text, v.place)
    i.steps.append(v)
    i.err = v.err if i.err is None else i.err
    yield from ()


def failed(s: AuditedSession, v: LoadFailed) -> Found:
    """The driver gives the load up."""
    i = s.incident_at(v.place)
    i.over = True
    i.err = v.err if i.err is None else i.err
    yield from ()


# -- the finding


@dataclass(frozen=True, slots=True)
class _Load:
    """A load that failed: the step (None where no line names it), its errno, and what single lines made of it."""

    step: LoadStep | None
    err: int | None
    link: str
    answered: bool
    absorbed: list[Finding]
    incident: Incident

    def some(self, name: FindingName, *blames: Blame) -> bool:
        """One of the absorbed findings has this name, and one of these blames if any are given."""
        return any(f.name == name and (not blames or f.blame in blames) for f in self.absorbed)

    @property
    def unanswered(self) -> bool:
        """A command got no answer."""
        return self.some(FindingName.COMMAND_UNANSWERED) or (self.err == ETIMEDOUT and self.step is not None)

    @property
    def late(self) -> bool:
        """A command without an answer in time got one later: the path is proven."""
        timed_out = self.err == ETIMEDOUT or self.some(FindingName.COMMAND_UNANSWERED)
        return timed_out and self.some(FindingName.LATE_ANSWER)

    def beside(self, event: PlatformEvent) -> bool:
        """A command got no answer, and a line of another part of the kernel says this."""
        return self.unanswered and self.incident.some(event)

    @property
    def no_memory(self) -> bool:
        """The host had no memory."""
        return self.some(FindingName.ALLOC_FAILED) or self.err == ENOMEM


#: the first whose condition holds is the cause
_CAUSES: tuple[tuple[Cause, Callable[[_Load], bool]], ...] = (
    (Cause.LOAD_FAILED_LINK, lambda x: bool(x.link)),
    (Cause.LOAD_FAILED_NOT_READY, lambda x: x.step is LoadStep.FIRMWARE),
    (Cause.LOAD_FAILED_PCI, lambda x: x.step is LoadStep.PCI),
    (Cause.LOAD_FAILED_LATE, lambda x: x.late),
    (Cause.LOAD_FAILED_IOMMU, lambda x: x.beside(PlatformEvent.DMA_FAULT)),
    (Cause.LOAD_FAILED_INTERRUPT, lambda x: x.answered and x.beside(PlatformEvent.INTERRUPT_UNROUTED)),
    (Cause.LOAD_FAILED_NO_PATH, lambda x: x.unanswered and not x.answered),
    (Cause.LOAD_FAILED_UNANSWERED, lambda x: x.unanswered),
    (Cause.LOAD_FAILED_REFUSED, lambda x: x.some(FindingName.COMMAND_REFUSED, Blame.DEVICE)),
    (Cause.LOAD_FAILED_STATE, lambda x: x.some(FindingName.COMMAND_REFUSED)),
    (Cause.LOAD_FAILED_NO_MEMORY, lambda x: x.no_memory),
)


def finish(s: AuditedSession) -> Found:
    """The finding of a load that failed, with everything that single lines said of it."""
    i = s.incident
    if i is None or not i.load_failed:
        return
    step = i.steps[0].step if i.steps else None
    absorbed = s.findings.take(_ABSORBED)
    load = _Load(step, i.err, i.link, _answered(s, step), absorbed, i)
    cause = next((cause for cause, holds in _CAUSES if holds(load)), Cause.LOAD_FAILED)
    yield Finding(cause, i.place, detail=_detail(load, i), stated=True)


def _answered(s: AuditedSession, step: LoadStep | None) -> bool:
    """The device has answered a command of this session, by all that the input shows."""
    e = s.evidence
    if e.dumps:
        return bool(s.done)
    return e.lines or e.used or (step is not None and LoadStep.ISSI.before(step))


def _detail(load: _Load, i: Incident) -> str:
    said = i.steps[0].text if i.steps else "the load failed"
    error = f": {errno_words(load.err)}" if load.err is not None else ""
    words = [f"{said}{error}", *dict.fromkeys(f.detail for f in load.absorbed)]
    beside = [v.text for v in i.beside]
    if load.link and load.link not in (words[0], *beside):
        words.append(f"the device reads as all ones, or is out of reach: {load.link}")
    return "; ".join([*words, _pages(load.step), *beside])


def _pages(step: LoadStep | None) -> str:
    """Say for each step that can fail where its pages are afterwards."""
    if step is None:
        return "whether pages were given by then is not known"
    if step.before(LoadStep.BOOT_PAGES):
        return "no page had been given by then"
    if step.before(LoadStep.INIT_PAGES):
        return "boot pages had been given by then, and the driver takes them back"
    return "boot pages, and perhaps init pages, had been given by then, and the driver takes them back"
