"""One fault in a recorded session is one finding, of the one who made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwpages.auditor.audit import audit
from fwpages.prm.capability import GENERAL
from tests.auditor.logs import golden_trace, only, write_trace

Line = dict[str, Any]


def _bytes(line: Line, key: str, at: int, value: bytes) -> None:
    data = bytearray.fromhex(line[key])
    data[at : at + len(value)] = value
    line[key] = data.hex()


def _refuse(line: Line) -> None:
    _bytes(line, "out", 0, b"\5")


def _silence(line: Line) -> None:
    line["out"] = ""


def _foreign_number(line: Line) -> None:
    _bytes(line, "eqe", 34, b"\0\0")


def _op_mod(line: Line) -> None:
    _bytes(line, "in", 6, b"\0\7")


@pytest.mark.parametrize(
    ("opcode", "nth", "change", "found"),
    [
        ("0109", 0, _refuse, ("command-refused", "device")),
        ("0109", 0, _silence, ("command-unanswered", "device")),
        ("eqe", 0, _foreign_number, ("identity-mismatch", "device")),
        ("0108", 5, _op_mod, ("command-malformed", "host")),
    ],
)
def test_in_a_recorded_session(
    opcode: str, nth: int, change: Callable[[Line], None], found: tuple[str, str], tmp_path: Path
) -> None:
    lines = golden_trace()
    mine = [x for x in lines if (x["kind"] == "event" if opcode == "eqe" else x.get("in", "").startswith(opcode))]
    change(mine[nth])
    s = only(audit(write_trace(tmp_path, lines)))
    assert found in [(f.name, f.blame) for f in s.findings]
    assert {f.name for f in s.findings} <= {found[0], "returned-never-given"}
    assert s.mode == "vhca_id"


def test_page_requests_without_an_event_queue_are_reported_once_and_followed(tmp_path: Path) -> None:
    lines = [x for x in golden_trace() if not x.get("in", "").startswith("0301")]
    s = only(audit(write_trace(tmp_path, lines)))
    assert [(f.name, f.blame) for f in s.findings] == [("request-without-eq", "device")]
    whole = only(audit(write_trace(tmp_path, golden_trace())))
    assert s.totals == whole.totals


@pytest.mark.parametrize("nth", [0, -1])
def test_an_own_vhca_id_that_changes_is_the_devices_fault(nth: int, tmp_path: Path) -> None:
    lines = golden_trace()
    mine = [x for x in lines if x.get("in", "").startswith("0100") and int(x["in"][12:16], 16) >> 1 == 0]
    _bytes(mine[nth], "out", 16 + GENERAL.by_name["vhca_id"].bit // 8, b"\0\x55")
    s = only(audit(write_trace(tmp_path, lines)))
    assert {(f.name, f.blame) for f in s.findings} == {("capability-disagreement", "device")}
    assert s.totals.held == 0


def test_the_ec_bit_of_an_event_means_nothing_in_vhca_id_mode(tmp_path: Path) -> None:
    lines = golden_trace()
    for line in lines:
        if line["kind"] == "event" and not bytes.fromhex(line["eqe"])[32]:
            _bytes(line, "eqe", 32, b"\x80")
    s = only(audit(write_trace(tmp_path, lines)))
    assert (s.mode, s.findings) == ("vhca_id", [])
