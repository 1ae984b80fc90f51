"""The smoke set of ``fwpages trial`` on the newest kernel: no row is worse than what is known of it."""

from __future__ import annotations

import subprocess
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

from fwpages.cli import invoke
from fwpages.trial.effects import Effect
from fwpages.trial.errors import MissingError
from fwpages.trial.kernels import Debian, debian
from fwpages.trial.plan import rows
from fwpages.trial.qemu import qemu
from fwpages.trial.report import ReportedRow, TrialReport, read_report
from fwpages.trial.seen import Outcome, Stage
from fwpages.trial.standing import StandingKind
from tests.smoke.baselines import chosen
from tests.vm.conftest import not_there


@dataclass(frozen=True)
class Smoke:
    """The campaign that was played: its exit code, its report, its folder."""

    code: int
    report: TrialReport
    folder: Path

    def row(self, fault: str) -> ReportedRow:
        (found,) = [r for r in self.report.rows if r.name.startswith(f"{fault},")]
        return found


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """The set, played once, as many machines at a time as there are processors."""
    folder = tmp_path_factory.mktemp("smoke")
    try:
        qemu()
        release = debian(Debian.NEW, folder).name
    except MissingError as e:
        not_there(e)
    known, said = chosen(release)
    if said:
        warnings.warn(said, stacklevel=1)
    code = invoke(["trial", "--smoke", "--debian", Debian.NEW, "--baseline", str(known), "-o", str(folder / "out")])
    return Smoke(code, read_report(folder / "out" / "report.json"), folder / "out")


def worse(row: ReportedRow) -> bool:
    """The row makes the exit code 1."""
    return row.standing in (StandingKind.WORSE.value, StandingKind.EFFECT.value)


def may_be_chance(row: ReportedRow) -> bool:
    """A play of it shows what the baseline has, or better: three plays do not tell a worse driver from a race."""
    order = [e.value for e in Effect]
    return row.known != "" and any(p.effect and order.index(p.effect) <= order.index(row.known) for p in row.plays)


def test_no_row_is_worse_than_the_baseline(smoke: Smoke) -> None:
    """By the exit code; a row that is worse in some of its plays alone is said."""
    assert len(smoke.report.rows) == len(rows(smoke=True))
    found = [row for row in smoke.report.rows if worse(row)]
    certain = [(row.name, row.effect, row.title, row.known) for row in found if not may_be_chance(row)]
    assert not certain, smoke.report.summary
    for row in found:
        warnings.warn(f"{row.name}: worse in some plays: {[p.title for p in row.plays]}", stacklevel=1)
    assert smoke.code == 0 or (smoke.code == 1 and found), smoke.report.summary


def test_a_row_can_be_looked_into_and_played_again(smoke: Smoke) -> None:
    for row in smoke.report.rows:
        play = smoke.folder / row.folder / "play-1"
        assert "Linux version " in (play / "kernel.log").read_text("utf-8"), row.name
        assert (play / "trace.jsonl").stat().st_size > 0, row.name
        subprocess.run(["sh", "-n", str(smoke.folder / row.folder / "repro.sh")], check=True)


def test_memory_that_is_overwritten_is_told_with_the_function_that_did_it(smoke: Smoke) -> None:
    row = smoke.row("pages-negative@boot")
    if row.effect == Effect.CORRUPTED.value:  # a driver that is better has no stack to show
        assert "give_pages+0x" in (smoke.folder / row.folder / "play-1" / "stacks.txt").read_text("utf-8")


def test_a_give_that_is_not_answered_shows_memory_let_go_and_an_unload_that_hangs(smoke: Smoke) -> None:
    row = smoke.row("give-unanswered-done@runtime")
    if row.effect != Effect.HUNG.value:
        return  # a driver that is better
    assert {e.effect for e in row.effects} >= {Effect.LET_GO.value, Effect.HUNG.value}
    found = {stage.stage: stage.outcome for stage in row.plays[0].stages}
    assert found[Stage.LOAD.value] == found[Stage.REQUESTS.value] == Outcome.DONE.value
    assert found[Stage.UNLOAD.value] == Outcome.NOT_ENDED.value
    assert found[Stage.LOAD_AGAIN.value] == found[Stage.UNLOAD_AGAIN.value] == Outcome.NOT_REACHED.value
    assert "sysrq: Show Blocked State" in (smoke.folder / row.folder / "play-1" / "kernel.log").read_text("utf-8")
