"""The explorer's model of Linux 7.2 against Linux 7.2's own allocator: the same page commands, the same accounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import TypeAlias

import numpy as np
import pytest
from msgspec import structs

from fwpages.device import ResetFunction as Flr
from fwpages.device import Want
from fwpages.explore.designs.linux.choices import MERGED
from fwpages.explore.designs.linux.driver import Linux
from fwpages.explore.model.driver import DriverConfig
from fwpages.host import Answered, Close, DisableVport, EnableVport, FunctionsChanged, Open, PageRequest
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, Mode
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.explore.designs.driver_run import BOUNDS, DriverRun, Fate
from tests.linux.both_sides import GIVE, TAKE, manages
from tests.linux.devices import Machine, machine, plain
from tests.linux.linuxside import Linux as Real
from tests.linux.linuxside import Said, firmware, said
from tests.linux.peer import ALLOC_PAGE, ETIMEDOUT, LIBRARY, LIBRARY_64K, TYPES, Peer

#: what stands before both firmwares: the command, and how to have the firmware carry one out
Hook: TypeAlias = Callable[[Command, Callable[[Command], Answer]], Answer | int | None]
Change: TypeAlias = Want | Flr
#: page commands by the two fields that name their function
PageCommands: TypeAlias = dict[tuple[int, bool], list[Said]]


class Pair:
    """Linux's allocator and the model, each over a firmware of its own, reply the same."""

    def __init__(self, peer: Peer, m: Machine, library: str = LIBRARY) -> None:
        self.machine = m
        self.real = Real(peer, m, library=library)
        shift = 16 if library == LIBRARY_64K else 12
        bounds = replace(BOUNDS, pages_per_command=50_000)
        self.model = Linux(MERGED, DriverConfig(m.profile.supplier, bounds, page_shift=shift))
        self.run = DriverRun("merged", ecpf=m.profile.ecpf, driver=self.model)
        self.run.firmware = firmware(m)
        self.hook: Hook | None = None
        self._before = (0, 0, 0)

    def open(self) -> None:
        assert self.real.open()
        self.run.do(Open(), FunctionsChanged(self.machine.vports))
        assert self.run.done[-1] == ("open", True)
        self._before = self.model.alloc_failed, self.model.give_dropped, self.model.reclaim_discard
        self.same()

    def close(self) -> None:
        self.real.close()
        self.run.do(Close())
        assert self.run.done[-1] == ("close", True)
        assert not self.run.mapped
        self.same()

    def _arm(self) -> None:
        hook = self.hook
        if hook is None:
            self.real.hook, self.run.fate = None, lambda c: None
            return
        self.real.hook = lambda c: hook(c, self.real.execute)

        def fate(c: Command) -> Fate:
            reply = hook(c, self.run.execute)
            return "lost" if isinstance(reply, int) else reply

        self.run.fate = fate

    def stir(self, *changes: Change, hook: Callable[[], Hook] | None = None) -> None:
        """The same inside both devices; each side gets a hook of its own, as hooks may remember."""
        self.hook = hook() if hook is not None else None
        self._arm()
        self.real.stir(*changes)
        self.hook = hook() if hook is not None else None
        self._arm()
        for x in changes:
            self.run.device(x)
        self.run.settle()
        self._late()
        self.hook = None
        self._arm()

    def request(self, number: int, pages: int) -> None:
        """The same page request to both, which no firmware has made."""
        event = PageRequestEvent(number, pages)
        self.real.deliver(event)
        self.real.drain()
        self.run.do(PageRequest(self.run.session, event))

    def _late(self) -> None:
        """Linux's library knows no command slots: a command that was given up is completed late."""
        for f in [f for f in self.model.flights.values() if f.late]:
            self.run.do(Answered(self.run.session, f.id, Answer(f.command.opcode)))

    def switch(self, name: str, *, on: bool) -> None:
        (self.real.enable if on else self.real.disable)(name)
        vport = self.machine.spec(name).vport
        self.run.do(EnableVport(vport) if on else DisableVport(vport))

    # -- looking ------------------------------------------------------------------------------------------------------

    def page_commands(self) -> tuple[PageCommands, PageCommands]:
        """The page commands of both by function, since the last time."""
        mine = [said(c, Mode.FUNC_ID) for c in self.run.sent if c.opcode in (Opcode.MANAGE_PAGES, Opcode.QUERY_PAGES)]
        self.run.sent.clear()
        return _by_function(self.real.page_commands()), _by_function(mine)

    def same(self) -> None:
        """Every counter, every tree's size and pages in memory. Addresses are each side's own."""
        c, stats = self.real.oracle.counters(), self.real.oracle.stats()
        d = self.model
        assert c["fw_pages"] == d.fw_pages
        theirs = dict(zip(TYPES, c["page_counters"], strict=False))
        assert {str(k): n for k, n in theirs.items() if n} == {k: n for k, n in d.counters.items() if n}
        assert (c["alloc_failed"], c["give_dropped"], c["reclaim_discard"]) == (
            d.alloc_failed,
            d.give_dropped,
            d.reclaim_discard,
        )
        assert stats["pages_live"] == len(d.mapped)
        assert sorted(self.real.oracle.roots()) == sorted(d.roots)
        assert {who: p.size for who, p in self.real.pages().items() if p.size} == _tree_sizes(d)


