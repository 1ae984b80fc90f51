"""A GIVE or TAKE that names another function than firmware asked for: one finding, the host's, and nothing follows.

A page request names a function and a count; a host that gives as many to somebody else has mixed up two names.
"""

from __future__ import annotations

import numpy as np
import pytest

from fwpages.prm.identity import Supplier, func_id, vhca_id
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.prm.status import Status
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

#: the function that firmware asks for, and the names that a host could take for it, with their ec bits
VHCA = (0x31, [(0, 0), (OWN_VHCA, 0), (0xFFFF, 0), (0x32, 0)])
FUNC = (3, [(0, 0), (OWN_VHCA, 0), (0xFFFF, 0), (4, 0), (3, 1)])
CASES = [(True, VHCA[0], *name) for name in VHCA[1]] + [(False, FUNC[0], *name) for name in FUNC[1]]
MODES = pytest.mark.parametrize(("vhca", "who"), [(True, 0x31), (False, 3)])


def _opened(*, vhca: bool, log: bool = False) -> AuditedTrace:
    trace = AuditedTrace(Supplier(max_vfs=8), log=log)
    trace.opened(vhca=vhca)
    return trace


def _name(number: int, ec: int, *, vhca: bool) -> str:
    return str(vhca_id(number) if vhca else func_id(number, ec=bool(ec)))


def _close(trace: AuditedTrace, *, vhca: bool) -> None:
    """The close takes back what the own function has by its books; of the two that were mixed up nothing is counted."""
    trace.closed(own=OWN_VHCA if vhca else 0)
    report = trace.over()
    assert (report.end, report.totals.held or 0) == ("closed", 0)
    for f in report.functions:
        assert f.held in (0, None)


@pytest.mark.parametrize(("vhca", "who", "number", "ec"), CASES)
def test_a_give_in_another_name_is_one_finding_of_the_host(vhca: bool, who: int, number: int, ec: int) -> None:
    trace = _opened(vhca=vhca)
    trace.event(who, 7)
    trace.give(number, pages(0x500, 7), ec=ec)
    at = trace.line - 1
    # firmware knows which function the pages were for, and has no part in the mistake
    trace.event(who, -7)
    trace.take(who, pages(0x500, 7))
    named, wanted = _name(number, ec, vhca=vhca), _name(who, 0, vhca=vhca)
    assert trace.found == [("identity-mismatch", "host", named, 7)]
    (f,) = trace.findings()
    assert f.at["line"] == at
    assert f.detail.endswith(
        f"(GIVE) of 7 pages names {named}: firmware wants that of {wanted}, and nothing of {named}"
    )
    _close(trace, vhca=vhca)
    assert len(trace.found) == 1


@pytest.mark.parametrize(("vhca", "who", "number", "ec"), CASES)
def test_a_take_in_another_name_is_one_too(vhca: bool, who: int, number: int, ec: int) -> None:
    """Firmware gives back what it wanted to."""
    trace = _opened(vhca=vhca)
    trace.event(who, 7)
    trace.give(who, pages(0x500, 7))
    trace.event(who, -7)
    trace.take(number, pages(0x500, 7), ec=ec)
    named, wanted = _name(number, ec, vhca=vhca), _name(who, 0, vhca=vhca)
    assert trace.found == [("identity-mismatch", "host", named, 7)]
    (f,) = trace.findings()
    assert f.at["line"] == trace.line - 1
    assert f.detail.endswith(
        f"(TAKE) of 7 pages names {named}: firmware wants that of {wanted}, and nothing of {named}"
    )
    _close(trace, vhca=vhca)
    assert len(trace.found) == 1


@MODES
def test_a_device_that_returns_the_pages_of_the_wrong_name_obeys(vhca: bool, who: int) -> None:
    trace = _opened(vhca=vhca)
    own = OWN_VHCA if vhca else 0
    trace.event(who, 7)
    trace.give(who, pages(0x500, 7))
    trace.event(own, 7)
    trace.give(own, pages(0x600, 7))
    trace.event(who, -7)
    trace.take(own, pages(0x600, 7))
    trace.take(who, pages(0x500, 7))
    _close(trace, vhca=vhca)
    assert trace.found == [("identity-mismatch", "host", _name(own, 0, vhca=vhca), 7)]


