from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device import (
    DEVICE_FAULTS,
    Completed,
    Firmware,
    FunctionSpec,
    Input,
    PlannedFault,
    Profile,
    Reset,
    Submitted,
    Tick,
    Want,
    faulty,
)
from fwpages.device.faults import effects as do
from fwpages.device.faults import triggers as when
from fwpages.prm.identity import FunctionType, Vport
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.device.conftest import SF, VF, VF2, Driver
from tests.device.recorded_sessions import Injected, answers, events, one, recorded_session

ISSI = Command(Opcode.QUERY_ISSI)
HOST_PF = FunctionSpec("host_pf", FunctionType.HOST_PF, Vport.HOST_PF, 0, ec=False, vhca_id=0x60, pages=3)


def ecpf(profile: Profile) -> Profile:
    return msgspec.structs.replace(profile, ecpf=True)


def started(driver: Driver, *faults: PlannedFault) -> Injected:
    driver.boot()
    return Injected(faulty(driver.fw, faults))


def refused(injected: Injected, n: int) -> list[int]:
    """Which of the next ``n`` commands are refused, from 1."""
    return [i + 1 for i in range(n) if not injected.answer(ISSI).ok]


# -- opportunities -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "times", "at_commands"),
    [(1, 1, [1]), (3, 1, [3]), (2, 3, [2, 3, 4]), (4, 0, [4, 5, 6]), (1, 0, [1, 2, 3, 4, 5, 6]), (7, 1, [])],
)
def test_a_fault_takes_effect_at_its_opportunity_so_many_times_in_a_row(
    driver: Driver, at: int, times: int, at_commands: list[int]
) -> None:
    injected = started(driver, PlannedFault("command-refused", at, times))
    assert refused(injected, 6) == at_commands
    assert injected.f.took == ("command-refused",) * len(at_commands)
    assert bool(injected.f.missed) is (not at_commands)


def test_only_commands_of_its_kind_are_opportunities(opened: Driver) -> None:
    injected = Injected(faulty(opened.fw, [PlannedFault("give-refused", 2)]))
    opened.feed(Want("self", 9))
    assert injected.answer(opened.give_command(opened.own, 1)).ok
    for c in (opened.take_command(opened.own, 1), Command(Opcode.ALLOC_UAR), opened.take_command(opened.own, 1)):
        assert injected.answer(c).ok
    assert not injected.answer(opened.give_command(opened.own, 1)).ok
    assert injected.answer(opened.give_command(opened.own, 1)).ok


def test_a_fault_that_is_planned_twice_takes_effect_twice(driver: Driver) -> None:
    injected = started(
        driver,
        PlannedFault("command-refused", 1),
        PlannedFault("command-refused", 4),
        PlannedFault("command-refused", 4),
    )
    assert refused(injected, 6) == [1, 4, 5], "who finds its place taken waits for the next"
    assert injected.f.missed == ()


def test_a_command_that_one_fault_takes_counts_for_those_that_are_not_due(driver: Driver) -> None:
    injected = started(driver, PlannedFault("command-refused", 1), PlannedFault("command-unanswered-lost", 3))
    assert [bool(answers(injected.send(ISSI))) for _ in range(4)] == [True, True, False, True]
    assert injected.f.took == ("command-refused", "command-unanswered-lost")


def test_an_opportunity_that_is_none_after_all_is_waited_beyond(opened: Driver) -> None:
    """A TAKE that gets nothing has no page whose name could be changed."""
    injected = Injected(faulty(opened.fw, [PlannedFault("take-never-given")]))
    assert injected.answer(opened.take_command(opened.own, 4))["output_num_entries"] == 0
    assert [f.name for f in injected.f.missed] == ["take-never-given"]
    opened.feed(Want("self", -2))
    assert injected.answer(opened.take_command(opened.own, 2)).pas.tolist()[0] == do.NEVER
    assert injected.f.missed == ()


# -- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "copies"), [("request-lost", [1, 0, 0, 1]), ("request-twice", [1, 2, 2, 1])])
def test_events_are_lost_or_come_twice(opened: Driver, name: str, copies: list[int]) -> None:
    f = faulty(opened.fw, [PlannedFault(name, 2, 2)])
    raised = [events(f.feed(0.0, Want("self", n))) for n in (1, 2, 3, 4)]
    assert [len(evs) for evs in raised] == copies
    for n, evs in enumerate(raised, 1):
        assert {ev.num_pages for ev in evs} <= {n}
    assert f.took == (name, name)
    assert f.inner.specs[0].name == "self"
    opened.give(opened.own, 10)


