from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.host import (
    Aborted,
    Answered,
    Bounds,
    Close,
    DisableVport,
    EnableVport,
    Fenced,
    HealthFatal,
    Host,
    Input,
    LinkLost,
    Mapped,
    Misuse,
    Open,
    PageRequest,
    Phase,
    Proof,
    Scope,
    Send,
    Tick,
    WantedMode,
)
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Supplier, vhca_id
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import PAGE_SLOT, Opcode, Teardown
from fwpages.prm.status import Status
from tests.host.fake import OWN, SF0, VF0, VF1, Fake, name_of, ok, silent, taken


def test_misuse_is_refused_and_changes_nothing() -> None:
    f = Fake()
    assert f.misuse(Close()) == "close: the device was not opened before"
    assert f.misuse(Mapped(1 << 32, 512, 1 << 32)).startswith("mapped: 512 pages at 0x100000000, but None")
    f.feed(Open())
    assert f.misuse(Open()) == "open: session 1 is still opening"
    assert f.misuse(Close()) == "close: session 1 is opening, not open"
    f.run()
    assert f.misuse(Open()) == "open: session 1 is still open"
    f.feed(Close())
    assert f.misuse(Close()) == "close: session 1 is closing, not open"
    f.run()
    f.feed(Open())
    f.run()
    assert f.host.session.number == 2


def test_answers_to_no_command() -> None:
    f = Fake().open()
    before = f.host.key()
    f.feed(Answered(1, 9999, Answer(Opcode.MANAGE_PAGES)))
    f.feed(Answered(1, 0, Answer(Opcode.MANAGE_PAGES)))
    f.feed(Answered(1, 1, Answer(Opcode.ENABLE_HCA)))
    f.feed(Aborted(1, 9999, "x"))
    f.feed(Aborted(1, 1, "x"))
    assert f.host.key() == before
    assert (f.finding("answer-unasked").times, f.finding("late-answer").times) == (2, 1)
    assert f.finding("answer-unasked").detail.endswith(": no such command was sent")
    assert f.finding("late-answer").detail.endswith(": its session or its slot is gone; nothing is taken from it")


@pytest.mark.parametrize("pages", [(3_000_001, 3_000_000), (3_000_000, 3_000_001)])
def test_a_finding_that_comes_again_tells_the_most_of_its_pages(pages: tuple[int, int]) -> None:
    f = Fake(bounds=Bounds(memory=2_000_000)).open()
    for n in pages:
        f.request(0x31, n)
    found = f.finding("absurd-count")
    assert (found.pages, found.times) == (3_000_001, 2)


def test_an_answer_to_another_command_is_not_believed() -> None:
    f = Fake().open()
    f.request(0x31, 10)
    f.run(until="MANAGE_PAGES(GIVE)")
    before = f.host.key()
    send = f.waiting[0]
    f.feed(Answered(1, send.id, Answer(Opcode.QUERY_PAGES)))
    f.feed(Answered(0, send.id, Answer(Opcode.MANAGE_PAGES)))
    assert f.host.key() == before
    assert "answer-malformed" in f.findings
    f.run()
    f.agree()


def test_a_late_answer_to_another_command_is_about_no_function_although_a_page_command_is_out() -> None:
    f = Fake().open()
    f.vports(VF0)
    f.script[Opcode.ENABLE_HCA] = silent
    f.feed(EnableVport(VF0.vport))
    f.run()
    f.tick()
    (enabling,) = f.unanswered
    f.request(0x31, 10)
    f.answer(ok(enabling.command), enabling)
    assert [name_of(s.command) for s in f.waiting] == ["MANAGE_PAGES(GIVE)"]
    assert f.finding("late-answer").function is None


def test_an_answer_belongs_to_the_session_that_has_its_number_however_many_there_were() -> None:
    f = Fake()
    f.host.session.number = 1_000_000
    f.open()
    f.request(0x31, 10)
    (give,) = f.waiting
    f.feed(Answered(int("1000001"), give.id, Answer(Opcode.MANAGE_PAGES)))
    assert f.findings == []
    assert f.host.records.outstanding(vhca_id(0x31)) == 10


def test_a_tick_before_the_deadline_changes_nothing() -> None:
    f = Fake()
    f.feed(Tick())
    f.feed(Open())
    f.now += 64.0
    assert f.feed(Tick()) == []
    before = f.host.key()
    assert f.feed(Tick()) == []
    assert (f.host.key(), f.host.deadline, f.phase) == (before, 65.0, Phase.OPENING)
    f.tick()
    assert f.phase == Phase.FENCING


def test_time_does_not_go_back() -> None:
    f = Fake()
    f.now = 100.0
    f.feed(Open())
    f.now = 50.0
    f.feed(Tick())
    assert f.host.now == 100.0
    assert f.host.deadline == 165.0


