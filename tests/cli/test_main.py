from __future__ import annotations

import subprocess
import sys

import pytest

from fwpages import cli


def test_help_shows_the_commands_by_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    groups = [line.rstrip(":") for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["Options", "Running machine", "Files", "Test a driver", "Drive a device", "Model", "List"]
    names = {line.split()[0] for line in lines if line.startswith("  ") and line[2] not in " -"}
    assert names >= {"audit", "explain", "import-profile", "serve", "run", "explore", "review", "list"}
    assert not names & {"bench", "decode", "profile"}


def test_a_commands_help_begins_with_its_line_of_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    for name, line in cli.COMMANDS.items():
        assert cli.invoke([name, "--help"]) == 0
        out = capsys.readouterr().out
        assert f"fwpages {name}" in out
        assert line in " ".join(out.split())


@pytest.mark.parametrize(("old", "new"), [("decode", "explain"), ("profile", "import-profile")])
def test_a_command_answers_to_the_name_that_it_had(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke([old, "--help"]) == 0
    assert f"Usage: fwpages {new} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "near"), [("rum", " Did you mean run?"), ("expl", " Did you mean expl"), ("zzz", "")]
)
def test_a_command_that_is_not_there(wrong: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke([wrong]) == 2
    assert f"There is no command '{wrong}'.{near}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "args", [["nope"], ["run", "--nope"], ["run", "a", "b"], ["list"], ["list", "nope"], ["audit"]]
)
def test_misuse_exits_2_and_says_why(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Error" in captured.err


def test_our_own_bug_exits_3_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr("fwpages.cli.list._scenarios", broken)
    monkeypatch.setitem(__import__("fwpages.cli.list", fromlist=["x"])._LISTS, "scenarios", broken)
    assert cli.invoke(["list", "scenarios"]) == 3
    err = capsys.readouterr().err
    assert "RuntimeError: broken on purpose" in err
    assert "Traceback" not in err


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -c 'from fwpages.cli import main; main()' list offences | head -1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


def test_a_bare_import_does_not_bring_numpy_in() -> None:
    code = "import sys, fwpages; assert 'numpy' not in sys.modules; fwpages.Device; assert 'numpy' in sys.modules"
    subprocess.run([sys.executable, "-c", code], timeout=60, check=True)


def test_no_attribute_of_another_name() -> None:
    import fwpages  # noqa: PLC0415

    with pytest.raises(AttributeError, match="nope"):
        fwpages.nope  # noqa: B018
