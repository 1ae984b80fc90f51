from __future__ import annotations

from dataclasses import replace

import pytest

from fwpages.host import Bounds, Close, DisableVport, Done, EnableVport, FunctionsChanged, Phase, Tick, VportInfo
from fwpages.prm.capability import general
from fwpages.prm.identity import FunctionType, Supplier, func_id, vhca_id
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode
from tests.host.fake import OWN, SF0, SPF0, VF0, VF1, Fake, ok, refusing, silent

T = FunctionType
VF = vhca_id(0x31)
QUICK = Bounds(pages_per_command=100, command=5.0, wait_progress=10.0, wait_overall=25.0)
EC_VF0 = VportInfo(0x1000, T.EC_VF, 1, ec=True)
HOST_PF = VportInfo(0, T.HOST_PF, 0)


def opened(mode: str = "auto") -> Fake:
    return Fake(bounds=QUICK).open(mode)  # type: ignore[arg-type]  # the Literal's words


def disable(f: Fake, info: VportInfo) -> None:
    f.feed(DisableVport(info.vport))
    f.run()


def record(f: Fake, number: int, generation: int = 0) -> tuple[FunctionType, int, bool]:
    (row,) = [r for r in f.host.records if r.identity.number == number and r.generation == generation]
    return row.type, row.outstanding, row.retired


# -- enabling -----------------------------------------------------------------------------------------------------


def test_a_vport_is_enabled_and_its_vhca_id_learned() -> None:
    f = opened()
    f.enable(VF0)
    assert f.names[-2:] == ["ENABLE_HCA", "QUERY_HCA_CAP(general, max)"]
    assert f.sent[-2].command.fields == func_id(1).fields
    assert (f.sent[-1].command["other_function"], f.sent[-1].command["function_id"]) == (1, 1)
    assert f.done[-1] == ("enable vport 0x1", True)
    assert record(f, 0x31) == (T.VF, 0, False)


def test_in_func_id_mode_the_number_is_enough() -> None:
    f = opened("func_id")
    f.enable(VF0)
    assert f.names[-1] == "ENABLE_HCA"
    assert record(f, 1) == (T.VF, 0, False)


@pytest.mark.parametrize(
    ("info", "on", "fields", "query"),
    [
        (SF0, Opcode.ALLOC_SF, {"function_id": 0x8000}, {"function_id": 0x8000, "other_function": 1}),
        (SPF0, Opcode.ENABLE_HCA, {"function_id": 0x77, "function_id_type": 1}, None),
        (
            EC_VF0,
            Opcode.ENABLE_HCA,
            {"function_id": 1, "embedded_cpu_function": 1},
            {"function_id": 1, "other_function": 1, "ec_vf_function": 1},
        ),
        (HOST_PF, Opcode.ENABLE_HCA, {"function_id": 0}, {"function_id": 0, "other_function": 1}),
    ],
    ids=lambda x: x.type if isinstance(x, VportInfo) else "",
)
def test_how_each_type_is_enabled(
    info: VportInfo, on: Opcode, fields: dict[str, int], query: dict[str, int] | None
) -> None:
    f = Fake(bounds=QUICK, supplier=Supplier(ecpf=True, max_vfs=4, max_ec_vfs=4)).open()
    f.script["QUERY_HCA_CAP(general, max)"] = lambda c: Answer(c.opcode, data=general({"vhca_id": 0x55}))
    start = len(f.sent)
    f.enable(info)
    commands = [s.command for s in f.sent[start:]]
    assert commands[0].opcode == on
    assert {k: v for k, v in commands[0].fields.items() if v} == {k: v for k, v in fields.items() if v}
    if query is None:
        assert len(commands) == 1
        assert record(f, 0x77) == (T.SPF, 0, False)
    else:
        assert {k: v for k, v in commands[1].fields.items() if v} == {k: v for k, v in query.items() if v}
        assert record(f, 0x55) == (info.type, 0, False)
    f.close()
    assert f.findings == []


def test_two_operations_at_once_are_done_one_after_the_other() -> None:
    f = opened()
    f.vports(VF0, VF1)
    f.feed(EnableVport(1))
    f.feed(EnableVport(2))
    f.feed(DisableVport(1))
    assert len(f.waiting) == 1
    f.run()
    assert f.done[1:] == [("enable vport 0x1", True), ("enable vport 0x2", True), ("disable vport 0x1", True)]
    assert list(f.host.session.vports) == [2]


