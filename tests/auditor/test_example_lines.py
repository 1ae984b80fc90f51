"""The lines that the reference of findings shows are the kernel's, and are read as the findings beside them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from fwpages.custody.findings import Cause
from fwpages.readers.driver_messages import WORDINGS, read_message
from fwpages.readers.observations import Place
from fwpages.readers.platform_messages import read_platform
from tests.auditor.logs import audit_lines

DEVICE = "0000:3b:00.0"
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "findings.md"
_ROW = re.compile(r"^\| `([\w-]+)` \| (\w+) \| (.+) \|$", re.MULTILINE)


@cache
def table() -> dict[tuple[str, str], list[str]]:
    """The lines of each name and blame; none where the page says that there are none."""
    _, _, section = PAGE.read_text("utf-8").partition("## Lines of a log\n")
    section = section.partition("\n## ")[0]
    return {(name, blame): re.findall(r"`([^`]+)`", cell) for name, blame, cell in _ROW.findall(section)}


def whole(message: str) -> str:
    """The line with its device in front, unless it is of another part of the kernel."""
    if read_platform(Place("log", 1), message) is not None:
        return message
    function, _, words = message.rpartition(":1:(pid 1): ")
    assert read_message(Place("log", 1), DEVICE, function or None, words) is not None
    return f"mlx5_core {DEVICE}: {message}"


def found(folder: Path, *messages: str) -> set[tuple[str, str]]:
    """The findings of a log with these lines alone."""
    lines = [f"[{n + 1:5}.000000] {whole(message)}" for n, message in enumerate(messages)]
    report = audit_lines(folder, lines)
    return {(f.name, f.blame) for s in report.sessions for f in s.findings}


def test_every_finding_has_lines_or_says_that_it_has_none() -> None:
    assert set(table()) == {(c.finding.value, c.blame.value) for c in Cause}


@pytest.mark.parametrize(("name", "blame"), [key for key, lines in table().items() if lines])
def test_the_lines_beside_a_finding_show_it(name: str, blame: str, tmp_path: Path) -> None:
    lines = table()[name, blame]
    assert (name, blame) in found(tmp_path, *lines)


def test_a_finding_that_one_line_shows_has_lines_in_the_table(tmp_path: Path) -> None:
    shown = set[tuple[str, str]]()
    for w in WORDINGS:
        function = f"{w.printed_by[0]}:1:(pid 1): " if w.printed_by else ""
        shown |= found(tmp_path, function + w.example)
    assert len(shown) > 20
    assert shown <= {key for key, lines in table().items() if lines}
