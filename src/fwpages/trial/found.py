"""An effect that a judgement found, with its title."""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.trial.effects import Effect


@dataclass(frozen=True, slots=True)
class Found:
    """An effect; ``title`` is the same whenever it is found again, ``detail`` has figures, addresses and lines.

    ``frames`` are those of the kernel's report.
    """

    effect: Effect
    title: str
    detail: str
    frames: tuple[str, ...] = ()
