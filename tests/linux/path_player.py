"""A path through a world of the model ``merged``, played again on Linux's compiled allocator.

The compiled code is one thread: a call does not come back before its commands are answered. So the path becomes a list
of what came to the allocator and what it did, in order; what the model did while a command was out happens inside the
callback that stands for the device. The library's own firmware is not used, nor one of ours: the answers are those
that the path's firmware gave, with the addresses that Linux has in the places of the model's.
"""

from __future__ import annotations

import ctypes
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from fwpages.explore.check.replay import Walked
from fwpages.explore.designs.linux.driver import Linux as Model
from fwpages.explore.designs.linux.threads import ForPages
from fwpages.explore.model.driver import NotQueued, Run
from fwpages.explore.model.world import World
from fwpages.host import Aborted, Answered, PageRequest, Send, Tick
from fwpages.pages.space import Addresses
from fwpages.prm.event import PageRequestEvent, encode_page_request
from fwpages.prm.message import Answer, Command, decode_command, encode_answer
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from tests.linux.peer import EIO, ENXIO, ETIMEDOUT, KZALLOC, LIBRARY, LIBRARY_64K, TYPES, Peer, device, tracked

_PAGE_COMMANDS = (Opcode.MANAGE_PAGES, Opcode.QUERY_PAGES)
MODE_BIT = "icm_mng_function_id_mode"


class Item(NamedTuple):
    """One input of the allocator (event, unqueued, type, time, answer), or one command that it sent.

    Or what was asked of it: startup, start, stop, work, wait, reclaim.
    """

    kind: str
    command: Command | None = None
    answer: Answer | int = 0
    event: PageRequestEvent | None = None
    number: int = 0
    value: int = 0


def model(w: World) -> Model:
    assert isinstance(w.driver, Model)
    return w.driver


def script(walk: Iterable[Walked]) -> list[Item]:
    """Inputs for the compiled code, and the calls that it has to make. A path with an error state is not played."""
    out: list[Item] = []
    reclaiming = False
    for x in walk:
        before, after = model(x.before), model(x.after)
        assert after.error is before.error or not after.up, "the library's error state is not played"
        if after.now > before.now:
            out.append(Item("time", value=round(1000 * (after.now - before.now))))
        for fed in x.after.driver_inputs:
            out += _input(before, after, fed)
        for number in sorted(before.types.keys() | after.types.keys()):
            if before.types.get(number) != after.types.get(number):
                kind = after.types.get(number)
                out.append(Item("type", number=number, value=-1 if kind is None else [*map(str, TYPES)].index(kind)))
        if after.notifier is not before.notifier:
            out.append(Item("start" if after.notifier else "stop"))
        for e in x.after.driver_effects:
            if isinstance(e, Send):
                reclaiming = reclaiming and e.command.opcode == Opcode.MANAGE_PAGES
                items = _sent(after, e, reclaiming=reclaiming)
                reclaiming = reclaiming or any(i.kind == "reclaim" for i in items)
                out += items
        for thread in ("driver", "eswitch"):
            wait, old = (d.running[thread].wait if thread in d.running else None for d in (after, before))
            if isinstance(wait, ForPages) and not isinstance(old, ForPages):
                out.append(Item("wait", value=[*map(str, TYPES)].index(wait.type)))
    return out


def _sent(after: Model, e: Send, *, reclaiming: bool) -> list[Item]:
    """A page command, before it the call in which it is sent where that begins with it."""
    c = e.command
    if c.opcode not in _PAGE_COMMANDS:
        return []
    driver = any(f.id == e.id and f.thread == "driver" for f in after.flights.values())
    if c.opcode == Opcode.QUERY_PAGES:
        return [Item("startup", value=int(c.op_mod == QueryPages.BOOT)), Item("sent", c)]
    begins = c.op_mod == ManagePages.TAKE and driver and not reclaiming
    return [*([Item("reclaim")] if begins else []), Item("sent", c)]


