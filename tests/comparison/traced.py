"""Traces and reports of runs, made for comparisons."""

from __future__ import annotations

import io
from functools import cache
from typing import Literal

import msgspec

from fwpages.comparison import diff
from fwpages.comparison.values import Diff, Difference, Edit, FunctionPair, SessionPair
from fwpages.host import WantedMode
from fwpages.readers.trace_writer import TraceWriter
from fwpages.report.run import run_report
from fwpages.scenario import Scenario, ScenarioRun
from fwpages.scenario.fault_syntax import fault
from fwpages.scenario.topology import device_profile, functions, names_of
from tests.soak.random_scenarios import scenario


@cache
def random_run(seed: int) -> bytes:
    """The trace of a random scenario, with faults in three of four."""
    plan, mode = scenario(seed, 12, faults=seed % 4 > 0)
    return trace_of(plan, mode)


def trace_of(plan: Scenario, mode: WantedMode = "auto", link: Literal["direct", "queue"] = "direct") -> bytes:
    return traced(plan, mode, link)[0]


def traced(
    plan: Scenario, mode: WantedMode = "auto", link: Literal["direct", "queue"] = "direct", *, faults: str = ""
) -> tuple[bytes, bytes]:
    """The trace of a run, and what ``run --json`` prints of it."""
    profile, text = device_profile(plan), io.StringIO()
    names = names_of(functions(plan, profile))
    writer = TraceWriter(text, device=plan.device.profile, supplier=profile.supplier, names=names)
    wrong = [fault(f) for f in faults.split()]
    result = ScenarioRun(plan, mode=mode, link=link, faults=wrong, tap=writer).run()
    writer.end()
    report = run_report(result, scenario="made", device=plan.device.profile, mode=mode, seed=None)
    return text.getvalue().encode(), msgspec.json.encode(report)


def compared(a: bytes, b: bytes) -> Diff:
    """The two inputs, compared as open files: that they are the same bytes is not looked at."""
    return diff(io.BytesIO(a), io.BytesIO(b))


def mirrored(d: Diff) -> Diff:
    """The comparison as it must be when the inputs change places."""
    return msgspec.structs.replace(
        d,
        a=d.b,
        b=d.a,
        sessions=[_session(s) for s in d.sessions],
        differences=[_difference(x) for x in d.differences],
        not_known=[_difference(x) for x in d.not_known],
    )


def in_order(d: Diff) -> tuple[object, ...]:
    """The comparison without the order of its rows."""
    sessions = [msgspec.structs.replace(s, functions=sorted(s.functions, key=repr)) for s in d.sessions]
    return d.outcome, sorted(map(repr, sessions)), sorted(map(repr, d.differences)), sorted(map(repr, d.not_known))


def _session(s: SessionPair) -> SessionPair:
    functions = [_function(f) for f in s.functions]
    return msgspec.structs.replace(s, device_a=s.device_b, device_b=s.device_a, a=s.b, b=s.a, functions=functions)


def _function(f: FunctionPair) -> FunctionPair:
    return msgspec.structs.replace(f, a=f.b, b=f.a)


def _difference(d: Difference) -> Difference:
    function = None if d.function is None else _function(d.function)
    return msgspec.structs.replace(d, function=function, a=d.b, b=d.a, edits=[_edit(e) for e in d.edits])


def _edit(e: Edit) -> Edit:
    return Edit(
        at_a=e.at_b,
        at_b=e.at_a,
        count_a=e.count_b,
        count_b=e.count_a,
        steps_a=e.steps_b,
        steps_b=e.steps_a,
    )
