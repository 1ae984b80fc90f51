from __future__ import annotations

import pytest

from fwpages.host import Config, Host, Mapped, Open, Phase, Unmap
from fwpages.prm.capability import general
from fwpages.prm.identity import FunctionType, Mode, Supplier, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.host.fake import OWN, VHCA, Fake, name_of, ok, refusing, silent

#: docs/guide/protocol.md, "A session", with the capabilities read back after they are set
SEQUENCE = [
    "ENABLE_HCA",
    "QUERY_ISSI",
    "SET_ISSI",
    "QUERY_PAGES(boot)",
    "MANAGE_PAGES(GIVE)",
    "ACCESS_REG",
    "QUERY_HCA_CAP(general, current)",
    "QUERY_HCA_CAP(general, max)",
    "SET_HCA_CAP(general)",
    "QUERY_HCA_CAP(general, current)",
    "QUERY_PAGES(init)",
    "MANAGE_PAGES(GIVE)",
    "INIT_HCA",
    "SET_DRIVER_VERSION",
    "QUERY_ADAPTER",
    "ALLOC_UAR",
    "CREATE_EQ",
    "CREATE_EQ",
    "CREATE_EQ",
]
CLOSE_SEQUENCE = [
    "DESTROY_EQ",
    "DESTROY_EQ",
    "DESTROY_EQ",
    "DEALLOC_UAR",
    "TEARDOWN_HCA",
    "MANAGE_PAGES(TAKE)",
    "DISABLE_HCA",
]


@pytest.mark.parametrize(("offer", "mode"), [(True, Mode.VHCA_ID), (False, Mode.FUNC_ID)])
@pytest.mark.parametrize("ecpf", [False, True])
def test_a_whole_session_in_the_order_of_the_protocol(offer: bool, mode: Mode, ecpf: bool) -> None:
    f = Fake(offer=offer, supplier=Supplier(ecpf=ecpf)).open()
    expected = [n for n in SEQUENCE if not (ecpf and n == "ACCESS_REG")]
    assert f.names == expected
    assert f.host.session.mode is mode
    own = vhca_id(OWN) if offer else func_id(0, ec=ecpf)
    assert f.host.session.own == own
    assert f.holding(own) == 8
    f.agree()
    assert [s.slot for s in f.sent] == [31 if s.command.opcode == Opcode.MANAGE_PAGES else 0 for s in f.sent]
    by_name = {name_of(s.command): s.command for s in f.sent}
    assert by_name["ENABLE_HCA"]["embedded_cpu_function"] == ecpf
    assert by_name["QUERY_PAGES(boot)"].fields == func_id(0, ec=ecpf).fields
    assert by_name["QUERY_PAGES(init)"].fields == own.fields
    f.close()
    assert f.names == expected + CLOSE_SEQUENCE
    assert f.sent[-1].command["embedded_cpu_function"] == ecpf
    assert f.done == [("open", True), ("close", True)]
    assert f.findings == []
    assert (f.mapped, f.host.pool.space.size, f.host.deadline) == ({}, 0, None)
    (row,) = f.host.records.of_session(1)
    assert (row.identity, row.type, row.given, row.returned) == (own, FunctionType.SELF, 8, 8)


def test_each_event_queue_is_made_for_its_events_and_as_long_as_linux_makes_it() -> None:
    """Commands; changes of a vport and of a function's state; page requests. 16 KiB, 512 KiB, 16 KiB."""
    f = Fake().open()
    made = [s.command for s in f.sent if s.command.opcode == Opcode.CREATE_EQ]
    assert [c["event_bitmask_0"] for c in made] == [1 << 0x0A, 1 << 0x0D | 1 << 0x0F, 1 << 0x0B]
    assert [c["log_eq_size"] for c in made] == [8, 13, 8]
    assert [c.pas.size for c in made] == [4, 128, 4]