def test_the_page_path_waits_for_no_vport_command() -> None:
    f = opened()
    f.vports(VF0)
    f.script["ENABLE_HCA"] = silent
    f.feed(EnableVport(1))
    f.run()
    f.request(0x31, 20)
    f.run()
    assert f.holding(VF) == 20
    assert f.done[1:] == []
    send = f.unanswered[0]
    assert send.slot == 0
    f.answer(ok(send.command), send)
    f.run()
    assert record(f, 0x31) == (T.VF, 20, False)


def test_an_enable_that_is_refused_fails() -> None:
    f = opened()
    f.script["ENABLE_HCA"] = refusing()
    f.enable(VF0)
    assert f.done[-1] == ("enable vport 0x1", False)
    assert f.host.session.vports == {}
    f.script.clear()
    f.enable(VF0)
    assert f.done[-1] == ("enable vport 0x1", True)


def test_an_enable_that_is_not_answered_may_have_been_done() -> None:
    f = opened()
    f.vports(VF0)
    f.script["ENABLE_HCA"] = silent
    f.feed(EnableVport(1))
    f.run()
    f.tick()
    assert f.done[-1] == ("enable vport 0x1", False)
    assert f.finding("command-unanswered").detail.startswith("ENABLE_HCA")
    assert f.misuse(EnableVport(1)) == "enable vport 0x1: it is already enabled"
    disable(f, VF0)
    assert f.done[-1] == ("disable vport 0x1", True)
    assert [s.slot for s in f.sent[-1:]] == [1], "the slot of the command that was not answered is taken"
    send = f.unanswered[0]
    f.answer(ok(send.command), send)
    assert "late-answer" in f.findings
    assert f.host.session.vports == {}
    f.script.clear()
    f.enable(VF0)
    assert f.sent[-1].slot == 0


def test_a_device_that_answers_no_control_command_at_all_is_cut_off_when_the_slots_are_gone() -> None:
    f = opened()
    f.vports(*(VportInfo(n, T.VF, n) for n in range(1, 32)))
    f.script["ENABLE_HCA"] = silent
    for n in range(1, 32):
        assert f.phase == Phase.OPEN
        f.feed(EnableVport(n))
        f.run()
        f.tick()
    assert f.phase == Phase.FENCING
    assert sorted(s.slot for s in f.unanswered) == list(range(31))
    f.request(0x31, 5)
    f.fenced()
    assert f.host.left() == 0
    assert [ok for what, ok in f.done if what.startswith("enable")] == [False] * 31


# -- vhca_ids that cannot be ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0x31, OWN])
def test_a_vhca_id_that_another_has_stays_with_that(number: int) -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 10)
    f.run()
    f.script["QUERY_HCA_CAP(general, max)"] = lambda c: Answer(c.opcode, data=general({"vhca_id": number}))
    f.enable(VF1)
    assert f.finding("vhca-id-twice").function == vhca_id(number)
    assert record(f, 0x31) == (T.VF, 10, False)
    assert record(f, OWN) == (T.SELF, 8, False)
    disable(f, VF1)
    assert record(f, 0x31) == (T.VF, 10, False), "the vport that never had it takes it from no other"
    assert record(f, OWN)[2] is False
    f.request(0x31, -10)
    f.run()
    disable(f, VF0)
    f.close()
    assert f.host.left() == 0


@pytest.mark.parametrize("number", [0x31, OWN])
def test_a_vhca_id_known_beforehand_that_another_has_stays_with_that(number: int) -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 10)
    f.run()
    spf = VportInfo(0x2000, T.SPF, 0x2000, vhca_id=number)
    f.enable(spf)
    assert f.finding("vhca-id-twice").function == vhca_id(number)
    assert record(f, 0x31) == (T.VF, 10, False)
    assert record(f, OWN) == (T.SELF, 8, False)
    disable(f, spf)
    assert record(f, 0x31) == (T.VF, 10, False)
    assert record(f, OWN) == (T.SELF, 8, False)


