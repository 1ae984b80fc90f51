"""A machine's time stands still while others keep it from running, and no hang is seen where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fwpages.trial.clock import MOST_SLOWER, MachineClock, waited

MACHINE = 7


class Computer:
    """A folder like /proc, and the computer's own clock."""

    def __init__(self, proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.proc, self.time = proc, 100.0
        monkeypatch.setattr("fwpages.trial.clock.time.monotonic", lambda: self.time)

    def waited(self, process: int, thread: int, seconds: float) -> None:
        task = self.proc / str(process) / "task" / str(thread)
        task.mkdir(parents=True, exist_ok=True)
        (task / "schedstat").write_text(f"5 {int(seconds * 1e9)} 3\n")


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Computer:
    return Computer(tmp_path, monkeypatch)


def test_a_machine_that_sleeps_or_runs_has_the_time_of_the_computer(computer: Computer) -> None:
    computer.waited(MACHINE, 1, 50)
    mine = MachineClock(MACHINE, computer.proc)
    computer.time += 3
    assert mine.now() == 3
    computer.time += 4
    assert mine.now() == 7


def test_the_time_in_which_a_machine_waits_for_a_processor_is_not_its_own(computer: Computer) -> None:
    mine = MachineClock(MACHINE, computer.proc)
    computer.time += 10
    computer.waited(MACHINE, 1, 2)
    computer.waited(MACHINE, 2, 6)
    assert mine.now() == 4


def test_nor_is_that_in_which_its_device_waits(computer: Computer) -> None:
    mine = MachineClock(MACHINE, computer.proc)
    computer.time += 10
    computer.waited(os.getpid(), 1, 5)
    assert mine.now() == 5


def test_its_clock_goes_on_and_never_back_however_long_it_waits(computer: Computer) -> None:
    mine = MachineClock(MACHINE, computer.proc)
    computer.time += MOST_SLOWER
    computer.waited(MACHINE, 1, 1000)
    computer.waited(os.getpid(), 1, 1000)
    assert mine.now() == pytest.approx(1)
    computer.waited(MACHINE, 1, 0)
    computer.time += 1
    assert mine.now() == pytest.approx(2)


def test_it_tells_of_the_time_that_it_had_in_the_last_seconds(computer: Computer) -> None:
    mine = MachineClock(MACHINE, computer.proc)
    for _ in range(30):
        computer.time += 1
        mine.now()
    for n in range(1, 21):
        computer.time += 1
        computer.waited(MACHINE, 1, n * 0.75)
        mine.now()
    assert mine.had_in_last(20) == pytest.approx(5)
    assert mine.had_in_last(30) == pytest.approx(15)
    assert mine.had_in_last(1000) == pytest.approx(35)


def test_a_kernel_that_does_not_tell_leaves_the_computer_s_clock(computer: Computer) -> None:
    assert waited(MACHINE, computer.proc) == 0
    computer.waited(MACHINE, 1, 1)
    (computer.proc / str(MACHINE) / "task" / "1" / "schedstat").write_text("\n")
    assert waited(MACHINE, computer.proc) == 0


def test_this_kernel_tells_of_this_process() -> None:
    assert waited(os.getpid()) >= 0
