"""Both links show a session to a tap: no command without its end, and nothing that did not happen."""

from __future__ import annotations

from collections import Counter

import pytest

from fwpages.device import Firmware, FunctionSpec, PlannedFault, Want
from fwpages.host import Close, Config, EnableVport, FunctionsChanged, HealthFatal, Host, Open, VportInfo
from fwpages.link.faults.injector import LinkInjector
from fwpages.link.inprocess import LATENCY, InProcess
from fwpages.link.queue.inprocess import InProcessQueue
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from tests.link.test_inprocess import ROWS, SMALL

LINKS = pytest.mark.parametrize("kind", [InProcess, InProcessQueue])


class Ear:
    """Writes down what it is shown, as (time, session, what it was, command id)."""

    def __init__(self) -> None:
        self.shown: list[tuple[float, int, str, int | None]] = []
        self.sent: dict[int, Command] = {}
        self.details: list[str] = []

    def submit(self, t: float, session: int, id: int, slot: int, command: Command) -> None:  # noqa: A002
        assert id not in self.sent, "an id is not used again"
        self.sent[id] = command
        self.shown.append((t, session, "submit", id))

    def complete(self, t: float, session: int, id: int, answer: Answer, reply_length: int) -> None:  # noqa: A002
        assert (answer.opcode, reply_length) == (self.sent[id].opcode, self.sent[id].reply_length)
        self.shown.append((t, session, "complete", id))

    def event(self, t: float, session: int, eqn: int, event: PageRequestEvent) -> None:
        self.shown.append((t, session, f"event {event.num_pages}", None))

    def link(self, t: float, session: int, what: str, detail: str = "", id: int | None = None) -> None:  # noqa: A002
        self.shown.append((t, session, what, id))
        self.details.append(detail)

    def of(self, number: int) -> list[str]:
        """The lines about a command after it was handed over."""
        return [what for _, _, what, n in self.shown if n == number][1:]

    @property
    def words(self) -> list[str]:
        """The lines about the link."""
        return [w for _, _, w, _ in self.shown if w not in ("submit", "complete") and not w.startswith("event")]


def joined(kind: type[InProcess], ear: Ear | None, *faults: PlannedFault, vf: bool = True) -> InProcess:
    """A device is opened, and a VF enabled."""
    firmware = Firmware(SMALL, [FunctionSpec(*row[:6], row[6]) for row in ROWS])
    link = kind(Host(Config(SMALL.supplier)), firmware, tap=ear, faults=LinkInjector(faults))
    link.feed(FunctionsChanged(tuple(VportInfo(v, k, n, ec) for _, k, v, n, ec, _, _ in ROWS)))
    for x in (Open(), EnableVport(1)) if vf else (Open(),):
        link.feed(x)
        link.run_until_idle(10_000)
    return link


@LINKS
def test_every_command_is_answered_once_and_time_goes_on(kind: type[InProcess]) -> None:
    ear = Ear()
    link = joined(kind, ear)
    link.stir(Want("vf0", 7))
    link.run_until_idle()
    link.feed(Close())
    link.run_until_idle()
    assert [ear.of(n) for n in ear.sent] == [["complete"]] * link.submitted
    times = [t for t, *_ in ear.shown]
    assert times == sorted(times)
    assert times[1] == pytest.approx(LATENCY)
    assert [w for *_, w, _ in ear.shown if w.startswith("event")] == [
        "event 20",
        "event 7",
        "event -27",
    ]
    assert ear.words == []


@LINKS
def test_sessions_are_those_of_the_host(kind: type[InProcess]) -> None:
    ear = Ear()
    link = joined(kind, ear)
    for x in (Close(), Open(), Close()):
        link.feed(x)
        link.run_until_idle()
    assert [*dict.fromkeys(s for _, s, *_ in ear.shown)] == [1, 2]
    enables = [s for _, s, what, n in ear.shown if what == "submit" and n and ear.sent[n].opcode == Opcode.ENABLE_HCA]
    assert Counter(enables) == {1: 2, 2: 1}, "the device in each, and the VF"


@LINKS
def test_a_link_that_is_watched_does_the_same(kind: type[InProcess]) -> None:
    watched, alone = joined(kind, Ear()), joined(kind, None)
    assert (watched.now, watched.submitted, watched.events) == (alone.now, alone.submitted, alone.events)


@LINKS
@pytest.mark.parametrize("name", ["give-aborted-lost", "give-aborted-done"])
def test_a_command_that_the_link_gives_up_is_shown_with_its_number(kind: type[InProcess], name: str) -> None:
    """Its answer does not get through, whether the device carried it out or not."""
    ear = Ear()
    joined(kind, ear, PlannedFault(name, 3))
    ended = {n: ear.of(n) for n in ear.sent if ear.of(n) != ["complete"]}
    assert [*ended.values()] == [["aborted"]]
    assert ear.sent[next(iter(ended))].opcode == Opcode.MANAGE_PAGES
    assert "given up by the link" in ear.details


@LINKS
def test_an_answer_to_another_command_is_garbled_and_its_own_is_given_up(kind: type[InProcess]) -> None:
    ear = Ear()
    joined(kind, ear, PlannedFault("answer-garbled", 2), vf=False)
    assert ear.of(2) == ["garbled", "given-up"]
    assert ear.words == ["garbled", "given-up", "reset", "fenced"]


@LINKS
def test_an_answer_that_comes_twice_is_shown_twice(kind: type[InProcess]) -> None:
    ear = Ear()
    joined(kind, ear, PlannedFault("answer-twice", 2), vf=False)
    assert ear.of(2) == ["complete", "complete"]
    assert ear.words == []


@LINKS
def test_a_fatal_state_and_its_fence_belong_to_no_command(kind: type[InProcess]) -> None:
    ear = Ear()
    link = joined(kind, ear)
    link.feed(HealthFatal("syndrome 0x10"))
    link.run_until_idle()
    assert ear.words == ["health", "reset", "fenced"]
    assert ear.details[0] == "syndrome 0x10"
    assert {n for *_, what, n in ear.shown if what in ear.words} == {None}
