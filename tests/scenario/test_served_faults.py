"""Injected faults of a served device: the observer keeps seeing the device, and the driver is not blamed."""

from __future__ import annotations

from fwpages.device import PlannedFault
from fwpages.prm.opcodes import Opcode
from tests.scenario.stage import Stage, steps


def test_a_fault_that_replaces_the_firmware_does_not_end_its_observation(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"', 'do = "close"'), faults=[PlannedFault("take-never-given")])
    stages.append(stage)
    d = stage.driver()
    d.down(d.up())
    (session,) = stage.serving.observer.sessions
    assert (session.end, session.total("held"), session.total("returned")) == ("closed", 0, session.total("given"))
    assert stage.serving.finished
    assert stage.serving.firmware.took == ("take-never-given",)  # type: ignore[union-attr]  # it has faults


def test_our_own_storm_is_not_the_drivers_offence_and_takes_few_lines(stages: list[Stage]) -> None:
    stage = Stage(steps('do = "open"'), faults=[PlannedFault("request-storm")])
    stages.append(stage)
    d = stage.driver()
    own = d.up()
    d.ok(Opcode.QUERY_ADAPTER)
    assert d.event(1) is not None
    d.down(own)
    seen = stage.serving.observer
    assert seen.offences == []
    assert {(e.offence.name, e.fault) for e in seen.excused} == {("eq-overrun", "request-storm")}
    assert len(stage.said) < 100
    assert any("more like this one: firmware asks for 1 page" in line for line in stage.said)
