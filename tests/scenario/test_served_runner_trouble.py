"""A served device that reports a fatal state, or whose link is lost, with a small driver on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.pages.words import in_mib
from fwpages.prm.opcodes import Opcode, QueryPages
from fwpages.scenario.served_steps import LOST_FOR, QUIET, RESET_WAIT, STEP_WAIT
from tests.link.vfio_driver import BAR, QUEUE, Driver
from tests.scenario.stage import START, Stage, request, steps

HEALTH = 'do = "health"\nreason = "syndrome 0x8"'


def reset(d: Driver) -> None:
    """A driver's reaction to a fatal state: SOFTWARE_RESET in nic_interface, and the queue's address anew."""
    d.write(BAR, 0x14, (QUEUE | 7 << 8).to_bytes(4, "big"))
    d.set_up()


def test_fatal_state(stages: list[Stage], tmp_path: Path) -> None:
    """The row waits for the reset; what the session held went with it, and that is as it should be."""
    stage = Stage(steps('do = "open"', request("vf0", 5), HEALTH, 'do = "open"', request("self", 2)))
    stages.append(stage)
    d = stage.driver()
    own = d.up()
    d.give(0x31, 5)
    stage.later(QUIET - 0.5)
    assert d.read(BAR, 0x23D, 1) == b"\0", "the driver may be loading yet"
    stage.later(0.5)
    assert d.read(BAR, 0x23D, 1) == b"\x08"
    stage.later(3)
    assert tuple(map(str, stage.serving.missed)) == ("step[3] (open)", "step[4] (request)")
    reset(d)
    (session,) = stage.serving.observer.sessions
    assert (session.trouble, session.end, session.total("held"), session.clean) == ("health", "reset", START + 5, True)
    d.up()
    event = d.event(1)
    assert event is not None
    assert event.num_pages == 2
    d.give(own, 2)
    d.down(own)
    assert stage.serving.finished
    assert stage.serving.unfollowed == []
    assert "firmware reports a fatal state (syndrome 0x8); 62 pages (0.242 MiB) held: the PF 57, vf0 5" in stage.said
    assert f"session 1 is over: the device is reset, {in_mib(START + 5)} dropped" in stage.said
    stage.writer.end()
    path = tmp_path / "trace.jsonl"
    path.write_text(stage.stream.getvalue())
    one, two = audit(path).sessions
    assert (one.end, one.totals.given, one.totals.discarded) == ("reset", START + 5, START + 5)
    assert (two.end, two.totals.given, two.totals.returned) == ("closed", START + 2, START + 2)
    assert not [*one.findings, *two.findings]


def test_fatal_state_that_the_driver_does_not_mind(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"', HEALTH, request("vf0", 5)))
    stages.append(stage)
    d = stage.driver()
    d.up()
    stage.later(QUIET)
    stage.later(RESET_WAIT - 1)
    assert stage.serving.unfollowed == []
    stage.later(2)
    assert stage.serving.unfollowed == ["health: the driver has not reset the device"]
    assert tuple(map(str, stage.serving.missed)) == ("step[2] (request)",), "firmware in that state asks for nothing"
    assert not stage.serving.observer.sessions[0].clean


@pytest.mark.parametrize(("wait", "seconds"), [((), LOST_FOR), (('do = "wait"\nseconds = 3',), 3.0)])
def test_lost_link(stages: list[Stage], wait: tuple[str, ...], seconds: float) -> None:
    stage = Stage(steps('do = "open"', request("vf0", 5), 'do = "lose-link"', *wait, 'do = "open"', request("self", 1)))
    stages.append(stage)
    d = stage.driver()
    own = d.up()
    d.give(0x31, 5)
    stage.later(QUIET)
    assert d.read(BAR, 0, 4) == b"\xff" * 4
    stage.later(seconds - 0.5)
    assert d.read(BAR, 0, 4) == b"\xff" * 4
    assert stage.held("vf0") == 5
    stage.later(1)
    assert d.read(BAR, 0, 4) != b"\xff" * 4
    assert stage.held("vf0") == stage.held("self") == 0
    d.set_up()
    d.up()
    assert d.event(1) is not None
    d.give(own, 1)
    d.down(own)
    assert stage.serving.finished
    assert [(s.trouble, s.end, s.clean) for s in stage.serving.observer.sessions] == [
        ("lost", "reset", True),
        (None, "closed", True),
    ]
    assert stage.said[-1] == "session 2 is closed, 0 pages left"
    assert "the link is back" in stage.said


def test_trouble_comes_to_a_driver_that_never_rests(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"', HEALTH))
    stages.append(stage)
    d = stage.driver()
    d.up()
    for _ in range(int(STEP_WAIT)):
        assert d.read(BAR, 0x23D, 1) == b"\0"
        d.ok(Opcode.QUERY_PAGES, QueryPages.REGULAR, function_id=0x31)
        stage.later(1)
    assert d.read(BAR, 0x23D, 1) == b"\x08"


def test_trouble_at_its_moment_and_then_nothing_until_it_is_over(stages: list[Stage]) -> None:
    """A step that is due while the link is lost is done in the session after."""
    stage = Stage(
        steps('do = "open"', 'do = "lose-link"\nat = 5.0', 'do = "request"\nfunction = "vf0"\npages = 3\nat = 6.0')
    )
    stages.append(stage)
    d = stage.driver()
    d.up()
    stage.later(5)
    assert d.read(BAR, 0, 4) == b"\xff" * 4
    stage.later(LOST_FOR)
    assert tuple(map(str, stage.serving.missed)) == ("step[2] (request)",)
    d.set_up()
    d.up()
    event = d.event(1)
    assert event is not None
    assert event.num_pages == 3


def test_client_gone_in_trouble(stages: list[Stage]) -> None:
    """A driver that never brought the device back has not behaved; the next client finds a sound one."""
    stage = Stage(steps('do = "open"', 'do = "lose-link"'))
    for n in range(2):
        d = stage.driver()
        d.up()
        stage.later(QUIET)
        assert d.read(BAR, 0, 4) == b"\xff" * 4
        d.close()
        assert not stage.serving.observer.sessions[n].clean
        stage.later(LOST_FOR + 1)
    assert "the link is back" not in stage.said
