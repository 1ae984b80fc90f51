from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from fwpages import cli
from fwpages.cli.list import _LISTS
from fwpages.report.width import fold
from fwpages.scenario import names


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize("what", list(_LISTS))
def test_a_list_fits_into_80_columns_and_no_word_is_cut(
    what: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.invoke(["list", what]) == 0
    whole = capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.invoke(["list", what]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert out.split() == whole.split()


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(
    "args", [["run", "x"], ["list", "x"], ["explore", "x"], ["run", "--fault", "x"], ["review", "x"]]
)
def test_an_error_fits_into_80_columns(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(args) == 2
    assert max(map(len, capsys.readouterr().err.splitlines())) <= 80


@pytest.mark.usefixtures("narrow")
def test_the_lines_below_the_tables_of_a_run_fit_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["run", "connectx7", "--fault", "give-late"]) in (0, 1)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def _tables(out: str) -> list[str]:
    """The lines of tables: those from a heading with ``given`` to the next empty line, and rules."""
    found: list[str] = []
    inside = False
    for line in out.splitlines():
        inside = (inside or " given " in line or line.endswith(" MiB")) and bool(line.strip())
        if inside:
            found.append(line)
    return found


@pytest.mark.many_runs
@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("scenario", names())
def test_everything_that_a_run_and_the_audit_of_its_trace_print_fits_into_80_columns(
    scenario: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for faults in ([], ["--fault", "take-short"]):
        assert cli.invoke(["run", scenario, "--trace", "t.jsonl", *faults]) in (0, 1, 4)
        assert cli.invoke(["audit", "t.jsonl"]) in (0, 1, 4)
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80, max(lines, key=len)


def test_in_a_pipe_every_table_is_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 columns it is printed in parts that have the same cells, and the functions' names in each."""
    args = ["run", "connectx7", "--fault", "take-short"]
    assert cli.invoke(args) == 1
    whole = _tables(capsys.readouterr().out)
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.invoke(args) == 1
    parts = _tables(capsys.readouterr().out)
    assert max(map(len, whole)) > 80
    assert max(map(len, parts)) <= 60
    assert {cell for line in whole for cell in line.split()} - {"─" * n for n in range(200)} <= {
        cell for line in parts for cell in line.split()
    }
    assert sum("vhca:0x2a" in line for line in parts) > sum("vhca:0x2a" in line for line in whole)


GOLDEN_RUN = """\
connectx7  vhca_id mode, closed: clean
  function      name  type   given  returned  released  held  MiB    peak   MiB
  ─────────────────────────────────────────────────────────────────────────────
  vhca:0x2a           PF    16,237    16,237         0     0    0  16,237  63.4
  vhca:0x31     vf0   VF     8,192     8,192         0     0    0   8,192    32
  vhca:0x32     vf1   VF     4,096     2,048     2,048     0    0   2,048     8
  vhca:0x90     sf0   SF       512       512         0     0    0     512     2
  vhca:0x91     sf1   SF       812       812         0     0    0     812  3.17
  vhca:0x90 #2  sf0   SF       512       512         0     0    0     512     2

  total                     30,361    28,313     2,048     0    0  27,801   109

  by type   given  returned  released  held  MiB    peak   MiB
  ────────────────────────────────────────────────────────────
  PF       16,237    16,237         0     0    0  16,237  63.4
  VF       12,288    10,240     2,048     0    0  10,240    40
  SF        1,836     1,836         0     0    0   1,324  5.17

"""


@pytest.mark.parametrize("columns", ["80", ""])
def test_a_run_looks_so(columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert cli.invoke(["run"]) == 0
    out = "".join(line.rstrip() + "\n" for line in capsys.readouterr().out.splitlines())
    assert out.startswith(GOLDEN_RUN)
    last = "clean: 1 session, 57 commands, 30,361 pages (119 MiB) given, every one accounted for"
    assert " ".join(out.removeprefix(GOLDEN_RUN).split()) == last


def test_a_word_that_is_longer_than_the_line_stays_whole() -> None:
    assert fold("see " + "x" * 30, 25, 2) == "see\n  " + "x" * 30


@pytest.mark.parametrize(
    ("args", "wrong", "near"),
    [
        (["list"], "finding", "findings"),
        (["run"], "conectx7", "connectx7"),
        (["explore"], "give-timeot", "give-timeout"),
        (["explore", "counts", "--design"], "postd", "posted"),
        (["review"], "locks", "lock"),
        (["explain", "00", "--opcode"], "MANAGE_PAGE", "MANAGE_PAGES"),
        (["run", "--fault"], "give-lat", "give-late"),
        (["bench", "--case"], "wires", "wire"),
        (["explain"], "MANAGE_PAGE", "MANAGE_PAGES"),
        (["run", "--mode"], "vhca", "vhca_id"),
        (["run", "--link"], "que", "queue"),
        (["review", "--format"], "tabel", "table"),
        (["audit", "x", "--sort"], "hel", "held"),
        (["audit", "x", "--fail-on"], "finding", "findings"),
    ],
)
def test_a_wrong_name_is_answered_with_at_most_three_near_it(
    args: list[str], wrong: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.invoke([*args, wrong]) == 2
    hint = " ".join(capsys.readouterr().err.split()).partition("did you mean ")[2]
    assert near in hint
    assert 1 <= len(hint.replace(" or ", ", ").split(", ")) <= 3


@pytest.mark.parametrize(
    ("args", "begun", "whole"),
    [
        (["list"], "find", "findings"),
        (["run"], "connectx7", "connectx7"),
        (["serve"], "connectx7", "connectx7"),
        (["explore"], "give", "give-timeout"),
        (["explore", "counts", "--bound"], "fau", "faults="),
        (["review"], "lo", "lock"),
        (["explain", "--opcode"], "MANAGE", "MANAGE_PAGES"),
        (["run", "--fault"], "give", "give-late"),
        (["bench", "--case"], "wire", "wire"),
        (["explain"], "MANAGE", "MANAGE_PAGES"),
        (["audit", "x", "--fail-on"], "not", "not-known"),
        (["audit", "x", "--sort"], "h", "held"),
        (["run", "--mode"], "v", "vhca_id"),
    ],
)
def test_a_shell_completes_names(args: list[str], begun: str, whole: str) -> None:
    found = ShellComplete(cli.cli, {}, "fwpages", "_FWPAGES_COMPLETE").get_completions(args, begun)
    assert whole in [item.value for item in found]


@pytest.mark.parametrize("command", ["audit", "run", "serve", "explore", "import-profile"])
def test_a_shell_completes_files(command: str) -> None:
    found = ShellComplete(cli.cli, {}, "fwpages", "_FWPAGES_COMPLETE").get_completions([command], "logs/")
    assert "file" in [item.type for item in found]


def test_the_package_runs_as_a_module_and_says_its_version() -> None:
    import fwpages  # noqa: PLC0415

    done = subprocess.run([sys.executable, "-m", "fwpages", "-V"], capture_output=True, text=True, check=True)
    assert done.stdout == f"fwpages {fwpages.__version__}\n"


@pytest.mark.usefixtures("narrow")
def test_a_command_in_an_error_is_a_line_that_can_be_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a-name-that-is-long-enough-to-make-a-line-wider-than-eighty-columns.log"
    line = "{}: [  1.0] mlx5_core 0000:03:00.0: firmware version: 22.41.1000\n"
    path.write_text("".join(line.format(node) for node in ("node-a", "node-b") * 3))
    assert cli.invoke(["audit", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert f"    grep '^node-a:' {path} | fwpages audit -" in lines
