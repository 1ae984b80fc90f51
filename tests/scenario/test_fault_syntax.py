"""Every fault alone, every pair of faults: all invariants hold after each input, everything ends, nothing is lost."""

from __future__ import annotations

import itertools
import random
from typing import Literal

import msgspec
import pytest

from fwpages.device import Moment, PlannedFault
from fwpages.host import WantedMode
from fwpages.link.faults.byte_faults import BYTE_FAULTS
from fwpages.scenario import RunResult, Scenario, ScenarioError, ScenarioRun, load
from fwpages.scenario.fault_scenarios import default_scenario
from fwpages.scenario.fault_syntax import EVERY_FAULT, FAULTS, fault, text

SMALL = """
[device]
profile = "{profile}"
boot_pages = 5
init_pages = 20
capabilities = {{ release_all_pages = {release_all} }}
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
pages = 8
[[function]]
name = "vf1"
type = "vf"
index = 1
vhca_id = 0x32
pages = 6
[[function]]
name = "sf0"
type = "sf"
vhca_id = 0x90
pages = 4
[[step]]
do = "open"
[[step]]
do = "request"
function = "vf1"
pages = 3
[[step]]
do = "enable"
function = "*"
[[step]]
do = "request"
function = "vf0"
pages = 10
[[step]]
do = "request"
function = "vf0"
pages = -4
[[step]]
do = "reset"
function = "vf1"
[[step]]
do = "disable"
function = "sf0"
settle = false
[[step]]
do = "enable"
function = "sf0"
[[step]]
do = "disable"
function = "vf*"
[[step]]
do = "enable"
function = "vf0"
[[step]]
do = "close"
[[step]]
do = "open"
[[step]]
do = "request"
function = "self"
pages = 7
[[step]]
do = "close"
[bounds]
queue = 64
pages_per_command = 8
"""

MODES: tuple[WantedMode, ...] = ("func_id", "vhca_id")


def small(*, profile: str = "connectx7", release_all: int = 1) -> Scenario:
    return load("small", text=SMALL.format(profile=profile, release_all=release_all))


def live(faults: list[PlannedFault], mode: WantedMode, scenario: Scenario | None = None) -> RunResult:
    return ScenarioRun(scenario or small(), mode=mode, checked=True, faults=faults).run()


def named(result: RunResult) -> set[str]:
    return {f.name for b in result.sessions for f in b.findings}


def accounted(result: RunResult) -> None:
    """The rest that a run leaves behind: for every record of every session, nothing but what its findings speak of.

    And no rule was broken by the host, but where a fault caused it.
    """
    assert result.offences == ()
    for b in result.sessions:
        for f in b.functions:
            assert f.held + f.doubtful == f.given - f.returned - f.released - f.discarded
        if b.end in ("closed", "forced", "reset"):
            assert not b.outstanding or any(f.name == "not-fenced" for f in b.findings)


#: a fault's first opportunity in one mode and its fourth in the other
ALONE: tuple[tuple[int, WantedMode], ...] = ((1, "vhca_id"), (4, "func_id"))


@pytest.mark.many_runs
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_alone(name: str) -> None:
    scenario = small(release_all=0) if name == "release-all-unasked" else small()
    extra = [PlannedFault("teardown-refused")] if name == "not-fenced" else []
    for at, mode in ALONE:
        result = live([PlannedFault(name, at), *extra], mode, scenario)
        accounted(result)
        assert name in result.faults or (at, mode) != ALONE[0], "the fault never took effect"
        if name in result.faults:
            words, finders = FAULTS[name].words, FAULTS[name].findings
            assert not finders or named(result) & set(finders), (words, at, named(result))


#: faults that make requests out of nowhere: for ever would be a device that never rests
RAISING = [n for n in FAULTS if n.startswith("request-") or n == "release-all-crossing"]


@pytest.mark.many_runs
@pytest.mark.parametrize("name", [n for n in FAULTS if n not in RAISING])
def test_each_fault_for_ever(name: str) -> None:
    accounted(live([PlannedFault(name, 1, 0)], "vhca_id"))


@pytest.mark.parametrize("name", [n for n in RAISING if n != "request-storm"])
def test_a_run_of_false_requests(name: str) -> None:
    accounted(live([PlannedFault(name, 1, 40)], "vhca_id"))


def test_a_device_that_never_rests_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwpages.scenario.runner.RESTLESS", 500)
    result = live([PlannedFault("request-least", 1, 0)], "vhca_id")
    accounted(result)
    assert any("coming to rest" in str(s) for s in result.skipped)
    assert [b.end for b in result.sessions][-1] != "open"


def test_what_a_fault_made_the_host_do_is_no_offence_of_the_hosts() -> None:
    result = ScenarioRun(load("early-give"), faults=[PlannedFault("pages-zero", 2)]).run()
    assert [(e.session, e.offence.name, e.fault) for e in result.excused] == [(1, "pages-missing", "pages-zero")]
    assert [f"{f.name} {f.blame}" for f in result.sessions[0].findings] == ["command-refused device"]