@pytest.mark.parametrize("mode", ["auto", "vhca_id", "func_id"])
def test_the_mode_that_is_wanted(mode: str) -> None:
    f = Fake().open(mode)  # type: ignore[arg-type]  # the Literal's words
    assert f.host.session.mode is (Mode.FUNC_ID if mode == "func_id" else Mode.VHCA_ID)
    assert f.current.get(VHCA, 0) == (mode != "func_id")
    f.close()
    assert f.findings == []


def test_a_mode_that_is_not_offered_is_not_opened_in() -> None:
    f = Fake(offer=False)
    f.feed(Open("vhca_id"))
    f.run()
    assert f.done == [("open", False)]
    assert "SET_HCA_CAP(general)" not in f.names
    assert f.phase == Phase.ENDED
    assert f.held == {func_id(0): []}, "boot pages came back"
    assert f.mapped == {}


def test_no_issi_to_choose() -> None:
    f = Fake()
    f.script["QUERY_ISSI"] = lambda c: Answer(c.opcode, fields={"supported_issi_dw0": 1})
    f.open()
    assert "SET_ISSI" not in f.names


def test_capabilities_are_set_as_they_were_read_but_for_what_is_wanted() -> None:
    f = Fake()
    f.current |= {"cmdif_checksum": 3, "num_ports": 2}
    f.script["QUERY_HCA_CAP(general, current)"] = lambda c: Answer(
        c.opcode, data=b"\xa5" * 4000 + general(f.current)[4000:]
    )
    f.feed(Open())
    f.run(until="SET_HCA_CAP(general)")
    data = f.waiting[0].command.data
    asked = int.from_bytes(b"\xa5" * 4000, "big")
    changed = int.from_bytes(data[:4000], "big") ^ asked
    bits = {31999 - n for n in range(32000) if changed >> n & 1}
    assert bits <= {0x145, 0x210, 0x211, 0x2A0}
    assert f.host.session.mode is None, "until the answer is read the mode is not known"


def test_boot_pages_for_another_function_than_the_supplier() -> None:
    """The name that the boot pages were given under becomes the own vhca_id, whichever function the device named."""
    f = Fake()
    f.script["QUERY_PAGES(boot)"] = lambda c: Answer(c.opcode, fields={"function_id": 5, "num_pages": 4})
    f.feed(Open())
    f.run(until="SET_HCA_CAP(general)")
    assert f.finding("startup-identity").function == func_id(5)
    assert f.page_commands() == [("GIVE", 5, 4)]
    assert f.host.records.outstanding(func_id(5)) == 4
    f.run()
    assert f.phase == Phase.OPEN
    assert f.host.records.outstanding(func_id(5)) == 0
    assert f.host.records.outstanding(vhca_id(OWN)) == 9
    (row,) = f.host.records.of_session(1)
    assert row.type is FunctionType.SELF


def test_boot_pages_for_another_function_stay_with_it_in_func_id_mode() -> None:
    f = Fake(offer=False)
    f.script["QUERY_PAGES(boot)"] = lambda c: Answer(c.opcode, fields={"function_id": 5, "num_pages": 4})
    f.open()
    assert {r.identity: r.outstanding for r in f.host.records} == {func_id(5): 4, func_id(0): 5}
    f.close()
    assert f.findings == ["startup-identity"]
    assert f.host.left() == 0


def test_the_ec_bit_of_the_boot_answer_is_not_looked_at() -> None:
    f = Fake(supplier=Supplier(ecpf=True))
    f.script["QUERY_PAGES(boot)"] = lambda c: Answer(c.opcode, fields={"function_id": 0, "num_pages": 4})
    f.open()
    assert f.findings == []
    assert f.page_commands()[0] == ("GIVE", 0, 4)
    assert f.sent[3].command.opcode == Opcode.QUERY_PAGES
    assert f.sent[4].command["embedded_cpu_function"] == 1
    assert f.host.records.outstanding(vhca_id(OWN)) == 9


def test_init_pages_for_another_function() -> None:
    f = Fake()
    f.script["QUERY_PAGES(init)"] = lambda c: Answer(c.opcode, fields={"function_id": 9, "num_pages": 4})
    f.open()
    assert f.finding("startup-identity").function == vhca_id(9)
    assert {r.identity: (r.outstanding, r.type) for r in f.host.records} == {
        vhca_id(OWN): (3, FunctionType.SELF),
        vhca_id(9): (4, FunctionType.UNKNOWN),
    }
    f.close()
    assert f.host.left() == 0


