"""A random scenario from a seed, and what has to hold when it is run."""

from __future__ import annotations

import random

from fwpages.host import WantedMode
from fwpages.scenario import RunResult, Scenario, ScenarioRun
from fwpages.scenario.fault_syntax import FAULTS
from fwpages.scenario.format import (
    BoundsTable,
    CloseStep,
    DeviceTable,
    DisableStep,
    EnableStep,
    FaultTable,
    FunctionTable,
    HealthStep,
    LoseStep,
    OpenStep,
    RequestStep,
    ResetStep,
    Step,
    WaitStep,
)

#: profile → the types of function that it has
DEVICES = {
    "connectx7": ("vf", "sf"),
    "connectx5": ("vf",),
    "bluefield3": ("vf", "sf", "ec_vf", "host_pf", "spf"),
}
#: faults that make a run so long that few of them fit in: each is drawn for one run in a hundred only
SLOW = ("request-storm",)


#: what a sound device and a sound host come to: a wait for one type waits for unannounced functions too, and
#: may give up; a function is reset while a GIVE for it is out; a short queue is full; the scenario loses the link
ALLOWED = ("wait-timeout", "give-crossed-release", "request-dropped", "link-lost")


class RunError(AssertionError):
    """A run that ended, but not as it must."""


def scenario(seed: int, steps: int, *, faults: bool = True) -> tuple[Scenario, WantedMode]:
    """The scenario of this seed with about ``steps`` steps, and the mode to run it in."""
    draw = random.Random(seed)
    profile = draw.choice(list(DEVICES))
    functions = _functions(draw, DEVICES[profile])
    mode: WantedMode = draw.choice(("auto", "func_id"))
    plan = _steps(draw, [f.name for f in functions], steps)
    return (
        Scenario(
            device=DeviceTable(
                profile,
                {"release_all_pages": draw.randint(0, 1)},
                boot_pages=draw.randint(1, 9),
                init_pages=draw.randint(1, 40),
            ),
            function=functions,
            step=plan,
            fault=_faults(draw, steps) if faults else (),
            bounds=BoundsTable(pages_per_command=draw.choice((4, 16, 50_000)), queue=draw.choice((8, 4096))),
        ),
        mode,
    )


def _functions(draw: random.Random, types: tuple[str, ...]) -> tuple[FunctionTable, ...]:
    kinds = [draw.choice(types) for _ in range(draw.randint(1, 6))]
    if kinds.count("host_pf") > 1:
        kinds = ["host_pf", *(k for k in kinds if k != "host_pf")]
    index: dict[str, int] = {}
    table = []
    for n, kind in enumerate(kinds):
        index[kind] = index.get(kind, -1) + 1
        name = f"{kind.replace('_', '-')}{index[kind]}"
        table.append(FunctionTable(name, kind, 0x100 + n, index[kind], draw.randint(0, 30)))  # type: ignore[arg-type]
    return tuple(table)


def _steps(draw: random.Random, names: list[str], n: int) -> tuple[Step, ...]:
    """Open, and then whatever can be done in the state that the steps before leave, if nothing goes wrong."""
    out: list[Step] = [OpenStep()]
    on: set[str] = set()
    is_open = True
    while len(out) < n:
        settle = draw.random() < 0.8
        if not is_open:
            out.append(OpenStep(mode=draw.choice(("auto", "func_id"))))
            is_open, on = True, set()
            continue
        kind = draw.random()
        name = draw.choice([*names, "self"])
        if kind < 0.6:
            out.append(RequestStep(function=name, pages=draw.randint(-20, 25), settle=settle))
        elif kind < 0.75 and name != "self":
            kind_of = DisableStep if name in on else EnableStep
            # FUNC_ID mode has no name for a further physical function
            step = kind_of(function=name, settle=settle, only="vhca_id" if name.startswith("spf") else None)
            on ^= {name}
            out.append(step)
        elif kind < 0.85 and name != "self":
            out.append(ResetStep(function=name, settle=settle))
        elif kind < 0.9:
            out.append(WaitStep(seconds=draw.choice((0.001, 1.0, 200.0))))
        elif kind > 0.98:
            end: Step = draw.choice((CloseStep(), CloseStep(how="fast"), HealthStep(), LoseStep()))
            out.append(end)
            is_open = False
    return (*out, CloseStep()) if is_open else tuple(out)


def _faults(draw: random.Random, steps: int) -> tuple[FaultTable, ...]:
    names = [n for n in FAULTS if n not in SLOW or draw.random() < 0.01]
    return tuple(
        FaultTable(draw.choice(names), draw.randint(1, max(2, steps)), draw.choice((1, 1, 2, 5)))
        for _ in range(draw.choice((0, 1, 1, 2, 3)))
    )


def carry_out(plan: Scenario, mode: WantedMode, *, checked: bool = True) -> tuple[RunResult, int]:
    """Run it and look at what is left; returns the result and how many page requests there were.

    Raises whatever invariant does not hold; without faults also RunError for a run that is not clean.
    """
    run = ScenarioRun(plan, mode=mode, checked=checked)
    result = run.run()
    for b in result.sessions:
        if b.end in ("closed", "forced", "reset") and b.outstanding:
            fenced = any(f.name == "not-fenced" for f in b.findings)
            if not fenced:
                raise RunError(f"session {b.session} is {b.end} with {b.outstanding} pages out, and no finding says so")
    wrong = [f for b in result.sessions for f in b.findings if f.name not in ALLOWED]
    left = result.mapped if result.sessions[-1].end != "open" else 0
    missed = result.missed_steps  # faults are drawn without looking
    if not result.faults and (wrong or result.offences or missed or result.skipped or left):
        found = sorted({f.name for f in wrong} | {o.name for _, o in result.offences})
        raise RunError(f"nothing went wrong, and yet {found}", wrong, result.offences, missed, result.skipped)
    return result, run.link.requests
