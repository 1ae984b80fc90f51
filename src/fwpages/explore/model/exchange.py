"""An input fed to one machine of a world, and its effects carried out: the part that all moves have in common.

An effect becomes something pending (a command in its slot, an answer for the driver, memory to be mapped), or the end
of an operation that a user waits for. Nothing here chooses: each function changes the world that it is given.
"""

from __future__ import annotations

from fwpages.device import Completed, Raised, ResetDone
from fwpages.device import Effect as DeviceEffect
from fwpages.device import Input as DeviceInput
from fwpages.explore.model.driver import Input as DriverInput
from fwpages.explore.model.log import FromDevice, FromDriver, ToDevice, ToDriver
from fwpages.explore.model.world import HeldBack, Reach, World
from fwpages.host import Answered, Done, Fenced, Finding, LinkLost, Map, Mapped, PageRequest, Proof, Reset, Send
from fwpages.host import Effect as DriverEffect
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode
from fwpages.scenario.interpreter import Moment, MomentKind, moment_of

#: commands by which the e-switch works on a function
_VPORT_COMMANDS = (Opcode.ENABLE_HCA, Opcode.QUERY_HCA_CAP, Opcode.ALLOC_SF)

# -- the driver -------------------------------------------------------------------------------------------------------


def feed_driver(w: World, x: DriverInput) -> bool:
    """Feed the driver and carry out its effects; False where it may not be asked this now (Misuse)."""
    w.log.append(ToDriver(x))
    fed = w.machines.feed_driver(w.driver, w.now, x)
    if fed is None:
        return False
    w.driver, effects = fed
    for effect in effects:
        w.log.append(FromDriver(effect))
        _carry_out(w, effect)
    if w.maps and w.rules.eager and not w.rules.map_faults:
        chunk = w.maps[0]
        return map_memory(w, chunk.iova)
    return True


def map_memory(w: World, at: int | None) -> bool:
    """The first chunk of memory that the driver asked for comes to lie ``at``; None: it cannot be mapped."""
    chunk, w.maps = w.maps[0], w.maps[1:]
    return feed_driver(w, Mapped(chunk.iova, chunk.pages, at))


def lose_link(w: World) -> bool:
    """The driver's link reports that it cannot reach the device."""
    return feed_driver(w, LinkLost("the device is out of reach"))


def _carry_out(w: World, effect: DriverEffect) -> None:
    match effect:
        case Send():
            _submit(w, effect)
        case Map():
            w.maps = (*w.maps, effect)
        case Reset():
            w.resets += 1
        case Done():
            w.awaited = tuple(None if a == effect.operation else a for a in w.awaited)
            _happened(w, moment_of(effect.operation.kind, w.rules.function(effect.operation)))
        case Finding():
            w.found |= {effect.name}
        case _:  # memory that is unmapped is no concern of the firmware's
            pass


def _submit(w: World, e: Send) -> None:
    """A command goes to its slot; where the device is out of reach, the link reports that instead."""
    w.session = e.session
    w.session_commands = (*(c for c in w.session_commands if c.session == e.session), e)
    if w.reach is Reach.REACHABLE:
        w.sent = (*w.sent, e)
    elif not any(isinstance(x, LinkLost) for x in w.inbox):
        w.inbox = (*w.inbox, LinkLost("the device is out of reach"))


def _happened(w: World, moment: Moment | None) -> None:
    if moment is not None and moment in w.rules.awaited_moments:
        w.moments |= {moment}


# -- the device -------------------------------------------------------------------------------------------------------


def feed_device(w: World, x: DeviceInput) -> bool:
    """Feed the device something other than a command, and carry out its effects."""
    w.log.append(ToDevice(x))
    effects = fed_device(w, x)
    return effects is not None and carry_out(w, effects, None)


def fed_device(w: World, x: DeviceInput, fault: str | None = None) -> tuple[DeviceEffect, ...] | None:
    """Feed the device, a command perhaps with a fault; returns its effects, None where the fault has no opportunity."""
    fed = w.machines.feed_device(w.firmware, w.now, x, fault)
    if fed is None:
        return None
    w.firmware, effects = fed
    return effects


def carry_out(w: World, effects: tuple[DeviceEffect, ...], send: Send | None) -> bool:
    """Carry out effects of the device, which come of the command ``send`` if any."""
    for e in effects:
        w.log.append(FromDevice(e))
        if isinstance(e, Completed):
            if send is not None and e.id not in w.given_up:
                _complete(w, send, e.answer)
        elif isinstance(e, Raised):
            w.inbox = (*w.inbox, PageRequest(w.session, e.event))
            _happened(w, Moment(MomentKind.REQUEST, w.name(e.event.function(w.firmware.mode))))
        elif isinstance(e, ResetDone):
            return feed_driver(w, Fenced(Proof.FUNCTION_LEVEL_RESET))
    _release_answers(w)
    return True


def _complete(w: World, send: Send, answer: Answer) -> None:
    """An answer is pending; one to a vport command may wait for the function's pages, as the world assumes."""
    x = Answered(send.session, send.id, answer)
    c = send.command
    if w.rules.assume["vport_command_waits"] and c.opcode in _VPORT_COMMANDS:
        spec = w.firmware.spec_of(c) if c.opcode != Opcode.QUERY_HCA_CAP or c["other_function"] else None
        if spec is not None and spec is not w.firmware.inner.specs[0]:
            w.held_back = (*w.held_back, HeldBack(spec.name, x))
            return
    w.inbox = (*w.inbox, x)


def _release_answers(w: World) -> None:
    """Answers that were held back for want of a function's pages go out once it has them."""
    ready = [x for x in w.held_back if not w.firmware.inner.asks(x.function)]
    if ready:
        w.held_back = tuple(x for x in w.held_back if x not in ready)
        w.inbox = (*w.inbox, *(x.answered for x in ready))
