"""Following a log that grows: what stands so far, rotation, pipes, and the same report at the end as of the whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fwpages.auditor.audit import InputError, audit
from fwpages.auditor.following import follow
from fwpages.custody.accounts import Report
from tests.auditor.logs import DMESG, dmesg

LINES = [line + "\n" for line in dmesg()]
CODE = "import sys; from fwpages.cli import main; main()"


class Writer:
    """Stands for the daemon: each time that the reader waits, it does the next thing; after the last, the end."""

    def __init__(self, *deeds: Callable[[], object]) -> None:
        self.deeds = list(deeds)
        self.waited = 0

    def __call__(self, fd: int | None) -> bool:
        self.waited += 1
        if not self.deeds:
            return False
        self.deeds.pop(0)()
        return True


def append(path: Path, lines: list[str]) -> Callable[[], object]:
    def deed() -> None:
        with path.open("a") as f:
            f.writelines(lines)

    return deed


def without_places(report: Report) -> list[object]:
    return [msgspec.to_builtins(msgspec.structs.replace(s, first={}, last={})) for s in report.sessions]


@pytest.mark.parametrize("cut", [1, 200, 3000])
def test_the_report_at_the_end_is_that_of_the_whole_log(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log"
    path.write_text("".join(LINES[:cut]))
    half = LINES[cut][:20], LINES[cut][20:]
    writer = Writer(append(path, [half[0]]), append(path, [half[1], *LINES[cut + 1 :]]))
    assert without_places(follow(str(path), writer)) == without_places(audit(DMESG))


def test_what_stands_so_far_is_shown_each_time_that_all_is_read(tmp_path: Path) -> None:
    """Showing it changes nothing: the session goes on."""
    path = tmp_path / "log"
    path.write_text("".join(LINES[:3000]))
    shown: list[Report] = []
    clock = iter(n // 2 * 10.0 for n in range(1000)).__next__
    report = follow(str(path), Writer(append(path, LINES[3000:])), shown.append, clock=clock)
    assert [r.sessions[0].end for r in shown][:1] == ["open"]
    assert shown[-1].sessions[0].end == report.sessions[0].end == "closed"
    assert without_places(report) == without_places(audit(DMESG))


def test_accounts_are_made_no_more_often_than_they_are_worth(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(LINES[:100]))
    shown: list[Report] = []
    follow(str(path), Writer(*[append(path, [line]) for line in LINES[100:150]]), shown.append, clock=lambda: 5.0)
    assert len(shown) == 1


def test_nothing_is_shown_again_while_nothing_comes(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(LINES[:100]))
    shown: list[Report] = []
    clock = iter(range(0, 10_000, 10)).__next__
    follow(str(path), Writer(*[lambda: None] * 20, append(path, LINES[100:110])), shown.append, clock=clock)
    assert len(shown) == 2


def test_a_log_that_is_rotated_is_read_to_its_end_and_then_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(LINES[:1000]))

    def rotate() -> None:
        append(path, LINES[1000:2000])()
        path.rename(tmp_path / "log.1")

    report = follow(str(path), Writer(rotate, append(path, LINES[2000:])))
    assert without_places(report) == without_places(audit(DMESG))


def test_a_log_that_is_cut_to_nothing_is_read_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(LINES[:4000]))
    writer = Writer(lambda: path.write_text("".join(LINES[4000:])))
    assert without_places(follow(str(path), writer)) == without_places(audit(DMESG))


def test_an_empty_log_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    assert follow(str(path), Writer(append(path, LINES))).verdict == "clean"
    path.write_text("")
    with pytest.raises(InputError, match="is empty"):
        follow(str(path), Writer())


@pytest.mark.parametrize(("name", "words"), [("none", "cannot be read"), ("", "is a directory")])
def test_what_cannot_be_read_is_misuse(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        follow(str(tmp_path / name), Writer())


def test_what_is_packed_is_misuse() -> None:
    with pytest.raises(InputError, match="packed with gzip"):
        follow(str(DMESG), Writer())


def started(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, "audit", "--follow", *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "80"},
    )


def test_a_pipe_ends_with_its_writer() -> None:
    out, err = started("-").communicate("".join(LINES), timeout=60)
    assert (err, "vhca_id mode, closed: clean" in out) == ("", True)


def wait_until_read(pid: int, path: Path) -> None:
    """Wait until a process has a file open and has come to its end; AssertionError after a minute."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                position = Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text().split()[1]
                if fd.readlink() == path and int(position) == path.stat().st_size:
                    return
        time.sleep(0.05)
    raise AssertionError(f"{pid} has not read {path}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_the_report_and_the_exit_code_of_an_audit(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "log"
    path.write_text("".join(LINES[:4000]))
    with started(str(path)) as p:
        wait_until_read(p.pid, path)
        assert p.poll() is None, p.communicate()
        p.send_signal(number)
        out, err = p.communicate(timeout=60)
    assert (p.returncode, err) == (0, "")
    assert "open: consistent so far" in out
