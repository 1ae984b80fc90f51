"""The reports of the kernel about itself in its log, with the lines of its source where its tree can tell them."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fwpages.trial.kernel_signs import REPORT_LINES, read_signs

#: the last line of a report
_END = "---[ end "
#: seconds that the tree's script may take: it starts programs for each frame
PATIENCE = 300


@dataclass(frozen=True, slots=True)
class Stacks:
    """The kernel's reports, ``text`` ("": there are none); ``raw`` says why their frames have no lines of source."""

    text: str
    raw: str = ""


def reports(console: str) -> str:
    """The kernel's reports in its log (``read_signs``): each to its end, or with as many lines as a report has."""
    lines = console.splitlines()
    begins = [sign.line - 1 for sign in read_signs(console)]
    kept = [_report(lines[a : min(b, a + REPORT_LINES)]) for a, b in pairwise([*begins, len(lines)])]
    return "\n\n".join(kept) + "\n" if kept else ""


def _report(lines: list[str]) -> str:
    """These lines to the mark of the kernel that ends a report, where it is there."""
    end = next((n for n, line in enumerate(lines, 1) if _END in line), len(lines))
    return "\n".join(lines[:end])


def stacks(console: str, tree: Path | None) -> Stacks:
    """The kernel's reports, decoded by the tree's ``scripts/decode_stacktrace.sh`` where it has what that needs."""
    raw = reports(console)
    if not raw:
        return Stacks("")
    if tree is None:
        return Stacks(raw, "there is no kernel tree to tell the lines of the source: --kernel TREE has one")
    vmlinux, script = tree / "vmlinux", tree / "scripts" / "decode_stacktrace.sh"
    for part in (vmlinux, script):
        if not part.exists():
            return Stacks(raw, f"{part} is not there, which tells the lines of the source")
    return _decoded(raw, tree, vmlinux, script)


def _decoded(raw: str, tree: Path, vmlinux: Path, script: Path) -> Stacks:
    # the script would ask a server for the debug information of what it does not find
    environment = {**os.environ, "DEBUGINFOD_URLS": ""}
    command = ["bash", str(script), str(vmlinux), "auto", str(tree)]
    try:
        done = subprocess.run(  # noqa: S603  # the script of the tree that was named
            command,
            input=raw,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
            cwd=tree,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return Stacks(raw, f"{script} did not end within {PATIENCE} s")
    except OSError as e:
        return Stacks(raw, f"{script}: {e.strerror}")
    if done.returncode or not done.stdout:
        return Stacks(raw, f"{script} ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return Stacks(done.stdout)
