"""Plays that end before a kernel runs: each is a value that says why, and no exception."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

import pytest

from fwpages.trial.accelerators import fastest
from fwpages.trial.effects import NotJudged
from fwpages.trial.guest import FLOODED
from fwpages.trial.judge import judge
from fwpages.trial.kernel import Kernel
from fwpages.trial.play import play
from fwpages.trial.qemu import Accelerator
from fwpages.trial.record import MOST_CONSOLE, bounded
from fwpages.trial.rows import Row
from fwpages.trial.seen import Halt, Outcome, Seen

KERNEL = Kernel(Path("vmlinuz"), Path("initramfs"), "7.2.0")


def played(folder: Path) -> Seen:
    seen = play(Row(None), KERNEL, folder)
    assert pickle.loads(pickle.dumps(seen)) == seen
    assert {s.outcome for s in seen.stages} == {Outcome.NOT_REACHED}
    assert list(folder.glob("device*")) == [] or (folder / "device.lock").exists()
    return seen


def test_a_machine_that_does_not_start_says_what_qemu_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "qemu"
    script.write_text("#!/bin/sh\necho there is no such machine >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("FWPAGES_QEMU", str(script))
    seen = played(tmp_path / "row")
    assert (seen.stopped, seen.halt) == (NotJudged.MACHINE_DIED, Halt.DIED)
    assert seen.why == "QEMU does not start, it ended with status 1: there is no such machine"
    assert seen.served is not None
    assert seen.served.sessions == []


#: takes the serial port as QEMU does, and boots
BOOTED = """
import os, signal, socket, sys, time
port = socket.socket(socket.AF_UNIX)
port.connect("port")
with open("console.log", "w") as console:
    console.write("a line of the kernel\\n" * 100)
port.sendall(b"READY 7.2.0\\n")
"""


def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    script = tmp_path / "qemu"
    script.write_text(f"#!{sys.executable}{text}")
    script.chmod(0o755)
    monkeypatch.setenv("FWPAGES_QEMU", str(script))


def test_a_machine_that_somebody_kills_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(tmp_path, monkeypatch, BOOTED + "port.close()\ntime.sleep(0.5)\nos.kill(os.getpid(), signal.SIGKILL)\n")
    j = judge(play(Row(None), KERNEL, tmp_path / "row"))
    assert (j.effect, j.effects, j.not_judged) == (None, (), NotJudged.MACHINE_DIED)
    assert j.why == "QEMU ended with signal 9: it said nothing"


def test_a_kernel_that_prints_without_end_is_ended_and_no_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwpages.trial.guest.MOST_LOG", 1000)
    machine(tmp_path, monkeypatch, BOOTED + "time.sleep(60)\n")
    j = judge(play(Row(None), KERNEL, tmp_path / "row"))
    assert (j.effect, j.effects, j.not_judged) == (None, (), NotJudged.MACHINE_DIED)
    assert j.why == FLOODED


def test_where_no_machine_starts_by_kvm_the_processor_is_an_emulated_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "qemu"
    script.write_text("#!/bin/sh\necho failed to initialize kvm >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("FWPAGES_QEMU", str(script))
    assert fastest(KERNEL, tmp_path / "kvm") is Accelerator.TCG


def test_a_qemu_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FWPAGES_QEMU", str(tmp_path / "nothing"))
    seen = played(tmp_path / "row")
    assert seen.stopped is NotJudged.MACHINE_DIED
    assert "nothing" in seen.why


def test_a_full_disk_is_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FWPAGES_QEMU", "/bin/false")
    (tmp_path / "trace.jsonl").symlink_to("/dev/full")
    seen = played(tmp_path)
    assert (seen.stopped, seen.why) == (NotJudged.DISK_FULL, "[Errno 28] No space left on device")
    monkeypatch.setattr("fwpages.trial.play.ROOM", 1 << 60)
    seen = played(tmp_path)
    assert seen.stopped is NotJudged.DISK_FULL
    assert "MiB are free at" in seen.why


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    seen = play(Row(None), KERNEL, tmp_path / "file" / "row")
    assert seen.stopped is NotJudged.NOT_PLAYED
    assert str(tmp_path / "file") in seen.why


def test_a_long_console_keeps_its_ends(tmp_path: Path) -> None:
    assert bounded("short") == ("short", 0)
    text, lost = bounded("first" + "x" * MOST_CONSOLE + "last")
    assert (text[:5], text[-4:], lost) == ("first", "last", 9)
    assert f"[{lost} bytes left out]" in text
