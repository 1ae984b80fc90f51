from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from fwpages.device import Offence, OffenceName
from fwpages.explore.check.properties import EVENTUALLY, PROPERTIES
from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import search
from fwpages.explore.model.driver import View
from fwpages.explore.model.log import FromDevice, FromDriver, ToDriver
from fwpages.explore.model.moves import UserActs, moves, take
from fwpages.explore.model.world import HeldBack, World
from fwpages.host import Answered, CustodyError, Done, PageRequest
from fwpages.host.io import CLOSE, Operation, OperationKind
from fwpages.pages.space import Addresses
from fwpages.pages.tags import Mask
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import Mode
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, OverriddenDriver, at, made, path_to, small, steps

pytestmark = pytest.mark.many_runs


def see(name: str, w: World) -> str | None:
    return PROPERTIES[name].test(w)


def but(w: World, **answers: object) -> World:
    """The world with a driver that says something else of itself."""
    return replace(w, driver=OverriddenDriver(w.driver, **answers))  # type: ignore[arg-type]  # it has what a driver has


def rest() -> World:
    """A world at rest in which a function has its page."""
    w = at("session", "enabled")
    while not w.quiet:
        w = next(x for act in moves(w) if not isinstance(act, UserActs) and (x := take(w, act)) is not None)
    assert w.firmware.inner.held("vf0") == 1
    return w


def view(w: World, **change: object) -> View:
    return replace(w.driver.view(), **change)  # type: ignore[arg-type]  # each fits its field


FORBIDDEN = [
    "custody",
    "agreement",
    "no-offence",
    "counter-negative",
    "counter-left",
    "wrong-type",
    "deadlock",
    "request-forgotten",
    "misnamed",
    "stale-request",
    "silent-leak",
    "unsettled",
]


@pytest.mark.parametrize("name", FORBIDDEN)
def test_nothing_is_wrong_where_nothing_is_wrong(name: str) -> None:
    assert see(name, rest()) is None
    assert see(name, small("session").build()) is None


def test_custody_looks_at_every_page_that_firmware_has() -> None:
    def all_free(pages: Addresses) -> Mask:
        mask: Mask = pages >= 0
        return mask

    said = see("custody", but(rest(), is_free=all_free))
    assert said is not None
    assert said.startswith("firmware has ")
    assert "that the driver has released" in said


def test_custody_is_also_each_sides_own() -> None:
    def check() -> None:
        raise CustodyError("the ledger is wrong")

    assert see("custody", but(rest(), check=check)) == "the ledger is wrong"


def test_agreement_is_asked_for_at_rest_only() -> None:
    w = but(rest(), held=dict)
    assert see("agreement", w) == "self: 0 pages by the driver's books, 2 with firmware"
    assert see("unsettled", w) == see("agreement", w)
    assert see("agreement", replace(w, resets=1)) is None
    assert see("agreement", replace(w, faults_left=0)) is None
    assert see("agreement", but(rest(), held=dict, view=lambda: view(rest(), busy=("close",)))) is None
    assert see("agreement", but(rest(), held=lambda: None)) is None


def test_counters() -> None:
    w = rest()
    assert see("counter-negative", but(w, view=lambda: view(w, counters={"vf": -3, "total": 1}))) == (
        "counters below zero: vf -3"
    )
    left = but(w, view=lambda: view(w, counters={"sf": 4, "vf": 1, "total": 3}))
    assert see("counter-left", left) == "counters that count pages which are not out: sf 4"
    assert see("counter-left", replace(left, faults_left=0)) is None


def test_types() -> None:
    w = rest()
    assert see("wrong-type", but(w, counted_as=lambda who: "sf")) == "pages of vf0, a vf, are counted as sf"
    assert see("wrong-type", but(w, counted_as=lambda who: "unknown")) is None
    assert see("uncounted", but(w, counted_as=lambda who: None)) == "1 page of vf0: counted under no type"
    assert see("early-give", but(w, counted_as=lambda who: "unknown")) == "vf0 has 1 page"
    assert see("early-give", w) is None


