"""What the kernel reports of itself in its log, with the lines of its source where its tree can tell them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

#: the first line of a report of the kernel's own
_BEGIN = re.compile(
    r"BUG: |BUG kmalloc|BUG [\w-]+ \(|WARNING: |Oops: |INFO: |Kernel panic|kernel BUG at|UBSAN: "
    r"|DMA-API: .*(?:error|leak)|general protection fault|double fault|stack segment|unreferenced object"
)
#: the last line of one
_END = re.compile(r"---\[ end ")
#: lines of one report, whose end may not come: a report with every register and two stacks has some hundred
MOST_LINES = 200
#: lines of all reports of a play: a warning may come with each page
MOST_ALL = 2000
#: seconds that the tree's script may take: it starts programs for each frame
PATIENCE = 300


@dataclass(frozen=True, slots=True)
class Stacks:
    """The kernel's reports, ``text`` ("": there are none); ``raw`` says why their frames have no lines of source."""

    text: str
    raw: str = ""


def reports(console: str) -> str:
    """The kernel's reports in its log: from the first line of each to its end, or as many lines as a report has."""
    kept: list[str] = []
    left = 0
    for line in console.splitlines():
        if _BEGIN.search(line):
            left = MOST_LINES
        if left:
            kept.append(line)
            left = 0 if _END.search(line) else left - 1
        if len(kept) >= MOST_ALL:
            kept.append(f"… more than {MOST_ALL} lines; the kernel's log has all")
            break
    return "".join(f"{line}\n" for line in kept)


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
        )
    except subprocess.TimeoutExpired:
        return Stacks(raw, f"{script} did not end within {PATIENCE} s")
    except OSError as e:
        return Stacks(raw, f"{script}: {e.strerror}")
    if done.returncode or not done.stdout:
        return Stacks(raw, f"{script} ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return Stacks(done.stdout)
