"""The report of an exploration, as ``explore --json`` prints it: verdicts, with a shortest path to each broken one.

A property *holds* only where the whole world was searched; else it is *open*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, TypeAlias, TypedDict

import msgspec

from fwpages.explore.check.expand import Tests, seen
from fwpages.explore.check.properties import EVENTUALLY, PROPERTIES
from fwpages.explore.check.random_walks import LONGEST, Walks
from fwpages.explore.check.replay import encode, walk
from fwpages.explore.check.search import Broken, Outcome, Path
from fwpages.explore.model.moves import Freedom, moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World
from fwpages.explore.show.narrative import narrate

#: the lists of ``[expect]``
Kind: TypeAlias = Literal["always", "never", "eventually", "sometimes"]
KINDS: tuple[Kind, ...] = ("always", "never", "eventually", "sometimes")
#: ``open``: not seen so far, and the search is not complete
Verdict: TypeAlias = Literal["holds", "broken", "reached", "missed", "open"]

_BEHIND = "the steps after a broken one were not tried"


class ReportStep(msgspec.Struct, frozen=True):
    """A step of a path: its actor, and the move in words."""

    number: int
    actor: str
    words: str


class PropertyReport(msgspec.Struct, frozen=True, kw_only=True):
    """A property of ``[expect]`` and its verdict.

    ``why`` is the reason of an ``open`` verdict. A broken property has what was ``seen``, the ``steps`` to it and a
    ``replay`` string, and ``loop``, the steps of a cycle after those. ``depth``: the number of steps to what was seen.
    """

    name: str
    kind: Kind
    words: str
    verdict: Verdict
    why: str = ""
    seen: str = ""
    depth: int | None = None
    steps: list[ReportStep] = []
    loop: list[ReportStep] = []
    replay: str = ""

    @property
    def mark(self) -> str:
        """The words of a chart at the last step of a path that breaks the property."""
        again = f"; a cycle: the state is again the one {_after(self.depth or 0)}" if self.loop else ""
        return f"{self.name}: {self.seen}{again}"


class ExploreReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The report of a search or of random walks. ``stopped`` is the reason why it is not complete."""

    schema_: str = "explore/1"
    world: str
    design: str
    fingerprint: str
    mode: Literal["search", "random"]
    assumptions: Mapping[str, bool | None]
    bounds: Mapping[str, int | float | None]
    verdict: Literal["holds", "broken", "missed", "open"]
    complete: bool
    stopped: str
    states: int | None
    transitions: int
    depth: int
    levels: list[int] = []
    walks: int | None = None
    seed: int | None = None
    reductions: list[str] = []
    properties: list[PropertyReport]

    @property
    def fine(self) -> bool:
        """Everything holds; for random walks, which cannot show that: nothing broken was found."""
        return self.verdict == "holds" or (self.mode == "random" and self.verdict == "open")


#: a reduction, as ``--reduce`` names it
COMMUTING = "commuting"


class ReplayReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The report of a replay: its steps, and the verdicts at their end.

    ``broken``: the properties that do not hold there, ``unmet``: the goals of *eventually* that the state does not
    meet, each with what was seen. ``round``: the state is again the one after that step, a cycle. ``never``: those of
    ``unmet`` that will not come any more, because of a cycle or because no process is obliged to move.
    """

    schema_: str = "explore/1"
    world: str
    design: str
    fingerprint: str
    mode: Literal["replay"] = "replay"
    assumptions: Mapping[str, bool | None]
    bounds: Mapping[str, int | float | None]
    steps: list[ReportStep]
    broken: dict[str, str]
    unmet: dict[str, str]
    round: int | None
    never: list[str]

    @property
    def fine(self) -> bool:
        """Nothing is broken at its end: no property, and no goal that will not come any more."""
        return not self.broken and not self.never

    @property
    def marks(self) -> tuple[str, ...]:
        """The words of a chart at the last step: the properties broken there, and the goals that will not come."""
        again = "" if self.round is None else f"; a cycle: the state is again the one {_after(self.round)}"
        broken = [f"{name}: {what}" for name, what in self.broken.items()]
        return (*broken, *(f"{name}: never met: {self.unmet[name]}{again}" for name in self.never))


def _after(step: int) -> str:
    return f"after step {step}" if step else "at the start"


def searched(outcome: Outcome) -> ExploreReport:
    """The report of a search."""
    depth = len(outcome.levels) - 1
    stopped = ""
    if not outcome.complete:
        left = outcome.levels[-1]
        stopped = (
            f"more than bounds.states = {outcome.spec.scenario.bounds.states:,} states: every order of up to {depth} "
            f"steps was tried, {left:,} states were not expanded"
        )
    why = "" if outcome.complete and not outcome.broken else _BEHIND if outcome.complete else stopped
    rows = list(_properties(outcome.spec, outcome.broken, outcome.reached, why))
    return ExploreReport(
        mode="search",
        verdict=_verdict(rows, complete=outcome.complete),
        complete=outcome.complete,
        stopped=stopped,
        states=outcome.states,
        transitions=outcome.transitions,
        depth=depth,
        levels=list(outcome.levels),
        reductions=[COMMUTING] if outcome.spec.commuting else [],
        properties=rows,
        **_head(outcome.spec),
    )


def walked(walks: Walks) -> ExploreReport:
    """The report of random walks."""
    stopped = "random walks try some orders, not all"
    if walks.cut:
        stopped += f"; {walks.cut:,} of them were given up after {LONGEST:,} steps"
    rows = list(_properties(walks.spec, walks.broken, walks.reached, stopped))
    return ExploreReport(
        mode="random",
        verdict=_verdict(rows, complete=False),
        complete=False,
        stopped=stopped,
        states=None,
        transitions=walks.steps,
        depth=walks.longest,
        walks=walks.walks,
        seed=walks.seed,
        properties=rows,
        **_head(walks.spec),
    )


def replayed(spec: Spec, path: Path) -> ReplayReport:
    """The report of a replay. Raises ScenarioError where a step is not possible."""
    tests = Tests(spec.rules().scenario)
    worlds = [spec.build(), *(x.after for x in walk(spec, path))]
    end, keys = worlds[-1], [w.key() for w in worlds]
    goals = {name: PROPERTIES[EVENTUALLY[name].property].test(end) for name in spec.scenario.expect.eventually}
    unmet = {name: what for name, what in goals.items() if what is not None}
    first = keys.index(keys[-1])
    cycle = first < len(path)
    return ReplayReport(
        steps=_steps(spec, path),
        broken=dict((*seen(tests.bad_steps, end), *seen(tests.bad_states, end))),
        unmet=unmet,
        round=first if cycle else None,
        never=[name for name in unmet if cycle or _terminal(end, users_act=EVENTUALLY[name].users_act)],
        **_head(spec),
    )


def _terminal(w: World, *, users_act: bool) -> bool:
    """A terminal state: no process is obliged to move; where ``users_act``, users are."""
    most = Freedom.USER if users_act else Freedom.OBLIGED
    return all(take(w, move) is None for move in moves(w) if move.freedom(w) <= most)


class _Head(TypedDict):
    """The fields that every report begins with."""

    world: str
    design: str
    fingerprint: str
    assumptions: Mapping[str, bool | None]
    bounds: Mapping[str, int | float | None]


def _head(spec: Spec) -> _Head:
    rules = spec.rules()
    return _Head(
        world=spec.name,
        design=spec.design,
        fingerprint=rules.fingerprint,
        assumptions={str(name): value for name, value in rules.assume.items()},
        bounds=msgspec.structs.asdict(spec.scenario.bounds),
    )


def _properties(
    spec: Spec, broken: Mapping[str, Broken], reached: Mapping[str, Path], why: str
) -> Iterator[PropertyReport]:
    """Every property of ``[expect]`` in the file's order; ``why``: the reason why not everything was tried, if so."""
    for kind in KINDS:
        for name in getattr(spec.scenario.expect, kind):
            words = EVENTUALLY[name].words if kind == "eventually" else PROPERTIES[name].words
            if kind != "sometimes" and name in broken:
                yield _broken(spec, kind, words, broken[name])
            elif kind == "sometimes" and name in reached:
                yield PropertyReport(name=name, kind=kind, words=words, verdict="reached", depth=len(reached[name]))
            elif why:
                yield PropertyReport(name=name, kind=kind, words=words, verdict="open", why=why)
            else:
                yield PropertyReport(
                    name=name, kind=kind, words=words, verdict="missed" if kind == "sometimes" else "holds"
                )


def _broken(spec: Spec, kind: Kind, words: str, b: Broken) -> PropertyReport:
    steps = _steps(spec, b.path + b.loop)
    what = None
    if kind == "eventually" and b.path:
        what = PROPERTIES[EVENTUALLY[b.property].property].test(list(walk(spec, b.path))[-1].after)
    return PropertyReport(
        name=b.property,
        kind=kind,
        words=words,
        verdict="broken",
        seen=f"{b.seen}: {what}" if what else b.seen,
        depth=len(b.path),
        steps=steps[: len(b.path)],
        loop=steps[len(b.path) :],
        replay=encode(spec, b.path + b.loop),
    )


def _steps(spec: Spec, path: Path) -> list[ReportStep]:
    return [ReportStep(s.number, s.actor, s.words) for s in narrate(walk(spec, path))]


def _verdict(rows: Sequence[PropertyReport], *, complete: bool) -> Literal["holds", "broken", "missed", "open"]:
    """The verdict on all properties; where none is asked, nothing holds before everything was tried."""
    found = {row.verdict for row in rows}
    for verdict in ("broken", "missed", "open"):
        if verdict in found:
            return verdict
    return "holds" if rows or complete else "open"
