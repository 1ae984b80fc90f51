"""When each command may come, what it needs room for, and that a recorded Linux is served to its end."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from msgspec.structs import replace

from fwpages.device import FunctionSpec, Profile, ResetFunction, Want
from fwpages.device.firmware.loadable import LoadableFirmware
from fwpages.prm.capability import read_general
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.event import decode_page_request
from fwpages.prm.message import Command, decode_answer, decode_command
from fwpages.prm.opcodes import CAP_CURRENT, ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status
from tests.conftest import Line
from tests.device.conftest import SF, VF, Driver

TAKE = ManagePages.TAKE

#: the phases of a session, by hand: off, boot pages missing, boot pages given, at work, closing
STAGES = ("off", "booting", "starting", "working", "closing")
ALLOWED: dict[Opcode, str] = {
    Opcode.ENABLE_HCA: "off",
    Opcode.DISABLE_HCA: "booting starting closing",
    Opcode.QUERY_ISSI: "booting starting",
    Opcode.SET_ISSI: "booting starting",
    Opcode.QUERY_PAGES: "booting starting working closing",
    Opcode.MANAGE_PAGES: "booting starting working closing",
    Opcode.ACCESS_REG: "starting working",
    Opcode.QUERY_HCA_CAP: "starting working",
    Opcode.SET_HCA_CAP: "starting",
    Opcode.INIT_HCA: "booting starting",
    Opcode.TEARDOWN_HCA: "working",
    Opcode.QUERY_ADAPTER: "starting working",
    Opcode.SET_DRIVER_VERSION: "working",
    Opcode.ALLOC_UAR: "working",
    Opcode.DEALLOC_UAR: "working",
    Opcode.CREATE_EQ: "working",
    Opcode.DESTROY_EQ: "working",
    Opcode.CREATE_ESW_VPORT: "working",
    Opcode.DESTROY_ESW_VPORT: "working",
    Opcode.QUERY_ESW_FUNCTIONS: "starting working closing",
    Opcode.MODIFY_NIC_VPORT_CONTEXT: "starting working closing",
    Opcode.QUERY_VHCA_STATE: "working",
    Opcode.MODIFY_VHCA_STATE: "working",
    Opcode.ALLOC_SF: "working",
    Opcode.DEALLOC_SF: "working",
}
#: commands whose empty form means something
OP_MODS = {Opcode.QUERY_PAGES: int(QueryPages.REGULAR), Opcode.MANAGE_PAGES: int(TAKE)}


def at_stage(d: Driver, stage: str) -> Driver:
    if stage == "booting":
        d.enable()
    elif stage == "starting":
        d.boot()
    elif stage in ("working", "closing"):
        d.open(by_vhca_id=False)
    if stage == "closing":
        d.ok(Opcode.TEARDOWN_HCA)
    return d


@pytest.mark.parametrize("stage", STAGES)
def test_each_command_is_allowed_in_its_phases(driver: Driver, stage: str) -> None:
    d = at_stage(driver, stage)
    sound = d.fw
    for opcode in Opcode:
        d.fw, d.offences = sound.clone(), []
        data = bytes(CAP_PAGE) if opcode is Opcode.SET_HCA_CAP else b""
        d.send(Command(opcode, OP_MODS.get(opcode, 0), data=data))
        wrong = [o.detail for o in d.offences if o.name == "wrong-state"]
        assert (not wrong) is (stage in ALLOWED[opcode].split()), opcode.name
        assert all(opcode.name in words for words in wrong)


@pytest.mark.parametrize(
    ("opcode", "early"),
    [(Opcode.ENABLE_HCA, "starting"), (Opcode.DISABLE_HCA, "starting"), (Opcode.DISABLE_HCA, "closing")],
)
def test_another_function_is_switched_at_work_only(driver: Driver, opcode: Opcode, early: str) -> None:
    c = Command(opcode, fields={"function_id": VF.function_id})
    at_stage(driver, early).refused("wrong-state", Status.BAD_SYS_STATE, c)


def test_missing_pages_are_reported_with_their_count(driver: Driver) -> None:
    driver.enable()
    driver.give(driver.own, 1)
    offence = driver.refused("wrong-state", Status.BAD_SYS_STATE, Command(Opcode.QUERY_ADAPTER))
    assert (offence.function, "QUERY_ADAPTER, 2 boot pages" in offence.detail) == (None, True)


def test_an_unknown_opcode_is_refused_whatever_the_session_s_state(driver: Driver) -> None:
    c = Command(0x999)
    assert "0x999" in driver.refused("unknown-command", Status.BAD_OP, c, 0).detail
    driver.open()
    driver.refused("unknown-command", Status.BAD_OP, c, 0)


#: command → bytes that its answer takes (``*_out_bits``)
ROOM: list[tuple[Command, int]] = [
    (Command(Opcode.QUERY_PAGES, QueryPages.REGULAR), 16),
    (Command(Opcode.MANAGE_PAGES, TAKE, {"input_num_entries": 5}), 16 + 5 * 8),
    (Command(Opcode.MANAGE_PAGES, TAKE), 16),
    (Command(Opcode.QUERY_HCA_CAP), 16 + 4096),
    (Command(Opcode.QUERY_ADAPTER), 16 + 256),
    (Command(Opcode.ACCESS_REG, fields={"register_id": 0x7004}, data=bytes(48)), 16 + 48),
    (Command(Opcode.ALLOC_UAR), 16),
    (Command(Opcode.ENABLE_HCA, fields={"function_id": 1}), 12),
]


@pytest.mark.parametrize(("c", "room"), ROOM, ids=lambda x: str(x) if isinstance(x, Command) else "")
def test_room_for_the_answer_is_enough_or_a_byte_short(driver: Driver, c: Command, room: int) -> None:
    driver.open(by_vhca_id=False)
    offence = driver.refused("reply-too-small", Status.BAD_OUTP_LEN, c, room - 1)
    assert str(room - 1) in offence.detail
    assert str(room) in offence.detail
    assert driver.send(c, room).ok


def test_the_state_is_looked_at_before_the_room(driver: Driver) -> None:
    driver.refused("wrong-state", Status.BAD_SYS_STATE, Command(Opcode.QUERY_ADAPTER), 0)


def recorded_device(lines: list[Line], functions: list[FunctionSpec]) -> Driver:
    """A driver of the device that Linux was recorded on, as it described itself; FUNC_ID mode comes first."""
    commands = [(decode_command(line.sent), line) for line in lines if line.kind == "command"]
    pages: dict[tuple[int, bool], bytes] = {}
    for c, line in commands:
        if c.opcode == Opcode.QUERY_HCA_CAP:
            pages.setdefault((0, bool(c.op_mod & CAP_CURRENT)), decode_answer(c.opcode, line.answered).data)
    offered, current = ({k: v for k, v in read_general(pages[0, now]).items() if v} for now in (False, True))
    own = offered.pop("vhca_id")
    current = {k: v for k, v in current.items() if k not in ("vhca_id", "icm_mng_function_id_mode")}
    profile = Profile(
        name="recorded",
        description="",
        boot_pages=37,
        init_pages=2000,
        vhca_id=own,
        max=offered,
        current=current,
    )
    d = Driver(profile, functions)
    d.fw = LoadableFirmware(profile, functions, pages=pages)
    return d


def happened(line: Line) -> Want | ResetFunction:
    """The input of the recorded device that caused this event."""
    event = decode_page_request(line.eqe)
    assert event is not None
    name = "vf" if event.number == 0x31 else "self"
    return ResetFunction(name) if event.release_all else Want(name, event.num_pages)


def test_a_recorded_linux_is_served_to_its_end(trace: list[Line]) -> None:
    """Every command of its load, its work and its unload is answered OK; every page comes back or was released."""
    d = recorded_device(trace, [dataclasses.replace(VF, name="vf", function_id=0x31, vhca_id=0x31, vport=0x31)])
    uar, came, went, released = 0, 0, 0, 0
    for n, line in enumerate(trace):
        if line.kind == "event":
            x = happened(line)
            released += d.fw.held("vf") if isinstance(x, ResetFunction) else 0
            d.feed(x)
            continue
        c = decode_command(line.sent)
        if c.opcode in (Opcode.CREATE_EQ, Opcode.DEALLOC_UAR):
            field = "uar" if c.opcode == Opcode.DEALLOC_UAR else "uar_page"
            c = replace(c, fields={**c.fields, field: uar})
        # which pages come back is each firmware's choice: Linux gave some anew that this one still has
        c = replace(c, pas=c.pas + (np.uint64(n) << np.uint64(40)))
        answer = d.send(c, len(line.answered))
        theirs = decode_answer(c.opcode, line.answered)
        assert (answer.ok, d.offences) == (True, []), c
        if c.opcode == Opcode.QUERY_PAGES:
            assert answer == theirs
        uar = answer["uar"] if c.opcode == Opcode.ALLOC_UAR else uar
        came += answer["output_num_entries"] if c.opcode == Opcode.MANAGE_PAGES else 0
        went += c.pas.size if c.opcode == Opcode.MANAGE_PAGES else 0
    assert released == 64 - 10
    assert (d.fw.total, came + released) == (0, went)


def test_a_command_for_an_sf_is_one_of_the_e_switch(driver: Driver) -> None:
    """ALLOC_SF has no bit for the embedded CPU and none for vhca_ids: it names an SF by number alone."""
    driver.open()
    driver.ok(Opcode.ALLOC_SF, function_id=SF.function_id)
    assert driver.fw.is_enabled("sf")
    by_vhca_id = Command(Opcode.ALLOC_SF, fields={"function_id": SF.vhca_id})
    driver.refused("unknown-function", Status.BAD_PARAM, by_vhca_id)
