"""Operations as tables of steps, with tables of the tests' own: what each word in a step does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fwpages.host import Bounds, Phase, Tick, control, fencing
from fwpages.host.session import Program
from fwpages.host.state import HostState
from fwpages.host.steps import Refused, Step
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.host.fake import VF0, Fake, ok, refusing, silent

A, B, C = Opcode.QUERY_ADAPTER, Opcode.QUERY_ISSI, Opcode.ALLOC_UAR
#: the vport that is the subject of the tests' operations
SUBJECT = VF0.vport


class Log:
    """Records the arguments that the steps of a table were called with."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def step(self, opcode: Opcode | None, **rest: object) -> Step:
        """A step that sends this command (None: nothing) and notes everything that happens to it."""
        name = opcode.name if opcode is not None else "nothing"

        def send(h: HostState, subject: int) -> Command | None:
            self.calls.append(f"send {name} {subject}")
            return None if opcode is None else Command(opcode)

        def answered(h: HostState, subject: int, a: Answer) -> None:
            self.calls.append(f"answered {name} {subject} {a.status}")

        def enter(h: HostState, subject: int) -> None:
            self.calls.append(f"enter {name} {subject}")

        def denied(h: HostState) -> None:
            self.calls.append(f"denied {name}")

        def unanswered(h: HostState, subject: int) -> None:
            self.calls.append(f"unanswered {name} {subject}")

        plain = Step(name, send, answered, enter, denied=denied, unanswered=unanswered)
        return replace(plain, **rest)  # type: ignore[arg-type]  # fields of a Step


def opened() -> Fake:
    f = Fake(bounds=Bounds(pages_per_command=100, command=5.0, fence=3.0)).open()
    f.vports(VF0)
    return f


@pytest.fixture(autouse=True)
def _tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables that a test replaces are its own."""
    monkeypatch.setattr(control, "PROGRAMS", dict(control.PROGRAMS))


def begin(f: Fake, *steps: Step, program: Program = Program.ENABLE) -> None:
    """Ask for an operation of these steps. A clone would call them too: the host alone is fed."""
    control.PROGRAMS[program] = steps
    f.host.session.queue = (*f.host.session.queue, (program, SUBJECT))


def go(f: Fake, log: Log) -> list[str]:
    """Feed nothing, and answer by the script until nothing waits; returns the calls of the steps' functions."""
    quiet(f)
    while f.waiting:
        f.step()
    return once(log)


def quiet(f: Fake) -> None:
    f.feed(Tick())


def once(log: Log) -> list[str]:
    """Each input is fed to a clone too, after the host: its calls are the same again."""
    out: list[str] = []
    for words in log.calls:
        if words not in out:
            out.append(words)
    return out


def test_steps_follow_each_other_each_with_its_subject() -> None:
    f, log = opened(), Log()
    begin(f, log.step(A), log.step(None), log.step(B))
    assert go(f, log) == [
        "enter QUERY_ADAPTER 1",
        "send QUERY_ADAPTER 1",
        "answered QUERY_ADAPTER 1 0",
        "enter nothing 1",
        "send nothing 1",
        "enter QUERY_ISSI 1",
        "send QUERY_ISSI 1",
        "answered QUERY_ISSI 1 0",
    ]
    assert f.done[-1] == ("enable vport 0x1", True)
    assert f.names[-2:] == ["QUERY_ADAPTER", "QUERY_ISSI"]


def test_an_operation_without_steps_is_done() -> None:
    f = opened()
    begin(f)
    quiet(f)
    assert f.done[-1] == ("enable vport 0x1", True)


def test_one_operation_at_a_time_in_the_order_in_which_they_were_asked_for() -> None:
    f, log = opened(), Log()
    begin(f, log.step(A), program=Program.ENABLE)
    begin(f, log.step(B), program=Program.DISABLE)
    quiet(f)
    assert [s.command.opcode for s in f.waiting] == [A]
    f.step()
    assert [s.command.opcode for s in f.waiting] == [B]
    assert f.done[-1] == ("enable vport 0x1", True)
    f.step()
    assert f.done[-1] == ("disable vport 0x1", True)


def test_a_condition_holds_an_operation_and_nothing_else() -> None:
    f, log = opened(), Log()
    begin(f, Step("held", until=lambda h, _: h.now >= 7.0), log.step(A))
    assert go(f, log) == []
    f.request(0x31, 5)
    f.run()
    assert f.page_commands()[-1] == ("GIVE", 0x31, 5)
    f.now = 7.0
    assert go(f, log)[-1] == "answered QUERY_ADAPTER 1 0"
    assert f.done[-1] == ("enable vport 0x1", True)


