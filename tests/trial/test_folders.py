"""The files of a row: the kernel's reports with lines of the source where the tree tells them, the versions."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fwpages.trial.folders import write_play
from fwpages.trial.rows import Row
from fwpages.trial.seen import Halt, Instruments, Seen
from fwpages.trial.stacks import stacks
from fwpages.trial.versions import commit_of, compiler_of, versions
from tests.trial.made import log

BANNER = (
    "[    0.000000] Linux version 7.2.13+deb14-amd64 (debian-kernel@lists.debian.org) (x86_64-linux-gnu-gcc-16 "
    "(Debian 16.2.0-4) 16.2.0, GNU ld (GNU Binutils for Debian) 2.47.50.20261021) #1 SMP PREEMPT_DYNAMIC\n"
)


def tree(folder: Path, script: str) -> Path:
    """A kernel tree as far as a stack needs it."""
    (folder / "scripts").mkdir(parents=True)
    (folder / "vmlinux").write_text("")
    (folder / "scripts" / "decode_stacktrace.sh").write_text(script)
    return folder


def test_without_a_tree_the_raw_frames_are_kept_with_the_reason(tmp_path: Path) -> None:
    found = stacks(log("slub-redzone"), None)
    assert "give_pages+0x" in found.text
    assert "--kernel TREE" in found.raw
    assert "vmlinux is not there" in stacks(log("slub-redzone"), tmp_path).raw
    assert stacks("[    1.0] all is well\n", None).text == ""


def test_a_tree_s_script_gets_the_reports_and_its_words_are_kept(tmp_path: Path) -> None:
    made = tree(tmp_path / "linux", 'echo "$1" "$2" "$3"; sed "s/+0x[0-9a-f]*\\/0x[0-9a-f]*/ (pagealloc.c:1)/"\n')
    found = stacks(log("slub-redzone"), made)
    assert found.raw == ""
    assert found.text.startswith(f"{made}/vmlinux auto {made}\n")
    assert "give_pages (pagealloc.c:1)" in found.text
    failing = tree(tmp_path / "other", "echo no nm here >&2; exit 2\n")
    assert "ended with 2: no nm here" in stacks(log("slub-redzone"), failing).raw


def test_a_play_s_folder_has_the_log_and_says_what_it_lacks(tmp_path: Path) -> None:
    seen = Seen(Row(None), (), (), log("slub-redzone"), 77, None, Halt.OFF, "7.2.13", Instruments())
    (tmp_path / "tcg").mkdir()
    write_play(tmp_path, seen, None)
    assert (tmp_path / "kernel.log").read_text().startswith("[77 bytes are left out in the middle]\n")
    assert (tmp_path / "stacks.txt").read_text().startswith("Without the lines of the source: there is no kernel tree")


def test_a_kernel_says_its_version_and_its_compiler() -> None:
    version, compiler = compiler_of(BANNER)
    assert version == "7.2.13+deb14-amd64"
    assert compiler.startswith("x86_64-linux-gnu-gcc-16 (Debian 16.2.0-4) 16.2.0, GNU ld")
    assert compiler_of("no banner") == ("", "")


def test_a_tree_says_its_commit_and_whether_it_has_changes(tmp_path: Path) -> None:
    git = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e"]
    subprocess.run([*git, "init", "-q"], check=True)
    (tmp_path / "Makefile").write_text("a")
    subprocess.run([*git, "add", "Makefile"], check=True)
    subprocess.run([*git, "commit", "-qm", "first"], check=True)
    commit = commit_of(tmp_path)
    assert len(commit) == 40
    (tmp_path / "Makefile").write_text("b")
    assert commit_of(tmp_path) == f"{commit} with changes"
    assert commit_of(tmp_path / "nowhere") == ""


def test_what_is_not_known_of_versions_is_empty(tmp_path: Path) -> None:
    known = versions(tmp_path / "no-qemu", None, None)
    assert (known.qemu, known.commit, known.config) == ("", "", "")
    assert known.fwpages