def test_page_commands_have_the_last_slot_and_one_at_a_time() -> None:
    f = Fake().open()
    f.vports(VF0)
    f.request(0x31, 1000)
    f.feed(EnableVport(1))
    flying: set[int] = set()
    most = 0
    while f.waiting or f.maps:
        flying = {s.slot for s in f.waiting}
        assert len(flying) == len(f.waiting)
        most = max(most, len(flying))
        f.step()
    assert most == 2
    slots = {(s.command.opcode == Opcode.MANAGE_PAGES, s.slot) for s in f.sent}
    assert slots == {(True, PAGE_SLOT), (False, 0)}


def test_ids_are_never_used_again() -> None:
    f = Fake().open()
    f.close()
    f.open()
    f.fenced()
    f.open()
    ids = [s.id for s in f.sent]
    assert len(set(ids)) == len(ids)
    assert {s.session for s in f.sent} == {1, 2, 3}


# -- keys ---------------------------------------------------------------------------------------------------------


def test_a_key_does_not_depend_on_session_and_command_numbers() -> None:
    first, later = Fake(), Fake()
    for _ in range(3):
        later.open()
        later.close()
    for f in (first, later):
        f.open()
        f.request(0x31, 10)
    assert first.host.key() == later.host.key()
    for f in (first, later):
        f.run()
    assert first.host.key() == later.host.key()


def test_a_key_counts_time_from_now() -> None:
    early, late = Fake(), Fake()
    late.now = 1000.0
    for f in (early, late):
        f.feed(Open())
    assert early.host.key() == late.host.key()
    late.now += 1.0
    late.feed(Tick())
    assert early.host.key() != late.host.key()


