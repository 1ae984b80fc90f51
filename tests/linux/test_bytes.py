"""The contract on bytes that Linux's own code wrote, and on bytes of ours that it reads."""

from __future__ import annotations

import pytest

from fwpages.prm.event import PageRequestEvent, encode_page_request
from fwpages.prm.identity import Mode, func_id, vhca_id
from fwpages.prm.message import Command, decode_command, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from tests.linux.devices import machine
from tests.linux.linuxside import Linux
from tests.linux.peer import ALLOC_PAGE, Peer
from tests.linux.run import Chooser, Op, Pair


@pytest.mark.parametrize("ecpf", [False, True], ids=["pf", "ecpf"])
@pytest.mark.parametrize("mode", Mode)
def test_what_linux_writes_is_read_and_written_back_the_same(peer: Peer, mode: Mode, ecpf: bool) -> None:
    pair = Pair(peer, machine(mode, ecpf=ecpf, seed=11))
    choose = Chooser(pair, 11)
    for _ in range(200):
        pair.do(choose.next())
    kinds = set()
    for raw, c in pair.linux.raw:
        assert encode_command(c) == raw
        assert decode_command(raw) == c
        assert c.uid == 0
        assert set(c.fields) <= {"embedded_cpu_function", "function_id", "input_num_entries"}
        gives = (c.opcode, c.op_mod) == (Opcode.MANAGE_PAGES, ManagePages.GIVE)
        assert c.pas.size == (c["input_num_entries"] if gives else 0)
        kinds.add((c.opcode, c.op_mod))
    queries = {(Opcode.QUERY_PAGES, QueryPages.BOOT), (Opcode.QUERY_PAGES, QueryPages.INIT)}
    assert kinds == queries | {(Opcode.MANAGE_PAGES, kind) for kind in ManagePages}


@pytest.mark.parametrize("ecpf", [False, True], ids=["pf", "ecpf"])
@pytest.mark.parametrize("mode", Mode)
def test_the_fields_are_what_linux_meant(peer: Peer, mode: Mode, ecpf: bool) -> None:
    m = machine(mode, ecpf=ecpf, seed=12)
    linux = Linux(peer, m)
    linux.open()
    own = linux.firmware.own
    f = next(f for f in m.functions if f.ec is ecpf)
    who = f.identity(mode)
    assert who is not None
    linux.enable(f.name)
    linux.raw.clear()
    linux.stir(*Op("want", ((f.name, 3),)).wants)
    linux.stir(*Op("want", ((f.name, -2),)).wants)
    linux.oracle.inject(ALLOC_PAGE, 0, 1)
    linux.stir(*Op("want", (("self", 5),)).wants)
    given, taken, cannot = (c for _, c in linux.raw)
    manage = Opcode.MANAGE_PAGES
    assert given == Command(manage, ManagePages.GIVE, {**who.fields, "input_num_entries": 3}, given.pas)
    assert set(given.pas.tolist()) <= {*linux.firmware.holds()[who].tolist(), *given.pas.tolist()}
    assert taken == Command(manage, ManagePages.TAKE, {**who.fields, "input_num_entries": 2})
    assert cannot == Command(manage, ManagePages.CANT_GIVE, {**own.fields, "input_num_entries": 0})


@pytest.mark.parametrize(
    ("event", "mode", "meant"),
    [
        (PageRequestEvent(5, 7), Mode.FUNC_ID, "func:0x5"),
        (PageRequestEvent(5, 7, ec=True), Mode.FUNC_ID, "func:0x5/ec"),
        (PageRequestEvent(0xFFFF, 1), Mode.FUNC_ID, "func:0xffff"),
        (PageRequestEvent(0x31, 768), Mode.VHCA_ID, "vhca:0x31"),
        (PageRequestEvent(0x31, 2, ec=True), Mode.VHCA_ID, "vhca:0x31"),
        (PageRequestEvent(0xFFFF, 1), Mode.VHCA_ID, "vhca:0xffff"),
    ],
)
def test_linux_reads_our_events(peer: Peer, event: PageRequestEvent, mode: Mode, meant: str) -> None:
    linux = Linux(peer, machine(mode, ecpf=True, seed=13))
    linux.open()
    linux.raw.clear()
    linux.hook = lambda c: 0 if c.op_mod == ManagePages.GIVE else None
    for owner in (0, 1):
        linux.oracle.deliver_eqe(encode_page_request(event, owner))
    linux.drain()
    assert [(c.op_mod, c["input_num_entries"]) for _, c in linux.raw] == [(ManagePages.GIVE, event.num_pages)] * 2
    assert {str(event.function(mode))} == {meant}
    assert event.function(mode) in linux.pages()
    assert all(linux.identity(key) in (linux.firmware.own, event.function(mode)) for key in linux.oracle.roots())


def test_linux_reads_a_negative_count_and_release_all(peer: Peer) -> None:
    linux = Linux(peer, machine(Mode.VHCA_ID, ecpf=False, seed=14))
    linux.open()
    linux.hook = lambda c: 0 if c.op_mod == ManagePages.GIVE else None
    linux.deliver(PageRequestEvent(0x77, 6))
    linux.drain()
    assert linux.pages()[vhca_id(0x77)].size == 6
    linux.raw.clear()
    linux.hook = lambda c: 0
    linux.deliver(PageRequestEvent(0x77, -4))
    linux.drain()
    assert [(c.op_mod, c["function_id"], c["input_num_entries"]) for _, c in linux.raw] == [(ManagePages.TAKE, 0x77, 4)]
    linux.deliver(PageRequestEvent(0x77, 0, release_all=True))
    linux.drain()
    assert vhca_id(0x77) not in linux.pages()
    assert func_id(0x77) not in linux.pages()
    assert len(linux.raw) == 1
