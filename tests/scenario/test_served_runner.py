"""A scenario lived with a driver of somebody else's, over vfio-user without a virtual machine."""

from __future__ import annotations

import pytest

from fwpages.auditor.audit import audit
from fwpages.device import PlannedFault, Want
from fwpages.prm.opcodes import Opcode
from fwpages.scenario import ScenarioError, load
from fwpages.scenario.served_runner import MOST_MISSED, ServedRun
from fwpages.scenario.served_steps import STEP_WAIT
from tests.scenario.stage import START, Stage, request, steps


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
    assert tuple(map(str, stage.serving.missed)) == ("step[4] (close)",)
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
    (session,) = stage.serving.observer.sessions
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
    while stage.serving.observer.commands < 20:
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
    stage.later(STEP_WAIT - 1)
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


def test_every_client_begins_the_scenario_anew(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"', 'do = "request"\nfunction = "vf0"\npages = 2'))
    for n in range(3):
        d = stage.driver()
        d.up()
        event = d.event(1)
        assert event is not None
        assert event.num_pages == 2
        d.close()
        assert [s.end for s in stage.serving.observer.sessions] == ["gone"] * (n + 1)
        assert stage.serving.observer.sessions[-1].total("held") == START
        assert stage.held("self") == 0


def test_driver_enables_a_function_itself(stages: list[Stage]) -> None:
    """It begins with ENABLE_HCA and ends with DISABLE_HCA, and steps may come after that."""
    row = 'do = "request"\nfunction = "vf0"\npages = 3\nafter = "enable vf0"'
    stage = Stage(steps('do = "open"', row), sriov=True)
    stages.append(stage)
    assert stage.serving.vfs == 1
    d = stage.driver()
    d.up()
    d.ok(Opcode.ENABLE_HCA, function_id=1)
    assert [e.num_pages for e in (d.event(1), d.event(1)) if e] == [8, 3]
    d.give(0x31, 11)
    d.ok(Opcode.DISABLE_HCA, function_id=1)
    event = d.event(1)
    assert event is not None
    assert event.num_pages == -11
    assert d.take(0x31, 11) == 11
    assert [words for words in stage.said if words.startswith("the driver")][1:] == [
        "the driver enables vf0",
        "the driver disables vf0",
    ]


def test_offences_have_their_names(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"'))
    stages.append(stage)
    d = stage.driver()
    d.up()
    with pytest.raises(AssertionError):
        d.give(0x31, 1)
    d.write(0, 0x18, b"\0\0\0\2")
    assert [(n, o.name) for n, o in stage.serving.observer.offences] == [(1, "unrequested-give"), (1, "not-owned")]
    assert not stage.serving.observer.sessions[0].clean


def test_faults(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"'), faults=[PlannedFault("give-refused", 3)])
    stages.append(stage)
    d = stage.driver()
    d.up()
    stage.serving.device.stir(Want("vf0", 1))
    with pytest.raises(AssertionError):
        d.give(0x31, 1)
    assert stage.serving.observer.sessions[0].refused == 1


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('do = "request"\nfunction = "vf9"\npages = 1', "fits none of vf0, self"),
        ('do = "enable"\nfunction = "self"', "fits none of vf0"),
    ],
)
def test_steps_that_cannot_be_served(row: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        ServedRun(load("test", text=steps(row)))


@pytest.mark.parametrize("index", [None, 31])
def test_sriov_needs_vfs_that_fit_on_a_bus(index: int | None) -> None:
    vf = f'[[function]]\nname = "vf"\ntype = "vf"\nvhca_id = 2\nindex = {index}\n'
    text = '[device]\nprofile = "connectx7"\n' + (vf if index else "") + '[[step]]\ndo = "open"\n'
    with pytest.raises(ScenarioError, match="an index up to 30"):
        ServedRun(load("test", text=text), sriov=True)


def test_link_faults_cannot_be_served() -> None:
    with pytest.raises(ScenarioError, match="link"):
        ServedRun(load("test", text=steps('do = "open"')), faults=[PlannedFault("link-lost", 1)])


def test_what_clients_without_end_have_not_come_to_is_bounded() -> None:
    """The first of it is kept; before that it grew with every client."""
    serving = ServedRun(load("two steps", text='[device]\nprofile = "connectx4-lx"\n[[step]]\ndo = "open"\n'))
    for _ in range(MOST_MISSED + 10):
        serving.connected().close()
        serving.disconnected("gone")
    assert len(serving.missed) == MOST_MISSED
    assert str(serving.missed[-1]) == f"step[0] (open) of client {MOST_MISSED}"
