"""`fwpages explain`: what it says of commands, answers, events and dumps."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.cli import invoke
from fwpages.explain.explanation import ExplainError, Message
from fwpages.explain.pasted_bytes import explain_text, parse_opcode, to_bytes
from fwpages.prm.capability import general
from fwpages.prm.event import PageRequestEvent, encode_page_request
from fwpages.prm.message import Command, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode
from tests.auditor.logs import data_only, dmesg, without_slots
from tests.auditor.written_traces import pages


def _one(text: str, **options: object) -> Message:
    (m,) = explain_text(text, **options)  # type: ignore[arg-type]
    return m


def _values(m: Message) -> dict[str, int]:
    return {f.name: f.value for f in m.fields}


QUERY = "01070000000000020000002a00000000"


@pytest.mark.parametrize(
    "text",
    [
        QUERY,
        "01 07 00 00 00 00 00 02 00 00 00 2a 00 00 00 00",
        "0x01070000 0x00000002\n0x0000002a 0x00000000",
        "01:07:00:00:00:00:00:02:00:00:00:2A:00:00:00:00",
        "01070000, 00000002, 0000002a, 00000000",
        "000: 01070000 00000002 0000002a 00000000",
        "[    3.96] cmd[0]: 000: 01070000 00000002 0000002a 00000000",
    ],
)
def test_bytes_in_any_spelling(text: str) -> None:
    m = _one(text)
    assert (m.kind, m.title, m.length) == ("command", "QUERY_PAGES(init)", 16)
    assert _values(m) == {"opcode": 0x107, "uid": 0, "op_mod": 2, "embedded_cpu_function": 0, "function_id": 0x2A}
    assert [f.at for f in m.fields] == ["0x0:16", "0x10:16", "0x30:16", "0x40:1", "0x50:16"]
    assert m.fields[2].meaning == "init"


def test_an_answer_needs_its_opcode() -> None:
    m = _one("00000000 00000000 0000002a ffffff00", opcode=Opcode.QUERY_PAGES)
    assert (m.kind, m.title) == ("answer", "answer to QUERY_PAGES: OK (0x0)")
    assert (_values(m)["num_pages"], m.fields[-1].meaning) == (-256, "256 to take back")
    refused = _one("0300000000001234", opcode=Opcode.MANAGE_PAGES)
    assert "bad parameter" in refused.title
    assert _values(refused) == {"status": 3, "syndrome": 0x1234}


def test_an_event_is_recognised_by_its_type_or_by_the_option() -> None:
    raw = encode_page_request(PageRequestEvent(0x31, -10)).hex()
    for m in (_one(raw), _one(raw, is_event=True)):
        assert (m.kind, m.title) == ("event", "event 0x0b: PAGE_REQUEST")
        assert _values(m)["num_pages"] == -10
        assert m.notes == ["firmware asks the host to take back 10 pages of the function"]
    release = encode_page_request(PageRequestEvent(0x31, 0, ec=True, release_all=True)).hex()
    assert "no command follows" in _one(release).notes[0]
    assert "asks for 7" in _one(encode_page_request(PageRequestEvent(1, 7)).hex()).notes[0]
    assert _one("00" * 64, is_event=True).title == "event 0x00: COMPLETION"
    assert "without a name" in _one("0077" + "00" * 62, is_event=True).title
    with pytest.raises(ExplainError, match="64 bytes, here are 16"):
        explain_text(QUERY, is_event=True)


def test_reserved_bits_that_are_set() -> None:
    m = _one("0107000000000002 7000002a 00000001")
    assert m.reserved == ["0x41:3", "0x7f:1"]
    assert _one(QUERY).reserved == []


def test_page_addresses_are_a_short_list_with_a_count() -> None:
    pas = np.concatenate([pages(0x100, 5), pages(0x200, 1), pages(0x300, 2)])
    fields = {"function_id": 0x31, "input_num_entries": pas.size}
    m = _one(encode_command(Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields, pas)).hex())
    assert m.title == "MANAGE_PAGES(GIVE)"
    assert m.pages is not None
    assert (m.pages.count, [(r.first, r.count) for r in m.pages.runs]) == (
        8,
        [("0x100000", 5), ("0x200000", 1), ("0x300000", 2)],
    )
    scattered = pages(0x100, 100)[::2]
    fields["input_num_entries"] = 50
    m = _one(encode_command(Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields, scattered)).hex())
    assert m.pages is not None
    assert (m.pages.count, len(m.pages.runs), m.pages.more_runs) == (50, 12, 38)


def test_faulty_addresses_are_noted() -> None:
    pas = np.array([0, 0x1000, 0x1000, 0x2010], np.uint64)
    fields = {"function_id": 0x31, "input_num_entries": 5}
    m = _one(encode_command(Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields, pas)).hex())
    assert m.notes == [
        "the count says 5 pages, here: 4 addresses",
        "2 addresses 0 or no multiple of 4096",
        "1 address named more than once",
    ]


def test_bytes_that_are_no_whole_address() -> None:
    (m,) = explain_text("0" * 16 + "00000001 00000000" + "0" * 24, opcode=Opcode.MANAGE_PAGES)
    assert m.pages is not None
    assert (m.pages.count, m.notes[-1]) == (1, "4 bytes left over at the end: an address has 8")


def test_two_messages_on_two_lines_are_one_with_a_hint() -> None:
    one, two = "01040000 00000000 00000000 00000000", "0108 0000 0000 0001 0000 0031 0000 0000"
    hint = "each begins like a command: give one message a call"
    (m,) = explain_text(f"{one}\n{two}\n")
    assert (m.title, m.length, hint in m.notes[-1]) == ("ENABLE_HCA", 32, True)
    for text in (one, one.replace(" ", "\n"), f"{one}\n{two[10:]}"):
        assert not any(hint in note for m in explain_text(text) for note in m.notes)


def test_capabilities() -> None:
    page = general({"vhca_id": 0x2A, "icm_mng_function_id_mode": 1})
    m = _one(encode_command(Command(Opcode.SET_HCA_CAP, data=page)).hex())
    caps = {c.name: (c.value, c.meaning) for c in m.capabilities}
    assert caps["vhca_id"][0] == 0x2A
    assert caps["icm_mng_function_id_mode"] == (1, "VHCA_ID")
    assert _one("0000000000000000" + "00" * 8 + page.hex(), opcode=Opcode.QUERY_HCA_CAP).capabilities
    ether = _one(encode_command(Command(Opcode.SET_HCA_CAP, 2, data=page)).hex())
    assert (ether.capabilities, ether.notes) == ([], ["4,096 bytes of data"])


def test_unknown_commands_and_messages_cut_short_are_explained_as_far_as_they_go() -> None:
    m = _one("0999000000000000 01020304")
    assert (m.title, m.notes) == ("opcode 0x999", ["4 bytes of data"])
    m = _one("0107000000000002")
    assert (list(_values(m)), m.notes) == (
        ["opcode", "uid", "op_mod"],
        ["cut short: query_pages_in has 16 bytes, here are 8"],
    )
    m = _one(QUERY + "0000")
    assert m.notes == ["2 bytes more than the layout has, all zero"]
    m = _one("0108000000000002 0000002a 00000003" + "00" * 8)
    assert m.notes == ["1 address, which only a GIVE has"]


def _dump(what: str, ending: str, lines: list[str]) -> str:
    at = next(i for i, line in enumerate(lines) if f"dump command {what}" in line and line.endswith(ending))
    end = next(i for i in range(at + 1, len(lines)) if "dump command" in lines[i] or "end dump" in lines[i])
    return "\n".join(lines[at:end])


def test_lines_pasted_from_a_full_dump() -> None:
    entry, command = explain_text(_dump("MANAGE_PAGES(0x108)", "INPUT", dmesg()))
    assert (entry.kind, _values(entry)["input_length"], _values(entry)["ownership"]) == ("entry", 64, 1)
    assert command.pages is not None
    assert (command.title, command.pages.count) == ("MANAGE_PAGES(GIVE)", 6)
    entry, command, answer = explain_text(_dump("QUERY_PAGES(0x107)", "OUTPUT", dmesg()))
    assert (command.title, answer.kind, _values(answer)["num_pages"]) == ("QUERY_PAGES(boot)", "answer", 6)
    no_headline = "\n".join(_dump("QUERY_PAGES(0x107)", "OUTPUT", dmesg()).splitlines()[1:])
    assert explain_text(no_headline) == [entry, command, answer]


def test_lines_pasted_from_a_data_dump_and_from_an_older_kernel() -> None:
    (m,) = explain_text(_dump("data MANAGE_PAGES", "INPUT", data_only(dmesg())))
    assert m.pages is not None
    assert m.pages.count == 6
    (m,) = explain_text(_dump("data QUERY_PAGES", "OUTPUT", data_only(dmesg())))
    assert (m.kind, _values(m)["num_pages"]) == ("answer", 6)
    assert len(explain_text(_dump("MANAGE_PAGES(0x108)", "INPUT", without_slots(dmesg())))) == 2


def test_a_dump_with_a_line_missing() -> None:
    lines = _dump("MANAGE_PAGES(0x108)", "INPUT", dmesg()).splitlines()
    with pytest.raises(ExplainError, match="lines are missing"):
        explain_text("\n".join(lines[:3] + lines[4:]))
    entry, command = explain_text("\n".join(lines[:5]))
    assert command.notes[0].startswith("only the part that the entry itself has")
    assert entry.length == 64


@pytest.mark.parametrize("text", ["", "  \n", "zz", "0107g", "012", "0x", "hello world"])
def test_what_is_no_hex(text: str) -> None:
    with pytest.raises(ExplainError):
        explain_text(text)


def test_too_short() -> None:
    for options in ({}, {"opcode": 0x108}):
        with pytest.raises(ExplainError, match="at least 8 bytes"):
            explain_text("01", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "number"), [("MANAGE_PAGES", 0x108), ("manage_pages", 0x108), ("0x108", 0x108), ("264", 264)]
)
def test_opcodes_by_name_and_number(text: str, number: int) -> None:
    assert parse_opcode(text) == number


@pytest.mark.parametrize("text", ["", "GIVE_PAGES", "0x10000", "-1"])
def test_what_is_no_opcode(text: str) -> None:
    with pytest.raises(ExplainError):
        parse_opcode(text)


@given(st.text(max_size=200))
def test_any_text_is_explained_or_refused(text: str) -> None:
    try:
        explain_text(text)
    except ExplainError:
        return


@given(st.binary(min_size=8, max_size=200), st.one_of(st.none(), st.integers(0, 0xFFFF)))
def test_any_bytes_are_explained(raw: bytes, opcode: int | None) -> None:
    assert to_bytes(raw.hex(":")) == raw
    assert explain_text(raw.hex(), opcode=opcode)


def test_the_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke(["decode", QUERY]) == 0
    assert "QUERY_PAGES(init)" in capsys.readouterr().out
    assert invoke(["decode", *QUERY[:16:1].split(), QUERY[16:], "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["schema"], shown["messages"][0]["kind"]) == ("decode/1", "command")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"00000000 00000000 00000000 00000025")))
    assert invoke(["decode", "-", "--opcode", "QUERY_PAGES"]) == 0
    assert "37 to give" in capsys.readouterr().out
    for wrong in (["zz"], [QUERY, "--opcode", "NOPE"], [QUERY, "--event"], [QUERY, "--event", "--opcode", "1"], []):
        assert invoke(["decode", *wrong]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "Error" in err
