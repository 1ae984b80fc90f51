"""A driver that names functions by vhca_id: ids come and go with functions, and only two at once are one too many."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fwpages.custody.findings import Cause
from fwpages.prm.capability import general
from fwpages.prm.commands import ESW_FUNCTIONS
from fwpages.prm.esw_functions import HOST
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from fwpages.readers.observations import MissingInput
from tests.auditor.audited_traces import DEVICE, AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

PF = Supplier(max_vfs=4)
ECPF = Supplier(ecpf=True, max_vfs=4, max_ec_vfs=4)


def _opened(supplier: Supplier | None = PF, *, vhca: bool = True, log: bool = False) -> AuditedTrace:
    trace = AuditedTrace(supplier, ecpf=bool(supplier and supplier.ecpf), log=log)
    trace.opened(vhca=vhca)
    assert trace.found == []
    return trace


def _learn(trace: AuditedTrace, number: int, vhca: int, **more: int) -> None:
    """The driver asks for a function's vhca_id by its number, and from then on by the vhca_id."""
    trace.caps({"vhca_id": vhca}, current=False, other_function=1, function_id=number, **more)
    trace.caps({"vhca_id": vhca}, current=False, other_function=1, function_id_type=1, function_id=vhca)


def _generation(trace: AuditedTrace, number: int, vhca: int, **name: int) -> None:
    """A function is enabled, uses a page and is disabled; ``name`` is how the driver disables it, else its number."""
    trace.plain(Opcode.ENABLE_HCA, function_id=number)
    _learn(trace, number, vhca)
    trace.give(vhca, pages(0x1000, 3))
    trace.take(vhca, pages(0x1000, 3))
    trace.plain(Opcode.DISABLE_HCA, **(name or {"function_id": number}))


def _by_number(number: int, vhca: int) -> dict[str, int]:
    del vhca
    return {"function_id": number}


def _by_vhca_id(number: int, vhca: int) -> dict[str, int]:
    del number
    return {"function_id": vhca, "function_id_type": 1}


@pytest.mark.parametrize("name", [_by_number, _by_vhca_id])
@pytest.mark.parametrize("log", [True, False])
def test_a_vhca_id_is_free_once_its_function_is_disabled(name: Callable[[int, int], dict[str, int]], log: bool) -> None:
    trace = _opened(log=log)
    for number, vhca in ((1, 0x31), (2, 0x31), (1, 0x32), (2, 0x32), (1, 0x31), (3, 0x32)):
        _generation(trace, number, vhca, **name(number, vhca))
    assert trace.found == []
    given = [(f.identity, f.generation, f.given, f.held) for f in trace.over().functions if "0x3" in f.identity]
    assert sorted(given) == sorted(
        [("vhca:0x31", g, 3, 0) for g in range(3)] + [("vhca:0x32", g, 3, 0) for g in range(3)]
    )


@pytest.mark.parametrize("name", [_by_number, _by_vhca_id])
def test_functions_that_swap_their_vhca_ids_are_fine(name: Callable[[int, int], dict[str, int]]) -> None:
    trace = _opened()
    for first, second in ((0x31, 0x32), (0x32, 0x31), (0x31, 0x32)):
        for number, vhca in ((1, first), (2, second)):
            trace.plain(Opcode.ENABLE_HCA, function_id=number)
            _learn(trace, number, vhca)
        for number, vhca in ((1, first), (2, second)):
            trace.plain(Opcode.DISABLE_HCA, **name(number, vhca))
    assert trace.found == []


def test_functions_that_are_enabled_by_vhca_id_alone() -> None:
    """An ECPF enables other physical functions so: their numbers are never named."""
    trace = _opened(ECPF)
    for _ in range(3):
        for vhca in (0x40, 0x41):
            trace.plain(Opcode.ENABLE_HCA, function_id=vhca, function_id_type=1)
            trace.caps({"vhca_id": vhca}, current=False, other_function=1, function_id_type=1, function_id=vhca)
        for vhca in (0x41, 0x40):
            trace.plain(Opcode.DISABLE_HCA, function_id=vhca, function_id_type=1)
    trace.plain(Opcode.ENABLE_HCA, function_id=1)
    _learn(trace, 1, 0x40)
    assert trace.found == []


@pytest.mark.parametrize("supplier", [PF, ECPF])
def test_a_sub_function_is_one_function_before_and_after_it_is_allocated(supplier: Supplier) -> None:
    trace = _opened(supplier)
    trace.caps(
        {"vhca_id": OWN_VHCA, "sf": 1, "sf_base_id": 0x80, "release_all_pages": 1, "icm_mng_function_id_mode": 1}
    )
    _learn(trace, 0x90, 0x51)
    for vhca in (0x51, 0x52, 0x51):
        trace.plain(Opcode.ALLOC_SF, function_id=0x90)
        _learn(trace, 0x90, vhca)
        trace.plain(Opcode.DEALLOC_SF, function_id=0x90)
    trace.plain(Opcode.ALLOC_SF, function_id=0x91)
    _learn(trace, 0x91, 0x51)
    assert trace.found == []


