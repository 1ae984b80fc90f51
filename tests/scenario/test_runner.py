from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

import msgspec
import pytest

from fwpages.host import WantedMode
from fwpages.prm.identity import FunctionType, Mode
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.scenario import Scenario, ScenarioError, ScenarioRun, load, names
from fwpages.scenario.fault_syntax import fault
from fwpages.scenario.format import BoundsTable, Step
from fwpages.scenario.topology import device_profile
from tests.link.test_inprocess import Watch

HEAVY = "connectx5-heavy"
BASE = """
[device]
profile = "connectx7"

[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
pages = 64

[[function]]
name = "vf1"
type = "vf"
index = 1
vhca_id = 0x32
pages = 32

[[step]]
do = "open"
"""
CLOSE = '[[step]]\ndo = "close"\n'


def scenario(*steps: str) -> Scenario:
    return load("x.toml", BASE + "".join(f"[[step]]\n{s}\n" for s in steps))


def cases() -> Iterator[tuple[str, WantedMode]]:
    for name in names():
        s = load(name)
        if s.fault:
            continue
        yield name, "func_id"
        if device_profile(s).max.get("icm_mng_function_id_mode"):
            yield name, "vhca_id"


@pytest.mark.parametrize(("name", "mode"), list(cases()))
def test_every_packaged_scenario_ends_clean_in_every_mode_that_its_device_offers(name: str, mode: WantedMode) -> None:
    watch = Watch()
    run = ScenarioRun(load(name), mode=mode, checked=name != HEAVY, tap=watch)
    result = run.run()
    assert result.clean, (result, [b.findings for b in result.sessions])
    assert (result.offences, result.failed, result.missed, result.mapped) == ((), (), (), 0)
    assert all(b.mode == mode for b in result.sessions)
    assert run.link.host.left() == 0
    for b in result.sessions:
        assert b.peak >= max(f.peak for f in b.functions)
        for f in b.functions:
            assert f.given == f.returned + f.released + f.discarded
            assert f.type is not FunctionType.UNKNOWN or name == "no-eswitch"
    assert not watch.slots
    assert result.seconds < 5.0, "nothing is waited for in vain"


def test_the_heavy_scenario_with_fewer_pages_is_clean_at_every_step() -> None:
    text = (resources.files("fwpages.scenario") / "library" / f"{HEAVY}.toml").read_text("utf-8")
    assert text.count("8_000_000") == 2
    small = load("small.toml", text.replace("8_000_000", "800_000").replace("8192", "100"))
    result = ScenarioRun(small, checked=True).run()
    assert result.clean


def test_a_mode_that_the_device_does_not_offer_is_refused_beforehand() -> None:
    with pytest.raises(ScenarioError, match="VHCA_ID mode was asked for, but connectx4-lx does not offer it"):
        ScenarioRun(load("connectx4-lx"), mode="vhca_id")


def test_a_small_function_is_served_in_its_turn() -> None:
    """In the heavy scenario the four pages of the VF come after at most two commands more for the supplier."""

    class Gives(Watch):
        def __init__(self) -> None:
            super().__init__()
            self.gives: list[tuple[int, int]] = []

        def submit(self, t: float, session: int, id: int, slot: int, command: Command) -> None:  # noqa: A002
            super().submit(t, session, id, slot, command)
            if command.opcode == Opcode.MANAGE_PAGES and command.op_mod == ManagePages.GIVE:
                self.gives.append((command["function_id"], command["input_num_entries"]))

    watch = Gives()
    assert ScenarioRun(load(HEAVY), tap=watch).run().clean
    small = watch.gives.index((1, 4))
    first = next(i for i, (number, n) in enumerate(watch.gives) if number == 0 and n == 50_000)
    assert small - first <= 2
    assert sum(n for number, n in watch.gives if number == 0) > 8_000_000


# -- when steps happen ------------------------------------------------------------------------------------------------


def steps_of(s: Scenario, mode: WantedMode = "auto") -> list[tuple[int, float, int]]:
    """Which step happened at what time, after how many commands."""
    seen: list[tuple[int, float, int]] = []

    def on_step(n: int, step: Step) -> None:
        seen.append((n, run.link.now, run.link.submitted))

    run = ScenarioRun(s, mode=mode, checked=True, on_step=on_step)
    result = run.run()
    assert result.missed == ()
    return seen


def test_steps_follow_each_other_when_all_is_at_rest() -> None:
    seen = steps_of(scenario('do = "enable"\nfunction = "vf*"', 'do = "disable"\nfunction = "vf*"', 'do = "close"'))
    assert [n for n, _, _ in seen] == [0, 1, 2, 3]
    assert [c for _, _, c in seen] == sorted({c for _, _, c in seen}), "commands lie between all of them"


