"""Where the two differ on purpose: what Linux does, and what ours does. One test for each section of
docs/differences-from-linux.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from msgspec.structs import replace

from fwpages.device import Completed, Effect, Input, Raised, Reset, ResetFunction, Submitted, Want
from fwpages.host import Done, books
from fwpages.prm.identity import FunctionType, Mode, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.prm.status import Status
from fwpages.scenario.fault_syntax import fault as parse
from fwpages.scenario.fault_syntax import split
from tests.linux.both_sides import (
    BOOT,
    CANT_GIVE,
    GIVE,
    OWN,
    STARTUP,
    TAKE,
    VF0,
    manages,
    opened,
    ours_opened,
    out,
    torn_down,
)
from tests.linux.devices import Machine, plain
from tests.linux.linuxside import Linux, Refusing
from tests.linux.ourside import Ours
from tests.linux.peer import EBUSY, ETIMEDOUT, LIBRARY_64K, TYPES, Peer


def test_give_time_out(peer: Peer) -> None:
    linux = opened(peer)

    def accepted_in_silence(c: Command) -> int | None:
        if not manages(c, GIVE):
            return None
        linux.execute(c)
        return -ETIMEDOUT

    linux.hook = accepted_in_silence
    linux.stir(Want("vf0", 10))
    firmwares = linux.firmware.holds()[VF0]
    assert linux.page_commands() == [(VF0, (GIVE, 10)), (VF0, (CANT_GIVE, 0))]
    assert firmwares.size == 10
    assert VF0 not in linux.pages(), "Linux has freed what firmware owns"
    assert linux.oracle.stats()["pages_live"] == STARTUP
    linux.hook = None
    linux.stir(Want("vf1", 10))
    again = linux.raw[-1][1].pas
    assert set(again.tolist()) == set(firmwares.tolist()), "and gives the same memory out again"
    assert linux.firmware.offences[-1].name == "given-twice"

    ours = ours_opened("give-unanswered-done@3")
    ours.stir(Want("vf0", 10))
    ours.stir(Want("vf1", 10))
    assert ours.page_commands() == [(VF0, (GIVE, 10))], "its slot stays taken: what comes after it waits"
    assert out(ours) == {str(OWN): (STARTUP, 0), str(VF0): (0, 10)}
    assert not ours.host.is_free(ours.holds[VF0]).any()
    assert ours.findings["give-unanswered"].function == VF0
    ours.close()
    assert sum(f.discarded for f in books(ours.host).functions) == STARTUP + 10
    assert ours.link.mapped == 0, "unmapped once a reset proved that the device has let go"


def test_reclaim_error_that_leaks_the_tree(peer: Peer) -> None:
    linux = opened(peer)
    linux.stir(Want("vf0", 10))
    torn_down(linux)
    linux.page_commands()
    busy = Answer(Opcode.MANAGE_PAGES, Status.RES_BUSY)
    linux.hook = lambda c: busy if manages(c, TAKE) and c["function_id"] == VF0.number else None
    assert linux.oracle.reclaim_startup_pages() == 0
    assert linux.oracle.roots() == []
    assert linux.oracle.counters()["fw_pages"] == 10
    assert linux.oracle.stats()["pages_live"] == 10, "allocated, mapped, and in no list any more"
    assert linux.page_commands() == [(OWN, (TAKE, 768)), (VF0, (TAKE, 768))], "one try"
    assert any("FW pages counter is 10" in text for _, text in linux.oracle.log())

    ours = ours_opened("take-refused@2x*")
    ours.stir(Want("vf0", 10))
    ours.close()
    assert ours.findings["pages-not-returned"].function == VF0
    assert ours.findings["pages-not-returned"].pages == 10
    rows = {f.identity: f for f in books(ours.host).functions}
    assert (rows[OWN].returned, rows[OWN].discarded) == (STARTUP, 0)
    assert (rows[VF0].returned, rows[VF0].discarded) == (0, 10), "the fence gets them back"
    assert ours.link.mapped == 0


def test_endless_teardown(peer: Peer) -> None:
    never = np.uint64(1 << 60)

    def invented(c: Command) -> Answer | None:
        n = 3
        unknown = Answer(c.opcode, fields={"output_num_entries": n}, pas=never + np.arange(n, dtype=np.uint64) * 4096)
        return unknown if manages(c, TAKE) else None

    def negative(c: Command) -> Answer | None:
        return Answer(c.opcode, fields={"output_num_entries": 0xFFFF_FFFF}) if manages(c, TAKE) else None

    for answers, words in ((invented, True), (negative, False)):
        linux = opened(peer)
        torn_down(linux)
        linux.hook = answers
        linux.oracle.set_cmd_budget(20_000)
        with pytest.raises(peer.Oops):  # stopped from outside: four times the commands of the 5 s without progress
            linux.oracle.reclaim_startup_pages()
        assert len(linux.page_commands()) > 3 * 5_000
        assert linux.oracle.stats()["pages_live"] == STARTUP, "nothing is freed"
        assert bool(linux.oracle.log()) is words

    ours = ours_opened("take-invented@1x*")
    began = ours.link.now
    ours.close()
    assert 5 <= ours.link.now - began < 6
    assert len(ours.commands) < 200
    assert ours.findings["pages-not-returned"].pages == STARTUP
    assert ours.findings["returned-never-given"].function == OWN
    assert ours.link.mapped == 0


@pytest.mark.parametrize(
    ("name", "count", "linuxs"),
    [
        ("pages-negative", -1, "crash"),  # it writes 16 bytes into an allocation of 8
        ("pages-least", -(2**31), "give"),  # the length comes out as that of a GIVE without addresses
        ("pages-huge", 2**29, "crash"),  # so too, and then it writes the addresses
        ("pages-most", 2**31 - 1, "crash"),
    ],
)
def test_negative_and_huge_counts(peer: Peer, name: str, count: int, linuxs: str) -> None:
    linux = Linux(peer, plain())

    def answered(c: Command) -> Answer | None:
        if (c.opcode, c.op_mod) != (Opcode.QUERY_PAGES, QueryPages.INIT):
            return None
        answer = linux.execute(c)
        return replace(answer, fields={**answer.fields, "num_pages": count})

    linux.hook = answered
    if linuxs == "crash":
        with pytest.raises(peer.Oops, match="SIGSEGV"):
            linux.open()
    else:
        assert linux.startup_pages(boot=True) < 0, "before ENABLE_HCA nothing works"
        assert not linux.open()
        assert linux.firmware.offences[-1].name == "count-mismatch"

    ours = Ours(plain(), faults=[f"{name}@2"])
    assert not ours.open()
    if count < 0:
        back = min(-count, BOOT)
        assert (TAKE, back) in ours.commands, "a negative count asks to have pages taken back: as many as there are"
    else:
        assert ours.findings["absurd-count"].pages == count
    assert ours.link.mapped == 0
    assert not ours.holds


def repeating(linux: Linux) -> Callable[[Command], Answer | None]:
    """A firmware that lets go of one page and names it twice, once."""
    done = False

    def answered(c: Command) -> Answer | None:
        nonlocal done
        if done or not manages(c, TAKE):
            return None
        done = True
        one = linux.execute(replace(c, fields={**c.fields, "input_num_entries": 1}))
        return replace(one, fields={"output_num_entries": 2}, pas=one.pas.repeat(2))

    return answered


def test_double_return(peer: Peer) -> None:
    linux = opened(peer)
    linux.stir(Want("vf0", 16))
    linux.hook = repeating(linux)
    linux.stir(Want("vf0", -2))
    assert linux.oracle.log()[-1][1].endswith("page not found\n"), "that is all it says"
    linux.agree()
    # 16 blocks to a page of 64 KiB: the block that is returned twice counts as two
    linux = opened(peer, library=LIBRARY_64K)
    linux.stir(Want("vf0", 16))
    live = linux.oracle.stats()["pages_live"]
    linux.hook = repeating(linux)
    linux.stir(Want("vf0", -2), Want("vf0", -14))
    assert linux.firmware.held("vf0") == 1
    assert linux.oracle.stats()["pages_live"] == live - 1, "freed, and firmware holds a block of it"

    ours = ours_opened("take-twice@1")
    ours.stir(Want("vf0", 16))
    ours.stir(Want("vf0", -2))
    finding = ours.findings["returned-twice"]
    assert (finding.function, finding.pages) == (VF0, 1)
    assert "0x" in finding.detail
    # the one that firmware let go of and did not name stays held; the other counts
    assert out(ours)[str(VF0)] == (15, 0)


def test_foreign_return(peer: Peer) -> None:
    linux = opened(peer)
    linux.stir(Want("vf0", 4), Want("vf1", 4))
    other = linux.firmware.holds()[vhca_id(0x32)]

    def foreign(c: Command) -> Answer | None:
        if not manages(c, TAKE):
            return None
        answer = linux.execute(c)
        return replace(answer, pas=np.concatenate([other[:1], answer.pas[1:]]))

    linux.hook = foreign
    linux.stir(Want("vf0", -2))
    assert {who: n.size for who, n in linux.pages().items()} == {OWN: STARTUP, VF0: 3, vhca_id(0x32): 4}
    assert [text.rsplit(": ", 1)[-1] for _, text in linux.oracle.log()] == ["page not found\n"], "whose, and which?"

    ours = ours_opened("take-foreign@1")
    ours.stir(Want("vf0", 4))
    ours.stir(Want("vf0", -2))
    finding = ours.findings["returned-foreign"]
    assert (finding.function, finding.pages) == (VF0, 1)
    assert out(ours) == {str(OWN): (STARTUP, 0), str(VF0): (3, 0)}


def test_forced_reclaim_with_firmware_alive(peer: Peer) -> None:
    linux = opened(peer)
    linux.stir(Want("vf0", 10))
    linux.deafen()
    linux.oracle.set_cmd_down(1)
    assert linux.oracle.reclaim_startup_pages() == 0
    assert linux.oracle.stats()["pages_live"] == 0, "all freed, without a word from firmware"
    assert linux.firmware.held("vf0") == 10
    assert linux.oracle.log() == []

    for fault, mapped in (("link-lost-for-good@1", True), ("link-lost@1", False)):
        ours = ours_opened()
        ours.stir(Want("vf0", 10))
        ours.memory.faults = split([parse(fault)])[1]
        ours.close()
        assert ("not-fenced" in ours.findings) is mapped
        assert bool(ours.link.mapped) is mapped, "nothing is freed until a reset has proven that the device lets go"
        ours.link.safe()


def test_late_types(peer: Peer) -> None:
    linux = opened(peer)
    linux.stir(Want("vf0", 20))
    linux.learn("vf0")
    linux.stir(Want("vf0", 5))
    counters = linux.oracle.counters()
    vf = TYPES.index(FunctionType.VF)
    assert (counters["fw_pages"], counters["page_counters"][vf]) == (STARTUP + 25, 5)
    linux.stir(Want("vf0", -5))
    assert linux.oracle.wait_for_pages(vf) == 0, "it has seen every page of a VF come back"
    assert linux.firmware.held("vf0") == 20

    ours = ours_opened("take-refused@2x*")
    ours.stir(Want("vf0", 20))
    assert ours.look().by_type == {FunctionType.SELF: STARTUP, FunctionType.UNKNOWN: 20}
    ours.enable("vf0")
    ours.stir(Want("vf0", 5))
    assert ours.look().by_type == {FunctionType.SELF: STARTUP, FunctionType.VF: 25}
    ours.stir(Want("vf0", -5))
    ours.disable("vf0")
    assert ours.findings["wait-timeout"].pages == 20
    assert "20 pages of vhca:0x31 (vf)" in ours.findings["wait-timeout"].detail


def test_release_all_crossing_a_give(peer: Peer) -> None:
    linux = opened(peer)
    linux.stir(Want("vf0", 3))
    seen: list[tuple[int, int]] = []

    def crossing(c: Command) -> Answer | None:
        if manages(c, GIVE):
            for e in linux.firmware.feed(0.0, ResetFunction("vf0")):
                assert isinstance(e, Raised)
                linux.deliver(e.event)
        if manages(c, TAKE):
            seen.append((linux.firmware.held("vf0"), linux.oracle.stats()["pages_live"] - STARTUP))
        return None

    linux.hook = crossing
    linux.stir(Want("vf0", 10))
    assert seen == [(10, 0)], "firmware has accepted ten pages after the reset, and Linux has freed them"

    ours = ours_opened("release-all-crossing@4")
    ours.stir(Want("vf0", 3))
    ours.stir(Want("vf0", 10))
    assert ours.findings["give-crossed-release"].pages == 10
    row = books(ours.host).functions[-1]
    assert (row.given, row.released, row.returned) == (13, 3, 10), "doubtful, until firmware returned them"
    assert "returned-never-given" not in ours.findings


@pytest.mark.parametrize("mode", Mode)
def test_refused_teardown_then_reopen(peer: Peer, mode: Mode) -> None:
    linux = opened(peer, mode)
    linux.stir(Want("vf0", 10))
    linux.deafen()
    # mlx5_function_close: TEARDOWN_HCA was refused, the rest is left out. Then recovery resets the device, and opens it
    linux.firmware.feed(0.0, Reset())
    linux.mode = Mode.FUNC_ID
    linux.tell(Opcode.ENABLE_HCA)
    linux.oracle.set_icm_mode(0, int(mode is Mode.VHCA_ID))
    assert linux.startup_pages(boot=True) == 0
    if mode is Mode.VHCA_ID:
        linux.set_caps()
        assert linux.startup_pages(boot=False) == -EBUSY, "the own vhca_id has pages already: the device stays closed"
        assert "failed to migrate page root key" in linux.oracle.log()[-1][1]
    else:
        assert linux.firmware.held("self") == BOOT
        assert linux.pages()[func_id(0)].size == STARTUP + BOOT
        assert linux.oracle.reclaim_startup_pages() == 0
        assert linux.oracle.stats()["pages_live"] == STARTUP + 10, "those of the first session never come back"

    ours = Ours(plain(mode), faults=["teardown-refused"])
    for clean in (False, True):
        assert ours.open()
        ours.stir(Want("vf0", 10))
        ours.close()
        assert ours.host.session.mode is mode
        assert books(ours.host).clean is clean
        assert ours.link.mapped == 0
        assert not ours.holds


class Alias(Refusing):
    """A firmware that calls the embedded CPU's function 3 until the mode changes."""

    def feed(self, now: float, x: Input) -> list[Effect]:
        aliased = self.mode is Mode.FUNC_ID and isinstance(x, Submitted)
        if aliased and isinstance(x, Submitted) and x.command.fields.get("function_id") == 3:
            x = replace(x, command=replace(x.command, fields={**x.command.fields, "function_id": 0}))
        effects = super().feed(now, x)
        if aliased and isinstance(x, Submitted) and x.command.opcode == Opcode.QUERY_PAGES:
            (e,) = (e for e in effects if isinstance(e, Completed))
            return [replace(e, answer=replace(e.answer, fields={**e.answer.fields, "function_id": 3}))]
        return effects