# -- counts ---------------------------------------------------------------------------------------------------------


def test_no_pages_at_all() -> None:
    f = Fake(boot=0, init=0).open()
    assert f.page_commands() == []
    f.request(OWN, 2)
    f.run()
    assert [r.outstanding for r in f.host.records] == [2]
    f.close()
    assert f.done[-1] == ("close", True)


@pytest.mark.parametrize("count", [-1, -(2**31)])
def test_a_negative_boot_count_when_nothing_was_given(count: int) -> None:
    f = Fake(boot=count).open()
    assert f.finding("absurd-count").pages == -count
    assert f.page_commands() == [("GIVE", OWN, 5)]


@pytest.mark.parametrize(("count", "back"), [(-1, 1), (-3, 3), (-4, 3), (-(2**31), 3)])
def test_a_negative_init_count_takes_back_at_most_what_is_out(count: int, back: int) -> None:
    f = Fake(boot=3, init=count).open()
    assert f.page_commands() == [("GIVE", 0, 3), ("TAKE", OWN, back)]
    assert f.findings == (["absurd-count"] if back != -count else [])
    assert f.host.left() == 3 - back
    f.agree()
    f.close()
    assert f.host.left() == 0


@pytest.mark.parametrize("count", [2**29, 2**31 - 1])
@pytest.mark.parametrize("which", ["boot", "init"])
def test_an_absurd_count_is_not_given_and_the_start_undone(which: str, count: int) -> None:
    f = Fake(**{which: count})  # type: ignore[arg-type]  # boot or init
    f.feed(Open())
    f.run()
    assert f.finding("absurd-count").pages == count
    assert f.done == [("open", False)]
    assert f.names[-1] == "DISABLE_HCA"
    assert f.host.left() == 0
    assert f.mapped == {}
    assert sum(n for kind, _, n in f.page_commands() if kind == "GIVE") == (0 if which == "boot" else 3)
    f.boot, f.init = 3, 5
    f.open()
    f.close()
    assert f.done[-2:] == [("open", True), ("close", True)]


def test_a_large_start_is_cut_into_commands() -> None:
    f = Fake(boot=250, init=101).open()
    assert f.page_commands() == [("GIVE", 0, 100)] * 2 + [("GIVE", 0, 50), ("GIVE", OWN, 100), ("GIVE", OWN, 1)]
    f.agree()


# -- the mode -------------------------------------------------------------------------------------------------------


def read_back(f: Fake, value: int, **other: int) -> None:
    """The current capabilities, once they were set, say so of the mode."""

    def reply(c: Command) -> Answer:
        was_set = "SET_HCA_CAP(general)" in f.names
        return Answer(c.opcode, data=general({**f.current, **({VHCA: value, **other} if was_set else {})}))

    f.script["QUERY_HCA_CAP(general, current)"] = reply


def test_a_mode_that_was_set_and_reads_back_unset_is_a_disagreement() -> None:
    f = Fake()
    f.script["SET_HCA_CAP(general)"] = ok
    f.open()
    assert f.finding("mode-disagreement").function == func_id(0)
    assert f.host.session.mode is Mode.FUNC_ID
    assert f.page_commands() == [("GIVE", 0, 3), ("GIVE", 0, 5)]


def test_a_mode_that_was_not_set_and_reads_back_set_is_a_disagreement() -> None:
    f = Fake()
    read_back(f, 1)
    f.open("func_id")
    assert f.findings == ["mode-disagreement"]
    assert f.host.session.mode is Mode.FUNC_ID


def test_a_current_value_that_is_set_before_is_no_mode() -> None:
    """As the recorded device had it: only what this session set counts."""
    f = Fake()
    f.current[VHCA] = 1
    f.script["ENABLE_HCA"] = ok
    f.script["QUERY_PAGES(boot)"] = lambda c: Answer(c.opcode, fields={"function_id": 0, "num_pages": 3})
    f.feed(Open("func_id"))
    f.run(until="QUERY_PAGES(init)")
    assert f.findings == []
    assert f.host.session.mode is Mode.FUNC_ID


