"""A hang that a kernel reports counts where its machine ran meanwhile, and not where others kept it from running."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fwpages.trial.effects import Effect
from fwpages.trial.hangs import LEAST, HangWatch
from fwpages.trial.judge import judge
from fwpages.trial.seen import HangTold

from .made import DRIVER_LINE, log, play

FIRST = log("hung-task").splitlines()[0]


def test_each_report_is_noted_with_the_time_that_its_machine_had(tmp_path: Path) -> None:
    console = tmp_path / "console.log"
    watch = HangWatch(console, lambda seconds: min(3.04, seconds))
    watch.look()
    console.write_text(f"{DRIVER_LINE}{FIRST[:40]}")
    watch.look()
    assert not watch.told
    with console.open("a") as f:
        f.write(f"{FIRST[40:]}\r\n[   99.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [rmmod:131]\r\n")
        f.write("[  120.5] rcu: INFO: rcu_preempt self-detected stall on CPU\n")
    watch.look()
    watch.look()
    assert watch.told[0] == HangTold(FIRST, 20, 3.0)
    assert [t.seconds for t in watch.told] == [20, 26, 20]


def notes(console: str, had: float) -> tuple[HangTold, ...]:
    """A note for each report of a hung task in this log."""
    return tuple(HangTold(line, 20, had) for line in console.splitlines() if "blocked for more than" in line)


@pytest.mark.parametrize(("had", "effect"), [(LEAST - 1, None), (LEAST, Effect.HUNG)])
def test_a_hang_counts_where_its_machine_ran(had: float, effect: Effect | None) -> None:
    console = DRIVER_LINE + log("hung-task")
    j = judge(replace(play("none", console=console), hangs=notes(console, had)))
    assert (j.effects[0].effect if j.effects else None) is effect
    starved = [words for words in j.unseen if words.startswith("whether it hung (INFO: task hung in cmd_work_handler)")]
    assert len(starved) == (effect is None)


def test_a_hang_that_lasts_counts_when_it_is_reported_again() -> None:
    again = log("hung-task").replace("[   6", "[   8").replace("more than 20 s", "more than 40 s")
    console = DRIVER_LINE + log("hung-task") + again
    told = (*notes(log("hung-task"), LEAST - 1), *notes(again, LEAST + 5))
    assert judge(replace(play("none", console=console), hangs=told)).effect is Effect.HUNG


def test_without_a_note_a_report_counts() -> None:
    assert judge(play("none", console=DRIVER_LINE + log("hung-task"))).effect is Effect.HUNG
