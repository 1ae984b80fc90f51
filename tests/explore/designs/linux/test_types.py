"""The values of the Linux models: numbers as the kernel has them, and states that can be copied and compared."""

from __future__ import annotations

import errno
import pickle

import pytest

from fwpages.explore.designs.linux import types as linux_types
from fwpages.explore.designs.linux.types import Flight, Frame, FwPage, Reply, Thread, Vport, Wait
from fwpages.host import VportInfo
from fwpages.prm.identity import FunctionType
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import PAGE_SLOT, ManagePages, Opcode
from tests.conftest import Line

ERRORS = [n for n in vars(linux_types) if n.startswith("E") and n in vars(errno)]
TAKE = Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"function_id": 1, "input_num_entries": 2})


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_is_the_kernel_s_number_below_zero(name: str) -> None:
    assert getattr(linux_types, name) == -getattr(errno, name)


def test_page_commands_go_where_an_unmodified_linux_put_them(trace: list[Line]) -> None:
    """On a slot of their own, which no other command was seen to take."""
    slots = {(int.from_bytes(x.sent[:2], "big") == Opcode.MANAGE_PAGES, x.slot) for x in trace if x.sent}
    assert {slot for pages, slot in slots if pages} == {PAGE_SLOT}
    assert PAGE_SLOT not in {slot for pages, slot in slots if not pages}


VALUES = [
    Frame("give", (1, False, 3, True)),
    FwPage(1 << 32, 0x31, "vf", 0b10, 1),
    Wait("answer", "", Opcode.MANAGE_PAGES, 3.0, TAKE),
    Thread("close", (Frame("unload"),), Wait("lock", "devlink")),
    Flight(7, PAGE_SLOT, "pages", TAKE, 60.0),
    Reply(0, Answer(Opcode.MANAGE_PAGES)),
    Vport(VportInfo(1, FunctionType.VF, 1), 0x31),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda v: type(v).__name__)
def test_a_state_s_values_do_not_change_and_come_through_bytes(value: object) -> None:
    """Copies of a driver share them, and an explorer sends them from process to process."""
    assert pickle.loads(pickle.dumps(value)) == value
    fields = getattr(value, "_fields", None) or [*value.__dataclass_fields__]  # type: ignore[attr-defined]  # or a tuple
    for name in fields:
        with pytest.raises(AttributeError):
            setattr(value, name, None)


def test_a_vport_begins_unknown_and_off() -> None:
    """MLX5_VHCA_ID_INVALID until it is asked for; its function may be on before it is known."""
    v = Vport(VportInfo(1, FunctionType.VF, 1))
    assert (v.vhca_id, v.enabled, v.hca) == (None, False, False)
    assert not Flight(1, 0, "driver", TAKE, 1.0).late
