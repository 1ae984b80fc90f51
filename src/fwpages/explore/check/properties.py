"""What can be said of a world: each property a name, words, and a test of a state or of the step that led to it.

A test hands back nothing, or what it saw. The same test serves *always* (it must see nothing), *never* (likewise) and
*sometimes* (it must see something once); *eventually* asks whether a state is reached that the test is content with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

from fwpages.device import Completed, FirmwareError, Phase, Submitted
from fwpages.explore.check import conduct
from fwpages.explore.model.world import MANY_FRUITLESS, World
from fwpages.host import CustodyError, Finding, PageRequest, Send
from fwpages.host.io import OperationKind
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType
from fwpages.prm.opcodes import ManagePages, Opcode

#: what a test saw; None where there is nothing to see
Seen: TypeAlias = str | None
Test: TypeAlias = Callable[[World], Seen]

_PAGE_COMMANDS = (Opcode.MANAGE_PAGES, Opcode.QUERY_PAGES)


@dataclass(frozen=True, slots=True)
class Property:
    """A property by name. ``of_step``: the test looks at the step that led to a state, not at the state alone."""

    words: str
    test: Test
    of_step: bool = False


# -- custody and accounts ---------------------------------------------------------------------------------------------


def _custody(w: World) -> Seen:
    """Both machines are sound, and no page that firmware holds is free on the driver's side."""
    try:
        w.driver.check()
        w.firmware.check()
    except (CustodyError, FirmwareError) as e:
        return str(e)
    for who, pages in w.firmware.holds().items():
        free = w.driver.is_free(pages)
        if free.any():
            first = int(pages[free][0])
            pages_of = f"{many(int(free.sum()))} of {w.name(who)}"
            return f"firmware has {pages_of} that the driver let go of, {first:#x} first"
    return None


def _agreement(w: World) -> Seen:
    """At rest, with no fault behind them, both name the same pages for every function."""
    return _disagreement(w) if w.quiet and w.faultless and not w.driver.view().busy else None


def _disagreement(w: World) -> Seen:
    mine, theirs = w.driver.held(), w.firmware.holds()
    if mine is None:
        return None
    ours: dict[str, set[int]] = {}
    firmwares: dict[str, set[int]] = {}
    for side, books in ((ours, mine), (firmwares, theirs)):
        for who, pages in books.items():
            side.setdefault(w.name(who), set()).update(pages.tolist())
    for name in sorted(ours.keys() | firmwares.keys()):
        a, b = ours.get(name, set()), firmwares.get(name, set())
        if a != b:
            return f"{name}: {many(len(a))} by the driver's books, {len(b)} with firmware"
    return None


def _negative(w: World) -> Seen:
    below = [f"{name} {n}" for name, n in w.driver.view().counters.items() if n < 0]
    return f"counters below zero: {', '.join(below)}" if below else None


def _truth(w: World) -> dict[str, int]:
    """How many pages firmware holds, by type; the supplier's own as ``self``.

    Where two functions share a vhca_id its pages may be of either: nobody can tell whose a page is that was given to
    the first and is used by the second.
    """
    inner = w.firmware.inner
    out = {FunctionType.SELF.value: inner.held(inner.specs[0].name)}
    for spec in w.rules.specs.values():
        sharing = [other.name for other in w.rules.specs.values() if other.vhca_id == spec.vhca_id]
        out[spec.type.value] = out.get(spec.type.value, 0) + sum(inner.held(name) for name in sharing)
    return out


def _counter_left(w: World) -> Seen:
    """At rest, with nothing of a type out, its counter says otherwise."""
    if not (w.quiet and w.faultless) or w.driver.held() is None:
        return None
    truth = _truth(w)
    left = [
        f"{name} {n}"
        for name, n in w.driver.view().counters.items()
        if n > 0 and not (sum(truth.values()) if name in ("total", "unknown") else truth.get(name, 0))
    ]
    return f"counters that count pages which are not out: {', '.join(left)}" if left else None


def _shared(w: World, name: str) -> bool:
    """Another function has, or had, the vhca_id of this one."""
    return sum(other.vhca_id == w.rules.specs[name].vhca_id for other in w.rules.specs.values()) > 1