def test_a_vhca_id_that_cannot_be_learned() -> None:
    for reply in (refusing(), lambda c: Answer(c.opcode, data=b"\0" * 8)):
        f = opened()
        f.script["QUERY_HCA_CAP(general, max)"] = reply
        f.enable(VF0)
        assert f.done[-1] == ("enable vport 0x1", True)
        assert f.findings in (["command-refused"], ["answer-malformed"])
        f.request(0x31, 5)
        f.run()
        assert record(f, 0x31) == (T.UNKNOWN, 5, False), "in sight, of a type that is not known"
        f.feed(DisableVport(1))
        f.run()
        f.request(0x31, -5)
        f.run()
        assert f.done[-1] == ("disable vport 0x1", True)
        f.close()
        assert f.host.left() == 0


# -- disabling --------------------------------------------------------------------------------------------------------


def test_pages_given_after_a_disable_are_a_new_generation() -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 10)
    f.run()
    disable(f, VF0)
    f.request(0x31, 4)
    f.run()
    assert record(f, 0x31) == (T.VF, 10, True)
    assert record(f, 0x31, 1) == (T.UNKNOWN, 4, False)
    f.request(0x31, -14)
    f.run()
    rows = [(r.generation, r.given, r.returned) for r in f.host.records if r.identity == VF]
    assert rows == [(0, 10, 10), (1, 4, 4)]
    assert f.done[-1] == ("disable vport 0x1", True)
    f.agree()


def test_a_vhca_id_that_is_used_again_by_another_type() -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 10)
    f.run()
    disable(f, VF0)
    f.script["QUERY_HCA_CAP(general, max)"] = lambda c: Answer(c.opcode, data=general({"vhca_id": 0x31}))
    f.enable(SF0)
    f.request(0x31, 3)
    f.run()
    assert record(f, 0x31) == (T.VF, 10, True)
    assert record(f, 0x31, 1) == (T.SF, 3, False)
    f.request(0x31, -10)
    f.run()
    total = sum(r.outstanding for r in f.host.records if r.identity == VF)
    assert total == 3


def test_a_give_that_is_out_when_its_function_goes_and_comes_again() -> None:
    """Its pages are the first generation's, and come back to it."""
    f = opened()
    f.enable(VF0)
    f.request(0x31, 10)
    f.run(until="MANAGE_PAGES(GIVE)")
    give = f.waiting.popleft()
    disable(f, VF0)
    f.enable(VF0)
    f.answer(f.reply(give.command), give)
    assert record(f, 0x31) == (T.VF, 10, True)
    assert record(f, 0x31, 1) == (T.VF, 0, False)
    f.agree()
    f.request(0x31, -10)
    f.run()
    assert f.findings == []
    assert f.host.left() == 8
    f.agree()


def test_a_disable_that_is_refused_fails_and_changes_nothing() -> None:
    f = opened()
    f.enable(VF0)
    f.script["DISABLE_HCA"] = refusing()
    disable(f, VF0)
    assert f.done[-1] == ("disable vport 0x1", False)
    assert record(f, 0x31) == (T.VF, 0, False)
    assert list(f.host.session.vports) == [1]


def test_only_the_last_of_a_type_waits_for_pages() -> None:
    f = opened()
    f.enable(VF0, VF1, SF0)
    for number in (0x31, 0x32):
        f.request(number, 10)
    f.run()
    disable(f, VF0)
    assert f.done[-1] == ("disable vport 0x1", True)
    f.feed(DisableVport(2))
    f.run()
    assert f.done[-1] == ("disable vport 0x1", True), "VFs are waited for"
    f.request(0x31, -10)
    f.run()
    assert len(f.host.session.waits) == 1
    f.request(0x32, -10)
    f.run()
    assert f.done[-1] == ("disable vport 0x2", True)
    assert not f.host.session.waits


def test_a_wait_is_not_held_up_by_functions_of_other_types() -> None:
    f = opened()
    f.enable(VF0, SF0)
    f.request(0x31, 10)
    f.request(0x90, 10)
    f.run()
    disable(f, SF0)
    f.request(0x90, -10)
    f.run()
    assert f.done[-1] == (f"disable vport {SF0.vport:#x}", True)
    assert record(f, 0x31) == (T.VF, 10, False)


