"""Each verb by itself: what it makes of the answer and the events, and what the firmware inside then holds."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from fwpages.device import Completed, Effect, Firmware, FunctionSpec, Phase, PlannedFault, Profile, Raised, Want, faulty
from fwpages.device.faults import effects as do
from fwpages.device.faults import triggers as when
from fwpages.device.faults.injector import Act
from fwpages.device.timeouts import Timeouts
from fwpages.prm.capability import general, read_general
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, Mode, Vport, func_id
from fwpages.prm.message import Answer, Command, encode_answer
from fwpages.prm.opcodes import Opcode, QueryPages, Teardown
from fwpages.prm.status import Status
from fwpages.prm.timeouts import RECOVERY_OF_LINUX
from tests.device.conftest import SPF, VF, VF2, Driver
from tests.device.recorded_sessions import Injected, answers, events, one

N = 8


def wanting(d: Driver, pages: int = N) -> Command:
    """A GIVE that firmware waits for."""
    d.feed(Want("self", pages))
    return d.give_command(d.own, pages)


def returning(d: Driver, pages: int = N) -> Command:
    """A TAKE of what firmware is rid of."""
    d.feed(Want("self", -pages))
    return d.take_command(d.own, pages)


def own_pages(f: Firmware) -> list[int]:
    return sorted(f.holds().get(f.own, np.zeros(0, np.uint64)).tolist())


def vf_with_pages(d: Driver, spec: FunctionSpec = VF) -> Identity:
    who = spec.identity(d.fw.mode)
    assert who is not None
    d.ok(Opcode.ENABLE_HCA, function_id=spec.function_id)
    d.give(who, spec.pages)
    return who


def sound(d: Driver, c: Command) -> tuple[Answer, Firmware]:
    """Answers of a sound firmware, and its state after them."""
    injected = Injected(faulty(d.fw.clone(), []))
    return injected.answer(c), injected.f.inner


# -- not answered, refused ---------------------------------------------------------------------------------------------


def test_lost_is_neither_done_nor_answered(opened: Driver) -> None:
    give, before = wanting(opened), opened.fw.key()
    injected = one(opened.fw, when.GIVE, do.lost)
    assert injected.send(give) == []
    assert opened.fw.key() == before
    assert injected.answer(give).ok, "the same pages can be given later"


def test_silent_is_done_and_its_events_come(opened: Driver) -> None:
    enable = Command(Opcode.ENABLE_HCA, fields={"function_id": 1})
    _, after = sound(opened, enable)
    injected = one(opened.fw, when.ENABLE, do.silent)
    effects = injected.send(enable)
    assert answers(effects) == []
    assert [ev.num_pages for ev in events(effects)] == [VF.pages]
    assert opened.fw.key() == after.key()
    assert opened.fw.is_enabled("vf1")


def test_late_is_silent_and_then_the_answer_as_it_was(opened: Driver) -> None:
    take = returning(opened)
    answer, after = sound(opened, take)
    injected = one(opened.fw, when.TAKE, do.Late(do.Delay.IN_TIME))
    assert injected.send(take) == []
    assert opened.fw.key() == after.key()
    ((due, held),) = injected.f.held_back
    assert (due, held.answer) == (injected.now + 30.0, answer)


@pytest.mark.parametrize(("told", "waits"), [(None, 60.0), (2.0, 2.0), (0.5, 0.5), (7200.0, 7200.0)])
def test_what_is_late_goes_by_the_time_that_the_driver_was_told(
    small: Profile, told: float | None, waits: float
) -> None:
    """In time is before the time is over; too late is after Linux's five seconds more, too."""
    times = None if told is None else Timeouts(command=told)
    opened = Driver(msgspec.structs.replace(small, timeouts=times)).open()
    assert opened.fw.command_time == waits
    for delay, early in ((do.Delay.IN_TIME, True), (do.Delay.TOO_LATE, False)):
        injected = one(opened.fw.clone(), when.op(Opcode.ALLOC_UAR), do.Late(delay))
        assert injected.send(Command(Opcode.ALLOC_UAR)) == []
        due = (injected.f.deadline or 0.0) - injected.now
        assert (0 < due < waits) if early else (due > waits + RECOVERY_OF_LINUX)


