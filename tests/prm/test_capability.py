from __future__ import annotations

import pytest

from fwpages.prm.capability import GENERAL, general, read_general
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import decode_answer, decode_command
from fwpages.prm.opcodes import CAP_CURRENT, Opcode
from tests.conftest import Line


def test_a_page_is_4096_bytes_and_comes_back() -> None:
    page = general({"vhca_id": 0x2A, "icm_mng_function_id_mode": 1})
    assert len(page) == 4096
    values = read_general(page)
    assert {k: v for k, v in values.items() if v} == {"vhca_id": 0x2A, "icm_mng_function_id_mode": 1}
    assert set(values) == {f.name for f in GENERAL}


def test_names_values_and_lengths_that_do_not_fit() -> None:
    with pytest.raises(LayoutError, match="no field colour"):
        general({"colour": 1})
    with pytest.raises(LayoutError, match="vhca_id"):
        general({"vhca_id": 0x10000})
    with pytest.raises(LayoutError, match="buffer has 10"):
        read_general(bytes(10))


def test_the_recorded_capabilities(trace: list[Line]) -> None:
    """Both devices have vhca_id 0x2a; one of them offers VHCA_ID mode, and Linux sets what is offered."""
    pages: dict[str, dict[str, int]] = {}
    for line in trace:
        if line.kind != "command":
            continue
        command = decode_command(line.sent)
        if command.opcode == Opcode.QUERY_HCA_CAP:
            page = read_general(decode_answer(command.opcode, line.answered).data)
            pages.setdefault("current" if command.op_mod & CAP_CURRENT else "max", page)
        elif command.opcode == Opcode.SET_HCA_CAP:
            pages["set"] = read_general(command.data)
    assert pages["current"]["vhca_id"] == pages["max"]["vhca_id"] == 0x2A
    assert pages["set"]["icm_mng_function_id_mode"] == pages["max"]["icm_mng_function_id_mode"]
    assert pages["set"]["release_all_pages"] == pages["max"]["release_all_pages"] == 1
    by_vhca_id = any(line.sent[:2] == b"\x01\x08" and line.sent[10:12] == b"\x00\x2a" for line in trace)
    assert by_vhca_id is bool(pages["set"]["icm_mng_function_id_mode"])