def test_virtual_functions_of_host_and_embedded_cpu_have_the_same_numbers() -> None:
    trace = _opened(ECPF)
    for number in (1, 2):
        trace.plain(Opcode.ENABLE_HCA, function_id=number)
        trace.plain(Opcode.ENABLE_HCA, function_id=number, embedded_cpu_function=1)
        _learn(trace, number, 0x60 + number)
        _learn(trace, number, 0x70 + number, ec_vf_function=1)
    assert trace.found == []


@pytest.mark.parametrize("name", [_by_number, _by_vhca_id])
def test_a_function_whose_disabling_was_not_answered_may_be_gone(name: Callable[[int, int], dict[str, int]]) -> None:
    trace = _opened()
    trace.plain(Opcode.ENABLE_HCA, function_id=1)
    _learn(trace, 1, 0x31)
    trace.give_up(trace.submit(Command(Opcode.DISABLE_HCA, fields=name(1, 0x31))))
    _learn(trace, 2, 0x31)
    assert [n for n, *_ in trace.found] == ["command-unanswered"]


def test_lines_that_are_lost_can_be_those_of_the_disabling() -> None:
    trace = _opened(log=True)
    _learn(trace, 1, 0x31)
    lost = MissingInput(place=trace.place(), device=DEVICE, cause=Cause.LOG_LINES_LOST, detail="5 messages dropped")
    trace.audit.see(lost)
    _learn(trace, 2, 0x31)
    assert [n for n, *_ in trace.found] == ["log-lines-lost"]


def test_a_refused_question_says_nothing_of_a_vhca_id() -> None:
    trace = _opened()
    _learn(trace, 1, 0x31)
    fields = {"other_function": 1, "function_id": 2}
    refused = Answer(Opcode.QUERY_HCA_CAP, Status.BAD_PARAM, data=general({"vhca_id": 0x31}))
    trace.cmd(Command(Opcode.QUERY_HCA_CAP, 0, fields), refused)
    assert "vhca-id-twice" not in [n for n, *_ in trace.found]


@pytest.mark.parametrize("vhca", [True, False])
def test_two_functions_that_are_enabled_with_one_vhca_id_are_still_found(vhca: bool) -> None:
    trace = _opened(vhca=vhca)
    _generation(trace, 3, 0x31) if vhca else None
    for number in (1, 2):
        trace.plain(Opcode.ENABLE_HCA, function_id=number)
        trace.caps({"vhca_id": 0x31}, current=False, other_function=1, function_id=number)
    assert [(n, b) for n, b, *_ in trace.found] == [("vhca-id-twice", "device")]


def _host_has(trace: AuditedTrace, vfs: int) -> None:
    """The driver asks how many VFs the external host has on."""
    data = HOST.pack({"host_num_of_vfs": vfs, "host_total_vfs": 4}).ljust(ESW_FUNCTIONS, b"\0")
    trace.cmd(Command(Opcode.QUERY_ESW_FUNCTIONS), Answer(Opcode.QUERY_ESW_FUNCTIONS, data=data))


@pytest.mark.parametrize("left", [0, 1])
@pytest.mark.parametrize("log", [True, False])
def test_a_vhca_id_is_free_once_its_function_is_off_in_the_external_host(left: int, log: bool) -> None:
    """No command disables a VF of the host: the driver asks how many are left."""
    trace = _opened(ECPF, log=log)
    _host_has(trace, 2)
    for number in (1, 2):
        _learn(trace, number, 0x30 + number)
        trace.give(0x30 + number, pages(0x1000 * number, 3))
    _host_has(trace, left)
    for number in range(left + 1, 3):
        trace.take(0x30 + number, pages(0x1000 * number, 3))
        trace.plain(Opcode.ENABLE_HCA, function_id=number, embedded_cpu_function=1)
        _learn(trace, number, 0x30 + number, ec_vf_function=1)
        trace.give(0x30 + number, pages(0x4000 * number, 2))
    assert trace.found == []
    given = sorted((f.identity, f.type, f.given) for f in trace.over().functions if "0x3" in f.identity)
    vfs = [(f"vhca:{0x30 + n:#x}", "vf", 3) for n in (1, 2)]
    assert given == sorted([*vfs, *((f"vhca:{0x30 + n:#x}", "ec_vf", 2) for n in range(left + 1, 3))])


def test_a_vhca_id_of_a_vf_that_its_host_has_on_is_taken() -> None:
    trace = _opened(ECPF)
    _host_has(trace, 2)
    _learn(trace, 1, 0x31)
    _host_has(trace, 1)
    trace.plain(Opcode.ENABLE_HCA, function_id=1, embedded_cpu_function=1)
    _learn(trace, 1, 0x31, ec_vf_function=1)
    assert [(n, b) for n, b, *_ in trace.found] == [("vhca-id-twice", "device")]
