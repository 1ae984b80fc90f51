"""What can happen next in a world, in an order that never changes; and how it comes about.

``moves`` lists what may be possible. ``take`` does one of them, and hands back None where it turns out not to be: the
driver may not be asked now, or a fault has no opportunity.
"""

from __future__ import annotations

from dataclasses import replace

from fwpages.device import Completed, Effect, Input, Offence, Phase, Raised, ResetDone, ResetFunction, Submitted, Want
from fwpages.device import Reset as DeviceReset
from fwpages.explore.model.driver import Input as DriverInput
from fwpages.explore.model.driver import NotQueued, Run
from fwpages.explore.model.rules import NOT_QUEUED
from fwpages.explore.model.world import MANY_FRUITLESS, Act, World
from fwpages.host import (
    Aborted,
    Answered,
    Done,
    Fenced,
    Finding,
    LinkLost,
    Map,
    Mapped,
    Misuse,
    Open,
    PageRequest,
    Proof,
    Reset,
    Send,
    Tick,
)
from fwpages.link.faults.link_faults import (
    LINK_FAULTS,
    AnswerFault,
    DeliveryFault,
    Fate,
    LinkFault,
    MapFault,
    ResetFault,
)
from fwpages.prm.identity import FunctionType
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import ManagePages, Opcode

#: commands by which the e-switch works on a function
_VPORT_COMMANDS = (Opcode.ENABLE_HCA, Opcode.QUERY_HCA_CAP, Opcode.ALLOC_SF)


def moves(w: World) -> list[Act]:
    """Everything that may be possible now: users, device, link, the driver's threads, time; faults after the rest."""
    out: list[Act] = [("user", lane) for n, lane in enumerate(w.rules.lanes) if _may(w, n)]
    faults = _device_faults(w)
    for e in w.sent:
        out.append(("device", e.id))
        out += [("device", e.id, name) for name in faults]
        out += [("give up", e.id, n) for n in _link_faults(w, DeliveryFault) if LINK_FAULTS[n].match(e.command)]
    out += _deliveries(w)
    for _ in w.maps[:1]:
        out.append(("map",))
        out += [("map", name) for name in _link_faults(w, MapFault)]
    if w.resets:
        out.append(("reset",))
        out += [("reset", name) for name in _link_faults(w, ResetFault)]
    out += [("thread", name) for name in w.driver.threads()]
    if w.driver.deadline is not None and (w.quiet or w.timeouts_left):
        out.append(("time",))
    return out


def take(w: World, act: Act) -> World | None:
    """The world after this, its ``log`` telling what was said; None where it is not possible. ``w`` stays as it is."""
    new = w.clone()
    match act:
        case ("user", str(lane)):
            ok = _user(new, lane)
        case ("device", int(n), *fault):
            ok = _device(new, n, str(fault[0]) if fault else None)
        case ("give up", int(n), str(name)):
            ok = _give_up(new, n, name)
        case ("answer", int(n), *fault):
            ok = _answer(new, n, str(fault[0]) if fault else None)
        case ("request", *fault):
            ok = _request(new, str(fault[0]) if fault else None)
        case ("lost",):
            new.inbox = tuple(x for x in new.inbox if not isinstance(x, LinkLost))
            ok = _feed(new, LinkLost("the device is out of reach"))
        case ("map", *fault):
            ok = _map(new, str(fault[0]) if fault else None)
        case ("reset", *fault):
            ok = _reset(new, str(fault[0]) if fault else None)
        case ("thread", str(name)):
            ok = _feed(new, Run(name))
        case _:
            ok = _time(new)
    return new if ok else None


# -- users ------------------------------------------------------------------------------------------------------------


def _may(w: World, n: int) -> bool:
    deeds = w.rules.plan[w.rules.lanes[n]]
    if w.places[n] >= len(deeds) or w.awaited[n] is not None:
        return False
    after = deeds[w.places[n]].after
    return after is None or after in w.moments


def _user(w: World, lane: str) -> bool:
    n = w.rules.lanes.index(lane)
    deed = w.rules.plan[lane][w.places[n]]
    w.places = (*w.places[:n], w.places[n] + 1, *w.places[n + 1 :])
    if deed.only is not None and deed.only is not w.driver.view().mode:
        return True
    if isinstance(deed.act, Want):
        return _want(w, deed.act)
    if isinstance(deed.act, ResetFunction):
        return w.firmware.inner.phase is Phase.WORKING and _feed_device(w, deed.act)
    w.awaited = (*w.awaited[:n], deed.awaits, *w.awaited[n + 1 :])
    if isinstance(deed.act, Open):
        w.found = frozenset()
    return _feed(w, deed.act)


