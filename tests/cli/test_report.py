"""``fwpages report``: what each kind of input becomes, as HTML and as text; hostile text stays text."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import fwpages as fw
from fwpages.cli import invoke
from fwpages.custody.accounts import Verdict
from fwpages.custody.series import corners
from fwpages.machine.holdings import DeviceHoldings, FunctionHoldings, Holdings
from fwpages.prm.identity import FunctionType
from fwpages.report.page.evidence import MAX_CHARACTERS
from fwpages.report.page.figure import MAX_CORNERS
from tests.machine.trees import server

GOLDEN = Path(__file__).parents[1] / "golden"
TRACE = GOLDEN / "linux-7.2.13-pf-vhca_id.jsonl"
DUMPS = GOLDEN / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"
RECORDING = GOLDEN / "top-linux-7.2.13.jsonl"
#: bytes of a page beside its data: what a mail still takes
MOST_BYTES = 300_000


def lossy(folder: Path, extra: bytes = b"") -> Path:
    """A log that lacks lines of a dump, with ``extra`` in their place."""
    lines = gzip.decompress(DUMPS.read_bytes()).splitlines(keepends=True)
    log = folder / "lossy.txt"
    log.write_bytes(b"".join([*lines[:3997], *lines[4008:4030], extra, *lines[4060:]]))
    return log


def page_of(folder: Path, *inputs: object, code: int = 0, options: tuple[str, ...] = ()) -> str:
    target = folder / "report.html"
    assert invoke(["report", *map(str, inputs), "-o", str(target), *options]) == code
    return target.read_text("utf-8")


class Read(HTMLParser):
    """The tags of a page, and the JSON that it carries."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.json: list[Any] = []
        self._in_json = False
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_json = tag == "script" and dict(attrs).get("type") == "application/json"

    def handle_endtag(self, tag: str) -> None:
        self._in_json = False

    def handle_data(self, data: str) -> None:
        if self._in_json:
            self.json.append(json.loads(data))
        else:
            self.text += data


def json_of(folder: Path, capsys: pytest.CaptureFixture[str], name: str, *args: object) -> Path:
    """What a command prints with --json, in a file whose name says nothing."""
    capsys.readouterr()
    invoke([*map(str, args), "--json"])
    path = folder / name
    path.write_text(capsys.readouterr().out, "utf-8")
    return path


def holdings(folder: Path) -> Path:
    functions = [FunctionHoldings(identity="vhca:0x31", type=FunctionType.VF, pages=64, by_node={"0": 64})]
    device = DeviceHoldings(
        device="0000:03:00.0", mode="vhca_id", supplier="pf", verdict=Verdict.CONSISTENT, settled=True, pages=64,
        functions=functions, fw_pages=64,
    )  # fmt: skip
    path = folder / "lists"
    path.write_bytes(msgspec.json.encode(Holdings.of("/proc/kcore", [device], kernel="7.2.13")))
    return path