def test_a_step_that_does_not_settle_lets_the_next_one_begin_at_once() -> None:
    seen = steps_of(
        scenario('do = "enable"\nfunction = "vf*"\nsettle = false', 'do = "request"\nfunction = "self"\npages = 9')
    )
    assert seen[2][1] == seen[1][1]


def test_a_step_at_a_time() -> None:
    seen = steps_of(
        scenario('do = "request"\nfunction = "self"\npages = 9\nat = 7.5', 'do = "enable"\nfunction = "vf0"')
    )
    assert [n for n, _, _ in seen] == [0, 2, 1], "the row does not wait for a moment; after its end moments still come"
    (at,) = [t for n, t, _ in seen if n == 1]
    assert at == pytest.approx(7.5, abs=0.01)


def test_after_what_never_happens() -> None:
    with pytest.raises(ScenarioError, match=r"step\[1\]\.after: 'opne' never happens; there are open, close"):
        steps_of(scenario('do = "enable"\nfunction = "vf0"\nafter = "opne"'))


def test_a_step_at_a_time_within_a_wait() -> None:
    seen = steps_of(
        scenario('do = "request"\nfunction = "self"\npages = 9\nat = 2', 'do = "wait"\nseconds = 10', 'do = "close"')
    )
    times = {n: t for n, t, _ in seen}
    assert times[1] == pytest.approx(2.0, abs=0.01)
    assert times[3] >= 10.0


def test_a_step_after_a_moment() -> None:
    seen = steps_of(
        scenario(
            'do = "disable"\nfunction = "vf0"\nafter = "request vf0"', 'do = "enable"\nfunction = "vf0"', 'do = "close"'
        )
    )
    order = [n for n, _, _ in seen]
    assert order.index(2) < order.index(1) < order.index(3)


def test_a_step_at_a_command() -> None:
    seen = steps_of(
        scenario('do = "enable"\nfunction = "vf0"', 'do = "health"\ncommand = 22', 'do = "open"', 'do = "close"')
    )
    (count,) = [c for n, _, c in seen if n == 2]
    assert count == 22


def test_a_step_with_two_conditions_waits_for_both() -> None:
    seen = steps_of(
        scenario(
            'do = "request"\nfunction = "vf0"\npages = 5\nat = 0.001\nafter = "enable vf0"',
            'do = "wait"\nseconds = 3',
            'do = "enable"\nfunction = "vf0"',
            'do = "close"',
        )
    )
    times = {n: t for n, t, _ in seen}
    assert times[1] > times[3] >= 3.0


def test_a_step_whose_moment_never_comes_is_missed() -> None:
    s = scenario(
        'do = "request"\nfunction = "self"\npages = 1\nafter = "enable vf1"',
        'do = "request"\nfunction = "self"\npages = 1\ncommand = 100000',
        'do = "request"\nfunction = "self"\npages = 1\nat = 1\nafter = "enable vf1"',
        'do = "close"',
    )
    result = ScenarioRun(s, checked=True).run()
    assert tuple(map(str, result.missed)) == ("step[1] (request)", "step[2] (request)", "step[3] (request)")
    assert not result.clean


@pytest.mark.parametrize("mode", ["func_id", "vhca_id"])
def test_a_step_for_one_mode_only(mode: WantedMode) -> None:
    s = scenario('do = "enable"\nfunction = "vf0"\nonly = "vhca_id"', 'do = "enable"\nfunction = "vf1"', 'do = "close"')
    result = ScenarioRun(s, mode=mode, checked=True).run()
    assert result.clean
    numbers = {f.identity.number for f in result.sessions[0].functions}
    assert (0x31 in numbers or 1 in numbers) is (mode == "vhca_id")


