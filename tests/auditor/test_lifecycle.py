"""Start-up, close and e-switch of a session: when the mode switches, who is called what from then on, what is gone."""

from __future__ import annotations

import pytest

from fwpages.auditor.session import Close, Link
from fwpages.prm.capability import GENERAL, general
from fwpages.prm.identity import Mode
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, CapType, Opcode, QueryPages, Teardown
from fwpages.prm.status import Status
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

VHCA = general({"vhca_id": OWN_VHCA, "icm_mng_function_id_mode": 1, "release_all_pages": 1})


def _set(trace: AuditedTrace, data: bytes = VHCA, status: int = 0, op_mod: int = 0, **fields: int) -> str | None:
    trace.cmd(Command(Opcode.SET_HCA_CAP, op_mod, fields, data=data), Answer(Opcode.SET_HCA_CAP, status))
    return trace.so_far().mode


# -- the mode


@pytest.mark.parametrize(
    ("how", "mode"),
    [
        ({}, "vhca_id"),
        ({"status": Status.BAD_PARAM}, "func_id"),
        ({"data": general({"vhca_id": OWN_VHCA, "release_all_pages": 1})}, "func_id"),
        ({"op_mod": CapType.ETHERNET_OFFLOADS << 1}, "func_id"),
        ({"other_function": 1, "function_id": 3}, "func_id"),
        ({"data": VHCA[: GENERAL.least - 1]}, "func_id"),
    ],
)
def test_the_mode_is_what_the_sessions_own_answered_set_hca_cap_says(how: dict[str, int], mode: str) -> None:
    assert _set(AuditedTrace().booted(), **how) == mode  # type: ignore[arg-type]  # arguments by name


def test_boot_pages_become_the_own_vhca_ids_once_both_mode_and_vhca_id_are_known() -> None:
    for known_first in (True, False):
        trace = AuditedTrace().booted()
        if known_first:
            trace.caps({"vhca_id": OWN_VHCA}, current=False)
        assert trace.out() == {"func:0x0": 10}
        _set(trace)
        if not known_first:
            assert trace.out() == {"func:0x0": 10}
            trace.query(QueryPages.INIT, 20, OWN_VHCA)
        assert trace.out() == {"vhca:0x2a": 10}
        trace.take(OWN_VHCA, pages(0x100, 10))
        assert (trace.out(), trace.names) == ({}, [])


def test_a_command_that_is_out_when_the_mode_switches_is_about_the_same_function() -> None:
    trace = AuditedTrace().booted()
    trace.caps({"vhca_id": OWN_VHCA}, current=False)
    give = trace.submit(trace.give_command(0, pages(0x200, 5)))
    lost = trace.submit(trace.take_command(0, 3))
    trace.give_up(lost)
    _set(trace)
    assert [str(p.book and p.book.identity) for p in (trace.s.pending[give], trace.s.overdue[lost])] == [
        "vhca:0x2a"
    ] * 2
    trace.complete(give, Answer(Opcode.MANAGE_PAGES))
    trace.complete(lost, trace.took(pages(0x100, 3)))
    assert trace.out() == {"vhca:0x2a": 12}
    # findings go along
    assert {who for _, _, who, _ in trace.found} == {"vhca:0x2a"}


def test_where_the_negotiation_was_not_seen_the_capabilities_of_now_tell_the_mode() -> None:
    trace = AuditedTrace(late=True)
    trace.give(0x31, pages(0x500, 3))
    trace.give(0x32, pages(0x600, 2), ec=1)
    trace.caps({"vhca_id": OWN_VHCA, "icm_mng_function_id_mode": 1}, current=False)
    assert trace.so_far().mode is None
    trace.caps({"vhca_id": OWN_VHCA, "icm_mng_function_id_mode": 1})
    # it has always been so: what looked like a function_id was none, unless it had an ec bit
    assert (trace.so_far().mode, trace.out()) == ("vhca_id", {"vhca:0x31": 3, "func:0x32/ec": 2})


def test_names_from_before_a_negotiation_that_was_seen_are_function_ids() -> None:
    trace = AuditedTrace(late=True)
    trace.give(3, pages(0x500, 3))
    _set(trace)
    assert trace.out() == {"func:0x3": 3}


def test_a_session_seen_from_its_beginning_is_not_switched_by_what_is_read() -> None:
    trace = AuditedTrace().booted()
    trace.caps({"vhca_id": OWN_VHCA, "icm_mng_function_id_mode": 1})
    assert (trace.so_far().mode, trace.names) == ("func_id", [])