def test_a_wait_names_what_it_waits_for_in_vain_unknown_functions_too() -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 10)
    f.request(0x66, 4)
    f.run()
    began = f.now
    disable(f, VF0)
    f.tick()
    assert f.now - began == pytest.approx(QUICK.wait_progress)
    found = [x for x in f.host.session.findings.values() if x.name == "wait-timeout"]
    assert [(x.function, x.pages) for x in found] == [(VF, 10), (vhca_id(0x66), 4)], "each function's are its own"
    assert "10 pages of vhca:0x31 (vf) did not come back" in found[0].detail
    assert "4 pages of vhca:0x66 (unknown) did not come back" in found[1].detail
    assert f.done[-1] == ("disable vport 0x1", False)
    assert f.host.deadline is None
    f.close()
    assert f.host.left() == 0, "the teardown sees them"
    assert f.done[-1] == ("close", True)


def test_progress_moves_one_deadline_and_not_the_other() -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 100)
    f.run()
    began = f.now
    disable(f, VF0)
    while f.host.session.waits:
        f.now = min(f.now + 7.0, f.host.deadline or 0.0)
        f.request(0x31, -1)
        f.run()
        if f.host.session.waits and f.host.deadline == f.now:
            f.tick()
    assert f.now - began == pytest.approx(QUICK.wait_overall, abs=QUICK.wait_progress)
    assert "wait-timeout" in f.findings
    g = opened()
    g.enable(VF0)
    g.request(0x31, 2)
    g.run()
    disable(g, VF0)
    g.now += 9.0
    g.request(0x31, -1)
    g.run()
    g.now += 9.0
    g.request(0x31, -1)
    g.run()
    assert g.done[-1] == ("disable vport 0x1", True)


def test_a_function_that_is_enabled_again_is_not_waited_for() -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 10)
    f.run()
    disable(f, VF0)
    assert len(f.host.session.waits) == 1
    f.feed(EnableVport(1))
    f.run()
    assert f.done[-2:] == [("disable vport 0x1", True), ("enable vport 0x1", True)]
    assert f.host.deadline is None
    f.request(0x31, 5)
    f.run()
    f.request(0x31, -5)  # firmware returns the five youngest, whosever they are
    f.run()
    f.request(0x31, -10)
    f.run()
    f.agree()


def test_of_two_functions_that_are_gone_the_one_that_stays_away_is_waited_for() -> None:
    f = opened()
    f.enable(VF0, VF1)
    for number in (0x31, 0x32):
        f.request(number, 10)
        f.run()
    disable(f, VF0)
    disable(f, VF1)
    f.feed(EnableVport(1))
    f.run()
    assert [w.patience.left for w in f.host.session.waits] == [10]
    f.request(0x32, -10)
    f.run()
    assert ("disable vport 0x2", True) in f.done


@pytest.mark.parametrize("mode", ["func_id", "vhca_id"])
def test_pages_that_come_too_late_for_a_function_are_waited_for_in_either_mode(mode: str) -> None:
    """A request was pending when its function was disabled: its pages belong to no announced function."""
    f = opened(mode)
    f.enable(VF0)
    number = 1 if mode == "func_id" else 0x31
    f.request(number, 10)
    f.run()
    disable(f, VF0)
    f.request(number, 4)
    f.run()
    f.request(number, -10)
    f.run()
    assert [w.patience.left for w in f.host.session.waits] == [4]
    f.request(number, -4)
    f.run()
    assert f.done[-1] == ("disable vport 0x1", True)


def test_release_all_of_a_function_ends_the_wait_for_it() -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 10)
    f.run()
    disable(f, VF0)
    f.request(0x31, 0, release_all=True)
    assert f.done[-1] == ("disable vport 0x1", True)
    (row,) = [r for r in f.host.records if r.identity == VF]
    assert (row.released, row.returned) == (10, 0)


# -- misuse -----------------------------------------------------------------------------------------------------------


def test_what_cannot_be_asked_for() -> None:
    f = Fake(bounds=QUICK)
    f.vports(VF0, SPF0)
    assert f.misuse(EnableVport(1)) == "enable vport 0x1: the device was not opened before"
    f.open()
    assert f.misuse(EnableVport(9)) == "enable vport 0x9: there is no such vport; there are 0x1, 0x2000"
    assert f.misuse(DisableVport(1)) == "disable vport 0x1: it is not enabled"
    f.enable(VF0)
    assert f.misuse(EnableVport(1)) == "enable vport 0x1: it is already enabled"
    assert "twice" in f.misuse(FunctionsChanged((VF0, VF0)))
    assert "disable it first" in f.misuse(FunctionsChanged((VF1,)))
    f.feed(DisableVport(1))
    assert f.misuse(DisableVport(1)) == "disable vport 0x1: it is not enabled"
    f.feed(EnableVport(1))
    assert f.misuse(EnableVport(1)) == "enable vport 0x1: it is already enabled"
    f.run()
    assert f.done[-2:] == [("disable vport 0x1", True), ("enable vport 0x1", True)]
    f.feed(Close())
    assert f.misuse(DisableVport(1)) == "disable vport 0x1: session 1 is closing, not open"


