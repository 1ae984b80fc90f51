"""Linux's start-up, step by step: what is sent, what is made of the answers, and what is undone where it ends early."""

from __future__ import annotations

import pytest

from fwpages.explore.designs.linux.startup import MODE
from fwpages.host import Open
from fwpages.prm.capability import general, read_general
from fwpages.prm.event import EventType
from fwpages.prm.identity import Mode, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, CapType, Opcode, QueryPages
from fwpages.prm.status import Status
from tests.explore.designs.driver_run import DriverRun, Fate, held
from tests.explore.designs.linux.test_driver import linux
from tests.explore.designs.linux.test_pages import BOTH, GIVE, manages

GENERAL = CapType.GENERAL << 1


def refused(name: str, which: tuple[int, int], *, ecpf: bool = False, status: int = Status.BAD_PARAM) -> DriverRun:
    """An open in which the command with this opcode and op_mod is refused."""
    run = DriverRun(name, ecpf=ecpf)
    run.fate = lambda c: Answer(c.opcode, status) if (c.opcode, c.op_mod) == which else None
    run.do(Open())
    return run


def sent(run: DriverRun) -> list[int]:
    return [c.opcode for c in run.sent]


def capabilities(run: DriverRun, **fields: int) -> None:
    """Firmware says this of itself in max and in current, and that it takes whatever is set."""

    def fate(c: Command) -> Fate:
        if c.opcode == Opcode.SET_HCA_CAP:
            return Answer(c.opcode)
        if c.opcode != Opcode.QUERY_HCA_CAP or c.op_mod >> 1:
            return None
        was = read_general(run.execute(c).data)
        return Answer(c.opcode, data=general({**was, **fields}))

    run.fate = fate


# -- what is undone ---------------------------------------------------------------------------------------------------

#: the command that is refused → what is still sent after it
EARLY: list[tuple[tuple[int, int], list[int]]] = [
    ((Opcode.ENABLE_HCA, 0), []),
    ((Opcode.QUERY_ISSI, 0), [Opcode.DISABLE_HCA]),
    ((Opcode.SET_ISSI, 0), [Opcode.DISABLE_HCA]),
    ((Opcode.QUERY_PAGES, QueryPages.BOOT), [Opcode.DISABLE_HCA]),
    ((Opcode.ACCESS_REG, 0), [Opcode.MANAGE_PAGES, Opcode.DISABLE_HCA]),
    ((Opcode.QUERY_HCA_CAP, CAP_CURRENT), [Opcode.MANAGE_PAGES, Opcode.DISABLE_HCA]),
    ((Opcode.QUERY_HCA_CAP, 0), [Opcode.MANAGE_PAGES, Opcode.DISABLE_HCA]),
    ((Opcode.SET_HCA_CAP, 0), [Opcode.MANAGE_PAGES, Opcode.DISABLE_HCA]),
    ((Opcode.QUERY_PAGES, QueryPages.INIT), [Opcode.MANAGE_PAGES, Opcode.DISABLE_HCA]),
    ((Opcode.INIT_HCA, 0), [Opcode.MANAGE_PAGES, Opcode.DISABLE_HCA]),
]


@BOTH
@pytest.mark.parametrize(("which", "after"), EARLY)
def test_a_start_that_is_refused_goes_back_as_far_as_it_came(
    name: str, which: tuple[int, int], after: list[int]
) -> None:
    """function_enable, function_open: what was enabled is disabled, and what was given is taken back before."""
    run = refused(name, which)
    assert run.done == [("open", False)]
    at = [(c.opcode, c.op_mod) for c in run.sent].index(which)
    assert [*dict.fromkeys(sent(run)[at + 1 :])] == after
    assert run.names() == ["command-failed"]
    assert (held(run), run.mapped) == ([], set())
    assert run.driver.view().busy == ()


@BOTH
def test_a_driver_s_name_that_is_refused_is_no_reason_to_stop(name: str) -> None:
    """main.c:mlx5_set_driver_version returns nothing."""
    run = refused(name, (Opcode.SET_DRIVER_VERSION, 0))
    assert run.done == [("open", True)]
    run.agree()


@BOTH
def test_the_error_is_reported_with_the_command_and_its_answer(name: str) -> None:
    run = refused(name, (Opcode.INIT_HCA, 0), status=Status.NO_RES_ERR)
    (finding,) = run.findings
    assert finding.detail.startswith("INIT_HCA refused: ")
    assert (finding.blame.value, finding.session) == ("device", 1)


@BOTH
def test_capabilities_that_cannot_be_read_end_the_start(name: str) -> None:
    run = DriverRun(name)
    run.fate = lambda c: Answer(c.opcode, data=b"short") if c.opcode == Opcode.QUERY_HCA_CAP else None
    run.do(Open())
    assert (run.done, held(run), run.mapped) == ([("open", False)], [], set())


# -- what is asked for ------------------------------------------------------------------------------------------------


@BOTH
def test_a_device_without_issi_1_is_not_set_to_it(name: str) -> None:
    run = DriverRun(name)
    run.fate = lambda c: Answer(c.opcode, fields={"supported_issi_dw0": 1}) if c.opcode == Opcode.QUERY_ISSI else None
    run.do(Open())
    assert Opcode.SET_ISSI not in sent(run)
    assert sent(run)[2] == Opcode.QUERY_PAGES


