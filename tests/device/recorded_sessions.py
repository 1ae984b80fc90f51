"""Inputs that a sound driver fed to a sound firmware, to be fed to another; and what is seen of a firmware."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fwpages.device import (
    CommandFault,
    Completed,
    Effect,
    FaultPlan,
    FaultyFirmware,
    Firmware,
    FunctionSpec,
    Input,
    PlannedFault,
    Profile,
    Raised,
    Reset,
    ResetFunction,
    Submitted,
    Want,
)
from fwpages.device.faults.injector import Act, Trigger
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from tests.device.conftest import SF, VF, VF2, Driver


class Recording(Driver):
    """A driver that keeps what it fed."""

    def __init__(self, profile: Profile, functions: Sequence[FunctionSpec] = ()) -> None:
        super().__init__(profile, functions)
        self.inputs: list[Input] = []

    def feed(self, x: Input) -> Answer | None:
        self.inputs.append(x)
        return super().feed(x)


def recorded_session(profile: Profile, *, by_vhca_id: bool = True, release_all: bool = True) -> list[Input]:
    """A session of a supplier with two VFs and an SF, with an opportunity for every fault; then another one begins."""
    d = Recording(profile, [VF, VF2, SF])
    d.boot()
    d.negotiate(by_vhca_id=by_vhca_id, release_all=release_all)
    d.caps(current=True)
    d.initialise()
    d.listen()
    d.feed(Want("self", 6))
    d.give(d.own, 6)
    d.feed(Want("self", -2))
    d.take(d.own, 2)
    for spec in (VF, VF2):
        who = spec.identity(d.fw.mode)
        assert who is not None
        d.ok(Opcode.ENABLE_HCA, function_id=spec.function_id)
        d.ok(Opcode.QUERY_HCA_CAP, other_function=1, function_id=spec.function_id)
        d.give(who, spec.pages)
        d.feed(Want(spec.name, 4))
        d.give(who, 4)
        d.feed(Want(spec.name, -3))
        d.take(who, 2)
        d.take(who, 1)
    d.ok(Opcode.ALLOC_SF, function_id=SF.function_id)
    who = SF.identity(d.fw.mode)
    assert who is not None
    d.give(who, 3)
    d.ok(Opcode.DEALLOC_SF, function_id=SF.function_id)
    d.take(who, 3)
    d.feed(ResetFunction("vf2"))
    d.given[VF2.identity(d.fw.mode) or d.own] = set(d.fw.holds().get(VF2.identity(d.fw.mode) or d.own, ()))
    d.ok(Opcode.DISABLE_HCA, function_id=VF.function_id)
    d.ok(Opcode.QUERY_HCA_CAP, other_function=1, function_id=VF2.function_id)
    d.close()
    d.feed(Reset())
    d.given.clear()
    d.own = Driver(profile).own
    d.boot()
    return d.inputs


@dataclass
class Injected:
    """A faulty firmware, fed command by command."""

    f: FaultyFirmware
    now: float = 0.0
    id: int = 1000

    def send(self, c: Command) -> list[Effect]:
        self.id += 1
        self.now += 1.0
        effects = self.f.feed(self.now, Submitted(self.id, c, c.reply_length))
        self.f.check()
        return effects

    def answer(self, c: Command) -> Answer:
        (answer,) = answers(self.send(c))
        return answer


def answers(effects: list[Effect]) -> list[Answer]:
    return [e.answer for e in effects if isinstance(e, Completed)]


def events(effects: list[Effect]) -> list[PageRequestEvent]:
    return [e.event for e in effects if isinstance(e, Raised)]


def one(firmware: Firmware, trigger: Trigger, act: Act, *, at: int = 1, times: int = 1) -> Injected:
    """This firmware with one fault of the test's own."""
    return Injected(
        FaultyFirmware(
            firmware, FaultPlan((PlannedFault("one", at, times),)), {"one": CommandFault("a test's", trigger, act)}
        )
    )