def test_vports_that_are_being_enabled_cannot_be_gone() -> None:
    f = opened()
    f.vports(VF0, VF1)
    f.feed(EnableVport(1))
    assert "vport 0x1" in f.misuse(FunctionsChanged((VF1,)))
    f.feed(EnableVport(2))
    assert "vport 0x2" in f.misuse(FunctionsChanged((VF0,)))
    f.run()
    assert sorted(f.host.session.vports) == [1, 2]


def test_an_enabled_vport_cannot_become_another_function() -> None:
    f = opened()
    f.enable(VF0)
    other = VportInfo(1, T.VF, 5)
    assert "vport 0x1" in f.misuse(FunctionsChanged((other,)))
    disable(f, VF0)
    f.vports(other)
    f.enable(other)
    assert f.sent[-2].command["function_id"] == 5


def test_an_spf_has_no_name_in_func_id_mode() -> None:
    f = opened("func_id")
    f.vports(SPF0)
    assert "no name for a function of type spf" in f.misuse(EnableVport(SPF0.vport))


def test_a_function_in_func_id_mode() -> None:
    assert VF0.identity == func_id(1)
    assert EC_VF0.identity == func_id(1, ec=True)


def test_a_wait_has_its_time_anew_when_pages_come_back_and_not_otherwise() -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 10)
    f.run()
    disable(f, VF0)
    f.now += 4
    f.feed(Tick())
    assert f.host.deadline == f.now - 4 + QUICK.wait_progress
    f.request(0x31, -3)
    f.run()
    assert f.host.deadline == f.now + QUICK.wait_progress


def test_a_wait_for_many_pages_ends_too() -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 5_000)
    f.run()
    disable(f, VF0)
    f.tick()
    assert f.finding("wait-timeout").pages == 5_000
    assert f.done[-1] == ("disable vport 0x1", False)


def test_pages_given_before_and_after_a_disable_are_one_functions() -> None:
    f = opened()
    f.enable(VF0)
    f.request(0x31, 3)
    f.run()
    disable(f, VF0)
    f.request(0x31, 2)
    f.run()
    f.tick()
    (finding,) = [x for x in f.host.session.findings.values() if x.name == "wait-timeout"]
    assert (finding.function, finding.pages) == (VF, 5)
    assert next(e.detail for e in reversed(f.effects) if isinstance(e, Done)) == "5 pages still out"


@pytest.mark.parametrize("info", [VF0, SF0])
def test_what_was_not_enabled_after_all_need_not_be_disabled(info: VportInfo) -> None:
    """Asked for while the enabling was under way, which the device then refuses."""
    f = opened()
    f.vports(info)
    for opcode in (Opcode.ENABLE_HCA, Opcode.ALLOC_SF):
        f.script[opcode] = refusing()
    f.feed(EnableVport(info.vport))
    f.feed(DisableVport(info.vport))
    f.run()
    assert f.done[-2:] == [(f"enable vport {info.vport:#x}", False), (f"disable vport {info.vport:#x}", True)]
    assert f.names[-1] in ("ENABLE_HCA", "ALLOC_SF"), "no command is sent for it"
    f.close()
    assert f.done[-1] == ("close", True)


def test_two_vports_cannot_be_one_function() -> None:
    f = opened("func_id")
    same = VportInfo(9, T.VF, 1)
    assert "vports 0x1 and 0x9 are both function func:0x1" in f.misuse(FunctionsChanged((VF0, same)))
    assert "vport 0x9 is the supplier itself" in f.misuse(FunctionsChanged((VportInfo(9, T.VF, 0),)))
    assert "are both function vhca:0x77" in f.misuse(FunctionsChanged((SPF0, replace(SPF0, vport=9))))
    f.vports(VF0, VportInfo(9, T.EC_VF, 1, ec=True), SPF0, replace(SPF0, vport=10, vhca_id=0x78))
