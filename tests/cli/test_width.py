from __future__ import annotations

import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from fwpages import cli
from fwpages.cli.list import _LISTS
from fwpages.report.width import fold


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
