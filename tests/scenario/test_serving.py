"""A scenario lived with a driver of somebody else's, over vfio-user without a virtual machine."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import pytest

from fwpages.device import Fault, Want
from fwpages.observe.audit import audit
from fwpages.observe.trace import TraceWriter
from fwpages.scenario import ScenarioError, load
from fwpages.scenario.serving import PATIENCE, Serving
from fwpages.scenario.topology import device_profile
from tests.link.vfio_driver import Driver

HEAD = """
[device]
profile = "connectx7"
init_pages = 20
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
pages = 8
"""
START = 37 + 20


def steps(*rows: str) -> str:
    return HEAD + "".join(f"[[step]]\n{row}\n" for row in rows)


def request(name: str, pages: int) -> str:
    return f'do = "request"\nfunction = "{name}"\npages = {pages}'


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Stage:
    """A served scenario with its driver."""

    def __init__(self, text: str, **options: object) -> None:
        plan = load("test", text=text)
        self.clock, self.stream, self.said = Clock(), StringIO(), list[str]()
        p = device_profile(plan)
        self.writer = TraceWriter(self.stream, device=p.name, supplier=p.supplier)
        self.serving = Serving(
            plan,
            tap=self.writer,
            on_event=lambda _, words: self.said.append(words),
            clock=self.clock,
            **options,  # type: ignore[arg-type]
        )
        self.drivers: list[Driver] = []

    def driver(self) -> Driver:
        self.drivers.append(Driver(self.serving))
        return self.drivers[-1]

    def held(self, name: str) -> int:
        return self.serving.seen.inner.held(name)

    def later(self, seconds: float) -> None:
        """Time passes; whoever has a deadline is woken, as the server's loop does."""
        end = self.clock.now + seconds
        while (due := self.serving.deadline) is not None and due <= end:
            self.clock.now = max(self.clock.now, due)
            self.serving.tick()
        self.clock.now = end
        self.serving.tick()


@pytest.fixture
def stages() -> Iterator[list[Stage]]:
    made: list[Stage] = []
    yield made
    for stage in made:
        for d in stage.drivers:
            d.close()


def test_steps_in_their_row(stages: list[Stage]) -> None:
    stage = Stage(
        steps(
            'do = "open"',
            'do = "enable"\nfunction = "vf0"',
            'do = "request"\nfunction = "vf0"\npages = -3',
            'do = "request"\nfunction = "self"\npages = 5',
            'do = "close"',
        )
    )
    stages.append(stage)
    d = stage.driver()
    own = d.up()
    event = d.event(1)
    assert event is not None
    assert (event.number, event.num_pages) == (0x31, 8)
    assert d.event(1) is None  # the next step waits until this one is followed
    d.give(0x31, 8)
    event = d.event(1)
    assert event is not None
    assert (event.number, event.num_pages) == (0x31, -3)
    assert d.take(0x31, 3) == 3
    event = d.event(1)
    assert event is not None
    assert (event.number, event.num_pages) == (own, 5)
    d.give(own, 5)
    assert stage.serving.missed == ("step[4] (close)",)
    d.take(0x31, 5)
    d.down(own)
    assert stage.serving.finished


def test_books_and_trace_agree(stages: list[Stage], tmp_path_factory: pytest.TempPathFactory) -> None:
    stage = Stage(steps('do = "open"', request("vf0", 100), 'do = "reset"\nfunction = "vf0"'))
    stages.append(stage)
    d = stage.driver()
    own = d.up()
    d.give(0x31, 60)
    d.give(0x31, 40)
    d.down(own)
    stage.writer.end()
    (session,) = stage.serving.seen.sessions
    assert session.end == "closed"
    vf0 = session.functions["vf0"]
    path = tmp_path_factory.mktemp("t") / "trace.jsonl"
    path.write_text(stage.stream.getvalue())
    (found,) = audit(path).sessions
    assert (found.totals.given, found.totals.returned) == (session.total("given"), session.total("returned"))
    assert found.totals.released == session.total("released") == vf0.released == 100
    assert not found.findings


def test_steps_at_their_moment(stages: list[Stage]) -> None:
    stage = Stage(
        steps(
            'do = "open"',
            'do = "request"\nfunction = "vf0"\npages = 1\nat = 5.0',
            'do = "request"\nfunction = "vf0"\npages = 2\nafter = "request vf0"',
            'do = "request"\nfunction = "vf0"\npages = 4\ncommand = 20',
        )
    )
    stages.append(stage)
    d = stage.driver()
    d.up()
    assert d.event(1) is None
    stage.later(5.0)
    assert [e.num_pages for e in (d.event(1), d.event(1)) if e] == [1, 2]
    assert d.event(1) is None
    while stage.serving.seen.commands < 20:
        d.ok(0x107, 3, function_id=0x31)
    event = d.event(1)
    assert event is not None
    assert event.num_pages == 4


