"""``fwpages trial`` on an unmodified Linux: what it must find there, and that a driver without a fault is green."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec
import pytest

from fwpages.cli import invoke
from fwpages.prm.identity import Mode
from fwpages.trial.baseline import Baseline, BaselineRow
from fwpages.trial.effects import Effect
from fwpages.trial.kernel import Kernel
from fwpages.trial.plan import PLAN, Entry
from fwpages.trial.replay import ReplayedPath, Way
from fwpages.trial.report import read_report
from fwpages.trial.rows import Supplier


def baseline(file: Path, fault: str, effect: Effect) -> Path:
    """A baseline with this row: one that shows this effect is played once."""
    row = BaselineRow(fault=fault, mode=Mode.VHCA_ID, supplier=Supplier.PF, effect=effect, title=effect.value)
    file.write_bytes(msgspec.json.encode(Baseline(kernel="7.2", rows=[row])))
    return file


@pytest.mark.parametrize(
    ("fault", "worst", "shown"),
    [
        ("none", Effect.NONE, set()),
        ("give-unanswered-done@runtime", Effect.HUNG, {Effect.LET_GO}),
        ("release-all-crossing@runtime", Effect.LET_GO, {Effect.LET_GO}),
        ("pages-negative@boot", Effect.CORRUPTED, {Effect.CORRUPTED}),
    ],
)
def test_linux_does_what_is_known_of_it(
    new: Kernel, tmp_path: Path, fault: str, worst: Effect, shown: set[Effect]
) -> None:
    out, known = tmp_path / "out", baseline(tmp_path / "known.json", fault, worst)
    code = invoke(
        ["trial", "--fault", f"{fault}, vhca_id, pf", "--baseline", str(known), "--jobs", "1", "-o", str(out)]
    )
    (row,) = read_report(out / "report.json").rows
    assert (row.effect, code) == (worst.value, 0), row
    assert {effect.value for effect in shown} <= {e.effect for e in row.effects}
    assert len(row.plays) == 1
    play = out / row.folder / "play-1"
    assert f"Linux version {new.name}" in (play / "kernel.log").read_text("utf-8")
    assert (play / "trace.jsonl").stat().st_size > 0
    subprocess.run(["sh", "-n", str(out / row.folder / "repro.sh")], check=True)
    if worst is Effect.CORRUPTED:
        assert "give_pages+0x" in (play / "stacks.txt").read_text("utf-8")


def test_a_driver_goes_a_path_of_the_explorer(new: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Question 17 of the review, without any fault: release_all crosses a GIVE, and held pages are freed."""
    entry = PLAN["release-all-crossing"]
    assert isinstance(entry, Entry)
    out = tmp_path / "out"
    assert invoke(["trial", "--replay", entry.path, "--json", "-o", str(out)]) == 1
    result = msgspec.json.decode(capsys.readouterr().out, type=ReplayedPath)
    assert (result.way, result.effect) == (Way.SAME, Effect.LET_GO.value), result
    assert any(words.startswith("custody: ") for words in result.path_ends)
    assert f"Linux version {new.name}" in (out / "kernel.log").read_text("utf-8")
