"""How a campaign stands: each row to a baseline, or to a driver on which nothing is seen, and all of it in a word."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, unique

from fwpages.pages.words import many
from fwpages.trial.effects import Effect
from fwpages.trial.played import Played
from fwpages.trial.rows import Row


@unique
class StandingKind(Enum):
    """How a row stands. A row that the baseline does not have stands as without one."""

    GOOD = "no effect seen"
    #: the effect that the baseline has
    KNOWN = "as the baseline"
    BETTER = "better than the baseline"
    #: an effect, without a baseline; a worse one than the baseline's
    WORSE = "worse than the baseline"
    EFFECT = "an effect"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Standing:
    """A row's standing, and the effect that the baseline has of it (None: there is none, or it was not judged)."""

    kind: StandingKind
    known: Effect | None = None


@unique
class Verdict(Enum):
    """The verdict on a campaign: worse outranks not judged."""

    GOOD = "good"
    WORSE = "worse"
    NOT_JUDGED = "not judged"


@dataclass(frozen=True, slots=True)
class Summary:
    """The standing of each row, in the campaign's order, the verdict, and both in a sentence."""

    rows: tuple[Standing, ...]
    verdict: Verdict
    words: str


#: the worst effect that a baseline has of each row
Known = Mapping[Row, Effect]


def summary(rows: Sequence[Played], known: Known | None = None) -> Summary:
    """How these rows stand to those that are ``known``; None: there is no baseline."""
    standings = tuple(_standing(p, known or {}) for p in rows)
    kinds = Counter(s.kind for s in standings)
    if kinds[StandingKind.WORSE] or kinds[StandingKind.EFFECT]:
        verdict = Verdict.WORSE
    elif kinds[StandingKind.NOT_JUDGED] or not rows:
        verdict = Verdict.NOT_JUDGED
    else:
        verdict = Verdict.GOOD
    return Summary(standings, verdict, _words(rows, kinds))


def _standing(p: Played, known: Known) -> Standing:
    effect, before = p.judged.effect, known.get(p.row)
    if effect is not None and effect is not Effect.NONE:
        return _with_effect(effect, before)
    if any(x.judged.not_judged is not None for x in p.plays):
        return Standing(StandingKind.NOT_JUDGED, before)
    return Standing(StandingKind.GOOD if before in (None, Effect.NONE) else StandingKind.BETTER, before)


def _with_effect(effect: Effect, before: Effect | None) -> Standing:
    if before is None:
        return Standing(StandingKind.EFFECT)
    if before < effect:
        return Standing(StandingKind.WORSE, before)
    return Standing(StandingKind.KNOWN if effect is before else StandingKind.BETTER, before)


def _words(rows: Sequence[Played], kinds: Counter[StandingKind]) -> str:
    """The counts of a campaign in a sentence."""
    effects = Counter(p.judged.effect for p in rows if p.judged.effect is not None)
    seen = [f"{effects[effect]} {effect.value}" for effect in reversed(Effect) if effects[effect]]
    stand = [f"{kinds[k]} {k.value}" for k in (StandingKind.WORSE, StandingKind.BETTER, StandingKind.KNOWN) if kinds[k]]
    not_judged = kinds[StandingKind.NOT_JUDGED]
    flaky = sum(p.flaky for p in rows)
    parts = [
        ", ".join([*seen, *([f"{not_judged} {StandingKind.NOT_JUDGED.value}"] if not_judged else [])]),
        ", ".join([*stand, *([f"{flaky} flaky"] if flaky else [])]),
    ]
    return f"{many(len(rows), 'row')}: {'; '.join(filter(None, parts))}"
