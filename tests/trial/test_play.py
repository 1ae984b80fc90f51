"""Plays that end before a kernel runs: each is a value that says why, and no exception."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from fwpages.trial.accelerators import fastest
from fwpages.trial.effects import NotJudged
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
    assert "there is no such machine" in seen.why
    assert seen.served is not None
    assert seen.served.sessions == []


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