def _miscounted(w: World) -> Seen:
    """The driver's own books and its counter of all pages say different things."""
    held = w.driver.held()
    if not w.quiet or held is None:
        return None
    listed, counted = sum(p.size for p in held.values()), w.driver.view().counters["total"]
    return None if listed == counted else f"its lists have {many(listed)}, its counter says {counted}"


def _wrong_type(w: World) -> Seen:
    """Pages of a function are counted under a type that it is not of; not counted, or as unknown, is not wrong."""
    for name, spec in w.rules.specs.items():
        who = spec.identity(w.firmware.mode)
        if who is None or not w.firmware.inner.held(name) or _shared(w, name):
            continue  # nobody can tell whose a page is
        counted = w.driver.counted_as(who)
        if counted not in (None, spec.type.value, FunctionType.UNKNOWN.value):
            return f"pages of {name}, a {spec.type.value}, are counted as {counted}"
    return None


def _uncounted(w: World) -> Seen:
    """At rest, pages of a function that the e-switch knows are in no counter of a type."""
    if not w.quiet:
        return None
    for name, spec in w.rules.specs.items():
        who = spec.identity(w.firmware.mode)
        if who is not None and w.firmware.inner.held(name) and w.driver.counted_as(who) is None:
            return f"{many(w.firmware.inner.held(name))} of {name}: counted under no type"
    return None


# -- waiting ----------------------------------------------------------------------------------------------------------


def _deadlock(w: World) -> Seen:
    """Nothing moves without a time-out, though nothing went wrong: an answer is owed that cannot come."""
    waiting = w.driver.view().waiting
    if w.quiet and w.faultless and w.held_back:
        owed = ", ".join(sorted({x.function for x in w.held_back}))
        stands = "; ".join(f"{who} waits for {what}" for who, what in waiting.items())
        return f"firmware answers only when {owed} has its pages, and {stands or 'nobody gives them'}"
    return None


def _busy(w: World) -> Seen:
    busy = w.driver.view().busy
    return f"not ended: {', '.join(map(str, busy))}" if busy else None


def _early_end(w: World) -> Seen:
    """A disabling ended well while firmware still has pages of functions of a type that nobody has enabled."""
    names = [w.rules.function(d.operation) for d in w.ended if d.ok and d.operation.kind is OperationKind.DISABLE]
    for name in (n for n in names if n in w.rules.specs):
        if _shared(w, name):
            continue  # its vhca_id may be another's by now
        same = [s.name for s in w.rules.specs.values() if s.type is w.rules.specs[name].type]
        if not any(w.firmware.inner.is_enabled(n) for n in same):
            out = {n: w.firmware.inner.held(n) for n in same if w.firmware.inner.held(n)}
            if out:
                return f"disabling {name} is done, firmware has " + ", ".join(f"{k} of {n}" for n, k in out.items())
    return None


def _forgotten(w: World) -> Seen:
    """Firmware waits for pages that it asked for, the session goes on, and nobody will answer."""
    view, inner = w.driver.view(), w.firmware.inner
    if not (w.quiet and view.open) or inner.pages_eqn is None:
        return None
    if not w.held_back and (view.busy or w.driver.deadline is not None):
        return None
    asks = [f"{many(inner.asks(spec.name))} for {spec.name}" for spec in inner.specs if inner.asks(spec.name)]
    return f"asked for and never answered: {', '.join(asks)}" if asks else None


def _fruitless(w: World) -> Seen:
    words = f"{w.fruitless} TAKEs in a row brought nothing back, more than any deadline leaves room for"
    return words if w.fruitless == MANY_FRUITLESS else None


# -- the mode ---------------------------------------------------------------------------------------------------------


def _mode(w: World) -> Seen:
    """A session is in use, and the two name functions in different modes."""
    view = w.driver.view()
    if not view.open or w.firmware.inner.phase is not Phase.WORKING or view.mode is w.firmware.mode:
        return None
    return f"the driver names functions by {view.mode}, firmware by {w.firmware.mode}"


