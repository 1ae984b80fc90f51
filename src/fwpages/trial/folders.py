"""The folder of a row: all that somebody needs who wants to see the same again, or to report it.

``title`` is a line as a kernel's report has it, ``repro.sh`` plays the row again, ``result.json`` is the row's part of
the report with the versions. Each play has a folder of its own below: the kernel's log, its reports with the lines of
the source where the tree can tell them, and the trace of the device.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from fwpages.trial.report import ReportedRow, ReportedVersions, TrialReport, question_words
from fwpages.trial.seen import Seen
from fwpages.trial.stacks import stacks

#: the kernel's log as the verdict read it, and the kernel's reports in it
CONSOLE, STACKS = "kernel.log", "stacks.txt"
#: where a bug of ours happened
BUG = "bug.txt"


class RowResult(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """``result.json``: a row with the versions and the instruments under which it was played."""

    schema_: str = "trial-row/1"
    versions: ReportedVersions
    instruments: dict[str, bool | None]
    row: ReportedRow


def write_play(folder: Path, seen: Seen, tree: Path | None) -> None:
    """Write what a play showed of the kernel; its device has written the trace."""
    lost = f"[{seen.lost} bytes are left out in the middle]\n" if seen.lost else ""
    (folder / CONSOLE).write_text(lost + seen.console, "utf-8", "replace")
    found = stacks(seen.console, tree)
    if found.text:
        why = f"Without the lines of the source: {found.raw}.\n\n" if found.raw else ""
        (folder / STACKS).write_text(why + found.text, "utf-8", "replace")
    if seen.served is not None:
        (folder / "served.json").write_bytes(msgspec.json.format(msgspec.json.encode(seen.served)))


def write_row(folder: Path, report: TrialReport, row: ReportedRow, again: str) -> None:
    """Write the files of a row of this report; ``again`` is the program that plays it again. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)  # a row that was not played has none
    (folder / "title").write_text(f"{row.title}\n", "utf-8")
    result = RowResult(versions=report.versions, instruments=report.instruments, row=row)
    (folder / "result.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    (folder / "versions.txt").write_text(_versions(report.versions), "utf-8")
    if row.questions or row.path:
        words = [*question_words(row.questions), *([f"path: {row.path}"] if row.path else [])]
        (folder / "review.txt").write_text("".join(f"{w}\n" for w in words), "utf-8")
    script = folder / "repro.sh"
    script.write_text(again, "utf-8")
    script.chmod(0o755)


def _versions(v: ReportedVersions) -> str:
    known = {
        "Linux": v.kernel,
        "commit": v.commit,
        "config": v.config,
        "compiler": v.compiler,
        "QEMU": v.qemu,
        "fwpages": v.fwpages,
    }
    return "".join(f"{name}: {value or 'not known'}\n" for name, value in known.items())


def repro(row: ReportedRow, command: Sequence[str], environment: Mapping[str, str]) -> str:
    """A shell script that plays this row again: ``command`` under ``environment``, and a folder for what it writes."""
    settings = [f"{name}={shlex.quote(value)}" for name, value in environment.items()]
    return "\n".join(
        [
            "#!/bin/sh",
            f"# {' '.join(row.title.split())}",
            f"# {row.name}: one row of a trial. An argument is the folder for its files; without one none are kept.",
            " ".join(["exec", *(["env", *settings] if settings else []), shlex.join(command), '${1:+-o "$1"}']),
            "",
        ]
    )