def test_time_begins_with_the_first_command(stages: list[Stage]) -> None:
    """A machine resets its devices while it boots, long before a driver comes."""
    stage = Stage(steps('do = "open"', 'do = "request"\nfunction = "vf0"\npages = 1\nat = 5.0'))
    stages.append(stage)
    d = stage.driver()
    d.reset()
    stage.later(20.0)
    d.up()
    assert d.event(1) is None
    stage.later(5.0)
    assert d.event(1) is not None


def test_a_moment_stays_due_until_it_is_looked_at(stages: list[Stage]) -> None:
    """A server wakes a little late, and asks then whether something is due."""
    stage = Stage(steps('do = "open"', 'do = "request"\nfunction = "vf0"\npages = 1\nat = 5.0'))
    stages.append(stage)
    d = stage.driver()
    d.up()
    stage.serving.tick()
    due = stage.serving.deadline
    assert due == 105.0
    stage.clock.now = 105.25
    assert stage.serving.deadline == due
    stage.serving.tick()
    assert d.event(1) is not None
    stage.serving.tick()
    assert stage.serving.deadline != due, "nor is it due for ever"


def test_wait(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"', 'do = "wait"\nseconds = 3', 'do = "request"\nfunction = "vf0"\npages = 1'))
    stages.append(stage)
    d = stage.driver()
    d.up()
    stage.later(2.9)
    assert d.event(1) is None
    stage.later(0.2)
    assert d.event(1) is not None


def test_driver_that_does_not_follow(stages: list[Stage]) -> None:
    rows = (
        'do = "open"',
        'do = "request"\nfunction = "vf0"\npages = 9',
        'do = "request"\nfunction = "self"\npages = 1',
    )
    stage = Stage(steps(*rows))
    stages.append(stage)
    d = stage.driver()
    d.up()
    d.give(0x31, 4)
    assert d.event(1) is not None
    stage.later(PATIENCE - 1)
    assert d.event(1) is None
    stage.later(2)
    assert stage.serving.unfollowed == ["vf0: 4 pages held, 9 expected"]
    assert d.event(1) is not None


def test_driver_that_cannot_give(stages: list[Stage]) -> None:
    rows = (
        'do = "open"',
        'do = "request"\nfunction = "vf0"\npages = 9',
        'do = "request"\nfunction = "self"\npages = 1',
    )
    stage = Stage(steps(*rows))
    stages.append(stage)
    d = stage.driver()
    d.up()
    d.ok(0x108, 0, function_id=0x31)
    assert stage.serving.unfollowed == []
    assert [e.num_pages for e in (d.event(1), d.event(1)) if e] == [9, 1]
    assert any("cannot give" in words for words in stage.said)


def test_every_client_lives_it_anew(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"', 'do = "request"\nfunction = "vf0"\npages = 2'))
    for n in range(3):
        d = stage.driver()
        d.up()
        event = d.event(1)
        assert event is not None
        assert event.num_pages == 2
        d.close()
        assert [s.end for s in stage.serving.seen.sessions] == ["gone"] * (n + 1)
        assert stage.serving.seen.sessions[-1].total("held") == START
        assert stage.held("self") == 0


def test_offences_have_their_names(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"'))
    stages.append(stage)
    d = stage.driver()
    d.up()
    with pytest.raises(AssertionError):
        d.give(0x31, 1)
    d.write(0, 0x18, b"\0\0\0\2")
    assert [(n, o.name) for n, o in stage.serving.seen.offences] == [(1, "unrequested-give"), (1, "not-owned")]
    assert not stage.serving.seen.sessions[0].clean


def test_faults(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"'), faults=[Fault("give-refused", 3)])
    stages.append(stage)
    d = stage.driver()
    d.up()
    stage.serving.device.stir(Want("vf0", 1))
    with pytest.raises(AssertionError):
        d.give(0x31, 1)
    assert stage.serving.seen.sessions[0].refused == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('do = "health"', "does not know how"),
        ('do = "lose-link"', "does not know how"),
        ('do = "request"\nfunction = "vf9"\npages = 1', "fits none of vf0, self"),
        ('do = "enable"\nfunction = "self"', "fits none of vf0"),
    ],
)
def test_steps_that_cannot_be_served(row: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        Serving(load("test", text=steps(row)))


def test_link_faults_cannot_be_served() -> None:
    with pytest.raises(ScenarioError, match="link"):
        Serving(load("test", text=steps('do = "open"')), faults=[Fault("link-lost", 1)])