@BOTH
@pytest.mark.parametrize("ecpf", [False, True])
def test_host_endianness_is_a_pf_s_to_write(name: str, ecpf: bool) -> None:
    """set_hca_ctrl; an ECPF names itself with the ec bit until it has a vhca_id to be named by."""
    run = DriverRun(name, ecpf=ecpf)
    run.do(Open())
    assert (Opcode.ACCESS_REG in sent(run)) is not ecpf
    bits = [
        (c.op_mod, c["embedded_cpu_function"], c["function_id"]) for c in run.sent if c.opcode == Opcode.QUERY_PAGES
    ]
    assert bits == [(QueryPages.BOOT, int(ecpf), 0), (QueryPages.INIT, 0, 0x2A)]


@BOTH
@pytest.mark.parametrize(("asked", "offered"), [("auto", True), ("auto", False), ("func_id", True)])
def test_what_max_offers_of_the_mode_and_of_release_all_is_switched_on_and_nothing_else(
    name: str, asked: str, offered: bool
) -> None:
    """handle_hca_cap: the current page with those two bits; signatures are switched off."""
    run = DriverRun(name, offered=offered)
    pages: list[bytes] = []

    def fate(c: Command) -> Fate:
        if c.opcode == Opcode.QUERY_HCA_CAP and c.op_mod in (GENERAL | CAP_CURRENT, GENERAL):
            pages.append(run.execute(c).data)
            return Answer(c.opcode, data=pages[-1])
        return None

    run.fate = fate
    run.do(Open("func_id" if asked == "func_id" else "auto"))
    (c,) = [c for c in run.sent if c.opcode == Opcode.SET_HCA_CAP]
    current, most = read_general(pages[0]), read_general(pages[1])
    on = int(asked == "auto" and offered)
    want = {**current, MODE: on, "release_all_pages": most["release_all_pages"], "cmdif_checksum": 0}
    assert read_general(c.data) == want
    assert run.driver.view().mode is (Mode.VHCA_ID if on else Mode.FUNC_ID)


@BOTH
@pytest.mark.parametrize("ecpf", [False, True])
@pytest.mark.parametrize("asked", ["auto", "func_id"])
def test_boot_pages_are_afterwards_the_own_function_s(name: str, ecpf: bool, asked: str) -> None:
    run = DriverRun(name, ecpf=ecpf)
    run.do(Open("func_id" if asked == "func_id" else "auto"))
    mine = run.driver.held()
    assert mine is not None
    own = vhca_id(0x2A) if asked == "auto" else func_id(0, ec=ecpf)
    assert {who: p.size for who, p in mine.items()} == {own: 5}
    gives = [(c["function_id"], c["embedded_cpu_function"]) for c in run.sent if manages(c, GIVE)]
    assert gives == [(0, int(ecpf)), (0x2A, 0) if asked == "auto" else (0, int(ecpf))]


@BOTH
@pytest.mark.parametrize(
    ("op_mod", "after"), [(QueryPages.BOOT, Opcode.ACCESS_REG), (QueryPages.INIT, Opcode.INIT_HCA)]
)
def test_no_pages_wanted_is_no_command(name: str, op_mod: QueryPages, after: Opcode) -> None:
    which = (Opcode.QUERY_PAGES, op_mod)
    run = DriverRun(name)
    run.fate = lambda c: Answer(c.opcode) if (c.opcode, c.op_mod) == which else None
    run.do(Open("func_id"))
    at = [(c.opcode, c.op_mod) for c in run.sent].index(which)
    assert sent(run)[at + 1] == after


@BOTH
@pytest.mark.parametrize("disabled", [0, 1])
def test_there_is_a_queue_for_page_requests_unless_firmware_makes_none(name: str, disabled: int) -> None:
    """eq.c:create_async_eqs; without it the driver does not get them."""
    run = DriverRun(name)
    capabilities(run, page_request_disable=disabled)
    run.do(Open("func_id"))
    assert run.done == [("open", True)]
    masks = [c["event_bitmask_0"] for c in run.sent if c.opcode == Opcode.CREATE_EQ]
    events = [EventType.COMMAND, EventType.NIC_VPORT_CHANGE, EventType.PAGE_REQUEST][: 3 - disabled]
    assert masks == [1 << e for e in events]
    run.feed(run.request(0, 1))
    assert run.driver.threads() == (() if disabled else ("pages",))


@BOTH
@pytest.mark.parametrize(("manager", "group", "there"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_an_e_switch_is_there_for_a_manager_of_it_or_of_a_vport_group(
    name: str, manager: int, group: int, there: bool
) -> None:
    """main.c:mlx5_init_once, mlx5_eswitch_init."""
    run = DriverRun(name)
    capabilities(run, eswitch_manager=manager, vport_group_manager=group)
    run.do(Open("func_id"))
    assert linux(run).eswitch is there


@BOTH
def test_a_load_begins_with_slots_that_are_as_new(name: str) -> None:
    """mlx5_cmd_enable: what was never answered keeps no slot over a load, nor does its late answer find anybody."""
    run = DriverRun(name)
    run.fate = lambda c: "lost" if c.opcode == Opcode.QUERY_ISSI else None
    run.do(Open())
    assert run.names()[0] == "command-timeout"
    assert len(linux(run).flights) == 1
    run.fate = lambda c: None
    run.do(Open())
    assert (run.done[-1], linux(run).flights) == (("open", True), {})