def _tree_sizes(d: Linux) -> dict[Identity, int]:
    return {d.identity(k): len(r) for k, r in d.roots.items() if r}


def _by_function(rows: list[tuple[Identity, Said]]) -> PageCommands:
    out: PageCommands = {}
    for who, what in rows:
        out.setdefault((who.number, who.ec), []).append(what)
    return out


def pair(peer: Peer, library: str = LIBRARY, mode: Mode = Mode.VHCA_ID) -> Pair:
    p = Pair(peer, plain(mode), library)
    p.open()
    agreed(p)
    for name in ("vf0", "vf1"):
        p.switch(name, on=True)
    p.page_commands()
    p.same()
    return p


def agreed(p: Pair) -> None:
    theirs, mine = p.page_commands()
    assert theirs == mine
    p.same()


LIBRARIES = pytest.mark.parametrize("library", [LIBRARY, LIBRARY_64K])
MODES = pytest.mark.parametrize("mode", list(Mode))


@LIBRARIES
@MODES
def test_give_and_take(peer: Peer, library: str, mode: Mode) -> None:
    p = pair(peer, library, mode)
    for change in (Want("vf0", 20), Want("vf1", 5), Want("vf0", -7), Want("vf0", 3), Want("vf0", -16), Want("self", 2)):
        p.stir(change)
        agreed(p)
    p.close()
    agreed(p)


@LIBRARIES
def test_release_all(peer: Peer, library: str) -> None:
    p = pair(peer, library)
    p.stir(Want("vf0", 20))
    p.stir(Flr("vf0"))
    agreed(p)
    p.stir(Want("vf0", 4))
    agreed(p)
    p.close()


def _once(answer: Callable[[Command, Callable[[Command], Answer]], Answer | int | None]) -> Callable[[], Hook]:
    def make() -> Hook:
        once = False

        def hook(c: Command, execute: Callable[[Command], Answer]) -> Answer | int | None:
            nonlocal once
            if once:
                return None
            said = answer(c, execute)
            once = said is not None
            return said

        return hook

    return make


def _twice(c: Command, execute: Callable[[Command], Answer]) -> Answer | None:
    if not manages(c, TAKE):
        return None
    one = execute(structs.replace(c, fields={**c.fields, "input_num_entries": 1}))
    return structs.replace(one, fields={"output_num_entries": 2}, pas=one.pas.repeat(2))


@LIBRARIES
def test_double_return(peer: Peer, library: str) -> None:
    p = pair(peer, library)
    p.stir(Want("vf0", 16))
    p.stir(Want("vf0", -2), hook=_once(_twice))
    agreed(p)
    p.stir(Want("vf0", -14))
    agreed(p)
    assert len(p.model.mapped) == p.real.oracle.stats()["pages_live"]


@LIBRARIES
def test_unknown_pages(peer: Peer, library: str) -> None:
    def unknown(c: Command, _: Callable[[Command], Answer]) -> Answer | None:
        pas = np.array([1 << 50, 1 << 51], np.uint64)
        return Answer(c.opcode, fields={"output_num_entries": 2}, pas=pas) if manages(c, TAKE) else None

    p = pair(peer, library)
    p.stir(Want("vf0", 4))
    p.stir(Want("vf0", -2), hook=_once(unknown))
    agreed(p)