def test_a_step_is_repeated_until_it_does_not_apply_and_entered_once() -> None:
    f = opened()
    entered: list[int] = []

    def send(h: HostState, _: int) -> Command | None:
        return Command(A) if len(h.session.notes) < 3 else None

    def answered(h: HostState, _: int, __: Answer) -> None:
        h.note("again")

    def enter(h: HostState, _: int) -> None:
        entered.append(h.next_id)

    begin(f, Step("again", send, answered, enter, again=True), Step("then", lambda h, _: Command(B)))
    quiet(f)
    f.run()
    assert f.names[-4:] == ["QUERY_ADAPTER"] * 3 + ["QUERY_ISSI"]
    assert len(set(entered)) == 1
    assert f.done[-1] == ("enable vport 0x1", True)


# -- refused ----------------------------------------------------------------------------------------------------------


def test_a_step_that_is_refused_fails_its_operation_and_the_next_one_goes_on() -> None:
    f, log = opened(), Log()
    f.script[A] = refusing(Status.BAD_PARAM)
    begin(f, log.step(A), log.step(B), program=Program.ENABLE)
    begin(f, log.step(C), program=Program.DISABLE)
    assert go(f, log) == [
        "enter QUERY_ADAPTER 1",
        "send QUERY_ADAPTER 1",
        "denied QUERY_ADAPTER",
        "enter ALLOC_UAR 1",
        "send ALLOC_UAR 1",
        "answered ALLOC_UAR 1 0",
    ]
    assert f.done[-2:] == [("enable vport 0x1", False), ("disable vport 0x1", True)]
    assert f.phase == Phase.OPEN
    assert f.finding("command-refused").detail.startswith(
        "enable vport 0x1, QUERY_ADAPTER: QUERY_ADAPTER -> bad parameter"
    )


def test_a_refusal_can_be_gone_on_from_as_if_it_were_done() -> None:
    f, log = opened(), Log()
    f.script[A] = refusing(Status.BAD_PARAM)
    begin(f, log.step(A, refused=Refused.GO_ON), log.step(B))
    assert go(f, log)[2:] == [
        "denied QUERY_ADAPTER",
        f"answered QUERY_ADAPTER 1 {Status.BAD_PARAM}",
        "enter QUERY_ISSI 1",
        "send QUERY_ISSI 1",
        "answered QUERY_ISSI 1 0",
    ]
    assert f.done[-1] == ("enable vport 0x1", True)
    assert f.findings == ["command-refused"]


def test_a_refusal_can_be_worth_a_fence() -> None:
    f, log = opened(), Log()
    f.script[A] = refusing()
    begin(f, log.step(A, refused=Refused.FENCE), log.step(B))
    assert go(f, log)[-1] == "denied QUERY_ADAPTER"
    assert (f.phase, f.resets, f.host.session.end) == (Phase.FENCING, 1, "forced")
    f.fenced()
    assert (f.phase, f.host.left()) == (Phase.ENDED, 0)


# -- not answered -----------------------------------------------------------------------------------------------------


def test_a_step_that_is_not_answered_fails_its_operation_and_says_so_first() -> None:
    f, log = opened(), Log()
    f.script[A] = silent
    begin(f, log.step(A), log.step(B), program=Program.ENABLE)
    begin(f, log.step(C), program=Program.DISABLE)
    go(f, log)
    assert f.host.deadline == 5.0
    f.tick()
    f.run()
    assert once(log)[2:] == [
        "unanswered QUERY_ADAPTER 1",
        "enter ALLOC_UAR 1",
        "send ALLOC_UAR 1",
        "answered ALLOC_UAR 1 0",
    ]
    assert f.done[-2:] == [("enable vport 0x1", False), ("disable vport 0x1", True)]
    assert (f.phase, f.findings) == (Phase.OPEN, ["command-unanswered"])


def test_a_late_answer_gives_the_slot_back_and_goes_to_no_step() -> None:
    f, log = opened(), Log()
    f.script[A] = silent
    begin(f, log.step(A))
    go(f, log)
    f.tick()
    (send,) = f.unanswered
    assert [x.slot for x in f.host.flights.values()] == [send.slot]
    begin(f, log.step(B))
    quiet(f)
    assert f.waiting[0].slot != send.slot
    f.answer(ok(send.command), send)
    assert not any(words.startswith("answered") for words in log.calls)
    f.run()
    assert once(log)[-1] == "answered QUERY_ISSI 1 0"
    assert f.host.flights == {}


def test_an_answer_that_comes_when_the_device_is_being_fenced_goes_to_no_step() -> None:
    f, log = opened(), Log()
    begin(f, log.step(A))
    quiet(f)
    (send,) = f.waiting
    fencing.ask(f.host, "a test", "reset")
    f.answer(ok(send.command), send)
    assert once(log) == ["enter QUERY_ADAPTER 1", "send QUERY_ADAPTER 1"]
    assert (f.phase, f.host.flights) == (Phase.FENCING, {})


@pytest.mark.parametrize("refused", Refused)
def test_whatever_a_step_does_when_it_is_refused_ok_is_ok(refused: Refused) -> None:
    f, log = opened(), Log()
    begin(f, log.step(A, refused=refused))
    assert go(f, log)[-1] == "answered QUERY_ADAPTER 1 0"
    assert f.done[-1] == ("enable vport 0x1", True)
    assert f.findings == []
