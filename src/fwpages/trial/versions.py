"""The versions of all that takes part in a campaign: what a report of a finding has to say."""

from __future__ import annotations

import hashlib
import importlib.metadata
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fwpages.trial.played import Played, Versions

#: seconds that a program may take to say its version
PATIENCE = 20
#: the first line of a kernel's log: its version, who built it, with which compiler
_BANNER = re.compile(r"Linux version (\S+) \([^)]*\) \((.+)\) #\d")
#: characters of a digest that tell one configuration from another
_DIGITS = 12


def versions(qemu: Path | str, tree: Path | None, config: Path | None) -> Versions:
    """The versions that are known before a machine runs; ``tree`` and ``config`` are the kernel's, where there are."""
    return Versions(
        fwpages=importlib.metadata.version("fwpages"),
        qemu=_said([str(qemu), "--version"]),
        commit="" if tree is None else commit_of(tree),
        config="" if config is None else _digest(config),
    )


def commit_of(tree: Path) -> str:
    """The commit of a kernel tree, and whether it has changes that are in no commit; "" where git does not tell."""
    commit = _said(["git", "-C", str(tree), "rev-parse", "HEAD"])
    if not commit:
        return ""
    changed = _said(["git", "-C", str(tree), "status", "--porcelain", "--untracked-files=no"])
    return f"{commit} with changes" if changed else commit


def with_kernel(known: Versions, rows: Sequence[Played]) -> Versions:
    """The versions with those of the kernel that ran, as the first play that knows them tells."""
    play = next((p for row in rows for p in row.plays if p.kernel), None)
    return known if play is None else replace(known, kernel=play.kernel, compiler=play.compiler)


def compiler_of(console: str) -> tuple[str, str]:
    """The kernel's version and its compiler, by the first line of its log; "" for each that it does not tell."""
    found = _BANNER.search(console)
    return ("", "") if found is None else (found[1], found[2])


def _digest(config: Path) -> str:
    """The file's name and a digest of it: two campaigns with the same one had the same configuration."""
    try:
        return f"{config.name} sha256:{hashlib.sha256(config.read_bytes()).hexdigest()[:_DIGITS]}"
    except OSError:
        return ""


def _said(command: list[str]) -> str:
    """The first line of what a program prints, or "" where it is not there, fails or does not end."""
    try:
        done = subprocess.run(  # noqa: S603  # QEMU and git, as they were named
            command, capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""
