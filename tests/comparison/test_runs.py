"""Runs compared: over both links, in both modes, with a fault."""

from __future__ import annotations

import msgspec
import pytest

from fwpages.comparison.kinds import Kind
from fwpages.comparison.values import Alignment, Outcome
from fwpages.host import WantedMode
from fwpages.scenario import load, names
from tests.comparison.traced import compared, trace_of, traced

pytestmark = pytest.mark.many_runs

#: its trace has 8 million addresses: its report is compared
HEAVY = "connectx5-heavy"
LIBRARY = [name for name in names() if name != HEAVY]


def modes(name: str) -> list[WantedMode]:
    return ["func_id"] if name.startswith("connectx4") else ["func_id", "vhca_id"]


@pytest.mark.parametrize(("name", "mode"), [(n, m) for n in LIBRARY for m in modes(n)])
def test_a_run_is_the_same_over_both_links_and_so_are_its_trace_and_its_report(name: str, mode: WantedMode) -> None:
    plan = load(name)
    (direct, report), (queue, other) = traced(plan, mode, "direct"), traced(plan, mode, "queue")
    for a, b in ((direct, queue), (report, other), (report, queue)):
        found = compared(a, b)
        assert (found.outcome, found.differences, found.not_known) == (Outcome.EQUAL, [], [])
    assert set(compared(direct, queue).a.steps) == {Kind.START_UP, Kind.PAGE_COMMANDS, Kind.PAGE_REQUESTS}


#: beside the mode: the vhca_id of each function is asked for; FUNC_ID mode has no name for an SPF, and so no pages for
#: it; without an e-switch a vhca_id does not tell the type
CHANGED = {
    "bluefield3": {
        (Kind.FUNCTION, "spf0"),
        (Kind.PEAK, "all functions together"),
        (Kind.PAGE_COMMANDS, ""),
        (Kind.PAGE_REQUESTS, ""),
        (Kind.COMMANDS, "ENABLE_HCA"),
        (Kind.COMMANDS, "DISABLE_HCA"),
        (Kind.COMMANDS, "QUERY_HCA_CAP(general, max)"),
    },
    "no-eswitch": {(Kind.TYPE, "vf0")},
    "reopen": set(),
}


@pytest.mark.parametrize("name", [n for n in LIBRARY if len(modes(n)) == 2])
def test_the_modes_differ_by_what_the_mode_changes_and_nothing_else(name: str) -> None:
    plan = load(name)
    found = compared(trace_of(plan, "func_id"), trace_of(plan, "vhca_id"))
    rest = {(d.kind, d.function.name if d.function else d.what) for d in found.differences if d.kind is not Kind.MODE}
    assert rest == CHANGED.get(name, {(Kind.COMMANDS, "QUERY_HCA_CAP(general, max)")})
    assert not found.not_known
    assert len([d for d in found.differences if d.kind is Kind.MODE]) == len(found.sessions)
    by = {s.aligned_by for s in found.sessions}
    assert by == {Alignment.ORDER if name == "reopen" else Alignment.NAME}
    pairs = [f for s in found.sessions for f in s.functions if f.a and f.b]
    assert all(f.a.startswith("func:") and f.b.startswith("vhca:") for f in pairs if f.a and f.b)


def test_a_fault_shows_as_what_it_did() -> None:
    plan = load("connectx7")
    (trace, report), (wrong, its) = traced(plan), traced(plan, faults="take-twice")
    for a, b, by_run in ((report, its, True), (trace, wrong, False), (trace, its, False)):
        found = compared(a, b)
        new = {d.what for d in found.differences if d.kind is Kind.FINDING and (d.a, d.b) == (0, 1)}
        assert "returned-twice" in new
        assert (Kind.FAULT in {d.kind for d in found.differences}) is by_run
    assert compared(its, report).outcome is Outcome.DIFFERENT


def test_a_function_that_one_run_alone_has_is_named() -> None:
    plan = load("connectx7")
    less = msgspec.structs.replace(
        plan,
        function=tuple(f for f in plan.function if f.name != "sf1"),
        step=tuple(s for s in plan.step if getattr(s, "function", "") != "sf1"),
    )
    found = compared(trace_of(plan), trace_of(less))
    lone = [d for d in found.differences if d.kind is Kind.FUNCTION]
    assert [(d.function.name, d.a, d.b) for d in lone if d.function] == [("sf1", "812 given", None)]
