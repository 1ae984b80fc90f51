"""The standard worlds on the sources that are imported, which may be broken: searched, and walked at random."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count

from fwpages.explore.check.random_walks import random_walks
from fwpages.explore.check.search import search
from fwpages.explore.model.spec import Spec
from fwpages.explore.review.answers import assumption_sets, spec_key, specs_of
from fwpages.explore.review.questions import QUESTIONS
from tests.sensitivity.verdict import Clean, CleanWorld, Verdict

#: walks in each world before the next world's turn
WALKS = 4
#: a point is missed by walks where it is less likely than this that they do not come to it on unbroken sources
DOUBT = 0.001
#: processor time that a search may take beyond ten times what it takes on unbroken sources, in seconds
SPARE = 0.2


class Endless(BaseException):
    """The time of one world is over; no handler in the sources under test may swallow this."""


@contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Not longer than so many seconds of processor time."""

    def over(*_: object) -> None:
        raise Endless

    signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def standard(*, every: bool = False) -> dict[str, Spec]:
    """The worlds of the nineteen questions, held to the standard; ``every``: under each assumption set besides."""
    found: dict[str, Spec] = {}
    keys = set()
    for changed in assumption_sets() if every else ((),):
        for spec in (s for q in QUESTIONS for s in specs_of(q, "fwpages", dict(changed))):
            key = spec_key(spec)
            if key not in keys:
                keys.add(key)
                found[" ".join((spec.name, *(f"{name}={'on' if on else 'off'}" for name, on in changed)))] = spec
    return found


def clean(specs: Mapping[str, Spec], seed: int, tried: int) -> Clean:
    """The baseline to compare with: on unbroken sources, where every world holds.

    Under a changed assumption a point of ``sometimes`` may be out of reach.
    """
    worlds = {}
    for name, spec in specs.items():
        start = time.process_time()
        outcome = search(spec)
        if not (outcome.holds or (spec.overrides and outcome.complete and not outcome.broken)):
            raise RuntimeError(f"{name} does not hold on unbroken sources: {outcome.broken}, missed {outcome.missed}")
        seconds = time.process_time() - start
        shares = _shares(spec, seed, tried)
        worlds[name] = CleanWorld(outcome.states, outcome.transitions, seconds, shares, outcome.missed)
    return Clean(dict(sorted(worlds.items(), key=lambda w: w[1].states)))


def _shares(spec: Spec, seed: int, tried: int) -> dict[str, float]:
    """Walks that come to each point: of one that all come to a little less, of one that none does 0."""
    found: Counter[str] = Counter()
    for n in range(tried):
        found.update(random_walks(spec, 1, _seed(seed, n)).reached.keys())
    return {point: found[point] / (tried + 1) for point in spec.rules().scenario.expect.sometimes}


def _seed(seed: int, n: int) -> int:
    return seed * 1_000_000 + n


def searched(specs: Mapping[str, Spec], known: Clean) -> Verdict:
    """One world after the other, until one is not as it is on unbroken sources."""
    start = time.process_time()
    changed: list[str] = []
    for n, (name, before) in enumerate(known.worlds.items(), 1):
        what, detail = "", ""
        try:
            with bounded(10 * before.seconds + SPARE):
                o = search(specs[name])
        except Endless:
            what = "not ended"
        except Exception as e:
            what, detail = "raised", f"{type(e).__name__}: {e}"
        else:
            if o.broken:
                first = min(o.broken.values(), key=lambda b: len(b.path))
                what, detail = "broken", f"{first.property}: {first.seen}"
            elif missed := [point for point in o.missed if point not in before.missed]:
                what, detail = "missed", ", ".join(missed)
            elif not o.complete:
                what = "not ended"
            elif (o.states, o.transitions) != (before.states, before.transitions):
                changed.append(f"{name} {before.states} to {o.states}")
        if what:
            return Verdict(what, time.process_time() - start, n, name, detail, tuple(changed))
    return Verdict("holds", time.process_time() - start, len(known.worlds), changed=tuple(changed))


def walked(specs: Mapping[str, Spec], known: Clean, seed: int, seconds: float) -> Verdict:
    """Some walks in one world after the other, round and round, until one of them sees something or time is over.

    Walks cannot know that a point is never reached. They take it for missed after so many that on unbroken sources
    it would be improbable.
    """
    start = time.process_time()
    missing = {(name, point): share for name, w in known.worlds.items() for point, share in w.shares.items()}
    walks = 0
    for n in count():
        for name in known.worlds:
            what, detail = "", ""
            try:
                with bounded(2 + 10 * WALKS * 0.05):
                    done = random_walks(specs[name], WALKS, _seed(seed, n))
            except Endless:
                what = "not ended"
            except Exception as e:
                what, detail = "raised", f"{type(e).__name__}: {e}"
            else:
                walks += done.walks
                for point in done.reached:
                    missing.pop((name, point), None)
                here = {point: share for (w, point), share in missing.items() if w == name}
                late = [point for point, share in here.items() if (1 - share) ** (WALKS * (n + 1)) < DOUBT]
                if done.broken:
                    first = min(done.broken.values(), key=lambda b: len(b.path))
                    what, detail = "broken", f"{first.property}: {first.seen}"
                elif done.cut:
                    what = "not ended"
                elif late:
                    what, detail = "missed", ", ".join(late)
            spent = time.process_time() - start
            if what:
                return Verdict(what, spent, walks, name, detail)
            if spent > seconds:
                return Verdict("holds", spent, walks)
    raise AssertionError("rounds have no end")
