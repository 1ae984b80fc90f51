"""The verdict on a row, as values."""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.trial.effects import Causer, Effect, NotJudged
from fwpages.trial.rows import Row


@dataclass(frozen=True, slots=True)
class EffectSeen:
    """An effect, and what showed it: figures, the first addresses, the line of the kernel's log, the stage.

    ``frames`` are the first functions of the stack that the kernel printed with it, as printed. ``title`` is the same
    whenever it is found again.
    """

    effect: Effect
    detail: str
    frames: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on one play of a row.

    ``effects`` are sorted, the worst first; none and no ``not_judged``: no effect seen. ``title`` names the worst in
    one line, as a kernel's report does ("BUG kmalloc-8: … in give_pages"). ``on_purpose`` says what the device did,
    ``driver_did`` what the driver did with it, in its order. ``unseen`` says what could not be looked at.
    """

    row: Row
    title: str
    effects: tuple[EffectSeen, ...] = ()
    not_judged: NotJudged | None = None
    why: str = ""
    on_purpose: tuple[str, ...] = ()
    driver_did: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    causer: Causer | None = None
    #: numbers of the review's questions, and the command that shows the explorer's path to this, where it has one
    questions: tuple[int, ...] = ()
    path: str = ""

    @property
    def effect(self) -> Effect | None:
        """The worst effect, also where the rest was not judged; None where nothing was."""
        if self.effects:
            return self.effects[0].effect
        return Effect.NONE if self.not_judged is None else None