def _aliased(m: Machine) -> Refusing:
    return Alias(m.profile, m.functions)


def test_ecpf_entries_not_migrated(peer: Peer) -> None:
    m = plain(ecpf=True)
    linux = Linux(peer, m, _aliased)
    assert linux.open()
    assert linux.oracle.roots() == [OWN.number, 0x10003], "only (0, ec) moves to the own vhca_id"
    assert linux.firmware.held("self") == STARTUP
    linux.page_commands()
    torn_down(linux)
    assert linux.oracle.reclaim_startup_pages() == 0
    assert linux.page_commands() == [(OWN, (TAKE, 768)), (vhca_id(3), (TAKE, 768))], "a function that there is not"
    assert linux.firmware.offences[-1].name == "unknown-function"
    assert linux.oracle.stats()["pages_live"] == BOOT

    ours = Ours(m, _aliased)
    assert ours.open()
    assert ours.findings["startup-identity"].function == func_id(3, ec=True)
    assert out(ours) == {str(OWN): (STARTUP, 0)}
    ours.close()
    assert ours.host.session.end == "closed"
    assert ours.link.mapped == 0


@pytest.mark.parametrize("why", ["refused", "silent", "nothing"])
def test_startup_reclaim_always_reports_success(peer: Peer, why: str) -> None:
    nothing = Answer(Opcode.MANAGE_PAGES)
    busy = replace(nothing, status=Status.RES_BUSY)
    answers: dict[str, int | Answer] = {"refused": busy, "silent": -ETIMEDOUT, "nothing": nothing}
    linux = opened(peer)
    torn_down(linux)
    linux.hook = lambda c: answers[why]
    assert linux.oracle.reclaim_startup_pages() == 0
    assert linux.oracle.counters()["fw_pages"] == linux.oracle.stats()["pages_live"] == STARTUP

    fault = {"refused": "take-refused@1x*", "silent": "take-unanswered-lost@1", "nothing": "take-nothing@1x*"}[why]
    ours = ours_opened(fault)
    ours.close()
    assert not books(ours.host).clean
    assert ours.findings.keys() & {"take-refused", "take-unanswered", "pages-not-returned"}
    done = [e for e in ours.link.events if isinstance(e, Done)][-1]
    assert (str(done.operation), done.detail) == ("close", "forced")
