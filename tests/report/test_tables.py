"""Reports on a terminal and in a pipe."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import Report
from fwpages.custody.verdicts import PAGE_LINES
from fwpages.explain.explanation import Message
from fwpages.explain.pasted_bytes import explain_text
from fwpages.pages.words import size
from fwpages.prm.opcodes import Opcode
from fwpages.report.kinds import kind
from fwpages.report.messages import show_messages
from fwpages.report.tables import print_session, show
from tests.auditor.logs import VHCA, audit_lines, audit_trace, dmesg, without_dumps
from tests.auditor.written_traces import WrittenTrace, pages


def _text(report: Report) -> str:
    out = io.StringIO()
    show(report, Console(file=out, width=40))
    return out.getvalue()


def test_a_pipe_gets_plain_text_of_a_fixed_width() -> None:
    text = _text(audit(VHCA))
    assert "\x1b" not in text
    assert max(len(line) for line in text.splitlines() if str(VHCA) not in line) <= 100
    assert "vhca_id mode, closed: clean" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["vhca:0x2a", "own", "2,137", "2,137", "0", "0", "0", "2,137", "8.35"] in rows
    assert ["total", "2,208", "2,154", "54", "0", "0", "2,151", "8.4"] in rows
    assert ["unknown", "71", "17", "54", "0", "0", "64", "0.25"] in rows


def test_a_terminal_gets_colours() -> None:
    out = io.StringIO()
    show(audit(VHCA), Console(file=out, width=100, force_terminal=True, color_system="standard"))
    assert "\x1b[" in out.getvalue()


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_a_narrow_terminal_gets_every_count_of_every_function_in_parts_that_fit(width: int) -> None:
    """Each part has the function's name again; only where a name and a count do not fit is a table wider."""
    out = io.StringIO()
    (session,) = audit(VHCA).sessions
    print_session(session, Console(file=out, width=width, force_terminal=True, color_system=None))
    lines = out.getvalue().splitlines()
    for f in session.functions:
        cells = [c for line in lines for c in line.split()[1:] if line.split()[0] == f.identity]
        counts = (f.given, f.returned, f.released, f.held, f.peak)
        assert [c for c in cells if c in {f"{n:,}" for n in counts}]
        assert {kind(f.type, session.supplier), *(f"{n:,}" for n in counts), size(f.peak or 0)} <= set(cells)
    assert "…" not in out.getvalue()
    tables = [line for line in lines if line.startswith("  ") and str(VHCA) not in line]
    assert max(map(len, tables)) <= max(width, 40)


def test_a_narrow_terminal_cuts_no_field_of_a_message() -> None:
    out = io.StringIO()
    show_messages(explain_text("0108000000000001" + "00" * 8), Console(file=out, width=30, force_terminal=True))
    assert "embedded_cpu_function  0x40:1" in out.getvalue()


def test_what_is_not_known_is_shown_so(tmp_path: Path) -> None:
    text = _text(audit_lines(tmp_path, without_dumps(dmesg())))
    assert ["vhca:0x5", "own", "2,595", "?", "0", "?", "?", "2,595", "10.1"] in [
        line.split() for line in text.splitlines()
    ]
    assert "note: no command dumps" in text


def test_findings_say_who_is_blamed_where_and_what_helps(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.give(0x31, pages(0x500, 7))
    trace.take(0x31, pages(0x9000, 3))
    text = _text(audit_trace(tmp_path, trace.lines))
    assert "returned-never-given  blames: device  vhca:0x31  3 pages" in text
    assert "resolved by: refuse the page" in text
    assert "trace.jsonl:" in text


def test_a_function_used_anew_is_a_row_of_its_own(tmp_path: Path) -> None:
    trace = WrittenTrace().opened(vhca=False)
    for _ in range(2):
        trace.plain(Opcode.ALLOC_SF, function_id=0x90)
        trace.give(0x90, pages(0x500, 7))
        trace.take(0x90, pages(0x500, 7))
        trace.plain(Opcode.DEALLOC_SF, function_id=0x90)
    assert "func:0x90 #2" in _text(audit_trace(tmp_path, trace.lines))


def test_a_log_that_says_nothing_of_pages(tmp_path: Path) -> None:
    text = _text(audit_lines(tmp_path, ["[ 1.0] mlx5_core 0000:03:00.0 ens1: Link up"]))
    assert "0000:03:00.0  mode not known, open: not known" in text
    assert PAGE_LINES in text


def _shown(messages: list[Message]) -> str:
    out = io.StringIO()
    show_messages(messages, Console(file=out))
    return out.getvalue()


def test_messages() -> None:
    text = _shown(explain_text("0107000000000002 7000002a 00000000"))
    assert "QUERY_PAGES(init)  (command, 16 bytes)" in text
    assert "set, though no field names them: 0x41:3" in text
    text = _shown(explain_text("0108000000000001 00000031 00000002" + pages(0x100, 2).astype(">u8").tobytes().hex()))
    assert "2 pages: 0x100000 and 1 after it" in text


def test_a_session_without_times_has_the_numbers_of_its_lines(tmp_path: Path) -> None:
    line = "mlx5_core 0000:03:00.0: Cold reset is required"
    assert "line 2" in _text(audit_lines(tmp_path, ["first", line]))
    assert "lines 2 to 3" in _text(audit_lines(tmp_path, ["first", line, line]))