def _input(before: Model, after: Model, fed: object) -> list[Item]:
    match fed:
        case Answered(id=n, answer=a) if n in before.flights and not before.flights[n].late:
            return [Item("answer", answer=a)] if before.flights[n].command.opcode in _PAGE_COMMANDS else []
        case Aborted(id=n) if n in before.flights:
            return [Item("answer", answer=-ENXIO)] if before.flights[n].command.opcode in _PAGE_COMMANDS else []
        case PageRequest(event=e) if before.listening:
            return [Item("event", event=e)]
        case NotQueued(request=r):
            return [Item("unqueued", event=r.event)]
        case Run(thread="pages") if "pages" not in before.running:
            return [Item("work")]
        case Tick():
            late = [f for n, f in after.flights.items() if f.late and not before.flights[n].late]
            return [Item("answer", answer=-ETIMEDOUT) for f in late if f.command.opcode in _PAGE_COMMANDS]
    return []


@dataclass
class Seen:
    """The compiled allocator's state when the path ends, which may be in the middle of a command."""

    fw_pages: int
    counters: dict[str, int]
    sizes: dict[int, int]
    roots: list[int]
    live: int
    lent: set[int] = field(default_factory=set)


class PathPlayer:
    """Linux's allocator on a path. ``seen`` is its state at the end, ``codes`` what its entry points returned."""

    def __init__(self, peer: Peer, walk: Sequence[Walked]) -> None:
        self.peer, self.walk = peer, walk
        self.end = model(walk[-1].after)
        rules = walk[0].before.rules
        large = not rules.assume["host_pages_4k"]
        self.shift = 16 if large else 12
        self.oracle = device(peer, 1 << 12, LIBRARY_64K if large else LIBRARY)
        self.left = deque(script(walk))
        self.length = len(self.left)
        self.addresses: dict[int, int] = {}
        self.sent: list[Command] = []
        self.codes: dict[str, list[int]] = {}
        self.seen: Seen | None = None
        #: an answer for whatever the allocator asks when the path has ended; without one it is refused
        self.afterwards: Answer | None = None
        self._put_off: list[Item] = []
        self._error: BaseException | None = None
        p = rules.profile
        self._offered = int(bool(p.max.get(MODE_BIT)))
        self.oracle.on_cmd(self._command)
        self.oracle.on_sleep(self._slept)
        self.oracle.set_ecpf(int(p.ecpf))
        self.oracle.set_vhca_id(p.vhca_id)
        self.oracle.set_vfs(p.max_vfs, p.max_ec_vfs)
        self.oracle.set_eswitch(1)
        bounds = rules.config.bounds
        self.oracle.set_timeouts(round(1000 * bounds.reclaim_progress), round(1000 * bounds.wait_progress))

    def play(self) -> Seen:
        """To the end of the path."""
        while self.left or self._put_off:
            self._do(self._put_off.pop(0) if self._put_off else self.left.popleft())
            if self._error is not None:
                raise self._error
        return self.seen or self.look()

    def same(self) -> None:
        """At the end Linux's code and the model list and count the same."""
        seen = self.seen or self.look()
        d = self.end
        assert seen.fw_pages == d.fw_pages
        assert seen.counters == {k: n for k, n in d.counters.items() if n}
        assert seen.roots == sorted(d.roots)
        assert seen.sizes == {
            k: n for k, r in d.roots.items() if (n := sum(d.blocks - d.pages[iova].free for iova in r))
        }
        assert seen.live == len(d.mapped)

    def freed(self, pages: Addresses) -> int:
        """The number of these pages of the model that Linux has let go of: not lent by its trees, and not leaked."""
        seen = self.seen or self.look()
        return sum(self.addresses[a] not in seen.lent for a in pages.tolist() if a in self.addresses)

    def rows(self) -> npt.NDArray[np.void]:
        """Every page that Linux tracks."""
        return tracked(self.peer, self.oracle)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _do(self, x: Item) -> None:
        o = self.oracle
        match x.kind:
            case "startup":
                # as main.c does around it: nothing is on before boot pages, SET_HCA_CAP was answered before init pages
                o.set_icm_mode(0 if x.value else self._offered, self._offered)
                self._code("boot" if x.value else "init", o.satisfy_startup_pages(x.value))
            case "start":
                self._code("start", o.start())
            case "stop":
                self._code("stop", o.stop())
            case "work":
                o.run_work(1)
            case "wait":
                self._code("wait", o.wait_for_pages(x.value))
            case "reclaim":
                self._code("reclaim", o.reclaim_startup_pages())
            case _:
                self._came(x)

    def _code(self, name: str, code: int) -> None:
        self.codes.setdefault(name, []).append(code)

    def _came(self, x: Item) -> None:
        match x.kind:
            case "event" | "unqueued":
                assert x.event is not None
                if x.kind == "unqueued":
                    self.oracle.inject(KZALLOC, 0, 1)
                self.oracle.deliver_eqe(encode_page_request(x.event))
            case "type":
                assert self.oracle.set_vhca_type(x.number, x.value) == 0
            case "time":
                self.oracle.set_jiffies(self.oracle.get_jiffies() + x.value)
            case _:
                raise AssertionError(f"{x} is not what Linux waits for")

    def _command(self, raw: bytes, out: Sequence[int]) -> int:
        try:
            return self._carry(decode_command(raw), out)
        except BaseException as e:  # it would be lost in C
            self._error = self._error or e
            return -EIO

    def _carry(self, c: Command, out: Sequence[int]) -> int:
        self.sent.append(c)
        if not self.left:
            return self._over(out)
        x = self.left.popleft()
        while x.kind in ("time", "work"):  # Linux sends the next TAKE at once, the model after some time; a flush works
            if x.kind == "time":
                self._came(x)
            x = self.left.popleft()
        assert x.command is not None, f"Linux sends {c}, the model does {x}"
        names = ("function_id", "embedded_cpu_function", "input_num_entries")
        for name in names:
            assert c.fields.get(name, 0) == x.command.fields.get(name, 0), f"Linux sends {c}, the model {x.command}"
        assert (c.opcode, c.op_mod, c.pas.size) == (x.command.opcode, x.command.op_mod, x.command.pas.size)
        self.addresses |= dict(zip(x.command.pas.tolist(), c.pas.tolist(), strict=True))
        while self.left:
            x = self.left.popleft()
            if x.kind == "answer":
                return self._answer(x.answer, out)
            if x.kind in ("wait", "work", "stop"):
                self._put_off.append(x)  # another thread's, or this one's next
            else:
                self._came(x)
        return self._over(out)

    def _over(self, out: Sequence[int]) -> int:
        """The path has ended, and Linux waits for an answer."""
        self.seen = self.seen or self.look()
        return self._answer(self.afterwards, out) if self.afterwards is not None else -EIO

    def _slept(self, _ms: int) -> None:
        """A wait for pages sleeps between two looks, and carries out what is queued: one thing comes meanwhile."""
        try:
            if self.left and self.left[0].kind == "work":
                self.left.popleft()  # the sleep does it
            elif self.left and self.left[0].kind in ("event", "type"):
                self._came(self.left.popleft())
        except BaseException as e:  # it would be lost in C
            self._error = self._error or e

    def _answer(self, reply: Answer | int, out: Sequence[int]) -> int:
        if isinstance(reply, int):
            return reply
        pas = np.array([self.addresses.get(a, a) for a in reply.pas.tolist()], np.uint64)
        buffer = encode_answer(replace(reply, pas=pas))[: len(out)]
        ctypes.memmove(ctypes.addressof(out), buffer, len(buffer))  # type: ignore[arg-type]
        return 0

    def look(self) -> Seen:
        """Its state as it is now."""
        c = self.oracle.counters()
        live = self.oracle.stats()["pages_live"]
        blocks = 1 << (self.shift - 12)
        lent: set[int] = set()
        sizes: Counter[int] = Counter()
        for row in self.rows():
            used = [n for n in range(blocks) if not int(row["bitmask"]) >> n & 1]
            lent |= {int(row["addr"]) + (n << 12) for n in used}
            sizes[int(row["root"])] += blocks - int(row["free"])
        by_type = zip(TYPES, c["page_counters"], strict=False)
        return Seen(
            _signed(c["fw_pages"]),
            {str(k): _signed(n) for k, n in by_type if n},
            {k: n for k, n in sizes.items() if n},
            sorted(self.oracle.roots()),
            live,
            lent,
        )


def _signed(n: int) -> int:
    return n - ((n >> 31) << 32)
