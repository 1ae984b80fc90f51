"""``fwpages explain``: how bytes may be handed over, and that what a recorded Linux said is explained."""

from __future__ import annotations

import io
import json
from itertools import islice
from typing import Any

import pytest

from fwpages.cli import invoke
from fwpages.prm.message import decode_answer, decode_command
from tests.auditor.logs import dmesg
from tests.conftest import Line

GIVE = "01080000 00000001 00000031 00000002 00000001 00200000 00000001 00201000"


def run(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert invoke(["explain", *args]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


def messages(capsys: pytest.CaptureFixture[str], *args: str) -> list[dict[str, Any]]:
    out = json.loads(run(capsys, "--json", *args))
    assert out["schema"] == "decode/1"
    found: list[dict[str, Any]] = out["messages"]
    return found


def misuse(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert invoke(["explain", *args]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err


def values(m: dict[str, Any]) -> dict[str, int]:
    return {f["name"]: f["value"] for f in m["fields"]}


def test_bytes_in_one_argument_or_in_many_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    (whole,) = messages(capsys, GIVE)
    assert messages(capsys, *GIVE.split()) == [whole]
    assert messages(capsys, *(f"0x{word}," for word in GIVE.split())) == [whole]
    assert (whole["kind"], whole["title"], whole["length"]) == ("command", "MANAGE_PAGES(GIVE)", 32)
    assert whole["pages"] == {"count": 2, "runs": [{"first": "0x100200000", "count": 2}], "more_runs": 0}


def test_each_line_of_a_dump_can_be_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """As a shell hands over lines that were quoted one by one."""
    lines = dmesg()
    at = next(n for n, line in enumerate(lines) if "dump command QUERY_PAGES(0x107) OUTPUT" in line)
    dump = list(islice(lines, at, at + 5))
    found = messages(capsys, *dump)
    assert [m["kind"] for m in found] == ["entry", "command", "answer"]
    assert values(found[2])["num_pages"] == 6
    assert messages(capsys, "\n".join(dump)) == found


def test_standard_input_is_read_whole(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def read(raw: bytes, *args: str) -> list[dict[str, Any]]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
        return messages(capsys, "-", *args)

    assert read(GIVE.replace(" ", "\r\n").encode()) == messages(capsys, GIVE)
    (answer,) = read(b"0f000000 00001234", "--opcode", "MANAGE_PAGES")
    assert (answer["kind"], values(answer)) == ("answer", {"status": 0xF, "syndrome": 0x1234})
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff\xfe01")))
    assert "is no hex digit" in misuse(capsys, "-"), "bytes that are no text are no hex either"


@pytest.mark.parametrize("opcode", ["QUERY_PAGES", "query_pages", "0x107", "263"])
def test_an_answer_is_read_as_one_to_the_command_that_is_named(capsys: pytest.CaptureFixture[str], opcode: str) -> None:
    raw = "00000000 00000000 00000031 fffffff6"
    (answer,) = messages(capsys, "--opcode", opcode, raw)
    assert (answer["kind"], values(answer)["num_pages"], values(answer)["function_id"]) == ("answer", -10, 0x31)
    assert "10 to take back" in run(capsys, "--opcode", opcode, raw)


def test_an_event_is_one_where_the_option_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    raw = "01080000" + "00" * 60
    assert [m["kind"] for m in messages(capsys, raw)] == ["command"]
    assert [m["title"] for m in messages(capsys, "--event", raw)] == ["event 0x08: of a type without a name here"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "nothing to explain"),
        (("01",), "at least 8 bytes, here are 1"),
        (("010",), "3 hex digits are no whole number of bytes"),
        (("",), "there are no bytes"),
        (("0108zz",), "'z' is no hex digit"),
        (("--event", "0108" * 4), "64 bytes, here are 8"),
        (("--opcode", "GIVE", GIVE), "'GIVE' is no opcode"),
        (("--opcode", "0x10000", GIVE), "'0x10000' is no opcode"),
        (("--opcode", "1", "--event", GIVE), "give one of them"),
        (("000: 01080000 00000001", "020: 00000031 00000002"), "line 2 is at offset 0x20, expected 0x8"),
    ],
)
def test_misuse_says_what_is_wrong(capsys: pytest.CaptureFixture[str], args: tuple[str, ...], words: str) -> None:
    assert words in misuse(capsys, *args)
    assert words in misuse(capsys, "--json", *args)


def test_all_commands_and_answers_of_a_recorded_linux_are_explained(
    trace: list[Line], capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command by its opcode, each answer by that of its command, each event by itself; the values are theirs."""
    for line in trace[:12] + [x for x in trace if x.kind == "event"]:
        if line.kind == "event":
            (m,) = messages(capsys, line.eqe.hex())
            assert (m["kind"], m["notes"] != []) == ("event", True)
            continue
        c = decode_command(line.sent)
        (m,) = messages(capsys, line.sent.hex())
        head = {"opcode": c.opcode, "uid": c.uid, "op_mod": c.op_mod}
        assert (m["kind"], values(m), m["reserved"]) == ("command", head | dict(c.fields), [])
        (m,) = messages(capsys, "--opcode", hex(c.opcode), line.answered.hex())
        a = decode_answer(c.opcode, line.answered)
        assert (m["kind"], values(m)) == ("answer", {"status": 0, "syndrome": 0} | dict(a.fields))


def test_a_line_without_numbers_has_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert "bits" in run(capsys, "Fatal error 3 detected")
    assert "bits" not in run(capsys, "handle_hca_cap failed")