def _misnamed(w: World) -> Seen:
    """Pages were moved for another function than the driver meant, or for none at all, or it was told another's need.

    A query that is refused moves nothing: the start-up that made it fails.
    """
    for what in w.device_inputs:
        if isinstance(what, Submitted) and what.command.opcode in _PAGE_COMMANDS:
            c, mode = what.command, w.driver.view().mode
            meant, read = w.function_of(c, mode), w.function_of(c, w.firmware.mode)
            refused = [o.name for o in w.offences if o.name in ("identity-mode", "unknown-function")]
            if (refused and c.opcode == Opcode.MANAGE_PAGES) or (meant != read and _accepted(w)):
                modes = f"the driver names functions by {mode}, firmware by {w.firmware.mode}"
                said = f", which refused it ({refused[0]})" if refused else ""
                if meant == read:
                    return f"{c} for {meant} was sent to firmware{said}"
                return f"{c} for {meant} is one for {read} to firmware{said}: {modes}"
    return None


def _accepted(w: World) -> bool:
    return any(isinstance(e, Completed) and e.answer.ok for e in w.device_effects)


def _stale(w: World) -> Seen:
    """A page request of an earlier session makes the driver send a page command."""
    old = [x for x in w.driver_inputs if isinstance(x, PageRequest) and x.session != w.session]
    sent = [e for e in w.driver_effects if isinstance(e, Send) and e.command.opcode == Opcode.MANAGE_PAGES]
    return f"{sent[0].command} follows from a request of session {old[0].session}" if old and sent else None


# -- ends -------------------------------------------------------------------------------------------------------------


def _silent_leak(w: World) -> Seen:
    """A close ended, something is left, and no finding was made in this session."""
    if not any(d.operation.kind is OperationKind.CLOSE for d in w.ended) or w.found:
        return None
    left = w.firmware.holds()
    if left:
        return f"closed without a word, firmware has {many(sum(p.size for p in left.values()))}"
    held = w.driver.held()
    if held is None or held:
        return "closed without a word, the driver's books have pages"
    return None


def _lost(w: World) -> Seen:
    """A session is over, firmware holds nothing, and the driver has memory that it will never free."""
    if not w.quiet or w.driver.view().open or w.driver.view().busy or w.firmware.holds():
        return None
    held = w.driver.held()
    if not held:
        return None
    return f"{many(sum(p.size for p in held.values()))} with nobody, and the driver keeps them"


def _finds(*names: str) -> Test:
    def test(w: World) -> Seen:
        found = [f for f in w.driver_effects if isinstance(f, Finding) and f.name in names]
        return f"{found[0].name}: {found[0].detail}" if found else None

    return test


# -- points to be reached ---------------------------------------------------------------------------------------------


def _done(kind: OperationKind) -> Test:
    def test(w: World) -> Seen:
        return next((str(d.operation) for d in w.ended if d.ok and d.operation.kind is kind), None)

    return test


def _command(kind: ManagePages) -> Test:
    def test(w: World) -> Seen:
        for what in w.device_inputs:
            if isinstance(what, Submitted) and what.command.opcode == Opcode.MANAGE_PAGES:
                c = what.command
                if c.op_mod == kind and w.function_of(c, w.firmware.mode) != "self":
                    return str(c)
        return None

    return test


def _fault(w: World) -> Seen:
    return None if w.faultless else "a fault has struck"


def _early_give(w: World) -> Seen:
    """Firmware has pages of a function before the e-switch knows what it is."""
    for name, spec in w.rules.specs.items():
        who = spec.identity(w.firmware.mode)
        known = who is not None and w.driver.counted_as(who) not in (None, FunctionType.UNKNOWN.value)
        if who is not None and not known and w.firmware.inner.held(name):
            return f"{name} has {many(w.firmware.inner.held(name))}"
    return None


def _late_return(w: World) -> Seen:
    """Pages of a function that is disabled come back."""
    for what in w.device_inputs:
        if isinstance(what, Submitted) and what.command.opcode == Opcode.MANAGE_PAGES:
            name = w.function_of(what.command, w.firmware.mode)
            back = what.command.op_mod == ManagePages.TAKE and name in w.rules.specs
            if back and not w.firmware.inner.is_enabled(name):
                return f"pages of {name} come back"
    return None


def _negotiated(w: World) -> Seen:
    return None if w.driver.view().mode is not w.firmware.mode or w.firmware.mode == "func_id" else "VHCA_ID mode"


def _all_given(w: World) -> Seen:
    """Every function that is there has pages."""
    inner = w.firmware.inner
    if inner.phase is Phase.WORKING and all(inner.held(name) for name in w.rules.specs):
        return "every function has pages"
    return None


def _second(w: World) -> Seen:
    return "the device is open again" if w.session > 1 and _done(OperationKind.OPEN)(w) else None


