"""A path of the explorer, as the device's side of it is played to a real driver."""

from __future__ import annotations

import json

import pytest

from fwpages.cli import invoke
from fwpages.device import PlannedFault, ResetFunction, Want
from fwpages.prm.identity import Mode
from fwpages.scenario import ScenarioError
from fwpages.trial.device_path import (
    FailDevice,
    Load,
    Parting,
    PathStep,
    Sent,
    SwitchVfs,
    UndecidedError,
    Unload,
    parting,
)
from fwpages.trial.effects import Effect
from fwpages.trial.judged import EffectSeen, Judged
from fwpages.trial.plan import PLAN, Entry
from fwpages.trial.projection import project
from fwpages.trial.replay import Way, compared, plain
from fwpages.trial.rows import Row, Trouble


def path_of(fault: str) -> str:
    """The replay string that the plan has for this fault."""
    entry = PLAN[fault]
    assert isinstance(entry, Entry)
    return entry.path


def test_an_answer_that_a_time_out_overtakes_is_withheld() -> None:
    path = project(path_of("give-unanswered-done"))
    assert (path.world, path.design) == ("give-timeout", "merged")
    assert path.fault == PlannedFault("give-unanswered-done", 1)
    assert path.steps == (PathStep(0, Load()),)
    assert [str(c) for c in path.expected] == ["ENABLE_HCA (0x0)", "QUERY_PAGES(boot) (0x0)", "GIVE 1 (0x0)"]
    assert path.broken[0].startswith("custody: ")


def test_an_answer_is_late_while_something_happens_in_the_device() -> None:
    path = project(path_of("release-all-crossing"))
    assert path.fault == PlannedFault("give-late", 3)
    assert path.steps == (
        PathStep(0, Load()),
        PathStep(6, SwitchVfs(1)),
        PathStep(7, Want("vf0", 1), at_once=True),
        PathStep(8, ResetFunction("vf0"), at_once=True),
    )
    assert path.expected[-1] == Sent(0x108, 1, 0x31, 0, 1)
    assert path.scenario.fault == ()
    assert path.chance


def test_a_fault_of_the_device_strikes_at_the_opportunity_that_it_has_in_the_path() -> None:
    path = project(path_of("take-twice"))
    assert path.fault == PlannedFault("take-twice", 1)
    assert [s.deed for s in path.steps] == [Load(), Unload()]


def test_a_reset_that_is_never_done_is_the_devices() -> None:
    path = project("merged::e975401a:46:AAB~PABCB")
    assert [s.deed for s in path.steps] == [Load(), FailDevice(resets=False)]
    assert (path.fault, path.trouble) == (None, Trouble.STUCK)
    assert path.broken[0].startswith("custody: ")


def test_a_path_that_the_drivers_own_memory_decides_is_not_played(capsys: pytest.CaptureFixture[str]) -> None:
    text = path_of("request-lost")
    with pytest.raises(UndecidedError, match=r"step 48: .*no memory to queue it"):
        project(text)
    assert invoke(["trial", "--replay", text, "--json"]) == 4
    result = json.loads(capsys.readouterr().out)
    assert (result["schema"], result["way"]) == ("trial-replay/1", "unknown")
    assert "no memory to queue it" in result["undecided"]


@pytest.mark.parametrize("text", ["x", "merged::00000000:3:A", "nobody::00000000:3:A"])
def test_a_string_that_fits_no_world_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ScenarioError):
        project(text)
    assert invoke(["trial", "--replay", text]) == 2
    assert "--replay" in capsys.readouterr().err


def test_a_replay_has_no_rows(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["trial", "--replay", "x", "--smoke"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_a_driver_parts_from_a_path_at_the_first_command_that_differs() -> None:
    path = (Sent(0x104), Sent(0x108, 1, 0x2A, 0, 3))
    assert parting(path, path) is None
    assert parting(path, (*path, Sent(0x103))) is None
    assert parting(path, path[:1]) == Parting(2, path[1], None)
    other = parting(path, (path[0], Sent(0x108, 1, 0x2A, 0, 2)))
    assert str(other) == "command 2: the path has GIVE 3 (0x2a), the kernel sent GIVE 2 (0x2a)"


def test_a_driver_may_ask_for_its_pages_more_often_than_a_path_and_not_less_often() -> None:
    take, end = Sent(0x108, 2, 0x2A), Sent(0x105)
    path = (take, take, end)
    assert parting(path, (take, take, take, end)) is None
    assert parting(path, (take, end)) == Parting(2, take, end)


def test_the_exit_code_says_what_was_found() -> None:
    path = project(path_of("give-unanswered-done"))
    row = Row(path.fault, Mode.VHCA_ID)
    quiet = Judged(row, Effect.NONE.value)
    shown = Judged(row, "leaked", effects=(EffectSeen(Effect.LEAKED, "1 page"),))
    same, another = (compared(path, did, quiet, "7.2") for did in (path.expected, path.expected[:2]))
    assert (same.way, same.exit_code) == (Way.SAME, 1)
    assert (another.way, another.exit_code) == (Way.ANOTHER, 0)
    assert "the kernel sent nothing more" in " ".join(plain(another).split())
    assert compared(path, (), shown, "7.2").exit_code == 1
