"""Every packaged scenario, and every fault, over the command queue: the books of the direct link."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from importlib import resources

import pytest

from fwpages.device import PlannedFault
from fwpages.host import Books, WantedMode
from fwpages.link.faults.byte_faults import BYTE_FAULTS
from fwpages.link.queue.inprocess import InProcessQueue
from fwpages.scenario import RunResult, Scenario, ScenarioRun, load
from fwpages.scenario.fault_syntax import EVERY_FAULT, FAULTS
from tests.scenario.test_fault_syntax import MODES, accounted, named, small
from tests.scenario.test_runner import HEAVY, cases

#: requests that no event queue could carry: the host does not get them
UNHEARD = ("request-before-eq", "request-after-eq")


def both(
    scenario: Scenario, mode: WantedMode, faults: list[PlannedFault]
) -> tuple[RunResult, RunResult, InProcessQueue]:
    """The run over either link; ``test_fault_syntax.py`` and ``test_runner.py`` check the direct one's invariants."""
    direct = ScenarioRun(scenario, mode=mode, faults=faults).run()
    run = ScenarioRun(scenario, mode=mode, checked=True, faults=faults, link="queue")
    assert isinstance(run.link, InProcessQueue)
    return direct, run.run(), run.link


def reduced(name: str) -> Scenario:
    if name != HEAVY:
        return load(name)
    text = (resources.files("fwpages.scenario") / "library" / f"{HEAVY}.toml").read_text("utf-8")
    return load("small.toml", text.replace("8_000_000", "800_000").replace("8192", "100"))


@pytest.mark.many_runs
@pytest.mark.parametrize(("name", "mode"), list(cases()))
def test_every_packaged_scenario(name: str, mode: WantedMode) -> None:
    direct, queued, link = both(reduced(name), mode, [])
    assert queued == direct
    assert queued.clean
    assert link.wire_offences == []


def _without_details(books: Books) -> Books:
    return replace(books, findings=tuple(replace(f, detail="") for f in books.findings))


@pytest.mark.many_runs
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_alone(name: str) -> None:
    """At its first opportunity, in FUNC_ID mode where there is one; ``test_fault_syntax.py`` has others."""
    scenario = small(release_all=0) if name == "release-all-unasked" else small()
    extra = [PlannedFault("teardown-refused")] if name == "not-fenced" else []
    mode: WantedMode = "vhca_id" if name.startswith(("mode-not", "vhca-id")) else "func_id"
    direct, queued, link = both(scenario, mode, [PlannedFault(name), *extra])
    accounted(queued)
    assert name in queued.faults, "the fault never took effect"
    assert link.wire_offences == []
    if name in UNHEARD:
        assert named(direct) - named(queued) == {"request-without-eq"}
    elif name == "take-long":
        # the addresses beyond the room for the answer are not even in the bytes
        assert [_without_details(b) for b in queued.sessions] == [_without_details(b) for b in direct.sessions]
    else:
        assert queued == direct


@pytest.mark.parametrize("name", ["give-too-late", "take-next-session", "answer-twice", "link-lost", "take-twice"])
def test_faults_for_ever(name: str) -> None:
    direct, queued, _ = both(small(), "vhca_id", [PlannedFault(name, 1, 0)])
    assert queued == direct


@pytest.mark.many_runs
@pytest.mark.parametrize("name", BYTE_FAULTS)
def test_each_fault_of_the_wire(name: str) -> None:
    effective = 0
    for at, times, mode in ((1, 1, MODES[0]), (4, 1, MODES[1]), (12, 1, MODES[0]), (1, 0, MODES[1])):
        run = ScenarioRun(small(), mode=mode, checked=True, faults=[PlannedFault(name, at, times)], link="queue")
        result = run.run()
        accounted(result)
        assert all(b.end != "open" for b in result.sessions)
        assert not result.mapped
        if name in result.faults:
            effective += 1
            finders = EVERY_FAULT[name].findings
            assert not finders or named(result) & set(finders), (at, named(result))
    assert effective


#: what the wire cannot carry as the direct link does: see ``test_each_fault_alone``
_OTHERWISE = (*UNHEARD, "take-long", "request-storm")


@pytest.mark.many_runs
@pytest.mark.parametrize("chunk", range(3))
def test_pairs_of_faults(chunk: int) -> None:
    """Pairs that a fixed seed draws, at moments and in modes that it draws too: the books of the direct link."""
    draw = random.Random(chunk)
    pairs = list(itertools.combinations(sorted(n for n in FAULTS if n not in _OTHERWISE), 2))
    for a, b in draw.sample(pairs, 8):
        faults = [PlannedFault(a, draw.randint(1, 8)), PlannedFault(b, draw.randint(1, 8))]
        direct, queued, link = both(small(), draw.choice(MODES), faults)
        accounted(queued)
        assert queued == direct, faults
        assert link.wire_offences == []


@pytest.mark.many_runs
@pytest.mark.parametrize("chunk", range(4))
def test_pairs_with_a_fault_of_the_wire(chunk: int) -> None:
    """One of the bytes and one of any kind: everything ends, nothing is lost, no memory stays mapped."""
    draw = random.Random(100 + chunk)
    others = sorted(n for n in EVERY_FAULT if n not in (*UNHEARD, "request-storm", "not-fenced", "link-lost-for-good"))
    for wire in draw.sample(sorted(BYTE_FAULTS), 12):
        faults = [PlannedFault(wire, draw.randint(1, 8)), PlannedFault(draw.choice(others), draw.randint(1, 8))]
        result = ScenarioRun(small(), mode=draw.choice(MODES), checked=True, faults=faults, link="queue").run()
        accounted(result)
        assert all(b.end != "open" for b in result.sessions), faults
        assert not result.mapped, faults