PROPERTIES: Mapping[str, Property] = MappingProxyType(
    {
        "custody": Property("no page that firmware holds is free on the driver's side", _custody),
        "agreement": Property("at rest, both sides name the same pages for every function", _agreement),
        "no-offence": Property("with no fault, the driver breaks no rule of the device", conduct.offence, of_step=True),
        "out-of-turn": Property("a fault is no reason to break the device's rules", conduct.out_of_turn, of_step=True),
        "blamed": Property("the device is blamed, and nothing went wrong", conduct.blamed, of_step=True),
        "needless-reset": Property("the device is reset, and nothing went wrong", conduct.needless_reset, of_step=True),
        "early-teardown": Property("a teardown while its functions have pages", conduct.early_teardown, of_step=True),
        "untold": Property("a user waits for the end of an operation that is over", conduct.untold),
        "doubt-left": Property(
            "at rest, all is answered and the driver does not know who holds what", conduct.doubt_left
        ),
        "counter-negative": Property("a page counter is below zero", _negative),
        "counter-left": Property("at rest, a counter counts pages that are not out", _counter_left),
        "miscounted": Property("at rest, the driver counts other pages than it lists", _miscounted),
        "wrong-type": Property("pages of a function are counted under another type", _wrong_type),
        "uncounted": Property("at rest, pages of a function are counted under no type", _uncounted),
        "deadlock": Property("nothing moves but by a time-out, though nothing went wrong", _deadlock),
        "early-end": Property("a disabling is done while pages of the type are out", _early_end, of_step=True),
        "request-forgotten": Property("a page request is never answered, and nothing is under way", _forgotten),
        "mode-disagreement": Property("a session is in use, and the two sides are in different modes", _mode),
        "misnamed": Property("a page command is read as of another function, or of none", _misnamed, of_step=True),
        "stale-request": Property("a page request of an earlier session is served", _stale, of_step=True),
        "silent-leak": Property("a close ends with pages left, and nothing is said", _silent_leak, of_step=True),
        "fruitless": Property("TAKE is sent again and again, and nothing comes back", _fruitless),
        "overrun": Property("a count makes the driver write beyond its memory", _finds("heap-overrun"), of_step=True),
        "not-found": Property(
            "a page that was given cannot be found", _finds("page-not-found", "warn-no-root"), of_step=True
        ),
        "reopen-failed": Property(
            "an open fails because of what an earlier session left", conduct.reopen_failed, of_step=True
        ),
        "lost": Property("after a session the driver keeps memory that nobody holds", _lost),
        "unsettled": Property("the two sides disagree about who holds which pages", _disagreement),
        "busy": Property("an operation has not ended", _busy),
        "open": Property("the device is open", _done(OperationKind.OPEN), of_step=True),
        "closed": Property("a close ended well", _done(OperationKind.CLOSE), of_step=True),
        "enabled": Property("a vport is enabled", _done(OperationKind.ENABLE), of_step=True),
        "disabled": Property("a vport is disabled", _done(OperationKind.DISABLE), of_step=True),
        "given": Property("a page is given to another function", _command(ManagePages.GIVE), of_step=True),
        "taken": Property("a page is taken from another function", _command(ManagePages.TAKE), of_step=True),
        "cannot-give": Property("the driver says CANT_GIVE", _command(ManagePages.CANT_GIVE), of_step=True),
        "fault": Property("a fault has struck", _fault),
        "early-give": Property("a function has pages before the e-switch knows it", _early_give),
        "late-return": Property("pages of a disabled function come back", _late_return, of_step=True),
        "vhca-id-mode": Property("VHCA_ID mode is in use", _negotiated),
        "all-given": Property("every function has pages", _all_given),
        "opened-again": Property("a second session is open", _second, of_step=True),
    }
)


@dataclass(frozen=True, slots=True)
class Goal:
    """What *eventually* comes about: a state in which the property's test sees nothing.

    ``users_act``: users do all that they may; without it each of them may stop for good at any moment.
    """

    words: str
    property: str
    users_act: bool


EVENTUALLY: Mapping[str, Goal] = MappingProxyType(
    {
        "operations-end": Goal("every operation ends", "busy", users_act=False),
        "agree-again": Goal("once faults stop, both sides agree about every page", "unsettled", users_act=True),
    }
)