def test_what_an_input_is_is_told_by_its_content(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = [
        shutil.copy(TRACE, tmp_path / "a.txt"),
        shutil.copy(DUMPS, tmp_path / "b.json"),
        json_of(tmp_path, capsys, "c.dmesg", "audit", TRACE),
        json_of(tmp_path, capsys, "d", "run", "reopen"),
        json_of(tmp_path, capsys, "e", "top", "--root", server(tmp_path / "machine").root),
        shutil.copy(RECORDING, tmp_path / "f.html"),
        holdings(tmp_path),
    ]
    page = Read(page_of(tmp_path, *inputs, code=4 if "not known" in Path(inputs[4]).read_text("utf-8") else 0))
    assert [j.get("schema") for j in page.json[:-1]] == [
        "audit/2", "audit/2", "audit/2", "run/2", "top/1", "top/1", "inspect/1"
    ]  # fmt: skip
    for words in (
        "run of scenario reopen",
        "snapshot of a machine",
        "recording of",
        "the driver's own lists",
        "vhca:0x31",
    ):
        assert words in page.text


def test_a_page_is_small_and_names_no_address(tmp_path: Path) -> None:
    text = page_of(tmp_path, TRACE)
    page = Read(text)
    assert len(text.encode()) < MOST_BYTES
    assert not [a for _, attrs in page.tags for a in attrs if a in ("src", "srcset", "action", "style", "onclick")]
    assert all((attrs.get("href") or "#").startswith("#") for _, attrs in page.tags)
    (policy,) = [a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy


def test_a_page_carries_the_json_of_the_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = Read(page_of(tmp_path, TRACE))
    assert invoke(["audit", "--json", str(TRACE)]) == 0
    assert page.json[0] == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "evil",
    [
        b"</script><script>alert(1)</script>",
        b"<img src=x onerror=alert(1)>",
        b"{{ 7 * 7 }}{% raw %}",
        b"]]><!--<svg onload=alert(1)>",
        b"\x00\x1b[31m\xff\xfe\xed\xa0\x80 \xe2\x80\xa8",
        b"'\"><a href=javascript:alert(1)>",
    ],
)
def test_hostile_lines_stay_text(evil: bytes, tmp_path: Path) -> None:
    log = lossy(tmp_path, b"[    7.149100] mlx5_core 0000:00:03.0: " + evil + b"\n")
    text = page_of(tmp_path, log, code=1)
    plain = Read(page_of(tmp_path, lossy(tmp_path), code=1))
    page = Read(text)
    assert {tag for tag, _ in page.tags} <= {tag for tag, _ in plain.tags} | {"li", "p"}
    assert sum(tag == "script" for tag, _ in page.tags) == sum(tag == "script" for tag, _ in plain.tags)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", text)
    if evil.isascii() and b"\x00" not in evil:
        assert evil.decode() in page.text


def test_a_hostile_file_name_and_scenario_stay_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = json.loads(json_of(tmp_path, capsys, "run", "run", "reopen").read_text("utf-8"))
    ran["scenario"] = ran["summary"] = "</script><b>x</b>"
    (tmp_path / "<b>run<&b>").write_text(json.dumps(ran), "utf-8")
    page = Read(page_of(tmp_path, tmp_path / "<b>run<&b>"))
    assert "</script><b>x</b>" in page.text
    assert "<b>run<&b>" in page.text
    assert page.json[0]["scenario"] == "</script><b>x</b>"


def test_a_finding_has_its_lines_and_the_page_path_around_it(tmp_path: Path) -> None:
    log = lossy(tmp_path)
    text = page_of(tmp_path, log, code=1)
    (finding, *_) = fw.audit(log).sessions[0].findings
    line = log.read_text("utf-8").splitlines()[finding.at["line"] - 1]
    assert f'<span class="hit"><i>{finding.at["line"]}</i>{line}</span>' in text
    assert "MANAGE_PAGES(TAKE) vhca:0x5, 768 pages" in text
    assert "page request: 7 pages for vhca:0x31" in text


def test_the_lines_of_a_trace_are_shown_too(tmp_path: Path) -> None:
    trace = tmp_path / "run.jsonl"
    assert invoke(["run", "reopen", "--fault", "give-unanswered-lost@2", "--trace", str(trace)]) == 1
    text = page_of(tmp_path, trace, code=1)
    assert 'class="hit"' in text
    assert "MANAGE_PAGES(GIVE)" in text
    lines = re.findall(r'<pre class="lines">(.*?)</pre>', text, re.DOTALL)
    assert 0 < max(len(line) for block in lines for line in block.split("</span>")) < 5 * MAX_CHARACTERS


def test_several_inputs_each_stand_for_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = page_of(tmp_path, TRACE, tmp_path / "none", lossy(tmp_path), code=1)
    assert f"{tmp_path / 'none'}: no such file" in capsys.readouterr().err
    assert "Not read:" in text
    assert '<section id="i3">' in text
    assert page_of(tmp_path, TRACE, tmp_path / "none", code=2)
    assert invoke(["report", str(tmp_path / "none"), "-o", str(tmp_path / "x.html")]) == 2
    assert not (tmp_path / "x.html").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"schema": "explore/1"}', "its schema is 'explore/1'"),
        ('{"schema": "audit/9", "sessions": []}', "its schema is 'audit/9'"),
        ('{"schema": "audit/2", "sessions": 3}', "does not have the shape of audit/2"),
        ('{"schema": "run/2"', "does not have the shape of run/2: Input data was truncated"),
        ('{"schema": "audit/2", "sessions": ' + "[" * 100_000, "does not have the shape of audit/2"),
        ('{"a": 1}', "is JSON"),
        ('{"schema": "top/1"}', "expected a snapshot"),
    ],
)
def test_json_that_is_no_report_is_refused(
    content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").write_text(content + "\n", "utf-8")
    assert invoke(["report", str(tmp_path / "x"), "-o", str(tmp_path / "x.html")]) == 2
    assert words in capsys.readouterr().err


def test_a_place_in_json_is_not_looked_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report that somebody sent may name any file of this machine."""
    secret = tmp_path / "secret"
    secret.write_text("the secret\n" * 9, "utf-8")
    report = json.loads(json_of(tmp_path, capsys, "a", "audit", lossy(tmp_path)).read_text("utf-8"))
    for f in report["sessions"][0]["findings"]:
        f["at"] |= {"file": str(secret), "line": 3}
    (tmp_path / "a").write_text(json.dumps(report), "utf-8")
    assert "the secret" not in page_of(tmp_path, tmp_path / "a", code=1)


def test_a_redacted_report_has_no_names(tmp_path: Path) -> None:
    log = tmp_path / "node-17.example.txt"
    rows = lossy(tmp_path).read_text("utf-8").splitlines()
    log.write_text("".join(f"Nov 29 05:57:00 node-17 kernel: {row}\n" for row in rows), "utf-8")
    text = page_of(tmp_path, log, code=1, options=("--redact",))
    assert "node-17" not in text
    assert "host1" in text


def test_text_has_72_columns_but_for_quoted_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["report", str(lossy(tmp_path)), str(RECORDING), "--format", "text"]) == 1
    lines = capsys.readouterr().out.splitlines()
    quoted = re.compile(r"    [> ] *\d+  ")
    assert [line for line in lines if len(line) > 72 and not quoted.match(line) and "/" not in line] == []
    assert not any("\x1b" in line for line in lines)
    assert any(line.strip().startswith("log-lines-lost") for line in lines)
    assert any("\u2800" < c <= "\u28ff" for line in lines for c in line)


def edited(folder: Path, capsys: pytest.CaptureFixture[str], change: Callable[[dict[str, Any]], object]) -> Path:
    """The JSON of an audit, changed by hand."""
    assert invoke(["audit", str(TRACE), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    change(report["sessions"][0])
    path = folder / "edited.json"
    path.write_text(json.dumps(report, indent=2, sort_keys=True), "utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"times": [1.0]}, "1 times, and"),
        ({"times": [2.0, 1.0]}, "times of a series go back"),
        (
            {"times": [1.0], "functions": [{"identity": "vhca:0x1", "type": "vf", "pages": [-1]}]},
            "that no number of pages",
        ),
    ],
)
def test_a_series_that_does_not_fit_is_refused(
    change: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edited(tmp_path, capsys, lambda session: session["series"].update(change))
    for form in (["-o", str(tmp_path / "x.html")], ["--format", "text"]):
        assert invoke(["report", str(path), *form]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("change", [{"verdict": "findings"}, {"findings": [{"name": "pages-left", "blame": "host"}]}])
def test_a_report_is_no_better_than_its_sessions(
    change: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = edited(tmp_path, capsys, lambda session: session.update(change))
    assert json.loads(path.read_text("utf-8"))["verdict"] == "clean"
    assert invoke(["report", str(path), "--format", "text"]) == 1
    assert re.search(r"^fwpages .*: findings$", capsys.readouterr().out, re.MULTILINE)


def test_text_has_no_character_that_moves_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = edited(tmp_path, capsys, lambda session: session.update(device="a\x1b]0;b\x07\u202e"))
    assert invoke(["report", str(path), "--format", "text"]) == 0
    text = capsys.readouterr().out
    assert "a�]0;b��" in text
    assert all(c.isprintable() or c == "\n" for c in text)


def test_an_input_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.jsonl"
    shutil.copy(TRACE, path)
    (tmp_path / "same").symlink_to(path)
    for line in (
        ["report", str(TRACE), str(path), "-o", str(path)],
        ["report", str(path), "-o", str(tmp_path / "same")],
        ["diff", str(TRACE), str(path), "--html", str(path)],
        ["audit", str(path), "--svg", str(path)],
        ["audit", str(path), "--junit", str(path)],
    ):
        assert invoke(line) == 2
        assert "the command reads this file" in capsys.readouterr().err
        assert path.read_bytes() == TRACE.read_bytes()


def test_html_needs_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["report", str(TRACE)]) == 2
    assert "-o FILE is missing" in capsys.readouterr().err


def test_many_sessions_are_one_chart_and_a_table_that_leads_to_each(tmp_path: Path) -> None:
    rows = [json.loads(row) for row in TRACE.read_text("utf-8").splitlines()]
    log = tmp_path / "many.jsonl"
    lines = [json.dumps(row | {"t": row["t"] + 10 * n}) for n in range(30) for row in rows]
    log.write_text("\n".join(lines) + "\n", "utf-8")
    page = Read(page_of(tmp_path, log))
    whole = page.json[-1][0]
    sums = [sum(r["pages"][i] for r in whole["rows"]) for i in range(len(whole["times"]))]
    assert (max(sums), sums[-1], len(page.json[-1])) == (2151, 0, 31)
    assert [flag["link"] for flag in whole["flags"]] == [f"i1s{n}" for n in range(1, 31)]
    assert [a["href"] for tag, a in page.tags if tag == "a"] == [f"#i1s{n}" for n in range(1, 31)]
    assert not any("open" in a for tag, a in page.tags if tag == "details")


# -- audit --plot and --svg


def test_a_plot_is_below_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["audit", "--plot", str(TRACE)]) == 0
    out = capsys.readouterr().out
    assert "1 session of 1 device: 1 clean" in out
    plot = out.split("1 clean")[1]
    assert any("\u2800" < c <= "\u28ff" for c in plot)
    assert max(map(len, plot.splitlines())) <= 80
    assert "vhca:0x31 unknown: at most 64, at the end 0 pages" in plot


def test_a_figure_is_a_file_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    svg = tmp_path / "pages.svg"
    assert invoke(["audit", "--svg", str(svg), str(TRACE)]) == 0
    root = ET.fromstring(svg.read_text("utf-8"))
    areas = [e for e in root.iter() if "points" in e.attrib]
    assert len(areas) == 2
    assert "http" not in svg.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")


def test_a_figure_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = GOLDEN / "cases" / "ordinary-dmesg.txt"
    assert invoke(["audit", "--svg", str(tmp_path / "x.svg"), str(log)]) == 2
    assert "nothing to draw" in capsys.readouterr().err
    assert invoke(["audit", "--plot", str(log)]) == 4
    assert "no plot" in capsys.readouterr().out
    assert invoke(["audit", "--plot", "--json", str(log)]) == 2


def test_corners_of_a_figure_have_its_peak() -> None:
    total = np.zeros(100_000, np.int64)
    total[77_777] = 5
    kept = corners(np.arange(100_000.0), total, MAX_CORNERS // 4)
    assert 77_777 in kept.tolist()
    assert kept.size <= MAX_CORNERS
