"""A report in a real browser: it asks for nothing, complains of nothing, and shows the figures of the audit."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fwpages.cli import invoke
from tests.chromium.opened import Opened
from tests.conftest import GOLDEN


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of a log with lost lines, of hostile lines, and of a run of many sessions."""
    folder = tmp_path_factory.mktemp("report")
    lines = gzip.decompress((GOLDEN / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz").read_bytes()).splitlines(keepends=True)
    evil = b"[    7.149100] mlx5_core 0000:00:03.0: </script><script>alert(1)</script><img src=http://x.invalid/>\n"
    (folder / "lossy.txt").write_bytes(b"".join([*lines[:3997], *lines[4008:4030], evil, *lines[4060:]]))
    target = folder / "report.html"
    names = ("lossy.txt", "whole.jsonl")
    shutil.copy(GOLDEN / "linux-7.2.13-pf-vhca_id.jsonl", folder / "whole.jsonl")
    assert invoke(["report", *(str(folder / name) for name in names), "-o", str(target)]) == 1
    return target


def opened_charts(browser: Any, path: Path, **options: Any) -> Opened:
    """A report in a browser, once its charts are drawn: each is when it is scrolled into sight."""
    opened = Opened(browser, path, **options)
    for chart in opened.page.query_selector_all(".chart"):
        chart.scroll_into_view_if_needed()
    opened.page.wait_for_function("document.querySelectorAll('.chart:not(.live)').length === 0")
    return opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_asks_for_nothing_and_follows_the_colours_of_its_reader(
    browser: Any, reported: Path, scheme: str
) -> None:
    opened = opened_charts(browser, reported, color_scheme=scheme)
    assert (opened.ground() < 380) is (scheme == "dark")
    assert opened.page.evaluate("document.images.length") == 0
    assert "</script><script>alert(1)" in opened.page.inner_text("body")
    opened.page.emulate_media(media="print")
    assert opened.ground() == 765
    opened.close()


def test_the_figures_of_a_page_are_those_of_the_audit(
    browser: Any, reported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = opened_charts(browser, reported)
    name = str(reported.parent / "whole.jsonl")
    assert invoke(["audit", "--json", name]) == 0
    report = json.loads(capsys.readouterr().out)
    assert opened.page.evaluate("JSON.parse(document.getElementById('report2').textContent)") == report
    charts = opened.page.evaluate("JSON.parse(document.getElementById('charts').textContent)")
    (session,) = report["sessions"]
    series = session["series"]
    assert charts[1]["times"] == series["times"]
    assert sorted(r["pages"] for r in charts[1]["rows"]) == sorted(f["pages"] for f in series["functions"])
    cells = opened.page.eval_on_selector_all(
        "#i2s1 table.data >> nth=0 >> tbody tr", "rows => rows.map(r => [...r.cells].map(c => c.textContent))"
    )
    by_name = {f["identity"]: f for f in session["functions"]}
    for row in cells:
        f = by_name[row[0]]
        assert row[2:6] == [f"{f[k]:,}" for k in ("given", "returned", "released", "discarded")]
        assert (row[6], row[10]) == (f"{f['held']:,}", f"{f['peak']:,}")
    opened.close()


def test_a_chart_zooms_tables_sort_and_filter(browser: Any, reported: Path, tmp_path: Path) -> None:
    many = tmp_path / "many.html"
    table = {"schema": "inspect/1", "verdict": "consistent so far", "clean": None, "source": "core", "devices": [{
        "device": "0000:01:00.0", "verdict": "consistent so far", "settled": True, "pages": 66,
        "functions": [{"identity": f"func:{n:#x}", "type": "vf", "pages": n} for n in range(12)],
    }]}  # fmt: skip
    (tmp_path / "lists.json").write_text(json.dumps(table), "utf-8")
    assert invoke(["report", str(tmp_path / "lists.json"), str(reported.parent / "whole.jsonl"), "-o", str(many)]) == 0
    opened = opened_charts(browser, many)
    page = opened.page
    chart = page.query_selector(".chart.live")
    chart.scroll_into_view_if_needed()
    whole = [float(chart.get_attribute(f"data-{end}")) for end in ("min", "max")]
    box = chart.query_selector(".u-over").bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.25, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, y, steps=4)
    page.mouse.up()
    zoomed = [float(chart.get_attribute(f"data-{end}")) for end in ("min", "max")]
    assert whole[0] < zoomed[0] < zoomed[1] < whole[1]
    page.click("text=whole time")
    assert [float(chart.get_attribute(f"data-{end}")) for end in ("min", "max")] == pytest.approx(whole)
    page.click(".tools >> text=MiB")
    page.click(".tools >> text=by type")
    shown = "#i1s1 table.data tbody tr:not([hidden]) td:nth-child(4)"
    page.click("#i1s1 table.data th:nth-child(4)")
    counts = page.eval_on_selector_all(shown, "cells => cells.map(c => c.textContent)")
    assert counts == [str(n) for n in reversed(range(12))]
    page.fill("#i1s1 .filter", "0xb")
    assert page.eval_on_selector_all(shown, "cells => cells.map(c => c.textContent)") == ["11"]
    opened.close()


def test_without_scripts_a_report_has_its_figures_and_tables(browser: Any, reported: Path) -> None:
    opened = Opened(browser, reported, java_script_enabled=False)
    page = opened.page
    assert page.is_visible(".chart svg >> nth=0")
    assert page.is_visible("table.data >> nth=0")
    assert page.is_visible("#i1s1f0 pre.lines .hit")
    opened.close()
