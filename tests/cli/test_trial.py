"""``fwpages trial`` from its options to its exit code, with plays from a table; tests/vm has the machines."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from fwpages.cli import invoke
from fwpages.cli import trial as cli_trial
from fwpages.report.junit import Result
from fwpages.trial.campaign import INTERRUPTED
from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.errors import MissingError
from fwpages.trial.folders import RowResult
from fwpages.trial.played import Campaign, Play, Played
from fwpages.trial.report import read_report
from fwpages.trial.rows import Row
from fwpages.trial.standing import Known
from tests.report.junit_structure import parsed
from tests.trial.values import VERSIONS, quiet, shown, unjudged

ROW = "give-unanswered-done@runtime, vhca_id, pf"


class Plays:
    """What a row shows, by its name; the others show nothing. ``error``: raised instead; ``why`` it was interrupted."""

    def __init__(self) -> None:
        self.of: dict[str, Effect | NotJudged] = {}
        self.error: Exception | None = None
        self.why = ""

    def campaign(self, asked: object, rows: Sequence[Row], known: Known, folder: Path) -> Campaign:
        if self.error is not None:
            raise self.error
        return Campaign(tuple(self._played(row, n) for n, row in enumerate(rows, 1)), VERSIONS, 1.0, self.why)

    def _played(self, row: Row, n: int) -> Played:
        found = self.of.get(str(row), Effect.NONE)
        if isinstance(found, NotJudged):
            return Played(row, (unjudged(row, found),), f"{n:03d}")
        plays: tuple[Play, ...] = (quiet(row),) if found is Effect.NONE else (shown(row, found),) * 3
        return Played(row, plays, f"{n:03d}")


@pytest.fixture
def plays(monkeypatch: pytest.MonkeyPatch) -> Plays:
    found = Plays()
    monkeypatch.setattr(cli_trial, "_campaign", found.campaign)
    return found


def trial(*args: object) -> int:
    return invoke(["trial", "--fault", ROW, "--fault", "give-late@runtime, *", *map(str, args)])


@pytest.mark.parametrize(
    ("found", "code", "bisected"),
    [(Effect.NONE, 0, 0), (Effect.WARNED, 1, 1), (Effect.CRASHED, 1, 1), (NotJudged.NOT_BOOTED, 4, 125)],
)
def test_exit_codes_and_those_of_a_bisection(plays: Plays, found: Effect | NotJudged, code: int, bisected: int) -> None:
    plays.of[ROW] = found
    assert trial() == code
    assert trial("--bisect") == bisected


def test_a_baseline_is_written_read_and_kept_to(plays: Plays, tmp_path: Path) -> None:
    file = tmp_path / "before.json"
    plays.of[ROW] = Effect.LET_GO
    assert trial("--write-baseline", file) == 1
    assert trial("--baseline", file) == 0
    plays.of[ROW] = Effect.LEAKED
    assert trial("--baseline", file) == 0
    plays.of[ROW] = Effect.CRASHED
    assert (trial("--baseline", file), trial("--baseline", file, "--bisect")) == (1, 1)
    file.write_text("{}")
    assert (trial("--baseline", file), trial("--baseline", file, "--bisect")) == (2, 128)


def test_what_is_no_verdict_on_a_commit_skips_it_or_ends_the_bisection(
    plays: Plays, capsys: pytest.CaptureFixture[str]
) -> None:
    plays.error = MissingError("no kernel: build the tree first")
    assert (trial(), trial("--bisect")) == (2, 125)
    assert "build the tree first" in capsys.readouterr().err
    plays.error = ZeroDivisionError("a bug")
    assert (trial(), trial("--bisect")) == (3, 128)
    plays.error = None
    plays.why = INTERRUPTED
    assert trial("--bisect") == 128
    assert invoke(["trial", "--fault", "gve-late", "--bisect"]) == 128


def test_a_row_has_a_folder_that_plays_it_again(plays: Plays, tmp_path: Path) -> None:
    plays.of[ROW] = Effect.LET_GO
    out = tmp_path / "out"
    assert trial("-o", out, "--junit", tmp_path / "junit.xml", "--html", tmp_path / "page.html") == 1
    assert {p.name for p in out.iterdir()} == {"report.json", "report.txt", "report.html", "001", "002"}
    report = read_report(out / "report.json")
    (row,) = [r for r in report.rows if r.effect == Effect.LET_GO.value]
    folder = out / row.folder
    result = msgspec.json.decode((folder / "result.json").read_bytes(), type=RowResult)
    assert result.row == row
    assert (folder / "title").read_text() == f"{row.title}\n"
    assert "question 11 (GIVE time-out)" in (folder / "review.txt").read_text()
    script = folder / "repro.sh"
    assert os.access(script, os.X_OK)
    assert f"--fault '{ROW}'" in script.read_text()
    subprocess.run(["sh", "-n", str(script)], check=True)
    root = parsed((tmp_path / "junit.xml").read_bytes())
    assert len(list(root.iter(Result.FAILED.value))) == 1
    assert "<h1>Linux 7.2.13 on trial</h1>" in (tmp_path / "page.html").read_text()


def test_a_full_folder_is_refused(plays: Plays, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine").write_text("")
    assert trial("-o", tmp_path) == 2
    assert "it is not empty" in capsys.readouterr().err


def test_it_prints_text_json_or_tap(plays: Plays, capsys: pytest.CaptureFixture[str]) -> None:
    assert trial() == 0
    assert capsys.readouterr().out.endswith("2 rows: 2 no effect seen\n")
    assert trial("--json") == 0
    assert json.loads(capsys.readouterr().out)["schema"] == "trial/1"
    assert trial("--tap") == 0
    assert capsys.readouterr().out.startswith("TAP version 13\n1..2\n")
    assert trial("--tap", "--json") == 2


def test_the_rows_are_listed_with_the_faults_that_are_not_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["trial", "--list"]) == 0
    out = capsys.readouterr().out
    assert f"{ROW}  " in out
    assert "not played: input-loop: the driver writes these bytes itself" in out
    assert invoke(["trial", "--list", "--fault", "take-*@teardown, vhca_id, pf", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert len(rows) > 5
    assert all(r["name"].startswith("take-") for r in rows)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--fault", "gve-late"], "give-late"),
        (["--modules", "."], "--modules goes with --kernel IMAGE"),
        (["--kernel", "/dev/null"], "--kernel IMAGE needs --modules DIR"),
        (["--kernel", "/dev/null", "--modules", "."], "/dev/null is no bzImage of Linux for x86"),
        (["--kernel", "."], "has no arch/x86/boot/bzImage"),
        (["--kernel", ".", "--debian", "new"], "--kernel and --debian exclude each other"),
        (["--debian", "nwe"], "did you mean new?"),
    ],
)
def test_misuse_says_what_to_do(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["trial", *args]) == 2
    assert words in capsys.readouterr().err