@pytest.mark.many_runs
@pytest.mark.parametrize("chunk", range(8))
def test_pairs_of_faults(chunk: int) -> None:
    """Pairs, moments and modes that a fixed seed draws; ``make soak`` has ever others."""
    draw = random.Random(chunk)
    pairs = list(itertools.combinations(sorted(n for n in FAULTS if n != "request-storm"), 2))[chunk::8]
    for a, b in draw.sample(pairs, 6):
        faults = [PlannedFault(a, draw.randint(1, 8)), PlannedFault(b, draw.randint(1, 8))]
        result = live(faults, draw.choice(MODES))
        accounted(result)


def test_a_fault_of_a_scenario_file_takes_effect() -> None:
    scenario = load(
        "small", text=SMALL.format(profile="connectx7", release_all=1) + '[[fault]]\nname = "give-refused"\nat = 3\n'
    )
    result = live([], "auto", scenario)
    assert result.faults == ("give-refused",)
    assert named(result) == {"give-refused"}
    assert not result.clean


def test_a_fault_that_never_takes_effect_is_missed_and_the_run_not_clean() -> None:
    faults = [
        PlannedFault("give-late", 2),
        PlannedFault("give-late", 900),
        PlannedFault("take-nothing", 800, 0),
        PlannedFault("map-fails", 700),
    ]
    result = live(faults, "vhca_id")
    assert result.faults == ("give-late",)
    assert result.missed_steps == ()
    assert set(result.missed) == set(faults[1:])
    assert not named(result)
    assert not result.clean
    assert live(faults[:1], "vhca_id").clean, "a late answer does no harm"


def test_faults_are_written_as_they_are_read() -> None:
    for f in (
        PlannedFault("give-late"),
        PlannedFault("take-twice", 3),
        PlannedFault("map-fails", 2, 5),
        PlannedFault("take-nothing", 1, 0),
        PlannedFault("give-unanswered-done", during=Moment.BOOT),
        PlannedFault("take-nothing", 1, 0, Moment.TEARDOWN),
        PlannedFault("give-late", 3, 2, Moment.RUNTIME),
    ):
        assert fault(text(f)) == f


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "Give",
        "give-late@",
        "give-late@0",
        "give-late@x2",
        "give-latex0",
        "give-late@1x",
        "nope",
        "give-late@late",
        "give-late@runtime3",
        "give-late@runtime:0",
        "give-late@runtime:",
        "link-lost@runtime",
    ],
)
def test_what_is_no_fault_is_refused(bad: str) -> None:
    with pytest.raises(ScenarioError):
        fault(bad)


@pytest.mark.many_runs
@pytest.mark.parametrize("name", EVERY_FAULT)
def test_every_fault_strikes_in_its_default_scenario(name: str) -> None:
    wrong = [fault(name)]
    link: Literal["direct", "queue"] = "queue" if name in BYTE_FAULTS else "direct"
    result = ScenarioRun(load(default_scenario(wrong)), faults=wrong, link=link).run()
    assert name in result.faults
    assert result.missed_faults == ()


@pytest.mark.parametrize(
    ("when", "pages"), [("@boot", 37), ("@init", 12_868), ("@runtime", 2048), ("@3", 2048), ("@1", 37)]
)
def test_a_give_goes_wrong_at_the_moment_that_is_named(when: str, pages: int) -> None:
    """Boot pages, init pages, those of the first request."""
    first = ScenarioRun(load("connectx7"), faults=[fault(f"give-refused{when}")]).run().sessions[0]
    assert [f.pages for f in first.findings if f.name == "give-refused"] == [pages]


def test_a_take_goes_wrong_at_the_teardown_and_not_before() -> None:
    plan = load("connectx7")
    early, late = (ScenarioRun(plan, faults=[fault(f"take-refused@{m}")]).run() for m in ("runtime", "teardown"))
    assert early.faults == late.faults == ("take-refused",)
    times = [next(f.at for f in r.sessions[0].findings if f.name == "take-refused") for r in (early, late)]
    assert times[0] < times[1]
    missed = ScenarioRun(plan, faults=[fault("take-refused@boot"), fault("request-lost@init")]).run()
    assert missed.faults == ()
    assert [str(f.during) for f in missed.missed_faults] == ["boot", "init"], "no TAKE and no request come then"


def test_a_moment_in_a_file_counts_as_on_the_command_line() -> None:
    text = SMALL.format(profile="connectx7", release_all=1)
    plan = load("x", text=text + '[[fault]]\nname = "give-refused"\nduring = "init"\n')
    assert [(f.name, f.during) for f in plan.fault] == [("give-refused", Moment.INIT)]
    assert ScenarioRun(plan).run().faults == ("give-refused",)
    with pytest.raises(ScenarioError, match=r"fault\[0\]\.during"):
        load("x", text=text + '[[fault]]\nname = "give-refused"\nduring = "later"\n')


def test_times_0_is_refused_with_the_words_for_all_that_follow() -> None:
    with pytest.raises(ScenarioError, match=r"'give-late@1x0': .* counted from 1; TIMES \* is all that follow"):
        fault("give-late@1x0")


def test_an_unknown_fault_in_a_file_is_refused() -> None:
    scenario = msgspec.structs.replace(
        small(),
        fault=load(
            "x", text=SMALL.format(profile="connectx7", release_all=1) + '[[fault]]\nname = "give-nope"\n'
        ).fault,
    )
    with pytest.raises(ScenarioError, match=r"no fault 'give-nope'.*give-late"):
        ScenarioRun(scenario)