def test_a_step_that_cannot_be_taken_is_named() -> None:
    for steps, words in (
        (['do = "open"'], r"step\[1\] \(open\): open: session 1 is still open"),
        (['do = "close"', 'do = "close"'], r"step\[2\] \(close\): close: session 1 is ended"),
        (['do = "disable"\nfunction = "vf0"'], r"step\[1\] \(disable\): disable vport 0x1: it is not enabled"),
    ):
        with pytest.raises(ScenarioError, match=words):
            ScenarioRun(scenario(*steps)).run()


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            'do = "enable"\nfunction = "vf9"',
            r"step\[1\]\.function: 'vf9' fits none of vf0, vf1; did you mean vf1 or vf0\?$",
        ),
        ('do = "enable"\nfunction = "self"', r"step\[1\]\.function: 'self' fits none of vf0, vf1$"),
        ('do = "request"\nfunction = "sf*"\npages = 1', r"step\[1\]\.function: 'sf\*' fits none of vf0, vf1, self"),
        ('do = "reset"\nfunction = "self"', r"step\[1\]\.function: 'self' fits none of"),
    ],
)
def test_functions_that_there_are_not(step: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        ScenarioRun(scenario(step))


def test_a_pattern_where_there_are_no_functions() -> None:
    s = msgspec.structs.replace(scenario('do = "enable"\nfunction = "vf*"'), function=())
    with pytest.raises(
        ScenarioError, match=r"step\[1\]\.function: 'vf\*' fits nothing: the scenario has no functions$"
    ):
        ScenarioRun(s)


def test_the_mode_of_the_run_counts_for_every_open() -> None:
    s = load("reopen")
    assert [b.mode for b in ScenarioRun(s).run().sessions] == [Mode.VHCA_ID, Mode.FUNC_ID, Mode.VHCA_ID]
    assert [b.mode for b in ScenarioRun(s, mode="func_id").run().sessions] == [Mode.FUNC_ID] * 3


def test_a_link_that_is_lost_and_a_session_that_is_left_open() -> None:
    result = ScenarioRun(scenario('do = "enable"\nfunction = "vf0"', 'do = "lose-link"'), checked=True).run()
    (b,) = result.sessions
    assert (b.end, [f.name for f in b.findings]) == ("lost", ["link-lost"])
    assert not result.clean
    assert result.mapped == 0
    still = ScenarioRun(scenario('do = "enable"\nfunction = "vf0"'), checked=True).run()
    assert still.sessions[0].end == "open"
    assert still.verdict == "consistent so far"
    assert still.mapped > 0


def test_a_session_is_reported_once_however_often_the_next_one_cannot_begin() -> None:
    again = 'do = "open"'
    run = ScenarioRun(scenario('do = "enable"\nfunction = "vf0"', again, again), faults=(fault("link-lost-for-good"),))
    result = run.run()
    assert [b.session for b in result.sessions] == [1]
    assert [f.name for f in result.sessions[0].findings] == ["link-lost", "not-fenced"]


def test_pages_that_are_fenced_off_by_the_next_open_are_discarded_in_the_session_that_left_them() -> None:
    run = ScenarioRun(load("health-recovery"), faults=(fault("not-fenced"),))
    left, after = run.run().sessions
    assert [f.name for f in left.findings] == ["not-fenced"]
    assert (left.outstanding, sum(f.discarded for f in left.functions)) == (0, 14953)
    assert left.notes[-1] == "14,953 pages discarded: function-level reset completed"
    assert (after.end, after.clean) == ("closed", True)


# -- the same again ---------------------------------------------------------------------------------------------------


class Everything(Watch):
    """All that passes the link, with the times."""

    def submit(self, t: float, session: int, id: int, slot: int, command: Command) -> None:  # noqa: A002
        super().submit(t, session, id, slot, command)
        self.lines.append((f"{session} {id} {slot} {command} {command.pas.tobytes().hex()}", t))

    def complete(self, t: float, session: int, id: int, answer: Answer, reply_length: int) -> None:  # noqa: A002
        super().complete(t, session, id, answer, reply_length)
        self.lines.append((f"{session} {id} {answer} {answer.pas.tobytes().hex()}", t))


def recorded(name: str, seed: int | None) -> tuple[list[tuple[str, float]], object]:
    watch = Everything()
    result = ScenarioRun(load(name), tap=watch, seed=seed).run()
    accounts = [
        [(f.identity, f.generation, f.type, f.given, f.returned, f.released, f.discarded, f.peak) for f in b.functions]
        for b in result.sessions
    ]
    return watch.lines, accounts


@pytest.mark.parametrize("name", ["connectx7", "bluefield3", "late-return", "health-recovery"])
def test_two_runs_are_equal_and_a_seed_changes_the_order_of_returns_only(name: str) -> None:
    lines, accounts = recorded(name, None)
    assert recorded(name, None) == (lines, accounts)
    shuffled, same = recorded(name, 7)
    assert recorded(name, 7)[0] == shuffled
    assert shuffled != recorded(name, 8)[0]
    assert shuffled != lines
    assert same == accounts
    submits = [[words for words, _ in run if words.startswith("submit")] for run in (lines, shuffled)]
    assert submits[0] == submits[1], "the same commands, with pages in another order"


def test_a_host_whose_queue_is_full_breaks_no_rule() -> None:
    ask = 'do = "request"\nfunction = "self"\npages = {}\nsettle = false'
    s = scenario(*(ask.format(n) for n in (5, 7, 9, 11)), 'do = "wait"\nseconds = 1', 'do = "close"')
    result = ScenarioRun(msgspec.structs.replace(s, bounds=BoundsTable(queue=2)), checked=True).run()
    (b,) = result.sessions
    assert ([f.name for f in b.findings], result.offences) == (["request-dropped"], ())
    assert (b.alloc_failed, b.outstanding) == (20, 0)