def test_foreign_pages(peer: Peer) -> None:
    p = pair(peer)
    p.stir(Want("vf0", 4), Want("vf1", 4))
    theirs = p.machine.spec("vf1").identity(Mode.VHCA_ID)
    assert theirs is not None
    pages = iter((p.real.firmware.holds()[theirs][:2], p.run.firmware.holds()[theirs][:2]))

    def foreign() -> Hook:
        mine = next(pages)
        return _once(
            lambda c, _: Answer(c.opcode, fields={"output_num_entries": 2}, pas=mine) if manages(c, TAKE) else None
        )()

    p.stir(Want("vf0", -2), hook=foreign)
    agreed(p)


@LIBRARIES
@pytest.mark.parametrize("end", [Answer(Opcode.MANAGE_PAGES, Status.LIM_ERR), -ETIMEDOUT])
def test_give_fails(peer: Peer, library: str, end: Answer | int) -> None:
    p = pair(peer, library)
    p.stir(Want("vf0", 20))
    p.stir(Want("vf0", 5), hook=_once(lambda c, _: end if manages(c, GIVE) else None))
    agreed(p)
    p.stir(Want("vf1", 5))
    p.same()


@LIBRARIES
@pytest.mark.parametrize("end", [Answer(Opcode.MANAGE_PAGES, Status.RES_BUSY), -ETIMEDOUT])
def test_take_fails(peer: Peer, library: str, end: Answer | int) -> None:
    p = pair(peer, library)
    p.stir(Want("vf0", 20))
    p.stir(Want("vf0", -5), hook=_once(lambda c, _: end if manages(c, TAKE) else None))
    agreed(p)


def test_count_over_asked(peer: Peer) -> None:
    def more(c: Command, _: Callable[[Command], Answer]) -> Answer | None:
        pas = np.arange(1, 9, dtype=np.uint64) << np.uint64(12)
        return Answer(c.opcode, fields={"output_num_entries": 8}, pas=pas[:4]) if manages(c, TAKE) else None

    p = pair(peer)
    p.stir(Want("vf0", 6))
    p.stir(Want("vf0", -4), hook=_once(more))
    agreed(p)


def test_no_memory(peer: Peer) -> None:
    p = pair(peer)
    p.real.oracle.inject(ALLOC_PAGE, 0, 1)
    p.run.memory = False
    p.stir(Want("vf0", 3))
    p.run.memory = True
    agreed(p)


def test_large_take_is_cut(peer: Peer) -> None:
    p = pair(peer)
    number = p.machine.spec("vf0").vhca_id
    p.request(number, -60_000)
    agreed(p)


def test_pages_before_the_eswitch_knows(peer: Peer) -> None:
    """They count for no type, when they come and when they go."""
    p = Pair(peer, plain())
    p.open()
    p.stir(Want("vf0", 4))
    agreed(p)
    assert p.model.counted_as(next(w for w in p.model.held() or {} if w.number == 0x31)) is None
    p.real.learn("vf0")
    p.model.types[0x31] = FunctionType.VF.value
    p.stir(Want("vf0", 2))
    p.stir(Want("vf0", -5))
    agreed(p)


@pytest.mark.many_runs
@MODES
@pytest.mark.parametrize("ecpf", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_random_sessions(peer: Peer, mode: Mode, ecpf: bool, seed: int) -> None:
    """Functions come and go, ask and give back; twice, as nothing of the first session may be left for the second."""
    m, r = machine(mode, ecpf=ecpf, seed=seed), Random(seed)
    p = Pair(peer, m)
    for _ in range(2):
        p.open()
        on: list[str] = []
        for _ in range(60):
            off = [f.name for f in m.functions if f.name not in on]
            match r.choice(("on", "off", "want", "want", "back", "back", "reset")):
                case "on" if off:
                    on.append(name := r.choice(off))
                    early = m.spec(name).type is FunctionType.SF or (ecpf and m.spec(name).type is FunctionType.VF)
                    if early and mode is Mode.VHCA_ID:
                        on.pop()  # the library's double of the e-switch tells the type first
                        continue
                    p.switch(name, on=True)
                case "off" if on:
                    p.switch(on.pop(r.randrange(len(on))), on=False)
                case "want" if on:
                    p.stir(Want(r.choice([*on, "self"]), r.randint(1, 40)))
                case "back" if on:
                    p.stir(Want(r.choice(on), -r.randint(1, 40)))
                case "reset" if on:
                    p.stir(Flr(r.choice(on)))
                case _:
                    continue
            agreed(p)
        for name in on:
            p.switch(name, on=False)
        p.close()
        agreed(p)
