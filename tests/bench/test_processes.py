"""Rounds in processes of their own: what is started, and what is made of how it ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fwpages.bench.processes import bare_import, memory, program_help
from fwpages.bench.shape import Round, Shape

ROUNDS = pytest.mark.parametrize("run", [program_help, bare_import, memory])


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the interpreter's place: it writes its arguments down, and does what the file ``then`` says."""
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/args\n. {tmp_path}/then\n')
    program.chmod(0o755)
    (tmp_path / "then").write_text("echo 4096\n")
    monkeypatch.setattr(sys, "executable", str(program))
    return tmp_path


@ROUNDS
def test_a_process_that_fails_is_an_error_and_no_figure(instead: Path, run: Callable[[Shape], Round]) -> None:
    (instead / "then").write_text("echo 4096; exit 3\n")
    with pytest.raises(subprocess.CalledProcessError) as e:
        run(Shape(10, 10))
    assert e.value.returncode == 3


@pytest.mark.parametrize(("run", "part"), [(program_help, "help"), (bare_import, "import")])
def test_what_a_process_says_is_not_ours_to_say(
    instead: Path, capfd: pytest.CaptureFixture[str], run: Callable[[Shape], Round], part: str
) -> None:
    (instead / "then").write_text("echo loud; sleep 0.02\n")
    figures = run(Shape(0))
    assert capfd.readouterr() == ("", "")
    assert [*figures] == [part]
    assert 0.02 <= figures[part] < 30


def test_help_is_the_whole_program_s(instead: Path) -> None:
    program_help(Shape(0))
    assert (instead / "args").read_text().splitlines() == ["-c", "from fwpages.cli import main; main()", "--help"]


def test_bytes_are_what_the_process_says_of_so_many_pages_in_such_commands(instead: Path) -> None:
    assert memory(Shape(123, 45)) == {"memory": 4096.0}
    assert (instead / "args").read_text().splitlines()[-2:] == ["123", "45"]


def test_a_process_that_says_no_number_is_an_error(instead: Path) -> None:
    (instead / "then").write_text("echo plenty\n")
    with pytest.raises(ValueError, match="plenty"):
        memory(Shape(1, 1))