@pytest.mark.parametrize("status", [Status.NO_RES_ERR, Status.INTERNAL_ERR])
def test_refuse_is_answered_and_not_done(opened: Driver, status: Status) -> None:
    give, before = wanting(opened), opened.fw.key()
    answer = one(opened.fw, when.GIVE, do.refuse(status)).answer(give)
    assert (answer.opcode, answer.status, answer.syndrome) == (Opcode.MANAGE_PAGES, status, 0xBAD)
    assert (opened.fw.key(), opened.fw.offences) == (before, ()), "the driver has done nothing wrong"


# -- answers to TAKEs --------------------------------------------------------------------------------------------------


def test_edit_does_what_was_asked_and_says_something_else(opened: Driver) -> None:
    take = returning(opened)
    expected, after = sound(opened, take)

    def change(_: object, __: object, a: Answer) -> Answer:
        return Answer(a.opcode, fields=a.fields, pas=a.pas[::-1])

    answer = one(opened.fw, when.TAKE, do.edit(change)).f
    (got,) = answers(Injected(answer).send(take))
    assert got.pas.tolist() == expected.pas[::-1].tolist()
    assert answer.inner.key() == after.key()


def test_edit_leaves_an_answer_alone_that_is_a_refusal(opened: Driver) -> None:
    bad = Command(Opcode.MANAGE_PAGES, 7)
    injected = one(opened.fw, when.op(Opcode.MANAGE_PAGES), do.edit(lambda *_: pytest.fail("nothing to change")))
    assert injected.answer(bad).status == Status.BAD_PARAM
    assert injected.f.took == ()


