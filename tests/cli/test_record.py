"""``fwpages record``: machines that allow no record, what is written to tracefs, and what killed records left there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fwpages.cli import invoke
from fwpages.machine.calls.probes import MACHINES

TRACEFS = "sys/kernel/tracing"
SYMBOLS = ("cmd_exec", "mlx5_cmd_check", "mlx5_cmd_comp_handler", "req_pages_handler", "free_4k", "pages_work_handler")

pytestmark = pytest.mark.skipif(os.uname().machine not in MACHINES, reason="a record is made on these machines alone")


def write(root: Path, path: str, text: str = "") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree with a tracefs in which no kernel is: nothing appears in an instance."""
    write(tmp_path, f"{TRACEFS}/kprobe_events")
    (tmp_path / TRACEFS / "instances").mkdir()
    (tmp_path / TRACEFS / "events").mkdir()
    return tmp_path


def loaded(root: Path, *symbols: str) -> None:
    """The driver is loaded, with these symbols."""
    write(root, "sys/module/mlx5_core/initstate", "live\n")
    rows = [f"0000000000000000 t {symbol}\t[mlx5_core]\n" for symbol in symbols]
    write(root, "proc/kallsyms", "0000000000000000 T cmd_exec\n" + "".join(rows))


def refused(capsys: pytest.CaptureFixture[str], root: Path, *options: str) -> str:
    assert invoke(["record", "--root", str(root), *options]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    return err


def definitions(root: Path) -> list[list[str]]:
    """The events that were defined: words of a line each."""
    return [row.split() for row in (root / TRACEFS / "kprobe_events").read_text().splitlines()]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"proc/filesystems": "nodev\tproc\n"}, "CONFIG_TRACING"),
        ({"proc/filesystems": "nodev\ttracefs\n"}, "mount -t tracefs"),
        ({f"{TRACEFS}/events/header_page": ""}, "CONFIG_KPROBE_EVENTS"),
    ],
)
def test_a_kernel_that_allows_no_record_is_told_what_it_lacks(
    files: dict[str, str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, text in files.items():
        write(tmp_path, path, text)
    assert words in refused(capsys, tmp_path)


def test_a_kernel_that_refuses_is_left_without_an_instance(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """This one has no file in the instance."""
    assert "trace_clock" in refused(capsys, root)
    assert os.listdir(root / TRACEFS / "instances") == []


def test_events_are_in_a_group_of_this_process_and_at_the_driver(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether it is loaded or not: an event at a module waits for it."""
    refused(capsys, root)
    rows = definitions(root)
    assert all(f":fwpages_{os.getpid()}/fwpages_{os.getpid()}_" in words[0] for words in rows)
    assert {words[1] for words in rows} == {
        "mlx5_core:cmd_exec",
        "mlx5_core:req_pages_handler",
        "mlx5_core:pages_work_handler",
        "mlx5_core:mlx5_cmd_comp_handler",
    }


def test_a_function_that_the_compiler_made_anew_is_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its ending; parts of a function are not it."""
    loaded(root, *SYMBOLS[1:], "cmd_exec.constprop.0", "cmd_exec.cold", "cmd_exec.part.0")
    refused(capsys, root)
    assert definitions(root)[0][1] == "mlx5_core:cmd_exec.constprop.0"


@pytest.mark.parametrize(
    ("symbols", "words"),
    [
        ([s for s in SYMBOLS if s != "req_pages_handler"], "no function req_pages_handler"),
        ([*SYMBOLS, "cmd_exec.isra.0"], "2 functions cmd_exec"),
    ],
)
def test_a_driver_without_a_function_is_not_recorded(
    symbols: list[str], words: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded(root, *symbols)
    assert words in refused(capsys, root)
    assert os.listdir(root / TRACEFS / "instances") == []


def test_cleanup_removes_what_gone_records_left_and_no_more(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An instance and a group are a record's by their names alone, and a process of that number may not exist."""
    (root / "proc/12").mkdir(parents=True)
    for name in ("fwpages_11", "fwpages_12", "fwpages_x", "fwpages_13x", "others"):
        (root / TRACEFS / "instances" / name).mkdir()
        (root / TRACEFS / "events" / name / f"{name}_command").mkdir(parents=True)
        write(root, f"{TRACEFS}/events/{name}/enable")
    events = write(root, f"{TRACEFS}/kprobe_events", "p:others/x do_exit\n")
    assert invoke(["doctor", "--root", str(root)]) == 4
    assert "events of fwpages record: fwpages_11" in capsys.readouterr().out
    assert invoke(["record", "--cleanup", "--root", str(root)]) == 0
    assert capsys.readouterr().out == "removed fwpages_11\n"
    left = ["fwpages_12", "fwpages_13x", "fwpages_x", "others"]
    assert sorted(os.listdir(root / TRACEFS / "instances")) == left
    assert events.read_text() == "p:others/x do_exit\n-:fwpages_11/fwpages_11_command\n"


def test_what_cannot_be_removed_is_not_known(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody reads it: the kernel refuses, and the events stay too."""
    write(root, f"{TRACEFS}/instances/fwpages_11/in_use")
    (root / TRACEFS / "events/fwpages_11/fwpages_11_command").mkdir(parents=True)
    assert "fwpages_11" in refused(capsys, root, "--cleanup")
    assert definitions(root) == []


def test_a_tracefs_that_cannot_be_read_is_not_said_to_have_no_leftovers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "proc/filesystems", "nodev\ttracefs\n")
    assert "mount -t tracefs" in refused(capsys, tmp_path, "--cleanup")


def test_a_machine_without_leftovers_says_so(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["record", "--cleanup", "--root", str(root)]) == 0
    assert capsys.readouterr().out == "nothing is left of a record\n"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--cleanup", "--seconds", "1"], "--cleanup"),
        (["--root", "/nowhere"], "--root"),
        (["-o", "/nowhere/record.jsonl"], "--output /nowhere/record.jsonl"),
        (["--seconds", "0"], "--seconds"),
    ],
)
def test_options_that_cannot_be_used_are_misuse(
    options: list[str], words: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["record", "--root", str(root), *options]) == 2
    assert words in capsys.readouterr().err