def _want(w: World, x: Want) -> bool:
    """A function wants pages while its firmware runs, and lets go of what it has."""
    inner = w.firmware.inner
    name = inner.specs[0].name if x.function == "self" else x.function
    spec = w.rules.specs.get(name)
    ready = spec is None or spec.type is FunctionType.UNKNOWN or inner.is_enabled(name)
    alive = inner.phase is Phase.WORKING and ready
    return alive and (x.pages > 0 or inner.held(name) > 0) and _feed_device(w, replace(x, function=name))


# -- the device -------------------------------------------------------------------------------------------------------


def _device_faults(w: World) -> tuple[str, ...]:
    return () if not w.faults_left else tuple(n for n in w.rules.device_faults if n not in w.struck)


def _link_faults(w: World, kind: type[LinkFault]) -> tuple[str, ...]:
    return w.rules.link_faults(kind) if w.faults_left else ()


def _device(w: World, n: int, fault: str | None) -> bool:
    """The device takes a command from its slot and executes it; with a fault, or as those that go on for ever do."""
    send = next(e for e in w.sent if e.id == n)
    w.sent = tuple(e for e in w.sent if e.id != n)
    x = Submitted(send.id, send.command, send.command.reply_length)
    w.log.append(("device<", x))
    before = w.firmware.inner.total
    effects = None
    if fault is not None:
        effects = w.firmware.inject(fault, w.now, x)
        if effects is None:
            return False
        _strike(w, fault)
    for again in w.struck if effects is None else ():
        effects = effects or w.firmware.inject(again, w.now, x)
    effects = w.firmware.feed(w.now, x) if effects is None else effects
    if send.command.opcode == Opcode.MANAGE_PAGES and send.command.op_mod == ManagePages.TAKE:
        # counted no further than anybody asks: more of the same is the same state, and so a loop is seen
        w.fruitless = min(w.fruitless + 1, MANY_FRUITLESS) if w.firmware.inner.total == before else 0
    return _from_device(w, effects, send)


def _strike(w: World, name: str) -> None:
    w.faults_left -= 1
    w.hurt = w.session
    if w.rules.allowed[name].times == 0:
        w.struck = (*w.struck, name)


def _feed_device(w: World, x: Input) -> bool:
    w.log.append(("device<", x))
    return _from_device(w, w.firmware.feed(w.now, x), None)


def _from_device(w: World, effects: list[Effect], send: Send | None) -> bool:
    for e in effects:
        w.log.append(("device>", e))
        match e:
            case Completed() if send is not None and e.id not in w.deaf:
                _completed(w, send, e.answer)
            case Raised():
                w.inbox = (*w.inbox, PageRequest(w.session, e.event))
                _happened(w, f"request {w.name(e.event.function(w.firmware.mode))}")
            case ResetDone():
                return _feed(w, Fenced(Proof.FUNCTION_LEVEL_RESET))
            case Completed() | Offence():
                pass
    _let_go(w)
    return True


def _completed(w: World, send: Send, answer: Answer) -> None:
    x = Answered(send.session, send.id, answer)
    c = send.command
    if w.rules.assume["vport_command_waits"] and c.opcode in _VPORT_COMMANDS:
        spec = w.firmware.spec_of(c) if c.opcode != Opcode.QUERY_HCA_CAP or c["other_function"] else None
        if spec is not None and spec is not w.firmware.inner.specs[0]:
            w.kept = (*w.kept, (spec.name, x))
            return
    w.inbox = (*w.inbox, x)


def _let_go(w: World) -> None:
    """Answers that firmware kept until it had a function's pages, and has them now."""
    ready = [x for name, x in w.kept if not w.firmware.inner.asks(name)]
    if ready:
        w.kept = tuple((name, x) for name, x in w.kept if x not in ready)
        w.inbox = (*w.inbox, *ready)


def _reset(w: World, fault: str | None) -> bool:
    w.resets -= 1
    if fault is not None:
        _strike(w, fault)
    if fault is not None or w.gone == "for good":
        return True
    w.gone, w.sent, w.kept = "", (), ()
    return _feed_device(w, DeviceReset())


# -- the link ---------------------------------------------------------------------------------------------------------