def test_an_event_that_a_command_brings_is_lost_too(opened: Driver) -> None:
    injected = Injected(faulty(opened.fw, [PlannedFault("request-lost")]))
    effects = injected.send(Command(Opcode.ENABLE_HCA, fields={"function_id": 1}))
    assert (len(answers(effects)), events(effects)) == (1, [])
    assert events(injected.f.feed(0.0, Want("vf1", 2))) != [], "the next one comes"


def test_of_two_faults_of_one_event_the_first_takes_it(opened: Driver) -> None:
    f = faulty(opened.fw, [PlannedFault("request-lost"), PlannedFault("request-twice")])
    assert [len(events(f.feed(0.0, Want("self", 1)))) for _ in range(3)] == [0, 2, 1]
    assert f.took == ("request-lost", "request-twice")


# -- late answers ------------------------------------------------------------------------------------------------------


def test_a_late_answer_comes_when_it_is_due(driver: Driver) -> None:
    driver.boot()
    f = one(driver.fw, when.control, do.Late(do.Delay.IN_TIME), times=2).f
    came: list[tuple[list[int], float | None]] = []
    for now, x in ((5.0, 1), (6.0, 2), (34.9, None), (35.0, None), (50.0, None), (60.0, None)):
        effects = f.feed(now, Tick() if x is None else Submitted(x, ISSI, ISSI.reply_length))
        assert all(a["supported_issi_dw0"] == 2 for a in answers(effects))
        came.append(([e.id for e in effects if isinstance(e, Completed)], f.deadline))
    assert came == [([], 35.0), ([], 35.0), ([], 35.0), ([1], 36.0), ([2], None), ([], None)]


def test_what_is_late_is_done_at_once(opened: Driver) -> None:
    opened.feed(Want("self", 3))
    before = opened.fw.held("self")
    injected = one(opened.fw, when.GIVE, do.Late(do.Delay.IN_TIME))
    assert injected.send(opened.give_command(opened.own, 3)) == []
    assert opened.fw.held("self") == before + 3


def test_a_reset_drops_what_is_late_but_not_what_waits_for_the_next_session(driver: Driver) -> None:
    driver.boot()
    for by, left in ((do.Delay.IN_TIME, 0), (None, 1)):
        injected = one(driver.fw.clone(), when.control, do.Late(by))
        assert injected.send(ISSI) == []
        assert len(injected.f.held_back) == 1
        injected.f.feed(injected.now, Reset())
        assert len(injected.f.held_back) == left
        assert injected.f.deadline is None


def test_an_answer_of_the_next_session_comes_when_the_supplier_is_enabled_again(driver: Driver) -> None:
    driver.boot()
    injected = one(driver.fw, when.control, do.Late(None))
    assert injected.send(ISSI) == []
    injected.f.feed(injected.now, Reset())
    effects = injected.send(Command(Opcode.ENABLE_HCA))
    assert [a.opcode for a in answers(effects)] == [Opcode.ENABLE_HCA, Opcode.QUERY_ISSI]
    assert injected.f.held_back == ()


def test_an_ecpf_enabling_the_host_pf_begins_no_session(small: Profile) -> None:
    """Both are function 0; the ec bit tells them apart."""
    profile = ecpf(small)
    d = Driver(profile, [HOST_PF]).open()
    injected = one(d.fw, when.op(Opcode.ALLOC_UAR), do.Late(None))
    assert injected.send(Command(Opcode.ALLOC_UAR)) == []
    assert injected.answer(Command(Opcode.ENABLE_HCA)).ok
    assert d.fw.is_enabled("host_pf")
    assert len(injected.f.held_back) == 1


def test_enabling_the_host_pf_of_an_ecpf_can_be_refused(small: Profile) -> None:
    d = Driver(ecpf(small), [HOST_PF]).open()
    injected = Injected(faulty(d.fw, [PlannedFault("enable-refused"), PlannedFault("disable-refused")]))
    assert injected.answer(Command(Opcode.ENABLE_HCA)).status == Status.NO_RES_ERR
    assert injected.answer(Command(Opcode.ENABLE_HCA)).ok
    assert not injected.answer(Command(Opcode.DISABLE_HCA)).ok


# -- copies ------------------------------------------------------------------------------------------------------------


