"""Standard input and output, and the files beside them, as a shell hands them over: pipes, closed, full, too long."""

from __future__ import annotations

import gzip
import io
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from fwpages import cli
from fwpages.auditor.audit import audit
from tests.conftest import GOLDEN
from tests.machine.trees import server

FWPAGES = f"{shlex.quote(sys.executable)} -c 'from fwpages.cli import main; main()'"


def test_without_the_signs_of_a_table_no_question_mark_stands_for_them(tmp_path: Path) -> None:
    """A question mark is a figure that is not known."""
    server(tmp_path)
    code, out, err = shell(f"PYTHONIOENCODING=ascii fwpages top --once --root {tmp_path}")
    assert (code, err) == (0, "")
    assert "15,237" in out
    assert "?" not in out


def shell(line: str, folder: Path | None = None) -> tuple[int, str, str]:
    """The exit code, output and errors of a line in which ``fwpages`` is the command."""
    done = subprocess.run(
        ["bash", "-c", line.replace("fwpages", FWPAGES)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("list offences", 0),
        ("list --json offences", 0),
        ("run early-give", 0),
        ("run early-give --fault teardown-refused", 1),
        ("list nothing", 2),
    ],
)
def test_a_reader_that_goes_away_changes_nothing_about_what_was_found(command: str, code: int) -> None:
    assert shell(f"fwpages {command} 2>&1 | true; exit ${{PIPESTATUS[0]}}") == (code, "", "")


def test_what_is_read_before_is_whole() -> None:
    code, out, err = shell("fwpages run early-give | head -1; exit ${PIPESTATUS[0]}")
    assert (code, out.count("\n"), err) == (0, 1, "")


@pytest.mark.parametrize("command", ["list faults", "run early-give", "--version"])
def test_closed_output_is_misuse(command: str) -> None:
    code, _, err = shell(f"fwpages {command} >&-")
    assert (code, err) == (2, "fwpages: standard output is closed: there is nowhere to print to; /dev/null would be\n")


def test_closed_errors_are_not_missed() -> None:
    code, out, _ = shell("fwpages run early-give 2>&-")
    assert (code, out.splitlines()[-1][:6]) == (0, "clean:")


@pytest.mark.parametrize(
    "args",
    [
        ["run", "-"],
        ["explore", "-"],
        ["serve", "-", "--socket", "x"],
        ["audit", "-"],
        ["explain", "-"],
        ["import-profile", "-"],
    ],
)
def test_closed_input_is_misuse(
    args: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    assert cli.invoke(args) == 2
    assert "standard input (-) is closed" in capsys.readouterr().err


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_input_that_is_no_text_is_misuse(
    errors: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """However the locale has such bytes read."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe"), "utf-8", errors))
    assert cli.invoke(["run", "-"]) == 2
    assert "standard input (-): not text in UTF-8" in capsys.readouterr().err


def run(*args: str) -> int:
    return cli.invoke(["run", "early-give", *args])


@pytest.mark.parametrize("length", [246, 251, 255])
def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path: Path, length: int) -> None:
    path = tmp_path / ("a" * length)
    assert run("--trace", str(path)) == 0
    assert audit(path).clean
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_name_that_is_too_long_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--trace", str(tmp_path / ("a" * 256))) == 2
    assert "a: File name too long" in capsys.readouterr().err


def test_a_trace_into_a_pipe_that_has_no_name(tmp_path: Path) -> None:
    code, out, err = shell("set -o pipefail; fwpages run early-give --trace /dev/stdout | tail -n +2", tmp_path)
    assert (code, err) == (0, "")
    assert '"kind":"end"' in out
    assert out.splitlines()[-1].startswith("clean:")
    assert shell("fwpages run early-give --trace >(cat > got) >&2", tmp_path)[0] == 0
    for _ in range(100):
        if (tmp_path / "got").read_text("utf-8").endswith('"kind":"end"}\n'):
            break
        time.sleep(0.05)
    assert audit(tmp_path / "got").clean
    assert [p.name for p in tmp_path.iterdir()] == ["got"]


@pytest.mark.parametrize("name", ["out", "/dev/stdout"])
def test_a_file_that_the_report_goes_to_is_refused(tmp_path: Path, name: str) -> None:
    code, _, err = shell(f"fwpages run early-give --trace {name} > out", tmp_path)
    assert (code, f"--trace {name}: standard output goes there too" in err) == (2, True)


@pytest.mark.parametrize(
    ("args", "option"),
    [
        (["run", "early-give", "--trace", "-"], "--trace"),
        (["import-profile", str(GOLDEN / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"), "-o", "-"], "--output"),
    ],
)
def test_a_file_has_a_name(
    args: list[str],
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.invoke(args) == 2
    assert f"{option} -: expected a file: standard output has what the command prints" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == []


def test_what_is_called_gz_is_packed_and_an_audit_reads_it(tmp_path: Path) -> None:
    plain, packed, again = (tmp_path / name for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.gz"))
    for path in (plain, packed, again):
        assert run("--trace", str(path)) == 0
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert packed.read_bytes() == again.read_bytes(), "neither a name nor a time is in it"
    (a,), (b,) = (audit(path).sessions for path in (plain, packed))
    assert msgspec.structs.replace(b, first=a.first, last=a.last) == a


def test_a_full_disk_is_reported_for_packed_output_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link = tmp_path / "full.gz"
    link.symlink_to("/dev/full")
    assert run("--trace", str(link)) == 2
    assert f"--trace {link}: No space left on device" in capsys.readouterr().err


def test_what_is_terminated_leaves_nothing_half_written(tmp_path: Path) -> None:
    code = "import sys; from fwpages.cli import main; main()"
    command = [sys.executable, "-c", code, "run", "connectx5-heavy", "--trace", "t.jsonl"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as p:
        for _ in range(500):
            if (tmp_path / "t.jsonl.part").exists():
                break
            time.sleep(0.01)
        os.kill(p.pid, signal.SIGTERM)
        _, err = p.communicate(timeout=30)
    assert (p.returncode, err) == (143, "")
    assert [*tmp_path.iterdir()] == []


def test_a_contradiction_in_a_file_names_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    function = '[[function]]\nname = "{}"\ntype = "vf"\nvhca_id = 3\n'
    path.write_text(
        '[device]\nprofile = "connectx7"\n[[step]]\ndo = "open"\n' + function.format("a") + function.format("b")
    )
    for args in (["run"], ["serve", "--socket", str(tmp_path / "s")], ["explore"]):
        assert cli.invoke([*args, str(path)]) == 2
        assert f"Error: {path}: function[1].vhca_id: 0x3 is taken by a" in capsys.readouterr().err