@MODES
def test_an_ec_bit_that_no_function_here_has_is_one_finding(vhca: bool, who: int) -> None:
    trace = _opened(vhca=vhca)
    trace.event(who, 7)
    trace.give(who, pages(0x500, 7), ec=1)
    trace.event(who, -7)
    trace.take(who, pages(0x500, 7))
    assert [(name, blame) for name, blame, *_ in trace.found] == [("identity-mismatch", "host")]
    _close(trace, vhca=vhca)
    assert len(trace.found) == 1


def test_even_unasked_an_ec_bit_on_a_plain_physical_function_is_a_wrong_name() -> None:
    for ecpf, names in ((False, ["identity-mismatch"]), (True, [])):
        trace = AuditedTrace(Supplier(ecpf=ecpf, max_vfs=8, max_ec_vfs=8), ecpf=ecpf)
        trace.opened(vhca=False)
        trace.give(3, pages(0x500, 7), ec=1)
        assert trace.names == names


@MODES
def test_the_init_pages_are_the_own_functions(vhca: bool, who: int) -> None:
    trace = AuditedTrace(Supplier(max_vfs=8)).booted()
    trace.negotiate(vhca=vhca)
    own = OWN_VHCA if vhca else 0
    trace.query(QueryPages.INIT, 20, own)
    trace.give(who, pages(0x200, 20))
    assert trace.found == [("identity-mismatch", "host", _name(who, 0, vhca=vhca), 20)]


@pytest.mark.parametrize(("what", "status"), [("give", Status.BAD_PARAM), ("take", Status.BAD_RES_STATE)])
def test_a_device_that_refuses_a_wrong_name_is_right(what: str, status: Status) -> None:
    trace = _opened(vhca=True)
    trace.event(0x31, 7)
    if what == "give":
        trace.give(0x32, pages(0x500, 7), status)
    else:
        trace.give(0x31, pages(0x500, 7))
        trace.event(0x31, -7)
        trace.cmd(trace.take_command(0x32, 7), Answer(Opcode.MANAGE_PAGES, status))
    assert [(name, blame) for name, blame, *_ in trace.found] == [
        ("identity-mismatch", "host"),
        (f"{what}-refused", "host"),
    ]


@pytest.mark.parametrize("who", [0x31, 0x32])
def test_a_release_all_after_a_mistaken_name_is_no_second_finding(who: int) -> None:
    trace = _opened(vhca=True)
    trace.event(0x32, 5)
    trace.give(0x32, pages(0x400, 5))
    trace.event(0x31, 7)
    trace.give(0x32, pages(0x500, 7))
    trace.event(who, 0, release_all=True)
    # the pages are free on one side or the other; they are given again, and they come back
    trace.event(0x31, 7)
    trace.give(0x31, pages(0x600, 7))
    trace.event(0x31, -7)
    trace.take(0x31, pages(0x500, 7))
    assert trace.found == [("identity-mismatch", "host", "vhca:0x32", 7)]


@pytest.mark.parametrize("first", [0x31, 0x32])
def test_a_page_given_twice_may_come_back_from_both_functions(first: int) -> None:
    trace = _opened(vhca=True)
    for who in (0x31, 0x32):
        trace.event(who, 2)
        trace.give(who, pages(0x500, 2))
    for who in (first, 0x31 + 0x32 - first):
        trace.event(who, -2)
        trace.take(who, pages(0x500, 2))
    assert trace.names[:1] == ["given-twice"]
    assert {blame for _, blame, _, _ in trace.found} == {"host"}


def test_after_a_mistake_neither_of_the_two_functions_is_followed() -> None:
    trace = _opened(vhca=True)
    trace.event(0x31, 7)
    trace.give(0x32, pages(0x500, 7))
    assert sorted(trace.unsure) == ["vhca:0x31", "vhca:0x32"]
    trace.event(0x31, -7)
    trace.take(0x31, np.concatenate([pages(0x500, 5), pages(0x200, 2)]))
    assert trace.names == ["identity-mismatch"]
    s = trace.over()
    assert {f.identity for f in s.functions if f.given is None} == {"vhca:0x32"}
