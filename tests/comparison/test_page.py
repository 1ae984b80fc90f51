"""``diff --html FILE``: one file with each difference and both time lines."""

from __future__ import annotations

import html
import json
import re
import sys
from pathlib import Path

import msgspec
import pytest

import fwpages as fw
from fwpages import cli
from fwpages.custody.accounts import FindingAccount
from fwpages.scenario import load
from tests.comparison.traced import trace_of
from tests.conftest import GOLDEN

VHCA = GOLDEN / "linux-7.2.13-pf-vhca_id.jsonl"
LINES = GOLDEN / "linux-7.2.13-pf-vhca_id.page-lines.dmesg.txt"


def made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *inputs: Path
) -> tuple[str, dict[str, list[dict[str, object]]]]:
    """The page, and what ``--json`` prints beside it."""
    file = tmp_path / "page.html"
    assert cli.invoke(["diff", *map(str, inputs), "--html", str(file), "--json"]) in (0, 1, 4)
    return file.read_text("utf-8"), json.loads(capsys.readouterr().out)


def rows(page: str) -> list[list[str]]:
    """The cells of its tables of differences."""
    body = re.findall(r"<tr><td>(.*?)</td></tr>", page)
    return [[html.unescape(cell) for cell in re.split(r'</td><td(?: class="n")?>', row)] for row in body]


def test_its_rows_are_those_of_the_json_and_it_has_both_time_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = load("bluefield3")
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    a.write_bytes(trace_of(plan, "func_id"))
    b.write_bytes(trace_of(plan, "vhca_id"))
    page, found = made(tmp_path, capsys, a, b)
    assert [row[0] for row in rows(page)] == [d["kind"] for d in found["differences"]]
    assert ["function", "spf0", "–", "4,521 given", ""] in rows(page)
    assert "+ GIVE 4,521 to spf0" in page
    assert page.count("<svg") == 2
    assert page.count("spf0 SPF") == 2  # the area and the legend of B alone


def test_it_says_what_is_not_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, found = made(tmp_path, capsys, LINES, VHCA)
    assert len(rows(page)) == len(found["differences"]) + len(found["not_known"])
    assert "cannot be made" in page


def test_it_asks_the_network_for_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page, _ = made(tmp_path, capsys, LINES, VHCA)
    assert not re.search(r"""(src|href)=["'](?!#)""", page)
    assert "url(" not in page
    assert not re.findall(r"https?://", page.replace("http://www.w3.org/2000/svg", ""))


def test_names_from_a_file_are_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = fw.audit(VHCA)
    (s,) = report.sessions
    hostile = "</pre><script>alert(1)</script>\x1b&"
    session = msgspec.structs.replace(s, device=hostile, findings=[FindingAccount(name=hostile, blame="host")])
    path = tmp_path / "hostile.json"
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(report, sessions=[session])))
    page, _ = made(tmp_path, capsys, VHCA, path)
    assert "<script>" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_without_the_library_it_says_which_line_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert cli.invoke(["diff", str(VHCA), str(VHCA), "--html", str(tmp_path / "page.html")]) == 2
    assert "pip install 'fwpages[report]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
