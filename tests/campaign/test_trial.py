"""``fwpages trial`` on an unmodified Linux: what it must find there, and that a fault which it survives is green."""

from __future__ import annotations

import subprocess
from pathlib import Path

import msgspec

from fwpages.cli import invoke
from fwpages.prm.identity import Mode
from fwpages.trial.baseline import Baseline, BaselineRow
from fwpages.trial.effects import Effect
from fwpages.trial.report import read_report
from fwpages.trial.rows import Supplier

#: fault → what Linux 7.2 does with it, and the words of the title that say so
KNOWN = {
    "none": (Effect.NONE, "no effect seen"),
    "give-late@runtime": (Effect.NONE, "no effect seen"),
    "give-unanswered-done@runtime": (Effect.LET_GO, "memory-let-go"),
    "pages-negative@boot": (Effect.CORRUPTED, "give_pages"),
}


def baseline(file: Path) -> Path:
    """A baseline with these rows: each is played once where it is as known."""
    rows = [
        BaselineRow(fault=fault, mode=Mode.VHCA_ID, supplier=Supplier.PF, effect=effect, title=title)
        for fault, (effect, title) in KNOWN.items()
    ]
    file.write_bytes(msgspec.json.encode(Baseline(kernel="7.2", rows=rows)))
    return file


def test_linux_does_what_is_known_of_it_and_each_row_has_its_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    patterns = [word for fault in KNOWN for word in ("--fault", f"{fault}, vhca_id, pf")]
    code = invoke(["trial", *patterns, "--baseline", str(baseline(tmp_path / "known.json")), "-o", str(out)])
    report = read_report(out / "report.json")
    assert {row.fault: row.effect for row in report.rows} == {fault: e.value for fault, (e, _) in KNOWN.items()}
    assert code == 0
    assert report.versions.kernel.startswith("7.")
    for row in report.rows:
        assert KNOWN[row.fault][1] in row.title
        play = out / row.folder / "play-1"
        assert "Linux version" in (play / "kernel.log").read_text("utf-8")
        assert (play / "trace.jsonl").stat().st_size > 0
        subprocess.run(["sh", "-n", str(out / row.folder / "repro.sh")], check=True)
    stacks = (out / next(r for r in report.rows if r.fault == "pages-negative@boot").folder) / "play-1" / "stacks.txt"
    assert "give_pages+0x" in stacks.read_text("utf-8")