def test_a_clone_is_independent(opened: Driver) -> None:
    injected = Injected(faulty(opened.fw, [PlannedFault("command-refused", 2), PlannedFault("command-late", 3)]))
    injected.send(Command(Opcode.ALLOC_UAR))
    twin = Injected(injected.f.clone(), injected.now, injected.id)
    key = twin.f.key()
    assert key == injected.f.key()
    for _ in range(3):
        injected.send(Command(Opcode.ALLOC_UAR))
    assert len(injected.f.held_back) == 1
    assert twin.f.key() == key != injected.f.key()
    assert (twin.f.took, twin.f.held_back, twin.f.plan.opportunities) == ((), (), {0: 1, 1: 1})
    for _ in range(3):
        twin.send(Command(Opcode.ALLOC_UAR))
    assert twin.f.key() == injected.f.key()


def test_what_changes_the_future_changes_the_key(opened: Driver) -> None:
    opened.feed(Want("self", -2))
    f = faulty(opened.fw, [PlannedFault("take-again", 9), PlannedFault("command-late")])
    one_, other = Injected(f.clone()), Injected(f.clone())
    for injected in (one_, other):
        injected.answer(opened.take_command(opened.own, 1))
    assert one_.f.key() == other.f.key()
    other.f.last_returned = other.f.last_returned + 4096  # the page that came back last was another
    assert one_.f.key() != other.f.key()
    third, fourth = Injected(f.clone()), Injected(f.clone())
    for injected, n in ((third, 1), (fourth, 2)):
        injected.id = n
        assert injected.send(Command(Opcode.QUERY_ADAPTER)) == []
    assert third.f.key() != fourth.f.key(), "another command is still to be answered"
    assert faulty(opened.fw, [PlannedFault("give-late")]).key() != faulty(opened.fw, [PlannedFault("give-lost")]).key()


# -- faults that find nothing to do ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(small: Profile) -> dict[tuple[bool, bool], list[Input]]:
    """A recorded session for each mode, without release_all and with."""
    both = (False, True)
    return {
        (mode, release): recorded_session(small, by_vhca_id=mode, release_all=release)
        for mode in both
        for release in both
    }


NEVER = tuple(PlannedFault(name, 1_000_000) for name in DEVICE_FAULTS)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bool, bool, list[int]]:
    """The beginning of a session, then inputs from anywhere in it in any order."""
    begun = draw(st.integers(0, 70))
    return draw(st.booleans()), draw(st.booleans()), [*range(begun), *draw(st.lists(st.integers(0, 90), max_size=40))]


@settings(max_examples=60)
@given(stream=streams(), faults=st.sampled_from([(), NEVER, *((PlannedFault(name, 1, 0),) for name in DEVICE_FAULTS)]))
def test_until_a_fault_takes_effect_a_faulty_firmware_behaves_as_a_sound_one(
    stream: tuple[bool, bool, list[int]],
    faults: tuple[PlannedFault, ...],
    small: Profile,
    recorded: dict[tuple[bool, bool], list[Input]],
) -> None:
    by_vhca_id, release_all, places = stream
    pool = recorded[by_vhca_id, release_all]
    sound = Firmware(small, [VF, VF2, SF])
    wrong = faulty(Firmware(small, [VF, VF2, SF]), faults)
    clone = wrong.clone()
    for n in places:
        x = pool[n % len(pool)]
        effects = wrong.feed(0.0, x)
        assert clone.feed(0.0, x) == effects
        assert clone.key() == wrong.key()
        wrong.check()
        if wrong.took:
            assert faults not in ((), NEVER)
            return
        assert sound.feed(0.0, x) == effects
        assert (sound.key(), sound.mode, sound.deadline) == (wrong.inner.key(), wrong.mode, wrong.deadline)
    assert {who: a.tolist() for who, a in wrong.holds().items()} == {w: a.tolist() for w, a in sound.holds().items()}
    assert wrong.missed == faults


def test_a_reset_in_a_give_needs_release_all(driver: Driver) -> None:
    """Without release_all a function's reset in a GIVE is no crossing, and nothing of it may be left behind."""
    driver.open(release_all=False)
    who = VF.identity(driver.fw.mode)
    assert who is not None
    driver.ok(Opcode.ENABLE_HCA, function_id=1)
    driver.give(who, 5)
    driver.feed(Want("vf1", 2))
    sound = driver.fw.clone()
    injected = Injected(faulty(driver.fw, [PlannedFault("release-all-crossing")]))
    give = driver.give_command(who, 2)
    assert answers(injected.send(give)) == answers(sound.feed(0.0, Submitted(1, give, give.reply_length)))
    assert injected.f.took == ()
    assert injected.f.inner.key() == sound.key()
