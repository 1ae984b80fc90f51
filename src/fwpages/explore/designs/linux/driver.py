"""A Linux driver as a state machine: its threads, what each stands still at, its locks and its command slots.

A thread is a stack of frames. A frame is a step by name with plain values; a step runs until the thread has to wait,
or returns a value to the frame below. So a driver in the middle of anything can be copied and compared.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from fwpages.custody.findings import Causes
from fwpages.explore.designs.linux import pages
from fwpages.explore.designs.linux.choices import Choices
from fwpages.explore.designs.linux.inputs import dispatch
from fwpages.explore.designs.linux.invariants import check_linux, linux_key
from fwpages.explore.designs.linux.steps import STEPS
from fwpages.explore.designs.linux.types import (
    ENXIO,
    Flight,
    Frame,
    FwPage,
    Reply,
    Thread,
    Vport,
    Wait,
)
from fwpages.explore.model.driver import DriverConfig, Input, View
from fwpages.host import Done, Effect, Finding, Map, PageRequest, Send, Unmap
from fwpages.pages import PAGE_SHIFT
from fwpages.pages.space import Addresses
from fwpages.pages.tags import Mask
from fwpages.prm.identity import FunctionType, Identity, Mode, func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import PAGE_SLOT, Opcode, opcode_name


class Linux:
    """mlx5_core as far as pages go, with one design's choices. Names of steps and fields follow Linux's."""

    def __init__(self, choices: Choices, config: DriverConfig | None = None, *, removes: bool = False) -> None:
        self.choices = choices
        #: a close is the driver's removal (main.c:remove_one), not mlx5_unload_one: the e-switch is gone before the
        #: pages are taken back, and the next open is a probe that knows nothing
        self.removes = removes
        #: dev->priv.eswitch is there
        self.eswitch = True
        self.config = config or DriverConfig()
        self.now = 0.0
        self.session = 0
        self.next_id = 1
        self.wanted = "auto"
        #: dev->priv.page_mgt_mode: never reset, only set (pagealloc.c:mlx5_satisfy_startup_pages)
        self.vhca_mode = False
        #: MLX5_INTERFACE_STATE_UP, MLX5_DEVICE_STATE_INTERNAL_ERROR, MLX5_CMDIF_STATE_UP
        self.up = self.error = self.cmd_up = False
        #: pagealloc_start was called; the pages EQ exists and is not being destroyed
        self.notifier = self.enabled = self.initialized = False
        self.caps: dict[str, int] = {}
        self.max_caps: dict[str, int] = {}
        self.cap_page = b""
        self.caps_tag = ""
        self.issi = 0
        self.uar: int | None = None
        self.eqs: tuple[tuple[str, int], ...] = ()
        # the page allocator (pagealloc.c)
        self.shift = self.config.page_shift
        self.blocks = 1 << (self.shift - PAGE_SHIFT)
        self.pages: dict[int, FwPage] = {}
        self.mapped: frozenset[int] = frozenset()
        self.roots: dict[int, frozenset[int]] = {}
        self.free_list: tuple[int, ...] = ()
        self.fw_pages = 0
        self.counters: dict[str, int] = {}
        self.alloc_failed = self.give_dropped = self.reclaim_discard = 0
        self.requests: tuple[PageRequest, ...] = ()
        # the e-switch: its vports, and merged's vhca_type_map
        self.vports: dict[int, Vport] = {}
        self.types: dict[int, str] = {}
        self.asked: tuple[tuple[str, int], ...] = ()
        # threads, locks, slots
        self.running: dict[str, Thread] = {}
        self.locks: dict[str, str] = {}
        self.flights: dict[int, Flight] = {}
        self.ends: dict[str, float] = {}
        self._stack: list[Frame] = []
        self._name = ""
        self._out: list[Effect] = []

    # -- the driver as the explorer sees it ---------------------------------------------------------------------------

    @property
    def ordered(self) -> bool:
        """Page requests and completions come by different event queues (eq.c:create_async_eqs)."""
        return False

    @property
    def deadline(self) -> float | None:
        """When to feed a Tick if nothing comes."""
        times = [f.deadline for f in self.flights.values() if not f.late]
        times += [t.wait.deadline for t in self.running.values() if t.wait and t.wait.deadline is not None]
        return min(times, default=None)

    def threads(self) -> tuple[str, ...]:
        """Threads at an interruption point, those whose poll would find something new, and the worker with work."""
        found = [n for n, t in self.running.items() if t.wait is not None and self._runnable(t.wait)]
        if self.requests and "pages" not in self.running:
            found.append("pages")
        return tuple(sorted(found))

    def _runnable(self, w: Wait) -> bool:
        if w.kind == "poll":
            n = self.counters.get(w.what, 0)
            return n == 0 or n < w.count
        return w.kind == "pause"

    def feed(self, now: float, x: Input) -> list[Effect]:
        """One input; returns the effects in order. Misuse, and nothing changed, where it may not be asked now."""
        self._out = []
        dispatch(self, max(self.now, now), x)
        self._settle()
        out, self._out = self._out, []
        return out

    def clone(self) -> Linux:
        """A driver of its own in the same state."""
        new = Linux.__new__(Linux)
        new.__dict__.update(self.__dict__)
        for name in ("pages", "roots", "counters", "vports", "types", "running", "locks", "flights", "ends"):
            setattr(new, name, getattr(self, name).copy())
        new._out = []
        return new

    def key(self) -> bytes:
        """The state that decides what can happen from here."""
        return linux_key(self)

    def constants(self) -> tuple[object, ...]:
        """What never changes."""
        return self.choices, self.config, self.config.supplier, self.config.bounds

    def check(self) -> None:
        """What holds of the model itself, whatever Linux does wrong; raises CustodyError."""
        check_linux(self)

    def is_free(self, addresses: Addresses) -> Mask:
        """Not mapped, or a free block of a system page that is."""
        low = self.blocks - 1
        mask = np.ones(addresses.size, bool)
        for n, address in enumerate(addresses.tolist()):
            iova = address >> self.shift << self.shift
            page = self.pages.get(iova)
            if page is not None:
                mask[n] = bool(page.bits >> (address >> PAGE_SHIFT & low) & 1)
            elif iova in self.mapped:
                mask[n] = False
        return mask

    def held(self) -> dict[Identity, Addresses] | None:
        """What each tree lists; None while a page command is out or pages are being put together for one."""
        if any(f.slot == PAGE_SLOT and not f.late for f in self.flights.values()):
            return None
        if any(f.step.startswith("give") for t in self.running.values() for f in t.stack):
            return None
        found: dict[Identity, Addresses] = {}
        for key in self.roots:
            used = [a for iova in sorted(self.roots[key]) for a in pages.used(self, self.pages[iova])]
            if used:
                found[self.identity(key)] = np.array(used, np.uint64)
        return found

    def counted_as(self, who: Identity) -> str | None:
        """The counter of this function's pages: of those that it has, else of one given now."""
        now = pages.type_of(self, who.number, ec=who.ec)
        if not self.choices.cached:
            return now
        key = who.number | who.ec << 16
        has = {self.pages[iova].type for iova in self.roots.get(key, ())}
        wrong = sorted((t for t in has if t != now), key=str)
        return wrong[0] if wrong else now

    def view(self) -> View:
        """What it shows of itself; the counters are those of debugfs, without a sign there."""
        mode = Mode.VHCA_ID if self.vhca_mode else Mode.FUNC_ID
        counters = {"total": self.fw_pages} | {str(t): self.counters.get(t, 0) for t in COUNTED}
        busy = [t.what for _, t in sorted(self.running.items()) if t.what]
        busy += [f"{verb} vport {n:#x}" for verb, n in self.asked]
        waiting = {n: self._words(t.wait) for n, t in sorted(self.running.items()) if t.wait is not None}
        return View(mode, self.up, counters, tuple(busy), waiting)

    def _words(self, w: Wait) -> str:
        if w.kind == "lock":
            return f"{w.what}, held by {self.locks[w.what]}"
        if w.kind == "answer":
            return f"answer to {opcode_name(w.count)}"
        return w.what

    # -- threads ------------------------------------------------------------------------------------------------------

    def start(self, name: str, what: str, step: str, *args: Any) -> None:
        """A thread begins with this step; ``what`` is the operation that it carries out, by Done's name."""
        self.running[name] = Thread(what, (Frame(step, args),), None)
        self.resume(name, None)

    def push(self, step: str, *args: Any) -> None:
        """The running thread does this next, before what it was to do next so far."""
        self._stack.append(Frame(step, args))

    def resume(self, name: str, value: Any) -> None:
        """A thread goes on with what it waited for, until it has to wait again or has ended."""
        outer = self._name, self._stack
        thread = self.running.pop(name)
        self.running[name] = replace(thread, wait=None)
        self._name, self._stack = name, list(thread.stack)
        while self._stack:
            frame = self._stack.pop()
            value = STEPS[frame.step](self, value, *frame.args)
            if isinstance(value, Wait):
                self.running[name] = replace(self.running[name], stack=tuple(self._stack), wait=value)
                break
        else:
            del self.running[name]
        self._name, self._stack = outer

    def becomes(self, what: str) -> None:
        """The running thread carries out another operation from here on."""
        self.running[self._name] = replace(self.running[self._name], what=what)

    def _settle(self) -> None:
        """Whoever waits for what is there now goes on, in the order in which they began to wait."""
        again = True
        while again:
            again = False
            for name, t in list(self.running.items()):
                w = t.wait
                if w is not None and self._there(w):
                    if w.kind == "lock":
                        self.locks[w.what] = name
                    if w.command is not None and not self.down:
                        self.running[name] = replace(t, wait=self.send(name, w.command))
                    elif w.command is not None:
                        self.resume(name, Reply(ENXIO, None))
                    else:
                        self.resume(name, None)
                    again = True
                    break

    def _there(self, w: Wait) -> bool:
        match w.kind:
            case "lock":
                return w.what not in self.locks
            case "slot":
                return all(f.slot != PAGE_SLOT for f in self.flights.values())
            case "flush":
                return not self.requests and "pages" not in self.running
            case "late":
                return not self.flights
        return False

    def lock(self, what: str) -> Wait | None:
        """mutex_lock: to be returned; the thread has it when it goes on."""
        if what in self.locks:
            return Wait("lock", what)
        self.locks[what] = self._name
        return None

    def unlock(self, what: str) -> None:
        """mutex_unlock; who waits for it goes on when the running thread stands still."""
        del self.locks[what]

    @staticmethod
    def pause(what: str) -> Wait:
        """Here another thread or an event could see the difference: the thread goes on upon Run."""
        return Wait("pause", what)

    # -- commands (cmd.c) ---------------------------------------------------------------------------------------------

    @property
    def down(self) -> bool:
        """cmd.c:mlx5_cmd_is_down: nothing is handed to the device."""
        return self.error or not self.cmd_up

    def command(self, c: Command) -> Wait | Reply:
        """cmd.c:mlx5_cmd_do, to be returned: page commands one at a time on the last slot, waiting without a bound."""
        if self.down:
            return Reply(ENXIO, None)
        if c.opcode == Opcode.MANAGE_PAGES and any(f.slot == PAGE_SLOT for f in self.flights.values()):
            return Wait("slot", "the page commands' slot", command=c)
        return self.send(self._name, c)

    def send(self, name: str, c: Command) -> Wait:
        """Hand a command over; the thread waits for the answer."""
        taken = {f.slot for f in self.flights.values()}
        slot = PAGE_SLOT if c.opcode == Opcode.MANAGE_PAGES else next(n for n in range(PAGE_SLOT) if n not in taken)
        n = self.next_id
        self.next_id += 1
        self.flights[n] = Flight(n, slot, name, c, self.now + self.config.bounds.command)
        self.emit(Send(self.session, n, slot, c))
        return Wait("answer", "", count=c.opcode)

    # -- memory -------------------------------------------------------------------------------------------------------

    def map(self) -> Wait | None:
        """pagealloc.c:alloc_system_page asks for a system page and its mapping; None where there is no memory."""
        if len(self.mapped) * self.blocks >= self.config.bounds.memory:
            return None
        iova, size = self.config.base, 1 << self.shift
        while iova in self.mapped:
            iova += size
        self.mapped |= {iova}
        self.emit(Map(iova, self.blocks))
        return Wait("map", "memory", count=iova)

    def unmap(self, iova: int) -> None:
        """dma_unmap_page and __free_page."""
        self.mapped -= {iova}
        self.emit(Unmap(iova, self.blocks))

    # -- what the steps use -------------------------------------------------------------------------------------------

    def identity(self, key: int) -> Identity:
        """The function of a tree, as a command would name it now."""
        if self.vhca_mode and key <= 0xFFFF:
            return vhca_id(key)
        return func_id(key & 0xFFFF, ec=bool(key >> 16))

    def emit(self, e: Effect) -> None:
        """Hand this effect back when the input is done."""
        self._out.append(e)

    def done(self, what: str, *, ok: bool, detail: str = "") -> None:
        """An operation that the caller asked for has ended."""
        self.emit(Done(self.session, what, ok, detail))

    def find(self, cause: Causes, key: int | None = None, n: int = 0, detail: str = "") -> None:
        """What the kernel log would say; see docs/reference/designs.md for the functions that say it."""
        who = None if key is None else self.identity(key)
        self.emit(Finding(cause, who, n, detail, session=self.session, at=self.now))

    @property
    def thread(self) -> str:
        """The thread that runs."""
        return self._name


#: the types that have a counter (driver.h: enum mlx5_func_type)
COUNTED = tuple(t for t in FunctionType if t is not FunctionType.UNKNOWN)