#: verb → what the answer to a TAKE of N pages then names: (count, addresses as they should be, others)
NAMED: dict[str, tuple[Act, int, int, list[int]]] = {
    "short": (do.edit(do.short), N // 2, N // 2, []),
    "long": (do.edit(do.long), N + 1, N, [int(do.NEVER)]),
    "count": (do.count(lambda c, n: c["input_num_entries"] + n), 2 * N, N, []),
    "never given": (do.first_page(lambda *_: np.array([do.NEVER], np.uint64)), N, N - 1, [int(do.NEVER)]),
}


@pytest.mark.parametrize("verb", NAMED)
def test_what_a_take_names_instead(opened: Driver, verb: str) -> None:
    act, count, right, others = NAMED[verb]
    take = returning(opened)
    expected, after = sound(opened, take)
    injected = one(opened.fw, when.TAKE, act)
    answer = injected.answer(take)
    assert answer["output_num_entries"] == count
    truth = set(expected.pas.tolist())
    assert (sum(p in truth for p in answer.pas.tolist()), [p for p in answer.pas.tolist() if p not in truth]) == (
        right,
        others,
    )
    assert injected.f.inner.key() == after.key(), "firmware has let go of them all the same"
    encode_answer(answer)


def test_a_short_answer_with_pages_missing_is_no_longer_one(opened: Driver) -> None:
    """Nothing to leave out where nothing came back, nothing to add where less came back than was asked for."""
    nothing = opened.take_command(opened.own, 4)
    for act in (do.edit(do.short), do.edit(do.long), do.first_page(do.twice)):
        injected = one(opened.fw.clone(), when.TAKE, act)
        assert injected.answer(nothing) == sound(opened, nothing)[0]
        assert injected.f.took == ()


def test_twice_names_the_second_page_in_the_place_of_the_first(opened: Driver) -> None:
    answer = one(opened.fw, when.TAKE, do.first_page(do.twice)).answer(returning(opened))
    assert (answer.pas[0], len(set(answer.pas.tolist()))) == (answer.pas[1], N - 1)


def test_foreign_names_a_page_of_another_function(opened: Driver) -> None:
    take = returning(opened)
    alone = one(opened.fw.clone(), when.TAKE, do.first_page(do.foreign))
    assert alone.answer(take) == sound(opened, take)[0]
    who = vf_with_pages(opened)
    injected = one(opened.fw, when.TAKE, do.first_page(do.foreign))
    answer = injected.answer(take)
    assert answer.pas[0] in injected.f.holds()[who]


def test_again_names_the_page_that_came_back_last_unless_it_was_given_anew(opened: Driver) -> None:
    opened.feed(Want("self", -N))
    injected = one(opened.fw, when.TAKE, do.first_page(do.again))
    first = injected.answer(opened.take_command(opened.own, 2))
    assert injected.f.took == (), "nothing came back before"
    fw = injected.f
    for given_anew in (False, True):
        then = Injected(fw.clone())
        if given_anew:
            then.f.feed(0.0, Want("self", 1))
            c = Command(Opcode.MANAGE_PAGES, 1, {**opened.own.fields, "input_num_entries": 1}, first.pas[-1:])
            assert then.answer(c).ok
        second = then.answer(opened.take_command(opened.own, 2))
        assert bool(then.f.took) is (not given_anew)
        assert second.pas[0] == first.pas[-1], "a lie, or the page that was given last and comes back first"


def test_invented_pages_exist_nowhere_and_nothing_is_let_go(opened: Driver) -> None:
    take, before = returning(opened), own_pages(opened.fw)
    answer = one(opened.fw, when.TAKE, do.invented).answer(take)
    assert (answer["output_num_entries"], len(set(answer.pas.tolist()))) == (N, N)
    assert (answer.pas >= do.NEVER).all()
    assert own_pages(opened.fw) == before


def test_nothing_names_nothing_and_lets_nothing_go(opened: Driver) -> None:
    take, before = returning(opened), opened.fw.key()
    answer = one(opened.fw, when.TAKE, do.nothing).answer(take)
    assert (answer.ok, answer["output_num_entries"], answer.pas.size) == (True, 0, 0)
    assert opened.fw.key() == before


# -- start-up ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, -1, -(2**31), 2**29, 2**31 - 1])
def test_num_pages_is_the_answer_s_and_not_the_firmware_s(driver: Driver, count: int) -> None:
    driver.enable()
    c = Command(Opcode.QUERY_PAGES, QueryPages.BOOT)
    injected = one(driver.fw, when.QUERY_PAGES, do.num_pages(count))
    assert injected.answer(c)["num_pages"] == count
    assert injected.answer(c)["num_pages"] == 3
    encode_answer(injected.answer(c))


def test_boot_name_is_another_function_s(driver: Driver) -> None:
    driver.enable()
    injected = one(driver.fw, when.QUERY_PAGES, do.edit(do.boot_name))
    assert injected.answer(Command(Opcode.QUERY_PAGES, QueryPages.BOOT))["function_id"] == VF.function_id
    alone = Driver(driver.profile, [SPF])
    alone.enable()
    injected = one(alone.fw, when.QUERY_PAGES, do.edit(do.boot_name))
    assert injected.answer(Command(Opcode.QUERY_PAGES, QueryPages.BOOT))["function_id"] == 0, "an SPF has no such name"
    assert injected.f.took == ()


@pytest.mark.parametrize("bit", ["release_all_pages", "icm_mng_function_id_mode"])
def test_set_less_is_answered_ok_and_one_bit_is_not_set(driver: Driver, bit: str) -> None:
    driver.boot()
    want = driver.caps(current=True) | {"release_all_pages": 1, "icm_mng_function_id_mode": 1}
    c = Command(Opcode.SET_HCA_CAP, 0, data=general(want))
    injected = one(driver.fw, when.SET_CAP, do.set_less(bit))
    assert injected.answer(c).ok
    assert driver.caps(current=True) == want | {bit: 0}
    assert (driver.fw.mode is Mode.FUNC_ID) is (bit == "icm_mng_function_id_mode")


def test_set_less_of_what_is_not_set_is_no_opportunity(driver: Driver) -> None:
    driver.boot()
    c = Command(Opcode.SET_HCA_CAP, 0, data=general(driver.caps(current=True)))
    injected = one(driver.fw, when.SET_CAP, do.set_less("release_all_pages"))
    assert injected.answer(c).ok
    assert injected.f.took == ()


def test_hide_mode_denies_the_mode_in_the_current_capability_only(driver: Driver) -> None:
    driver.boot()
    injected = one(driver.fw, when.op(Opcode.QUERY_HCA_CAP), do.edit(do.hide_mode), times=0)
    current, most = Command(Opcode.QUERY_HCA_CAP, 1), Command(Opcode.QUERY_HCA_CAP, 0)
    assert injected.answer(current).ok
    assert injected.f.took == (), "there is nothing to deny yet"
    driver.negotiate()
    assert read_general(injected.answer(most).data)["icm_mng_function_id_mode"] == 1
    now = read_general(injected.answer(current).data)
    assert (now["icm_mng_function_id_mode"], now["release_all_pages"]) == (0, 1)
    assert injected.f.mode is Mode.VHCA_ID


# -- whose vhca_id -----------------------------------------------------------------------------------------------------


def asked(spec: FunctionSpec) -> Command:
    fields = {"other_function": 1, "function_id": spec.function_id, "ec_vf_function": int(spec.ec)}
    return Command(Opcode.QUERY_HCA_CAP, 0, fields)


def test_a_function_is_said_to_have_the_vhca_id_of_one_that_is_enabled(opened: Driver) -> None:
    injected = one(opened.fw, when.other_caps, do.vhca_id(do.someone_elses))
    opened.ok(Opcode.ENABLE_HCA, function_id=2)
    assert read_general(injected.answer(asked(VF2)).data)["vhca_id"] == VF2.vhca_id, "no other function has one"
    assert not injected.f.took
    assert read_general(injected.answer(asked(VF)).data)["vhca_id"] == VF2.vhca_id
    assert len(injected.f.took) == 1


def test_the_host_pf_of_an_ecpf_is_not_taken_for_the_supplier(small: Profile) -> None:
    """Both have number 0: the host PF, alone enabled, has no other function's vhca_id to be said to have."""
    host_pf = FunctionSpec("host_pf", FunctionType.HOST_PF, Vport.HOST_PF, 0, ec=False, vhca_id=0x60)
    ec_vf = FunctionSpec("ec_vf", FunctionType.EC_VF, 0x300, 1, ec=True, vhca_id=0x61)
    vf = FunctionSpec("vf", FunctionType.VF, 1, 1, ec=False, vhca_id=0x62)
    d = Driver(msgspec.structs.replace(small, ecpf=True), [ec_vf, vf, host_pf]).open()
    d.ok(Opcode.ENABLE_HCA)
    injected = one(d.fw, when.other_caps, do.vhca_id(do.someone_elses), times=0)
    assert injected.answer(asked(host_pf)) == sound(d, asked(host_pf))[0]
    assert injected.f.took == ()
    d.ok(Opcode.ENABLE_HCA, function_id=1)
    for spec, other in ((host_pf, vf), (vf, host_pf), (ec_vf, vf)):
        assert read_general(injected.answer(asked(spec)).data)["vhca_id"] == other.vhca_id


# -- page requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "order"), [(False, [Completed, Raised]), (True, [Raised, Completed])])
def test_an_event_out_of_nowhere_comes_before_or_after_the_answer(
    opened: Driver, first: bool, order: list[type[Effect]]
) -> None:
    query = Command(Opcode.QUERY_ADAPTER)
    expected, after = sound(opened, query)
    injected = one(opened.fw, when.listening, do.raise_event(do.own_request(7), first=first))
    effects = injected.send(query)
    assert [type(e) for e in effects] == order
    assert answers(effects) == [expected]
    (raised,) = [e for e in effects if isinstance(e, Raised)]
    assert raised == Raised(opened.eqns[-1], PageRequestEvent(opened.own.number, 7, opened.own.ec))
    assert opened.fw.key() == after.key(), "firmware does not mean it"


def test_an_event_comes_before_its_queue_is_gone(opened: Driver) -> None:
    injected = one(opened.fw, when.op(Opcode.DESTROY_EQ), do.raise_event(do.own_request(7)))
    effects = injected.send(Command(Opcode.DESTROY_EQ, fields={"eq_number": opened.eqns[-1]}))
    assert [type(e) for e in effects] == [Raised, Completed]
    assert opened.fw.pages_eqn is None


def test_an_event_without_a_queue_has_the_number_of_the_fault(driver: Driver) -> None:
    driver.boot()
    injected = one(driver.fw, when.SET_CAP, do.raise_event(do.own_request(10), eqn=3))
    c = Command(Opcode.SET_HCA_CAP, 0, data=general(driver.caps(current=True)))
    assert [e.eqn for e in injected.send(c) if isinstance(e, Raised)] == [3]
    assert not when.listening(injected.f, c)
    assert injected.f.inner.phase is Phase.STARTING


def test_release_other_names_a_function_that_has_pages(opened: Driver) -> None:
    query = Command(Opcode.QUERY_ADAPTER)
    injected = one(opened.fw, when.listening, do.raise_event(do.release_other))
    assert events(injected.send(query)) == []
    assert injected.f.took == (), "the supplier is not meant"
    who = vf_with_pages(opened)
    assert events(injected.send(query)) == [PageRequestEvent(who.number, 0, who.ec, release_all=True)]
    assert opened.fw.held("vf1") == VF.pages, "it is a lie"


@pytest.mark.parametrize("release_all", [False, True])
def test_release_all_is_negotiated_or_not(driver: Driver, release_all: bool) -> None:
    query = Command(Opcode.QUERY_ADAPTER)
    f = faulty(driver.fw, [])
    assert (when.negotiated(f, query), when.not_negotiated(f, query)) == (False, False), "no event queue"
    driver.open(release_all=release_all)
    f = faulty(driver.fw, [])
    assert (when.negotiated(f, query), when.not_negotiated(f, query)) == (release_all, not release_all)


def test_real_demand_is_requested_before_the_answer(opened: Driver) -> None:
    injected = one(opened.fw, when.listening, do.real_want(3, events=4))
    effects = injected.send(Command(Opcode.QUERY_ADAPTER))
    assert [type(e) for e in effects] == [Raised] * 4 + [Completed]
    assert {ev.num_pages for ev in events(effects)} == {3}
    opened.give(opened.own, 12)


def test_a_real_want_of_a_supplier_by_another_name(small: Profile) -> None:
    d = Driver(small, [FunctionSpec("pf", FunctionType.SELF, Vport.HOST_PF, 0, ec=False, vhca_id=0x2A)]).open()
    assert len(events(one(d.fw, when.listening, do.real_want(3)).send(Command(Opcode.QUERY_ADAPTER)))) == 1


def test_a_reset_in_a_give_is_announced_before_the_give_is_done(opened: Driver) -> None:
    who = vf_with_pages(opened)
    opened.feed(Want("vf1", 2))
    give = opened.give_command(who, 2)
    injected = one(opened.fw, when.GIVE, do.reset_in_give)
    effects = injected.send(give)
    raised = events(effects)
    assert raised[0] == PageRequestEvent(who.number, 0, who.ec, release_all=True)
    assert isinstance(effects[0], Raised)
    assert [a.ok for a in answers(effects)] == [True]
    assert sorted(injected.f.holds()[who].tolist()) == give.pas.tolist(), "it has those of the GIVE and no others"


@pytest.mark.parametrize("who", ["self", "vf1"])
def test_no_reset_in_a_give_for_a_function_that_holds_nothing(opened: Driver, who: str) -> None:
    """The supplier itself is not reset by itself, and a function that has nothing lets go of nothing."""
    opened.ok(Opcode.ENABLE_HCA, function_id=1)
    opened.feed(Want(who, 1))
    give = opened.give_command(opened.own if who == "self" else VF.identity(opened.fw.mode) or func_id(1), 1)
    expected, after = sound(opened, give)
    injected = one(opened.fw, when.GIVE, do.reset_in_give)
    assert injected.answer(give) == expected
    assert (injected.f.took, injected.f.inner.key()) == ((), after.key())


# -- when --------------------------------------------------------------------------------------------------------------


def test_which_commands_are_about_another_function(opened: Driver) -> None:
    f = faulty(opened.fw, [PlannedFault("enable-refused")])

    def e(opcode: Opcode, **fields: int) -> Command:
        return Command(opcode, fields=fields)

    assert not when.ENABLE(f, e(Opcode.ENABLE_HCA))
    assert when.ENABLE(f, e(Opcode.ENABLE_HCA, function_id=1))
    assert when.ENABLE(f, e(Opcode.ENABLE_HCA, function_id=SPF.vhca_id, function_id_type=1))
    assert not when.ENABLE(f, e(Opcode.ENABLE_HCA, function_id=f.inner.specs[0].vhca_id, function_id_type=1))
    assert when.ENABLE(f, e(Opcode.ALLOC_SF, function_id=0x100))
    assert when.DISABLE(f, e(Opcode.DEALLOC_SF, function_id=0x100))
    assert when.DISABLE(f, e(Opcode.DISABLE_HCA, function_id=2))
    assert not when.DISABLE(f, e(Opcode.DISABLE_HCA))
    assert when.TEARDOWN(f, e(Opcode.TEARDOWN_HCA, profile=Teardown.FORCE))
    assert when.control(f, e(Opcode.QUERY_PAGES))
    assert not when.control(f, opened.take_command(opened.own, 1))
    assert when.TAKE(f, opened.take_command(opened.own, 1))
    assert not when.GIVE(f, opened.take_command(opened.own, 1))