@pytest.mark.parametrize(
    "x",
    [
        PageRequest(1, PageRequestEvent(0x31, 5)),
        PageRequest(1, PageRequestEvent(0x31, -5)),
        PageRequest(1, PageRequestEvent(0x31, 2**30)),
        PageRequest(1, PageRequestEvent(0x31, 0, release_all=True)),
        Close(),
        Close(Teardown.FORCE),
        EnableVport(2),
        DisableVport(1),
        HealthFatal("x"),
        LinkLost("x"),
        Fenced(Proof.BUS_MASTER_OFF),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_changes_the_future_changes_the_key(x: Input) -> None:
    f = Fake().open()
    f.enable(VF0)
    f.vports(VF0, VF1)
    f.request(0x31, 20)
    f.run()
    before = f.host.key()
    f.feed(x)
    assert f.host.key() != before


def test_a_mapping_under_way_is_in_the_key() -> None:
    keys = []
    for pages in (0, 700):
        f = Fake(bounds=Bounds(pages_per_command=1000)).open()
        f.hold_maps = True
        f.request(0x31, pages)
        f.fenced()
        keys.append(f.host.key())
        assert (f.host.pool.asked is not None) is bool(pages)
    assert keys[0] != keys[1]


def test_a_function_that_is_owed_a_cant_give_is_in_the_key() -> None:
    f = Fake().open()
    f.request(0x31, 5)
    f.request(0x31, 5)
    before = f.host.key()
    f.request(0x32, 2**30)
    assert list(f.host.path.cannot) == [vhca_id(0x32)]
    assert f.host.key() != before


def test_what_was_opened_and_closed_is_as_if_it_had_never_been() -> None:
    f = Fake()
    f.open()
    f.close()
    before = f.host.key()
    f.open()
    f.request(OWN, 200)
    f.run()
    f.close()
    assert f.host.key() == before


# -- random sessions: whatever comes, the invariants hold, a clone does the same, and every operation ends -------------

modes = st.sampled_from(["auto", "func_id", "vhca_id"])
moves = st.lists(
    st.tuples(
        st.sampled_from(
            ["answer"] * 12
            + ["request"] * 5
            + ["run"] * 3
            + ["open", "open", "close", "enable", "enable", "disable", "release", "odd", "abort", "tick", "late"]
            + ["refuse", "health", "lost", "fence", "map", "stale", "other"]
        ),
        st.integers(0, 7),
        st.sampled_from([1, -1, 7, -7, 120, -120, 2**30, -(2**31), 0]),
    ),
    max_size=60,
)
NUMBERS = (0, OWN, 0x31, 0x32, 1, 2, 0x90, 0x66)


class RandomSession:
    """One random session. Firmware's odd answers name pages of any function, or of none."""

    def __init__(self, *, ecpf: bool, mode: WantedMode) -> None:
        bounds = Bounds(pages_per_command=50, queue=6, memory=4096, command=5.0, reclaim_progress=1.0, fence=2.0)
        self.f = Fake(supplier=Supplier(ecpf=ecpf, max_vfs=4, max_ec_vfs=2), bounds=bounds)
        self.f.lying = True
        self.mode: WantedMode = mode
        self.f.vports(VF0, VF1, SF0)
        self.old: list[Send] = []

    def move(self, what: str, n: int, pages: int) -> None:
        f = self.f
        self.old = (self.old + list(f.waiting))[-20:]
        number = NUMBERS[n]
        inputs: dict[str, Input] = {
            "open": Open(self.mode),
            "close": Close(list(Teardown)[n % 3]),
            "enable": EnableVport([1, 2, 0x8000][n % 3]),
            "disable": DisableVport([1, 2, 0x8000][n % 3]),
            "request": PageRequest(f.host.session.number, PageRequestEvent(number, pages, n % 2 == 0)),
            "release": PageRequest(f.host.session.number, PageRequestEvent(number, 0, n % 2 == 0, release_all=True)),
            "stale": PageRequest(f.host.session.number - 1, PageRequestEvent(number, pages)),
            "health": HealthFatal("x"),
            "lost": LinkLost("x"),
            "other": Fenced(Proof.FUNCTION_LEVEL_RESET, Scope.OTHER),
        }
        x = inputs.get(what)
        if x is not None:
            try:
                f.feed(x)
            except Misuse:
                f.host.check()
        elif what == "fence":
            f.fenced()
            f.unanswered.clear()
        elif what == "tick" and f.host.deadline is not None:
            f.tick()
        elif what == "run":
            f.run()
        elif what == "map" and f.maps:
            m = f.maps.popleft()
            f.feed(Mapped(m.iova, m.pages, [None, 0, m.iova + 4096, m.iova][n % 4]))
        elif what == "late" and self.old:
            self.odd(self.old[n % len(self.old)], n)
        elif f.waiting:
            self.answer(what, n)

    def answer(self, what: str, n: int) -> None:
        f = self.f
        send = f.waiting[0]
        if what == "abort":
            f.abort()
        elif what == "refuse":
            f.answer(Answer(send.command.opcode, Status.BAD_SYS_STATE))
        elif what == "odd":
            self.odd(f.waiting.popleft(), n)
        elif what == "answer":
            f.step()

    def odd(self, send: Send, n: int) -> None:
        """An answer that is well-formed and as wrong as can be."""
        f, c = self.f, send.command
        everyone = [p for held in f.held.values() for p in held]
        if name_of(c) == "MANAGE_PAGES(TAKE)":
            named = (everyone[:: n + 1] + everyone[:1] + [0, f.host.config.base, 2**64 - 4096, 0x1001])[: 4 * n]
            a = taken(named, [len(named), 0, 0xFFFFFFFF, len(named) + 1][n % 4])
        elif c.opcode == Opcode.QUERY_PAGES:
            count = [0, -1, -(2**31), 2**31 - 1, 3, 2**29, 60, 1][n]
            a = Answer(c.opcode, fields={"function_id": NUMBERS[n], "num_pages": count})
        elif c.opcode == Opcode.QUERY_HCA_CAP:
            a = Answer(c.opcode, data=bytes([0, 0xFF, 0x55][n % 3] for _ in range([4096, 4096, 10][n % 3])))
        else:
            a = ok(c) if n % 2 else Answer(c.opcode, Status.INTERNAL_ERR)
        f.answer(a, send)

    def end(self) -> None:
        """The device goes quiet, then comes to itself: every operation ends, and a fence frees all."""
        f = self.f
        f.script.clear()
        f.waiting.clear()
        while f.maps:
            f.step()
        for _ in range(10_000):
            if f.host.deadline is None:
                break
            f.tick()
            while f.maps:
                f.step()
        else:
            raise AssertionError(f"still waiting: {f.phase}")
        assert f.phase in (Phase.OPEN, Phase.ENDED), "nothing is waited for, and yet the session goes on"
        f.fenced()
        while f.maps:
            f.step()
        f.waiting.clear()
        assert (f.host.left(), f.host.flights, f.host.pool.space.size) == (0, {}, 0)
        opened = sum(what == "open" for what, _ in f.done)
        closed = sum(what == "close" for what, _ in f.done)
        sessions = f.host.session.number
        failed = f.done.count(("open", False))
        assert closed + failed >= sessions
        assert closed <= opened


@settings(max_examples=120)
@given(st.booleans(), modes, moves)
def test_whatever_comes_the_invariants_hold_and_every_operation_ends(
    ecpf: bool, mode: WantedMode, inputs: list[tuple[str, int, int]]
) -> None:
    random = RandomSession(ecpf=ecpf, mode=mode)
    random.f.feed(Open(mode))
    if inputs and inputs[0][1] % 4:
        random.f.run()  # most sessions get to work before anything happens to them
    for what, n, pages in inputs:
        random.move(what, n, pages)
    random.end()


def test_a_clone_is_independent() -> None:
    f = Fake().open()
    f.request(0x31, 20)
    f.run()
    twin: Host = f.host.clone()
    before = twin.key()
    f.request(0x31, -20)
    f.run()
    f.close()
    f.fenced()
    assert twin.key() == before
    twin.check()
    assert twin.left() == 28
    effects = twin.feed(0.0, Close())
    assert isinstance(effects[0], Send)


def test_what_may_not_be_asked_changes_nothing_not_even_the_time() -> None:
    host = Host()
    host.feed(1.0, Open())
    before = host.key()
    with pytest.raises(Misuse):
        host.feed(50.0, Open())
    assert (host.now, host.key()) == (1.0, before)