def test_release_all_that_reads_back_unset_is_not_used() -> None:
    f = Fake()
    read_back(f, 1, release_all_pages=0)
    f.open()
    assert f.findings == ["capability-disagreement"]
    assert f.finding("capability-disagreement").function == vhca_id(OWN), "by its name in the accounts"
    f.request(OWN + 1, 4)
    f.run()
    f.request(OWN + 1, 0, release_all=True)
    assert "release-all-not-negotiated" in f.findings
    assert f.host.left() == 12


def test_a_mode_that_is_refused_is_undone_in_func_id_mode() -> None:
    f = Fake()
    f.script["SET_HCA_CAP(general)"] = refusing()
    f.feed(Open())
    f.run()
    assert f.findings == ["command-refused"]
    assert f.done == [("open", False)]
    assert f.page_commands() == [("GIVE", 0, 3), ("TAKE", 0, 100)]
    assert f.resets == 0


def test_an_unknown_mode_ends_in_a_reset_and_no_page_command() -> None:
    f = Fake()
    f.script["SET_HCA_CAP(general)"] = silent
    f.feed(Open())
    f.run()
    before = f.page_commands()
    f.tick()
    assert f.resets == 1
    assert f.phase == Phase.FENCING
    f.request(OWN, 5)
    f.request(0, -5)
    f.tick()
    assert "not-fenced" in f.findings
    assert f.page_commands() == before
    assert f.host.left() == 3, "boot pages stay out of reach"
    assert f.done == [("open", False)]
    f.feed(Open())
    assert f.resets == 2
    assert f.page_commands() == before
    f.script.clear()
    f.fenced()
    f.run()
    assert f.done[-1] == ("open", True)
    assert f.host.session.number == 2
    f.agree()


def test_a_read_back_that_is_refused_or_unreadable_ends_in_a_reset() -> None:
    short: list[Answer] = [Answer(Opcode.QUERY_HCA_CAP, data=b"\0" * 8)]
    for reply in (refusing(), lambda c: short[0], silent):
        f = Fake()
        f.feed(Open())
        f.run(until="SET_HCA_CAP(general)")
        f.script["QUERY_HCA_CAP(general, current)"] = reply
        f.run()
        if f.phase != Phase.FENCING:
            f.tick()
        assert f.phase == Phase.FENCING
        assert f.page_commands() == [("GIVE", 0, 3)]
        f.fenced()
        assert f.done == [("open", False)]
        assert f.host.left() == 0


# -- what may fail ----------------------------------------------------------------------------------------------------

FAILS = [n for n in dict.fromkeys(SEQUENCE) if n not in ("SET_DRIVER_VERSION", "QUERY_ADAPTER", "QUERY_PAGES(init)")]


def test_init_pages_refused_by_the_new_name_are_a_disagreement_and_end_in_a_reset() -> None:
    f = Fake()
    f.script["QUERY_PAGES(init)"] = refusing(Status.BAD_PARAM)
    f.feed(Open())
    f.run()
    assert f.phase == Phase.FENCING
    assert "mode-disagreement" in f.findings
    assert f.page_commands() == [("GIVE", 0, 3)], "a TAKE would be refused like the query"
    f.fenced()
    assert f.done == [("open", False)]
    assert f.host.left() == 0


@pytest.mark.parametrize("which", ["boot", "init"])
def test_pages_refused_in_func_id_mode_are_no_disagreement_about_the_mode(which: str) -> None:
    f = Fake(offer=False)
    f.script[f"QUERY_PAGES({which})"] = refusing(Status.BAD_PARAM)
    f.feed(Open())
    f.run()
    assert f.findings == ["command-refused"]