def test_a_deadlock_is_an_answer_that_cannot_come() -> None:
    w = at("session", "enabled")
    answer = next(x for x in w.driver_inputs if isinstance(x, Answered))
    stuck = replace(rest(), held_back=(HeldBack("vf0", answer),))
    said = see("deadlock", stuck)
    assert said is not None
    assert said.startswith("firmware answers only when vf0 has its pages")
    assert see("deadlock", replace(stuck, faults_left=0)) is None
    assert see("deadlock", replace(stuck, resets=1)) is None


def test_modes() -> None:
    w = rest()
    assert see("mode-disagreement", w) is None
    assert see("mode-disagreement", but(w, view=lambda: view(w, mode=Mode.FUNC_ID))) == (
        "the driver names functions by func_id, firmware by vhca_id"
    )
    assert see("vhca-id-mode", w) == "VHCA_ID mode"
    assert see("vhca-id-mode", small("session").build()) is None


def test_a_command_that_is_read_otherwise_than_meant() -> None:
    spec = small("session")
    *_, last = walk(spec, path_to("session", "given"))
    w = last.after
    assert see("misnamed", w) is None
    assert see("given", w) is not None
    meant = but(w, view=lambda: view(w, mode=Mode.FUNC_ID))
    said = see("misnamed", meant)
    assert said is not None
    assert "is one for vf0 to firmware" in said


def test_requests_of_old_sessions() -> None:
    w = at("session", "given")
    send = next(e for e in w.session_commands if e.command.opcode == 0x108)
    old = PageRequest(w.session - 1, PageRequestEvent(0x31, 1))
    assert see("stale-request", replace(w, log=[ToDriver(old), FromDriver(send)])) is not None
    new = structs.replace(old, session=w.session)
    assert see("stale-request", replace(w, log=[ToDriver(new), FromDriver(send)])) is None


def test_ends() -> None:
    w = rest()
    closed = replace(w, log=[FromDriver(Done(1, CLOSE, True))], found=frozenset())
    assert see("silent-leak", closed) == "closed without a finding, firmware has 3 pages"
    assert see("silent-leak", replace(closed, found=frozenset({"not-all-returned"}))) is None
    assert see("closed", closed) == "close"
    assert see("closed", replace(closed, log=[FromDriver(Done(1, CLOSE, False, "no"))])) is None
    early = replace(w, log=[FromDriver(Done(1, Operation(OperationKind.DISABLE, 1), True))])
    assert see("early-end", early) is None  # it is still enabled
    assert see("lost", w) is None


def test_an_offence_is_the_drivers_only_where_nothing_went_wrong() -> None:
    w = replace(rest(), log=[FromDevice(Offence(OffenceName.EMPTY_GIVE, None, "how"))])
    assert see("no-offence", w) == "empty-give: how"
    assert see("no-offence", replace(w, faults_left=0)) is None


def test_busy_names_what_has_not_ended() -> None:
    w = small("session").build()
    assert see("busy", w) is None
    said = see("busy", at("session", "open", before=3))
    assert said == "not ended: open"


POINTS = ["open", "enabled", "disabled", "given", "taken", "closed", "vhca-id-mode", "all-given", "late-return"]


@pytest.mark.parametrize("design", DESIGNS)
def test_every_point_is_reached_somewhere(design: str) -> None:
    text = HEAD + steps(*SESSION) + f"[expect]\nsometimes = {POINTS}\n"
    assert search(made(text, design)).missed == ()


@pytest.mark.parametrize("design", DESIGNS)
def test_and_those_of_a_world_with_faults(design: str) -> None:
    text = (
        HEAD
        + steps("open", "enable vf0, after open", "close, after enable vf0", "open")
        + '[[fault]]\nname = "map-fails"\n[[fault]]\nname = "request-not-queued"\n'
        + '[expect]\nsometimes = ["fault", "cannot-give", "opened-again"]\n'
    )
    assert search(made(text, design)).missed == ()


def test_every_property_has_words_and_every_goal_a_property() -> None:
    assert all(p.words for p in PROPERTIES.values())
    assert all(g.property in PROPERTIES for g in EVENTUALLY.values())
    assert not PROPERTIES.keys() & EVENTUALLY.keys()
