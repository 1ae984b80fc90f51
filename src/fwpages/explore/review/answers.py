"""The review's questions settled: each in its world, for each design, with every assumption on and off.

A world in which an assumption changes nothing is searched once, and its verdict stands for both.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace

import msgspec

from fwpages.explore.check.replay import encode, walk
from fwpages.explore.check.search import Broken, Outcome, search
from fwpages.explore.model.library import load, only
from fwpages.explore.model.spec import Spec
from fwpages.explore.review.questions import QUESTIONS, Question
from fwpages.explore.review.vport_kinds import Kind, kinds
from fwpages.explore.show.narrative import Step, narrate
from fwpages.scenario import Scenario
from fwpages.scenario.assumptions import ASSUMPTIONS, assumed
from fwpages.scenario.format import Switch

#: the properties that our own host has to hold in every world, beside those of the question
STANDARD = (
    "custody",
    "agreement",
    "no-offence",
    "miscounted",
    "counter-negative",
    "counter-left",
    "wrong-type",
    "deadlock",
    "early-end",
    "request-forgotten",
    "fruitless",
    "mode-disagreement",
    "misnamed",
    "stale-request",
    "failed-open",
    "silent-leak",
    "reopen-failed",
    "lost",
    "out-of-turn",
    "blamed",
    "untold",
    "doubt-left",
    "needless-reset",
    "early-teardown",
)
STANDARD_ENDS = ("operations-end", "agree-again")

#: called after each search: how many are done, and of how many
Watch = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One design under one set of assumptions.

    ``reachable``: what the question asks about can happen; ``broken`` is the property and ``seen`` what was seen,
    ``steps`` and ``replay`` are a shortest path to it. ``complete``: every order was tried within the world's bounds.
    ``missed``: points that the world is about and never reached. ``moot``: it does not reach them under this
    assumption, but does by default. ``world``: where a replay is walked. ``changed``: the assumption that differs.
    """

    design: str
    changed: tuple[tuple[Switch, bool], ...]
    assumptions: Mapping[Switch, bool | None]
    reachable: bool
    complete: bool
    states: int
    transitions: int
    broken: str = ""
    seen: str = ""
    steps: tuple[str, ...] = ()
    world: str = ""
    replay: str = ""
    missed: tuple[str, ...] = ()
    moot: bool = False

    @property
    def settled(self) -> bool:
        """The question has an answer: a path, or every order tried in a world that reaches its points."""
        return self.reachable or (self.complete and (self.moot or not self.missed))


@dataclass(frozen=True, slots=True)
class Answer:
    """A question, the verdicts of each design (those of the default first), and for the second the table of types."""

    question: Question
    verdicts: Mapping[str, tuple[Verdict, ...]]
    table: tuple[Kind, ...] = ()


def review(
    questions: Sequence[Question] = QUESTIONS,
    designs: Sequence[str] = ("posted", "merged", "fwpages"),
    *,
    workers: int = 1,
    watch: Watch | None = None,
) -> list[Answer]:
    """Settle these questions for these designs. Equal searches are made once, on ``workers`` processes."""
    cases = {
        (q, d, changed): [(spec, spec_key(spec)) for spec in specs_of(q, d, dict(changed))]
        for q in questions
        for d in designs
        for changed in assumption_sets()
    }
    found = _searched({key: spec for specs in cases.values() for spec, key in specs}, workers, watch)
    verdicts = {
        (q, d, changed): _verdict(q, d, changed, [(spec, found[key]) for spec, key in specs])
        for (q, d, changed), specs in cases.items()
    }
    answers = []
    for q in questions:
        of_design = {d: _moot([verdicts[q, d, changed] for changed in assumption_sets()]) for d in designs}
        answers.append(Answer(q, of_design, kinds(designs) if q.id == "types" else ()))
    return answers


def _searched(unique: Mapping[str, Spec], workers: int, watch: Watch | None) -> dict[str, Outcome]:
    """The outcome of each search, by its key."""
    found: dict[str, Outcome] = {}
    for n, (key, outcome) in enumerate(zip(unique, _outcomes(list(unique.values()), workers), strict=True), 1):
        found[key] = outcome
        if watch is not None:
            watch(n, len(unique))
    return found


def assumption_sets() -> tuple[tuple[tuple[Switch, bool], ...], ...]:
    """The defaults, then each switch turned; one that has no default turned on, then off."""
    out: list[tuple[tuple[Switch, bool], ...]] = [()]
    for name, a in ASSUMPTIONS.items():
        out += [((name, value),) for value in (True, False) if value is not a.default]
    return tuple(out)


def specs_of(q: Question, design: str, overrides: Mapping[Switch, bool]) -> tuple[Spec, ...]:
    """The worlds in which a question is settled: one, or for the kinds of vports one for each kind."""
    scenario = load(q.id)
    if design == "fwpages":
        scenario = _held_to_standard(scenario)
    whole = Spec(q.id, scenario, design, dict(overrides))
    return (whole,) if q.id != "types" else tuple(each_function(whole))


def each_function(spec: Spec) -> Iterator[Spec]:
    """The world cut into one for each of its functions: what they do does not bear on each other."""
    for name in spec.rules().specs:
        yield replace(spec, name=f"{spec.name}:{name}", scenario=only(spec.scenario, name))


def _held_to_standard(scenario: Scenario) -> Scenario:
    e = scenario.expect
    always = tuple(dict.fromkeys((*e.always, *STANDARD)))
    ends = tuple(dict.fromkeys((*e.eventually, *STANDARD_ENDS)))
    return msgspec.structs.replace(scenario, expect=msgspec.structs.replace(e, always=always, eventually=ends))


def spec_key(spec: Spec) -> str:
    """Equal for worlds that have the same moves and the same ``[expect]``."""
    return f"{spec.rules().fingerprint} {spec.scenario.expect}"


def _outcomes(specs: list[Spec], workers: int) -> Iterator[Outcome]:
    if workers == 1:
        yield from map(search, specs)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(search, specs)


def _verdict(
    q: Question, design: str, changed: tuple[tuple[Switch, bool], ...], found: list[tuple[Spec, Outcome]]
) -> Verdict:
    paths = [(spec, _first(o.broken.values())) for spec, o in found if o.broken]
    verdict = Verdict(
        design,
        changed,
        assumed(load(q.id), dict(changed)),
        bool(paths),
        all(o.complete for _, o in found),
        sum(o.states for _, o in found),
        sum(o.transitions for _, o in found),
        missed=tuple(dict.fromkeys(name for _, o in found for name in o.missed)),
    )
    if not paths:
        return verdict
    spec, b = paths[0]
    steps = tuple(f"{s.actor}: {s.words}" for s in story(spec, b))
    string = encode(spec, b.path + b.loop)
    return replace(verdict, broken=b.property, seen=b.seen, steps=steps, world=spec.name, replay=string)


def _first(broken: Iterable[Broken]) -> Broken:
    return min(broken, key=lambda b: len(b.path))


def story(spec: Spec, broken: Broken) -> list[Step]:
    """The steps of a path to what is broken."""
    return narrate(walk(spec, broken.path + broken.loop))


def _moot(verdicts: list[Verdict]) -> tuple[Verdict, ...]:
    """Mark those that miss under an assumption what is reached by default: there the question does not arise."""
    reached = not verdicts[0].missed
    return tuple(replace(v, moot=reached and bool(v.missed) and not v.reachable) for v in verdicts)
