"""Names in page commands: whether they are of the mode that holds, and whose mistake it is where they are not."""

from __future__ import annotations

import pytest

from fwpages.auditor import identities
from fwpages.prm.identity import Mode, Supplier
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, QueryPages
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages


def _fed(mode: Mode = Mode.VHCA_ID, supplier: Supplier | None = None) -> AuditedTrace:
    trace = AuditedTrace(supplier)
    trace.opened(vhca=mode is Mode.VHCA_ID)
    return trace


@pytest.mark.parametrize(
    ("mode", "number", "ec", "names"),
    [
        (Mode.VHCA_ID, OWN_VHCA, 0, []),
        (Mode.VHCA_ID, 0, 0, ["identity-mismatch"]),
        (Mode.VHCA_ID, OWN_VHCA, 1, ["identity-mismatch"]),
        (Mode.FUNC_ID, 0, 0, []),
        (Mode.FUNC_ID, OWN_VHCA, 0, ["identity-mismatch"]),
    ],
)
def test_query_pages_is_about_the_function_itself(mode: Mode, number: int, ec: int, names: list[str]) -> None:
    trace = _fed(mode)
    fields = {"function_id": number, "embedded_cpu_function": ec}
    trace.submit(Command(Opcode.QUERY_PAGES, QueryPages.REGULAR, fields))
    assert trace.names == names
    assert {blame for _, blame, *_ in trace.found} <= {"host"}


@pytest.mark.parametrize(
    ("answered", "names"), [(OWN_VHCA, []), (0, ["identity-mismatch"]), (7, ["identity-mismatch"])]
)
def test_an_answer_to_query_pages_is_about_who_was_asked_for(answered: int, names: list[str]) -> None:
    trace = _fed()
    trace.query(QueryPages.REGULAR, 3, OWN_VHCA, answered=answered)
    assert (trace.names, [blame for _, blame, *_ in trace.found]) == (names, ["device"] * len(names))


@pytest.mark.parametrize(
    ("number", "supplier", "names"),
    [
        (OWN_VHCA, None, ["identity-mismatch"]),
        # a VF can have this number
        (OWN_VHCA, Supplier(max_vfs=OWN_VHCA), []),
        (OWN_VHCA, Supplier(max_vfs=OWN_VHCA - 1), ["identity-mismatch"]),
        (OWN_VHCA, Supplier(max_ec_vfs=OWN_VHCA), []),
        (3, None, []),
    ],
)
def test_a_name_that_may_be_of_the_other_mode_is_judged_at_the_end(
    number: int, supplier: Supplier | None, names: list[str]
) -> None:
    trace = _fed(Mode.FUNC_ID, supplier)
    trace.give(number, pages(0x500, 2))
    assert trace.names == []
    trace.over()
    assert trace.names == names


def test_a_vport_that_is_enabled_later_explains_its_name() -> None:
    trace = _fed(Mode.FUNC_ID)
    trace.give(OWN_VHCA, pages(0x500, 2))
    trace.plain(Opcode.ENABLE_HCA, function_id=OWN_VHCA)
    trace.over()
    assert trace.names == []


def test_only_so_many_names_wait_for_their_judgement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "MAX_WITHHELD", 3)
    trace = _fed(Mode.FUNC_ID)
    for n in range(5):
        trace.give(OWN_VHCA, pages(0x500 + n, 1))
    trace.over()
    assert trace.names == ["identity-mismatch"] * 3


def test_the_name_in_query_pages_tells_a_mode_that_was_negotiated_unseen() -> None:
    trace = AuditedTrace(late=True)
    trace.query(QueryPages.REGULAR, 0, 0x2A)
    assert (trace.so_far().mode, trace.names) == ("vhca_id", [])


def test_a_host_that_takes_the_ec_bit_over_from_an_event_in_vhca_id_mode_errs() -> None:
    """The device may set it: in that mode no driver looks at an event's ec bit. A command must not have it."""
    trace = _fed()
    trace.event(0x31, 2, ec=True)
    assert trace.found == []
    trace.give(0x31, pages(0x500, 2), ec=1)
    assert trace.found == [("identity-mismatch", "host", "vhca:0x31", None)]
