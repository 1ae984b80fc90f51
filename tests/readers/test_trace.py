"""The trace format: written, read, and refused."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.auditor.audit import InputError, audit
from fwpages.custody.verdicts import Lack
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command, decode_answer, decode_command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.readers.inputs import Source
from fwpages.readers.observations import (
    CommandCompleted,
    CommandSubmitted,
    CommandUnanswered,
    LinkChange,
    PagesRequested,
    TraceHeader,
)
from fwpages.readers.trace import TraceReader
from fwpages.readers.trace_writer import TraceWriter
from tests.auditor.logs import VHCA, accounts, audit_trace, golden_trace, only, write
from tests.auditor.written_traces import WrittenTrace, pages


def _read(text: str) -> list[object]:
    return list(TraceReader(Source("t.jsonl", io.BytesIO(text.encode()))).read())


def test_a_written_trace_is_read_back() -> None:
    out = io.StringIO()
    w = TraceWriter(out, device="connectx7", supplier=Supplier(ecpf=True, max_vfs=8, max_ec_vfs=2))
    fields = {"function_id": 0x2A, "input_num_entries": 3}
    c = Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, fields)
    a = Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": 2}, pas=pages(0x100, 2))
    w.submit(1.5, 1, 7, 31, c)
    w.complete(1.6, 1, 7, a, c.reply_length)
    w.event(2.0, 1, 3, PageRequestEvent(0x31, -10, ec=True))
    w.link(9.0, 1, "reset", "function-level reset")
    w.link(9.1, 1, "aborted", id=7)
    w.link(9.2, 1, "given-up", "no answer in its time", id=7)
    w.link(9.3, 1, "garbled", id=7)
    w.end()
    head, sub, com, event, link, aborted, given_up, garbled = _read(out.getvalue())
    assert isinstance(head, TraceHeader)
    assert (head.device, head.supplier) == ("connectx7", Supplier(ecpf=True, max_vfs=8, max_ec_vfs=2))
    assert head.numbered
    assert isinstance(sub, CommandSubmitted)
    assert (sub.session, sub.slot, sub.place.line, sub.place.time) == (1, 31, 2, 1.5)
    read = decode_command(sub.message)
    assert (read.opcode, read.op_mod, read["function_id"], read["input_num_entries"]) == (0x108, 2, 0x2A, 3)
    assert isinstance(com, CommandCompleted)
    assert com.key == sub.key
    assert len(com.message) == c.reply_length
    assert np.array_equal(decode_answer(Opcode.MANAGE_PAGES, com.message).pas[:2], pages(0x100, 2))
    assert isinstance(event, PagesRequested)
    assert event.request == PageRequestEvent(0x31, -10, ec=True)
    assert isinstance(link, LinkChange)
    assert (link.what, link.detail) == ("reset", "function-level reset")
    assert isinstance(aborted, CommandUnanswered)
    assert (aborted.key, aborted.by_link) == (sub.key, True)
    assert isinstance(given_up, CommandUnanswered)
    assert (given_up.key, given_up.by_link, given_up.detail) == (sub.key, False, "no answer in its time")
    assert isinstance(garbled, LinkChange)
    assert (garbled.what, garbled.key) == ("garbled", sub.key)


def test_the_lines_look_as_documented() -> None:
    out = io.StringIO()
    w = TraceWriter(out, device="connectx7", supplier=Supplier(max_vfs=8))
    w.submit(1.5, 1, 7, 31, Command(Opcode.QUERY_PAGES, 1))
    w.link(9.0, 1, "lost", "all-ones reads")
    w.end()
    head, submit, link, end = (json.loads(line) for line in out.getvalue().splitlines())
    assert (head["kind"], head["format"], head["version"]) == ("header", "fwpages-trace", 1)
    assert head["supplier"] == {"ecpf": False, "max_vfs": 8, "max_ec_vfs": 0}
    assert submit == {
        "n": 1,
        "t": 1.5,
        "kind": "submit",
        "session": 1,
        "id": 7,
        "slot": 31,
        "in": "01070000000000010000000000000000",
        "reply": 16,
    }
    assert link == {"n": 2, "t": 9.0, "kind": "link", "session": 1, "what": "lost", "detail": "all-ones reads"}
    assert (head["n"], end) == (0, {"n": 3, "kind": "end"})


def _as_version_1(lines: list[dict[str, object]]) -> list[dict[str, object]]:
    out: list[dict[str, object]] = [
        {"kind": "header", "format": "fwpages-trace", "version": 1, "device": "again", "fwpages": "0.1.0"}
    ]
    for i, line in enumerate(lines):
        if line["kind"] == "event":
            out.append({**line, "session": 1})
            continue
        both = {"t": line["t"], "session": 1, "id": i, "colour": "unknown keys are fine"}
        out.append({**both, "kind": "submit", "slot": line["slot"], "in": line["in"], "reply": 16})
        out.append({**both, "kind": "complete", "out": line["out"]})
    return out


def test_a_recording_in_version_1_gives_the_same_accounts(tmp_path: Path) -> None:
    s = only(audit_trace(tmp_path, _as_version_1(golden_trace(VHCA))))
    assert s.device == "again"
    assert accounts(s) == accounts(only(audit(VHCA)))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ({"kind": "header", "format": "fwpages-trace", "version": 3}, "version 3"),
        ({"kind": "header", "format": "fwpages-trace", "version": "1"}, "version '1'"),
        ({"kind": "header", "format": "fwpages-trace", "version": True}, "version True"),
        ({"kind": "header", "format": "fwpages-trace"}, "header has no version"),
        ({"kind": "header", "format": "fwpages-trace", "version": 1, "device": 5}, "device 5; expected a name"),
        ({"kind": "header", "format": "fwpages-trace", "version": 1, "device": ""}, "device ''; expected a name"),
        ({"kind": "header", "format": "pcap", "version": 1}, "'pcap'"),
    ],
)
def test_other_versions_and_formats_are_refused(head: dict[str, object], words: str, tmp_path: Path) -> None:
    path = write(tmp_path, [json.dumps(head)], "t.jsonl")
    with pytest.raises(InputError, match=words):
        audit(path)


def test_a_trace_cut_anywhere_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    text = VHCA.read_bytes()
    path = tmp_path / "cut.jsonl"
    for cut in range(400, len(text) - 1, 5003):
        path.write_bytes(text[:cut])
        s = only(audit(path))
        whole_line = text[cut - 1 : cut] == b"\n" or text[cut : cut + 1] == b"\n"
        assert [(f.name, f.blame) for f in s.findings] == ([] if whole_line else [("log-truncated", "log")])
        assert s.end == "open"
        t = s.totals
        assert None not in (t.given, t.returned, t.released, t.held, t.doubtful)
        assert (t.given or 0) == (t.returned or 0) + (t.released or 0) + (t.held or 0) + (t.doubtful or 0)


def test_broken_lines_are_reported_one_by_one_and_then_counted(tmp_path: Path) -> None:
    lines = [json.dumps(x) for x in golden_trace(VHCA)]
    broken = [*lines[:10], "{garbage", '{"kind": "command", "in": 5}', "[1]", *lines[10:]]
    s = only(audit(write(tmp_path, broken, "t.jsonl")))
    assert {f.name for f in s.findings} == {"log-lines-lost"}
    assert [f.at["line"] for f in s.findings] == [11, 12, 13]
    assert s.totals.given is None
    s = only(audit(write(tmp_path, [*lines[:3], *["{x"] * 50, *lines[3:]], "t.jsonl")))
    assert len(s.findings) == 9
    assert "50 lines in all" in s.findings[-1].detail


def test_unknown_kinds_of_lines_are_noted(tmp_path: Path) -> None:
    lines = [*golden_trace(VHCA)[:5], {"t": 1, "kind": "temperature", "celsius": 40}, *golden_trace(VHCA)[5:]]
    s = only(audit_trace(tmp_path, lines))
    assert s.clean
    assert any("'temperature'" in n for n in s.notes)


def test_events_of_the_link_that_this_version_does_not_know_are_noted(tmp_path: Path) -> None:
    trace = WrittenTrace().opened()
    trace.link("warmed-up", "it is 40 degrees")
    assert "link: warmed-up: it is 40 degrees" in only(audit_trace(tmp_path, trace.lines)).notes


def test_a_trace_without_anything_in_it_is_refused(tmp_path: Path) -> None:
    for line in ('{"kind": "weather"}', json.dumps(WrittenTrace().lines[0])):
        with pytest.raises(InputError, match="no command"):
            audit(write(tmp_path, [line], "t.jsonl"))


def test_answers_to_commands_from_before_the_trace_are_noted(tmp_path: Path) -> None:
    trace = WrittenTrace()
    trace.complete(900, Answer(Opcode.MANAGE_PAGES))
    trace.give(0x31, pages(0x500, 7))
    s = only(audit_trace(tmp_path, trace.lines))
    assert (s.verdict, s.missing) == ("not known", [Lack.BEGINNING.missing])
    assert "answers to commands that were not seen: 1" in s.notes


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, map(json.dumps, WrittenTrace().opened().closed().lines), "t.jsonl")
    whole = audit(path).sessions[0].totals
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert (audit(path).clean, audit(path).sessions[0].totals) == (True, whole)


@given(st.lists(st.binary(max_size=60), max_size=12))
def test_no_bytes_raise_anything_but_misuse(tmp_path_factory: pytest.TempPathFactory, blobs: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("any") / "t.jsonl"
    head = b'{"kind":"command","in":"01040000000000000000000000000000","out":"000000000000000000000000"}\n'
    path.write_bytes(head + b"\n".join(blobs))
    assert audit(path).sessions
    path.write_bytes(b"\n".join(blobs))
    with suppress(InputError):
        assert audit(path).verdict == "not known"


_HEX = st.binary(max_size=40).map(bytes.hex)


@given(
    st.lists(st.tuples(st.sampled_from(["0104", "0105", "0107", "0108", "0109", "0100", "0103", "0113"]), _HEX, _HEX))
)
def test_no_commands_raise(tmp_path_factory: pytest.TempPathFactory, commands: list[tuple[str, str, str]]) -> None:
    lines = [{"t": 1, "kind": "command", "slot": 0, "in": op + rest, "out": out} for op, rest, out in commands]
    path = tmp_path_factory.mktemp("any")
    lines.append({"t": 1, "kind": "event", "eqn": 1, "eqe": "000b" + "00" * 62})
    audit_trace(path, lines)
