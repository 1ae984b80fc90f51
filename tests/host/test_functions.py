"""The functions that a device tells of itself: of a PF, and of an embedded CPU in either layout of the answer."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fwpages.host import Done, EnableVport, EswFunctionsChanged, VportInfo
from fwpages.prm.esw_functions import FURTHER_PF, HOST, HOST_PF, NETWORK_FUNCTION
from fwpages.prm.eswitch_capabilities import GENERAL as ESWITCH
from fwpages.prm.eswitch_capabilities import GENERAL_2
from fwpages.prm.event import EventType
from fwpages.prm.identity import FunctionType, Supplier
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CapType, EswFunctions, Opcode
from tests.host.fake import VF0, Fake, Reply, refusing, silent

T = FunctionType
SFS = {"eswitch_manager": 1, "sf": 1, "max_num_sf": 2, "sf_base_id": 0x8000}
ECPF = Supplier(ecpf=True, max_ec_vfs=2)


def kinds(infos: Iterable[VportInfo]) -> list[tuple[int, FunctionType, int, bool]]:
    return [(v.vport, v.type, v.function_id, v.ec) for v in infos]


def pf(**caps: int) -> Fake:
    f = Fake(supplier=Supplier(max_vfs=3), asks_functions=True)
    f.more = SFS | caps
    return f


def ecpf(
    vfs: int, *, v1: bool = False, further: tuple[int, ...] = (), base: int = 0x1000, host_pf: bool = True
) -> Fake:
    f = Fake(supplier=ECPF, asks_functions=True)
    f.more = SFS
    capabilities = f.reply

    def general(c: Command) -> Answer:
        if c.op_mod >> 1 == CapType.GENERAL_2:
            return Answer(c.opcode, data=GENERAL_2.pack({"ec_vf_vport_base": base}))
        a = capabilities(c)
        return Answer(a.opcode, data=ESWITCH.patch(a.data, {"hca_cap_2": 1, "query_host_net_function_v1": int(v1)}))

    f.script["QUERY_HCA_CAP(general_2, current)"] = f.script["QUERY_HCA_CAP(general, current)"] = general
    f.script[Opcode.QUERY_ESW_FUNCTIONS] = lambda c: answer(c, vfs, further, host_pf=host_pf)
    return f


def answer(c: Command, vfs: int, further: tuple[int, ...] = (), *, host_pf: bool = True) -> Answer:
    """The answer in the layout that is asked for."""
    if c.op_mod == EswFunctions.HOST:
        fields = {"host_pf_not_exist": int(not host_pf), "host_num_of_vfs": vfs, "host_total_vfs": 8}
        return Answer(c.opcode, data=HOST.pack(fields))
    rows = [{"pci_pf_type": HOST_PF, "pci_num_vfs": vfs, "pci_total_vfs": 8}] if host_pf else []
    rows += [{"pci_pf_type": FURTHER_PF, "vhca_id": n, "esw_vport_manual": 1} for n in further]
    data = b"".join(NETWORK_FUNCTION.pack(row) for row in rows)
    return Answer(c.opcode, fields={"net_function_num": len(rows)}, data=data)


def event(f: Fake) -> None:
    f.feed(EswFunctionsChanged(f.host.session.number))
    f.run()


def test_a_pf_tells_its_vfs_and_sfs_without_a_command() -> None:
    f = pf().open()
    asked, plain = f.names, Fake().open().names
    assert asked == plain
    assert kinds(f.host.vports.values()) == [
        *((1 + n, T.VF, 1 + n, False) for n in range(3)),
        *((0x8000 + n, T.SF, 0x8000 + n, False) for n in range(2)),
    ]
    f.feed(EnableVport(1))
    f.run()
    assert f.done[-1] == ("enable vport 0x1", True)


def test_a_pf_that_manages_no_e_switch_has_none() -> None:
    f = pf(eswitch_manager=0).open()
    assert f.host.vports == {}


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("mode", ["func_id", "vhca_id"])
def test_an_embedded_cpu_tells_the_other_hosts_functions_and_its_own(mode: str, v1: bool) -> None:
    further = (0x61, 0x62) if v1 else ()
    f = ecpf(2, v1=v1, further=further).open(mode)  # type: ignore[arg-type]  # the Literal's words
    assert f.names[-2:] == [
        "QUERY_HCA_CAP(general_2, current)",
        f"QUERY_ESW_FUNCTIONS{'(0x4000)' if v1 else ''}",
    ]
    assert kinds(f.host.vports.values()) == [
        (0, T.HOST_PF, 0, False),
        *((1 + n, T.VF, 1 + n, False) for n in range(2)),
        *((0x2000 + n, T.SPF, 0x2000 + n, False) for n in range(len(further))),
        *((0x1000 + n, T.EC_VF, 1 + n, True) for n in range(2)),
        *((0x8000 + n, T.SF, 0x8000 + n, True) for n in range(2)),
    ]
    assert tuple(v.vhca_id for v in f.host.vports.values() if v.type is T.SPF) == further
    # the type of an early request's function follows from how many VFs there can be
    assert f.host.config.supplier == Supplier(ecpf=True, max_vfs=8, max_ec_vfs=2)
    masks = [s.command["event_bitmask_0"] for s in f.sent if s.command.opcode == Opcode.CREATE_EQ]
    assert [m >> EventType.ESW_FUNCTIONS_CHANGED & 1 for m in masks] == [0, 1, 0]


def test_a_pf_has_no_other_hosts_whose_changes_it_could_be_told() -> None:
    f = pf().open()
    masks = [s.command["event_bitmask_0"] for s in f.sent if s.command.opcode == Opcode.CREATE_EQ]
    assert [m >> EventType.ESW_FUNCTIONS_CHANGED & 1 for m in masks] == [0, 0, 0]


def test_without_an_external_host_or_a_number_for_ec_vfs_there_are_none() -> None:
    f = ecpf(0, base=0, host_pf=False).open()
    assert {v.type for v in f.host.vports.values()} == {T.SF}


def test_functions_that_come_and_go_with_the_event() -> None:
    """One that was enabled and is gone is as if it had been disabled: its pages come back to its record."""
    f = ecpf(0).open()
    f.script[Opcode.QUERY_ESW_FUNCTIONS] = lambda c: answer(c, 2)
    event(f)
    assert [v.vport for v in f.host.vports.values() if v.type is T.VF] == [1, 2]
    f.feed(EnableVport(1))
    f.run()
    f.request(0x31, 10)
    f.run()
    f.script[Opcode.QUERY_ESW_FUNCTIONS] = lambda c: answer(c, 0)
    event(f)
    assert (1 in f.host.vports, 1 in f.host.session.vports) == (False, False)
    (row,) = [r for r in f.host.records if r.identity.number == 0x31]
    assert (row.type, row.outstanding, row.retired) == (T.VF, 10, True)
    f.request(0x31, -10)
    f.run()
    assert sum(r.outstanding for r in f.host.records if r.identity.number == 0x31) == 0
    assert f.findings == []
    assert "there is no such vport" in f.misuse(EnableVport(1))
    f.close()
    assert f.done[-1] == ("close", True)


def test_what_waits_for_a_function_that_is_gone_ends_as_not_done() -> None:
    f = ecpf(2).open()
    f.script[Opcode.QUERY_ESW_FUNCTIONS] = lambda c: answer(c, 0)
    f.feed(EswFunctionsChanged(f.host.session.number))
    f.feed(EswFunctionsChanged(f.host.session.number))
    f.feed(EnableVport(1))
    f.feed(EnableVport(0x8000))
    f.run()
    ended = [(str(e.operation), e.ok, e.detail) for e in f.effects if isinstance(e, Done)][2:]
    assert ("enable vport 0x1", False, "the device has no such function any more") in ended
    assert ("enable vport 0x8000", True, "") in ended
    assert f.findings == []


def test_an_event_of_another_session_or_while_it_is_opened_asks_nothing() -> None:
    f = ecpf(2)
    f.open()
    sent = len(f.sent)
    f.feed(EswFunctionsChanged(f.host.session.number + 1))
    f.run()
    assert len(f.sent) == sent
    f.close()
    sent = len(f.sent)
    event(f)
    assert len(f.sent) == sent


def test_functions_that_the_caller_names_stay() -> None:
    f = ecpf(2)
    f.vports(VF0)
    f.open()
    assert f.names[-1] == "QUERY_ESW_FUNCTIONS"
    assert f.host.vports == {1: VF0}
    assert f.host.session.others is not None
    assert (f.host.session.others.vfs, f.host.session.others.total_vfs) == (2, 8)


@pytest.mark.parametrize(
    ("reply", "v1", "finding"),
    [
        (refusing(), False, "command-refused"),
        (lambda c: Answer(c.opcode, data=bytes(3)), False, "answer-malformed"),
        (lambda c: Answer(c.opcode, fields={"net_function_num": 200}, data=bytes(64)), True, "answer-malformed"),
    ],
)
def test_an_answer_that_tells_nothing_is_a_finding_and_its_functions_are_not_there(
    reply: Reply, v1: bool, finding: str
) -> None:
    f = ecpf(2, v1=v1)
    f.script[Opcode.QUERY_ESW_FUNCTIONS] = reply
    f.open()
    assert f.findings == [finding]
    assert {v.type for v in f.host.vports.values()} == {T.EC_VF, T.SF}


def test_a_question_that_is_not_answered_ends_alone() -> None:
    f = ecpf(2)
    f.script[Opcode.QUERY_ESW_FUNCTIONS] = silent
    f.open()
    f.tick()
    assert f.done[-1] == ("ask the device for its functions", False)
    assert f.host.vports == {}


def test_two_functions_with_one_number_are_one_and_a_remark() -> None:
    f = pf(sf_base_id=2, max_num_sf=3).open()
    assert kinds(f.host.vports.values()) == [*((n, T.VF, n, False) for n in (1, 2, 3)), (4, T.SF, 4, False)]
    assert len([n for n in f.host.session.notes if "two functions" in n]) == 2


def test_numbers_end_with_sixteen_bits() -> None:
    f = pf(sf_base_id=0xFFFE, max_num_sf=0xFFFF).open()
    assert [v.vport for v in f.host.vports.values() if v.type is T.SF] == [0xFFFE, 0xFFFF]