@pytest.mark.parametrize("named", [False, True])
def test_a_mode_that_is_read_back_otherwise_is_the_devices_fault(named: bool) -> None:
    trace = AuditedTrace().booted()
    trace.caps({"vhca_id": OWN_VHCA}, current=False)
    _set(trace)
    if named:
        trace.give(OWN_VHCA, pages(0x200, 20))
    trace.caps({"vhca_id": OWN_VHCA, "release_all_pages": 1})
    assert trace.found == [("mode-disagreement", "device", "vhca:0x2a" if named else "func:0x0", None)]
    # whoever has named a function by vhca_id goes on in that mode
    assert trace.so_far().mode == ("vhca_id" if named else "func_id")
    assert trace.out() == ({"vhca:0x2a": 30} if named else {"func:0x0": 10})


@pytest.mark.parametrize(("was_set", "now"), [(1, 0), (0, 1), (1, 1), (0, 0)])
def test_release_all_is_what_the_device_says_of_it_now(was_set: int, now: int) -> None:
    trace = AuditedTrace().booted()
    trace.caps({"vhca_id": OWN_VHCA}, current=False)
    _set(trace, general({"icm_mng_function_id_mode": 1, "release_all_pages": was_set}))
    trace.caps({"vhca_id": OWN_VHCA, "icm_mng_function_id_mode": 1, "release_all_pages": now})
    details = [f"SET_HCA_CAP set release_all_pages to {was_set}, QUERY_HCA_CAP(general, current) says {now}"] * (
        was_set != now
    )
    assert [f.detail for f in trace.findings()] == details
    assert trace.s.release_all_set is bool(now)
    # it is reported once
    trace.caps({"vhca_id": OWN_VHCA, "icm_mng_function_id_mode": 1, "release_all_pages": now})
    assert len(trace.names) == (was_set != now)


def test_capabilities_with_bytes_missing_tell_nothing() -> None:
    page = general({"vhca_id": OWN_VHCA})
    # the page begins at byte 16; the last field that counts ends with bit 0x700 of it
    for hole, known in (((8, 16), OWN_VHCA), ((8, 17), None), ((239, 240), None), ((240, 4112), OWN_VHCA)):
        trace = AuditedTrace().booted()
        key = trace.submit(Command(Opcode.QUERY_HCA_CAP))
        trace.complete(key, Answer(Opcode.QUERY_HCA_CAP, data=page), holes=(hole,))
        assert trace.s.naming.vhca == known
    trace = AuditedTrace().booted()
    # where the negotiation itself has holes, the mode is not known
    trace.submit(Command(Opcode.SET_HCA_CAP, data=VHCA), holes=((239, 240),))
    trace.complete(trace.id, Answer(Opcode.SET_HCA_CAP))
    assert (trace.s.naming.mode, trace.s.evidence.mode_unknown) == (Mode.FUNC_ID, True)


# -- queues and the close


@pytest.mark.parametrize(
    ("command", "closing"),
    [
        (Command(Opcode.DESTROY_EQ, fields={"eq_number": 3}), True),
        (Command(Opcode.TEARDOWN_HCA), True),
        (Command(Opcode.DISABLE_HCA), True),
        (Command(Opcode.DISABLE_HCA, fields={"function_id": 3}), False),
        (Command(Opcode.QUERY_ADAPTER), False),
    ],
)
def test_the_close_begins_with_the_first_command_of_it(command: Command, closing: bool) -> None:
    trace = AuditedTrace().booted()
    trace.submit(command)
    assert (trace.s.close is not Close.NOT_BEGUN) is closing


@pytest.mark.parametrize(("profile", "forced"), [(0, False), (Teardown.FORCE, True), (Teardown.PREPARE_FAST, True)])
@pytest.mark.parametrize("state", [0, 1])
def test_a_teardown_is_done_or_not(profile: int, forced: bool, state: int) -> None:
    trace = AuditedTrace().booted()
    trace.cmd(
        Command(Opcode.TEARDOWN_HCA, fields={"profile": profile}), Answer(Opcode.TEARDOWN_HCA, fields={"state": state})
    )
    assert trace.found == [("teardown-state", "device", None, None)] * state
    assert (Link.FORCED in trace.s.link) is (forced and not state)


@pytest.mark.parametrize("offered", [0, 1])
@pytest.mark.parametrize(
    ("profile", "name"), [(Teardown.FORCE, "force_teardown"), (Teardown.PREPARE_FAST, "fast_teardown")]
)
def test_a_teardown_that_is_not_offered_is_the_drivers_fault(profile: int, name: str, offered: int) -> None:
    trace = AuditedTrace().booted()
    query = Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL << 1 | CAP_CURRENT)
    trace.cmd(query, Answer(Opcode.QUERY_HCA_CAP, data=general({"vhca_id": 0x2A, name: offered})))
    answer = Answer(Opcode.TEARDOWN_HCA, fields={"state": 1})
    trace.cmd(Command(Opcode.TEARDOWN_HCA, fields={"profile": profile}), answer)
    assert trace.found == [
        ("teardown-state", "device", None, None) if offered else ("teardown-not-offered", "host", None, None)
    ]
