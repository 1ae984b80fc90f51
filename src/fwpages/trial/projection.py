"""The projection of a path of the explorer on the device: which of its moves a served device and a user can make.

Theory of operation. The path is walked once. The commands that the device takes are what a driver is expected to send.
A fault of the device is planned at the opportunity that it had in the path. An answer that a time-out overtakes is
withheld or comes too late; one during which something happens in the device is late: the faults of late and missing
answers do that to a real driver. What the driver's own machine does (memory, threads, the order in which it sees what
came at the same time) is not the device's: where the path needs a fault of it, the path cannot be played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import msgspec

from fwpages.device import PlannedFault, ResetFunction, Want
from fwpages.explore.check.replay import Walked, decode, fits, walk
from fwpages.explore.model.library import load, names, only
from fwpages.explore.model.moves import (
    AnswerArrives,
    DeviceIsReset,
    DeviceTakes,
    LinkGivesUp,
    LossArrives,
    MemoryIsMapped,
    RequestArrives,
    ThreadRuns,
    TimePasses,
    UserActs,
    take,
)
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.wording import move_words
from fwpages.explore.model.world import World
from fwpages.explore.show.report import replayed
from fwpages.host import Close, DisableVport, EnableVport, HealthFatal, Open
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode, Teardown
from fwpages.scenario import ScenarioError
from fwpages.scenario.format import FunctionTable, OpenStep, Scenario
from fwpages.trial.device_path import (
    COMPARED,
    Deed,
    DevicePath,
    FailDevice,
    Load,
    PathStep,
    Sent,
    SwitchVfs,
    UndecidedError,
    Unload,
    sent,
)
from fwpages.trial.plan import PLAN, Untried

#: commands whose number is the same in a world and on a real driver, which sends many others besides
_COUNTED = COMPARED | {Opcode.SET_HCA_CAP}
#: the faults of an answer: withheld, held back for less than its time, and for more
_ANSWERS: Mapping[ManagePages, tuple[str, str, str]] = MappingProxyType(
    {
        ManagePages.GIVE: ("give-unanswered-done", "give-late", "give-too-late"),
        ManagePages.TAKE: ("take-unanswered-done", "take-late", "take-too-late"),
    }
)
#: loads of a driver that a trial has stages for
_MOST_LOADS = 2
_ORDER = "the order in which the driver's threads run, and see what came at the same time"


def project(text: str) -> DevicePath:
    """The path of this replay string as a device plays it.

    ScenarioError for a string that fits no world of the package; UndecidedError for a path that a device cannot play.
    """
    spec, path = _found(text)
    walked = list(walk(spec, path))
    return _Projection(text, spec, walked, replayed(spec, path).marks).path()


def _found(text: str) -> tuple[Spec, tuple[int, ...]]:
    """The world of the package that the string was made for, and its path."""
    whole = [Spec(name, load(name)) for name in names()]
    for spec in (*(w for w in whole if fits(w, text)), *_parts(whole, text)):
        return decode(spec, text)
    raise ScenarioError(
        f"replay {text!r}: it was made for no world of the package, for another version of one, or with --bound "
        "options; `fwpages explore` finds its path anew"
    )


def _parts(whole: Iterable[Spec], text: str) -> Iterator[Spec]:
    """The worlds with one of their functions alone that the string fits; some of these are no worlds by themselves."""
    for w in whole:
        for f in w.scenario.function:
            with suppress(ScenarioError):
                spec = Spec(f"{w.name}:{f.name}", only(w.scenario, f.name))
                if fits(spec, text):
                    yield spec


@dataclass(slots=True)
class _Projection:
    """The walk along a path, and what it has shown so far."""

    text: str
    spec: Spec
    walked: list[Walked]
    broken: tuple[str, ...]
    steps: list[PathStep] = field(default_factory=list)
    expected: list[Sent] = field(default_factory=list)
    faults: list[PlannedFault] = field(default_factory=list)
    on: set[str] = field(default_factory=set)
    loads: int = 0

    def path(self) -> DevicePath:
        """The whole path. UndecidedError where a device cannot play it."""
        self._world()
        for n, step in enumerate(self.walked):
            self._step(n, step)
        if len(self.faults) > 1:
            both = ", ".join(f.name for f in self.faults)
            raise UndecidedError(f"a play has one fault of the device, and the path needs {both}")
        return DevicePath(
            self.text,
            self.spec.name,
            self.spec.design,
            self._scenario(),
            tuple(self.steps),
            self.faults[0] if self.faults else None,
            tuple(self.expected),
            (_ORDER,) if any(isinstance(s.move, ThreadRuns | RequestArrives) for s in self.walked) else (),
            self.broken,
        )

    def _world(self) -> None:
        """Refuse a world whose device a trial cannot serve."""
        if any(f.kind.value not in ("vf",) for f in self.spec.scenario.function):
            raise UndecidedError("the world has functions other than VFs, which a trial does not switch on and off")
        assume = self.spec.rules().assume
        if self.spec.scenario.function and assume["vport_command_waits"]:
            raise UndecidedError("a served device does not hold ENABLE_HCA back until the function has its pages")

    def _scenario(self) -> Scenario:
        """The world's device, without the steps and faults, which the path decides."""
        scenario = self.spec.scenario
        assume = {**scenario.assume, **self.spec.overrides}
        return msgspec.structs.replace(scenario, step=(OpenStep(),), fault=(), assume=assume)

    def _step(self, n: int, s: Walked) -> None:
        match s.move:
            case UserActs():
                self._user(n, s)
            case DeviceTakes():
                self._taken(n, s, s.move)
            case TimePasses():
                self._time(n, s)
            case RequestArrives(fault=fault) if fault is not None:
                name = fault.name
                self._plan(n, s, name, lambda b: _request_fault(b, name))
            case AnswerArrives(fault=fault) | LinkGivesUp(fault=fault) if fault is not None:
                self._link(n, s, fault.name, fault.row.words)
            case MemoryIsMapped(fault=fault) if fault is not None:
                raise self._undecided(n, s, "that is the driver's own machine")
            case DeviceIsReset(fault=fault) if fault is not None:
                self._not_reset(n, s)
            case LossArrives():
                raise self._undecided(n, s, "the device of a replay is not lost")
            case _:  # the driver's, or the link's as it should be
                pass

    def _undecided(self, n: int, s: Walked, why: str) -> UndecidedError:
        return UndecidedError(f"step {n + 1}: {move_words(s.before, s.move)}: {why}")

    # -- the user, and the device by itself ----------------------------------------------------------------------------

    def _user(self, n: int, s: Walked) -> None:
        if not isinstance(s.move, UserActs):
            return
        deeds = s.before.rules.plan[s.move.user]
        deed = deeds[s.before.next_deed[s.before.rules.users.index(s.move.user)]]
        if not deed.step.applies(s.before.view.mode):
            return
        if isinstance(deed.act, Want | ResetFunction):
            self._inside(n, s, deed.act)
            return
        self._hold_answers(n)
        does = self._deed(n, s, deed.act, deed.words)
        self.steps.append(PathStep(len(self.expected), does, at_once=not s.before.quiet))

    def _deed(self, n: int, s: Walked, act: object, words: str) -> Deed:
        match act:
            case Open():
                self.loads += 1
                if self.loads > _MOST_LOADS:
                    raise self._undecided(n, s, f"a play has {_MOST_LOADS} loads")
                return Load()
            case Close(how=Teardown.GRACEFUL):
                return Unload()
            case EnableVport():
                return self._switched(n, s, {*self.on, words.removeprefix("enable ")})
            case DisableVport():
                return self._switched(n, s, self.on - {words.removeprefix("disable ")})
            case HealthFatal():
                return FailDevice()
            case _:
                raise self._undecided(n, s, "nobody can make a driver do that from outside")

    def _not_reset(self, n: int, s: Walked) -> None:
        """The device does not do the reset by software with which a driver begins, once firmware has failed."""
        first = not any(isinstance(w.move, DeviceIsReset) for w in self.walked[:n])
        failed = bool(self.steps) and isinstance(self.steps[-1].deed, FailDevice)
        if not (first and failed and s.before.rules.config.software_reset):
            raise self._undecided(n, s, "that is the PCI slot's, and no act of a device")
        self.steps[-1] = replace(self.steps[-1], deed=FailDevice(resets=False))

    def _switched(self, n: int, s: Walked, on: set[str]) -> SwitchVfs:
        """Linux switches VFs on in a row, from the first one, all at once, and off all at once."""
        vfs: list[FunctionTable] = sorted(self.spec.scenario.function, key=lambda f: f.index)
        if (on and self.on) or len(self.on) > 1 or on - {f.name for f in vfs[:1] if f.index == 0}:
            raise self._undecided(n, s, "Linux switches VFs on and off all at once, from the first one")
        self.on = on
        return SwitchVfs(len(on))

    def _inside(self, n: int, s: Walked, act: Want | ResetFunction) -> None:
        """Something happens inside the device: at rest, or while an answer to a page command is held back."""
        if any(e.command.opcode == Opcode.MANAGE_PAGES for e in s.before.sent):
            raise self._undecided(n, s, "a page command lies in its slot, and a device carries it out at once")
        self._hold_answers(n)
        own = s.before.firmware.inner.specs[0].name
        if isinstance(act, Want):
            act = Want(own if act.function == "self" else act.function, act.pages)
        self.steps.append(PathStep(len(self.expected), act, at_once=not s.before.quiet))

    # -- commands and their answers ------------------------------------------------------------------------------------

    def _taken(self, n: int, s: Walked, move: DeviceTakes) -> None:
        command = next(e.command for e in s.before.sent if e.id == move.id)
        if (known := sent(command)) is not None:
            self.expected.append(known)
        if move.fault is not None:
            self._plan(n, s, move.fault.name, lambda b: _command_fault(b, move.fault.name if move.fault else ""))

    def _time(self, n: int, s: Walked) -> None:
        """Time runs out: answers that are out by then are withheld, or come too late."""
        if s.before.sent:
            raise self._undecided(n, s, "a command lies in its slot meanwhile, and a device carries it out at once")
        self._hold_answers(n)

    def _hold_answers(self, n: int) -> None:
        """Plan that the answers that are out at step ``n`` are held back: in time, too long, or for good."""
        for k in range(n):
            c, comes = self._page_command(k), self._answered(k)
            if c is None or (comes is not None and comes < n):
                continue
            withheld, late, too_late = _ANSWERS[ManagePages(c.op_mod)]
            runs_out = any(isinstance(s.move, TimePasses) for s in self.walked[k:comes])
            name = late if not runs_out else withheld if comes is None else too_late
            if (held := self._at(k, name)) not in self.faults:
                self.faults.append(held)

    def _page_command(self, k: int) -> Command | None:
        """The GIVE or TAKE that the device carries out soundly at this step; None for any other."""
        s = self.walked[k]
        if not isinstance(s.move, DeviceTakes) or s.move.fault is not None:
            return None
        id_ = s.move.id
        c = next(e.command for e in s.before.sent if e.id == id_)
        return c if c.opcode == Opcode.MANAGE_PAGES and c.op_mod in (ManagePages.GIVE, ManagePages.TAKE) else None

    def _answered(self, k: int) -> int | None:
        """The step at which the answer to the command of step ``k`` arrives; None: at none."""
        move = self.walked[k].move
        return next(
            (
                n
                for n, s in enumerate(self.walked)
                if n > k
                and isinstance(s.move, AnswerArrives)
                and isinstance(move, DeviceTakes)
                and s.move.id == move.id
            ),
            None,
        )

    def _at(self, k: int, name: str) -> PlannedFault:
        """The fault of an answer, at the page command of step ``k``: its number among those of its kind."""
        c = self._page_command(k)
        kinds = [self._any_page_command(m) for m in range(k + 1)]
        return PlannedFault(name, sum(1 for kind in kinds if c is not None and kind == c.op_mod))

    def _any_page_command(self, k: int) -> int | None:
        s = self.walked[k]
        if not isinstance(s.move, DeviceTakes):
            return None
        id_ = s.move.id
        c = next(e.command for e in s.before.sent if e.id == id_)
        return c.op_mod if c.opcode == Opcode.MANAGE_PAGES else None

    # -- faults --------------------------------------------------------------------------------------------------------

    def _plan(self, n: int, s: Walked, name: str, opportunity: Callable[[World], Iterable[int]]) -> None:
        """Plan a fault of the device at the opportunity that it has at step ``n``."""
        entry = PLAN.get(name)
        if entry is None or isinstance(entry, Untried):
            raise self._undecided(n, s, "that is no act of a device" if entry is None else str(entry))
        at = 1
        for before in self.walked[:n]:
            if isinstance(before.move, type(s.move)) and (found := list(opportunity(before.before))):
                if any(opcode not in _COUNTED for opcode in found):
                    raise self._undecided(n, s, "its place counts commands of which a real driver sends others")
                at += _triggered_before(before, found)
        self.faults.append(PlannedFault(name, at, s.before.rules.allowed[name].times))

    def _link(self, n: int, s: Walked, name: str, words: str) -> None:
        """A fault of the link: for a driver perhaps the same as one of the device's."""
        entry = PLAN.get(name)
        raise self._undecided(
            n, s, str(entry) if isinstance(entry, Untried) else f"that is no act of a device: {words}"
        )


def _triggered_before(before: Walked, found: list[int]) -> int:
    """How many of the opportunities the move used: the command that it took, or the request that arrived."""
    if isinstance(before.move, DeviceTakes):
        id_ = before.move.id
        taken = next(e.command.opcode for e in before.before.sent if e.id == id_)
        return int(taken in found)
    return 1


def _command_fault(w: World, name: str) -> Iterable[int]:
    """The opcodes of commands in their slots that give the fault an opportunity."""
    fault = next((f for f in w.rules.command_faults if f.name == name), None)
    return [e.command.opcode for e in w.sent if fault is not None and take(w, DeviceTakes(e.id, fault)) is not None]


def _request_fault(w: World, name: str) -> Iterable[int]:
    """A request that could have been lost: an opportunity, of no command's."""
    return [Opcode.MANAGE_PAGES] if any(f.name == name for f in w.rules.request_faults) else []