def _deliveries(w: World) -> list[Act]:
    """What the link may hand over next: the first page request, and each answer that may be seen before or after."""
    out: list[Act] = []
    requests = 0
    for x in w.inbox:
        match x:
            case PageRequest():
                requests += 1
                if requests == 1:
                    out.append(("request",))
                    extra = [n for n in ("request-lost", "request-twice", NOT_QUEUED) if n in w.rules.allowed]
                    out += [("request", name) for name in extra if w.faults_left]
            case Answered() if not (requests and w.driver.ordered):
                out.append(("answer", x.id))
                out += [("answer", x.id, name) for name in _link_faults(w, AnswerFault)]
            case LinkLost():
                out.append(("lost",))
            case Answered():
                pass
    return out


def _answer(w: World, n: int, fault: str | None) -> bool:
    x = next(x for x in w.inbox if isinstance(x, Answered) and x.id == n)
    arriving: tuple[Answer, ...] = (x.answer,)
    if fault is not None:
        _strike(w, fault)
        effect = LINK_FAULTS[fault]
        assert isinstance(effect, AnswerFault)
        arriving = effect.arrive(x.answer)
    if len(arriving) == 1:
        w.inbox = tuple(y for y in w.inbox if y is not x)
    return _feed(w, replace(x, answer=arriving[0]))


def _request(w: World, fault: str | None) -> bool:
    x = next(x for x in w.inbox if isinstance(x, PageRequest))
    if fault is not None:
        _strike(w, fault)
    if fault != "request-twice":
        w.inbox = tuple(y for y in w.inbox if y is not x)
    if fault == "request-lost":
        return True
    return _feed(w, NotQueued(x) if fault == NOT_QUEUED else x)


def _give_up(w: World, n: int, fault: str) -> bool:
    """The link gives a command up, which the device never sees or carries out; or the device is gone."""
    _strike(w, fault)
    send = next(e for e in w.sent if e.id == n)
    effect = LINK_FAULTS[fault]
    assert isinstance(effect, DeliveryFault)
    match effect.fate:
        case Fate.LINK_LOST | Fate.LINK_LOST_FOR_GOOD:
            w.gone = "until reset" if effect.fate is Fate.LINK_LOST else "for good"
            w.sent, w.kept = (), ()
            return _feed(w, LinkLost("the device is out of reach"))
        case Fate.DROPPED:
            w.sent = tuple(e for e in w.sent if e is not send)
        case _:
            w.deaf |= {n}
    return _feed(w, Aborted(send.session, n, "given up by the link"))


def _map(w: World, fault: str | None) -> bool:
    m, w.maps = w.maps[0], w.maps[1:]
    at: int | None = m.iova
    if fault is not None:
        _strike(w, fault)
        effect = LINK_FAULTS[fault]
        assert isinstance(effect, MapFault)
        at = effect.place(m)
    return _feed(w, Mapped(m.iova, m.pages, at))


def _time(w: World) -> bool:
    due = w.driver.deadline
    if due is None:
        return False
    if not w.quiet:
        w.timeouts_left -= 1
    w.now = max(w.now, due)
    return _feed(w, Tick())


# -- the driver -------------------------------------------------------------------------------------------------------


def _feed(w: World, x: DriverInput) -> bool:
    """Feed the driver and carry out what it wants; False where it may not be asked this now."""
    w.log.append(("driver<", x))
    try:
        effects = w.driver.feed(w.now, x)
    except Misuse:
        return False
    for e in effects:
        w.log.append(("driver>", e))
        match e:
            case Send():
                w.session = e.session
                w.asked = (*(a for a in w.asked if a.session == e.session), e)
                if not w.gone:
                    w.sent = (*w.sent, e)
                elif not any(isinstance(y, LinkLost) for y in w.inbox):
                    w.inbox = (*w.inbox, LinkLost("the device is out of reach"))
            case Map():
                w.maps = (*w.maps, e)
            case Reset():
                w.resets += 1
            case Done():
                _ended(w, e.what)
            case Finding():
                w.found |= {e.name}
            case _:
                pass
    if w.maps and w.rules.eager and not w.rules.link_faults(MapFault):
        return _map(w, None)
    return True


def _ended(w: World, what: str) -> None:
    w.awaited = tuple(None if a == what else a for a in w.awaited)
    _happened(w, w.rules.moment(what))


def _happened(w: World, moment: str) -> None:
    if moment in w.rules.heard:
        w.moments |= {moment}
