"""QUERY_PAGES and MANAGE_PAGES in both modes: who may be named, what is accepted, and what the counts come to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fwpages.device import Firmware, FunctionSpec, Profile, ResetFunction, Want
from fwpages.prm.identity import Identity, func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status
from tests.device.conftest import VF, VF2, Driver

GIVE, TAKE, CANT_GIVE = ManagePages.GIVE, ManagePages.TAKE, ManagePages.CANT_GIVE


def of_vf(d: Driver, spec: FunctionSpec = VF) -> Identity:
    who = spec.identity(d.fw.mode)
    assert who is not None
    return who


@pytest.mark.parametrize("kind", [QueryPages.BOOT, QueryPages.INIT])
@pytest.mark.parametrize("by_vhca_id", [False, True])
def test_start_up_pages_of_another_function_are_not_asked_about(
    driver: Driver, kind: QueryPages, by_vhca_id: bool
) -> None:
    driver.boot()
    driver.negotiate(by_vhca_id=by_vhca_id)
    c = Command(Opcode.QUERY_PAGES, kind, of_vf(driver).fields)
    offence = driver.refused("bad-parameter", Status.BAD_PARAM, c)
    assert offence.function == of_vf(driver)
    assert str(of_vf(driver)) in offence.detail


@pytest.mark.parametrize(
    ("opcode", "op_mod"),
    [(Opcode.QUERY_PAGES, m) for m in QueryPages] + [(Opcode.MANAGE_PAGES, m) for m in ManagePages],
)
def test_after_the_switch_no_function_is_named_0(driver: Driver, opcode: Opcode, op_mod: int) -> None:
    """The supplier as it was named before; neither is a vhca_id a name before."""
    driver.boot()
    pages = driver.pages(1) if (opcode, op_mod) == (Opcode.MANAGE_PAGES, GIVE) else np.zeros(0, np.uint64)
    early = Command(opcode, op_mod, {"function_id": 0x2A, "input_num_entries": 1}, pas=pages)
    if opcode is Opcode.QUERY_PAGES:
        early = Command(opcode, op_mod, {"function_id": 0x2A})
    assert driver.refused("unknown-function", Status.BAD_PARAM, early).function == func_id(0x2A)
    driver.negotiate()
    late = replace(early, fields={**early.fields, "function_id": 0})
    assert driver.refused("identity-mode", Status.BAD_PARAM, late).function == func_id(0)


def test_boot_and_init_pages_are_counted_down(driver: Driver) -> None:
    driver.enable()
    c = Command(Opcode.QUERY_PAGES, QueryPages.INIT)
    driver.refused("wrong-state", Status.BAD_SYS_STATE, c)
    driver.give(driver.own, 2)
    driver.refused("unrequested-give", Status.LIM_ERR, driver.give_command(driver.own, 2))
    driver.give(driver.own, 1)
    assert [driver.query(kind) for kind in QueryPages] == [0, 10, 0]
    driver.refused("unrequested-give", Status.LIM_ERR, driver.give_command(driver.own, 11))
    driver.give(driver.own, 10)
    assert [driver.query(kind) for kind in QueryPages] == [0, 0, 0]
    driver.refused("unrequested-give", Status.LIM_ERR, driver.give_command(driver.own, 1))


@pytest.mark.parametrize(
    ("opcode", "op_mod"),
    [(Opcode.QUERY_PAGES, 0), (Opcode.QUERY_PAGES, 4), (Opcode.MANAGE_PAGES, 3), (Opcode.MANAGE_PAGES, 0xFFFF)],
)
def test_an_op_mod_that_there_is_not(opened: Driver, opcode: Opcode, op_mod: int) -> None:
    offence = opened.refused("bad-op-mod", Status.BAD_PARAM, Command(opcode, op_mod, opened.own.fields))
    assert offence.detail == f"{opcode.name} with op_mod {op_mod:#x}"


def test_what_a_query_announced_no_event_announces_again(opened: Driver) -> None:
    """In both directions; what comes on top of it is announced by an event."""
    who = of_vf(opened)
    opened.ok(Opcode.DESTROY_EQ, eq_number=opened.eqns[2])
    opened.feed(Want("vf1", 5))
    opened.feed(Want("self", -2))
    opened.events.clear()
    assert [opened.query(QueryPages.REGULAR, w) for w in (who, opened.own)] == [5, -2]
    opened.feed(Want("vf1", 3))
    opened.create_eq(1 << 0x0B)
    assert [(e.number, e.num_pages) for e in opened.events] == [(who.number, 3)]


def test_cant_give_does_not_spare_the_start_its_pages(driver: Driver) -> None:
    driver.enable()
    driver.ok(Opcode.MANAGE_PAGES, CANT_GIVE)
    assert driver.query(QueryPages.BOOT) == 3
    driver.refused("pages-missing", Status.BAD_SYS_STATE, Command(Opcode.INIT_HCA))


def test_cant_give_drops_all_that_was_announced_for_one_function(opened: Driver) -> None:
    one, other = of_vf(opened), of_vf(opened, VF2)
    for name, pages in (("vf1", 3), ("vf2", 4), ("vf1", 5)):
        opened.feed(Want(name, pages))
    opened.ok(Opcode.MANAGE_PAGES, CANT_GIVE, **one.fields)
    assert (opened.query(QueryPages.REGULAR, one), opened.query(QueryPages.REGULAR, other)) == (0, 4)
    before = opened.fw.key()
    opened.ok(Opcode.MANAGE_PAGES, CANT_GIVE, **one.fields)
    assert opened.fw.key() == before, "there is nothing more to withdraw"
    offence = opened.refused("unrequested-give", Status.LIM_ERR, opened.give_command(one, 7))
    assert (offence.function, offence.detail) == (one, "7 pages, 0 wanted")


def test_a_take_may_ask_for_more_than_there_is_and_for_nothing(opened: Driver) -> None:
    opened.feed(Want("self", -4))
    assert [opened.take(opened.own, n) for n in (0, 1, 1 << 20, 5)] == [0, 1, 3, 0]
    assert opened.take(of_vf(opened), 5) == 0
    opened.agree()


def test_at_work_only_what_was_asked_back_is_let_go_and_afterwards_everything(opened: Driver) -> None:
    assert opened.take(opened.own, 768) == 0
    opened.ok(Opcode.TEARDOWN_HCA)
    assert opened.query(QueryPages.REGULAR, opened.own) == -13
    assert opened.take(opened.own, 768) == 13
    assert opened.query(QueryPages.REGULAR, opened.own) == 0
    late = opened.give_command(opened.own, 1)
    assert opened.refused("wrong-state", Status.BAD_SYS_STATE, late).function == opened.own


def test_a_give_that_is_refused_for_its_pages_can_be_sent_again_with_good_ones(opened: Driver) -> None:
    """Not one page of it was taken, and firmware still wants as many."""
    opened.feed(Want("self", 3))
    good = opened.give_command(opened.own, 3)
    for at, address, name in (
        (2, 0, "bad-address"),
        (1, 0x5001, "bad-address"),
        (2, int(good.pas[0]), "repeated-page"),
    ):
        pas = good.pas.copy()
        pas[at] = address
        assert hex(address) in opened.refused(name, Status.BAD_PARAM, replace(good, pas=pas)).detail
    assert opened.query(QueryPages.REGULAR, opened.own) == 3
    assert opened.send(good).ok
    again = opened.refused("given-twice", Status.BAD_RES_STATE, wanted_again(opened, good))
    assert hex(int(good.pas[0])) in again.detail
    other = replace(good, fields={**good.fields, **of_vf(opened).fields})
    opened.feed(Want("vf1", 3))
    opened.refused("given-twice", Status.BAD_RES_STATE, other)


def wanted_again(d: Driver, c: Command) -> Command:
    d.feed(Want("self", c.pas.size))
    return c


def test_who_names_the_boot_pages_otherwise(small: Profile) -> None:
    """Firmware calls the supplier by a number of its own until the switch; both names are understood."""
    d = Driver(small)
    d.fw = Firmware(small, boot_function=7)
    d.enable()
    for number in (0, 7):
        answer = d.ok(Opcode.QUERY_PAGES, QueryPages.BOOT, function_id=number)
        assert (answer["function_id"], answer["num_pages"]) == (7, 3)
    d.give(func_id(7), 2)
    d.give(func_id(0), 1)
    d.given = {func_id(0): set().union(*d.given.values())}
    d.negotiate()
    assert d.query(QueryPages.INIT, vhca_id(0x2A)) == 10
    late = Command(Opcode.QUERY_PAGES, QueryPages.INIT, {"function_id": 7})
    d.refused("unknown-function", Status.BAD_PARAM, late)


class Books:
    """Conclusions that a driver may draw from what it learned about one function."""

    def __init__(self) -> None:
        self.wanted = self.back = self.held = 0

    def want(self, n: int) -> None:
        if n > 0:
            self.wanted += n
        else:
            self.back += min(-n, self.held - self.back)

    def give(self, n: int) -> str | None:
        if not 0 < n <= self.wanted:
            return "unrequested-give" if n else "empty-give"
        self.wanted -= n
        self.held += n
        return None

    def take(self, n: int, limit: int) -> int:
        n = min(n, self.back, limit)
        self.back -= n
        self.held -= n
        return n


steps = st.lists(
    st.tuples(st.sampled_from(["want", "give", "give", "take", "cannot", "query", "refuse"]), st.integers(-6, 9)),
    max_size=25,
)


@settings(max_examples=60)
@given(steps=steps, by_vhca_id=st.booleans())
def test_the_account_of_a_function_balances(
    small: Profile, specs: list[FunctionSpec], steps: list[tuple[str, int]], by_vhca_id: bool
) -> None:
    d, books = Driver(small, specs).open(by_vhca_id=by_vhca_id), Books()
    who = of_vf(d)
    for what, n in steps:
        if what == "want":
            d.feed(Want("vf1", n))
            books.want(n)
        elif what == "give":
            c, why = d.give_command(who, abs(n)), books.give(abs(n))
            if why is None:
                assert d.send(c).ok
                d.given.setdefault(who, set()).update(c.pas.tolist())
            else:
                d.refused(why, Status.LIM_ERR if n else Status.BAD_PARAM, c)
        elif what == "take":
            assert d.take(who, abs(n)) == books.take(abs(n), small.take_limit)
        elif what == "cannot":
            d.ok(Opcode.MANAGE_PAGES, CANT_GIVE, **who.fields)
            books.wanted = 0
        elif what == "refuse":
            d.refused("bad-op-mod", Status.BAD_PARAM, Command(Opcode.MANAGE_PAGES, 3 + abs(n), who.fields))
        else:
            assert d.query(QueryPages.REGULAR, who) == (books.wanted or -books.back)
        assert (d.fw.held("vf1"), d.fw.asks("vf1")) == (books.held, books.wanted)
    d.agree()


def test_pages_that_are_no_longer_needed_are_accepted_and_asked_back(opened: Driver) -> None:
    """A request that was announced stands: GIVE is no offence, CANT_GIVE withdraws it."""
    who = of_vf(opened)
    opened.ok(Opcode.ENABLE_HCA, function_id=1)
    opened.ok(Opcode.DISABLE_HCA, function_id=1)
    opened.give(who, 2)
    assert (opened.last().num_pages, opened.fw.asks("vf1")) == (-2, 3)
    opened.ok(Opcode.MANAGE_PAGES, CANT_GIVE, **who.fields)
    assert opened.query(QueryPages.REGULAR, who) == -2
    opened.feed(ResetFunction("vf1"))
    assert opened.take(who, 9) == 0, "release_all has said that they are free"