@pytest.mark.parametrize("name", FAILS)
def test_a_refusal_at_any_step_undoes_the_start(name: str) -> None:
    f = Fake()
    f.script[name] = refusing(Status.INTERNAL_ERR)
    f.feed(Open())
    f.tick_through()
    assert f.phase == Phase.ENDED
    assert f.done == [("open", False)]
    assert f.host.left() == 0
    assert f.mapped == {}
    assert any("refused" in n for n in f.findings)
    assert f.resets == 0
    if name != "ENABLE_HCA":
        assert f.names[-1] == "DISABLE_HCA"
    f.script.clear()
    f.open()
    f.agree()


def test_a_long_driver_version_is_cut_to_what_ends_with_a_zero() -> None:
    f = Fake()
    f.host = Host(Config(driver_version="v" * 100))
    f.open()
    (version,) = [s.command for s in f.sent if s.command.opcode == Opcode.SET_DRIVER_VERSION]
    assert version.data == b"v" * 63 + b"\0"


@pytest.mark.parametrize("name", ["SET_DRIVER_VERSION", "QUERY_ADAPTER"])
def test_a_refusal_of_what_is_not_needed_is_a_finding(name: str) -> None:
    f = Fake()
    f.script[name] = refusing()
    f.open()
    assert f.findings == ["command-refused"]


@pytest.mark.parametrize("name", list(dict.fromkeys(SEQUENCE)))
def test_silence_at_any_step_ends_in_a_reset(name: str) -> None:
    f = Fake()
    f.script[name] = silent
    f.feed(Open())
    f.run()
    assert f.host.deadline == pytest.approx(f.now + 65.0)
    f.tick()
    assert f.phase == Phase.FENCING
    assert f.resets == 1
    assert f.done == []
    f.fenced()
    assert f.done == [("open", False)]
    assert f.mapped == {}
    assert f.host.left() == 0
    assert f.host.flights == {}
    f.script.clear()
    f.open()
    f.agree()


@pytest.mark.parametrize("name", list(dict.fromkeys(SEQUENCE)))
def test_an_aborted_command_at_any_step_ends_in_a_reset(name: str) -> None:
    f = Fake()
    f.feed(Open())
    f.run(until=name)
    f.abort()
    assert f.phase == Phase.FENCING
    assert f.resets == 1
    f.fenced()
    assert f.done == [("open", False)]


def test_capabilities_too_short_to_read() -> None:
    for name in ("QUERY_HCA_CAP(general, current)", "QUERY_HCA_CAP(general, max)"):
        f = Fake()
        f.script[name] = lambda c: Answer(c.opcode, data=b"\0" * 10)
        f.feed(Open())
        f.run()
        assert f.findings == ["answer-malformed"]
        assert f.done == [("open", False)]
        assert f.phase == Phase.ENDED
        assert f.host.left() == 0


@pytest.mark.parametrize("at", [None, 0, 4096])
def test_start_up_pages_that_cannot_be_mapped(at: int | None) -> None:
    f = Fake()
    f.hold_maps = True
    f.feed(Open())
    f.run()
    m = f.maps.popleft()
    f.feed(Mapped(m.iova, m.pages, at))
    f.run()
    assert f.finding("alloc-failed").pages == 3
    assert f.done == [("open", False)]
    assert f.page_commands() == []
    assert unmaps(f) == ([] if at is None else [(at, m.pages)])
    assert f.host.left() == 0


@pytest.mark.parametrize("at", [None, 0])
def test_event_queues_that_cannot_be_mapped(at: int | None) -> None:
    f = Fake(boot=300, init=200)
    f.feed(Open())
    f.run(until="ALLOC_UAR")
    f.hold_maps = True
    f.run()
    m = f.maps.popleft()
    f.feed(Mapped(m.iova, m.pages, at))
    f.hold_maps = False
    f.run()
    assert f.findings == ["alloc-failed"]
    assert f.done == [("open", False)]
    assert "CREATE_EQ" not in f.names
    assert f.names[-1] == "DISABLE_HCA"
    assert f.host.left() == 0


def unmaps(f: Fake) -> list[tuple[int, int]]:
    return [(e.iova, e.pages) for e in f.effects if isinstance(e, Unmap) and e.iova != f.host.config.base]
