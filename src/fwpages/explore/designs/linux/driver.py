"""mlx5_core as the explorer drives it: one of Linux's variants behind the protocol of ``explore.model.driver.Driver``.

Theory of operation. A ``Linux`` is plain data (``state``) with threads on it (``threads``). An input goes to
``inputs.dispatch``, which refuses it or changes the data and lets threads go on; then every thread goes on whose wait
has ended by that, until all stand still. The effects that were emitted meanwhile are the result.

The files, from the bottom: ``choices`` (what the variants differ in), ``errors``, ``state``, ``threads``; then the
functions of Linux, each with the frames that its threads can stand in: ``cmd`` (mlx5_cmd_exec), ``pages`` and
``page_commands`` and ``reclaim`` (pagealloc.c), ``eswitch`` (eswitch.c, sriov.c, ecpf.c, sf), ``unload``, ``startup``,
``close`` (main.c), ``recovery`` (health.c); then ``inputs``, ``invariants`` and this file. Each imports only from those
before it. Docstrings name the function of Linux 7.2.13 that they follow; files of Linux are those of
drivers/net/ethernet/mellanox/mlx5/core.
"""

from __future__ import annotations

import numpy as np

from fwpages.explore.designs.linux import pages
from fwpages.explore.designs.linux.inputs import dispatch, runnable
from fwpages.explore.designs.linux.invariants import check_kernel, kernel_key
from fwpages.explore.designs.linux.page_commands import giving
from fwpages.explore.designs.linux.threads import ForLock, Kernel, Wait
from fwpages.explore.model.driver import Input, View
from fwpages.host import Effect
from fwpages.pages import PAGE_SHIFT
from fwpages.pages.space import Addresses
from fwpages.pages.tags import Mask
from fwpages.prm.identity import FunctionType, Identity, Mode
from fwpages.prm.opcodes import PAGE_SLOT

#: the types that have a counter (driver.h: enum mlx5_func_type)
COUNTED = tuple(t for t in FunctionType if t is not FunctionType.UNKNOWN)


class Linux(Kernel):
    """mlx5_core as far as pages go, with one variant's choices."""

    @property
    def ordered(self) -> bool:
        """Page requests and completions come by different event queues (eq.c:create_async_eqs)."""
        return False

    @property
    def deadline(self) -> float | None:
        """When to feed a Tick if nothing comes."""
        times = [f.deadline for f in self.flights.values() if not f.late]
        waits = [t.wait.until for t in self.running.values() if t.wait is not None]
        return min([*times, *(t for t in waits if t is not None)], default=None)

    def pending(self) -> tuple[int, ...]:
        """The numbers of the commands that have a slot."""
        return tuple(self.flights)

    def threads(self) -> tuple[str, ...]:
        """Threads that Run lets go on, sorted by name."""
        return runnable(self)

    def feed(self, now: float, x: Input) -> list[Effect]:
        """One input; returns the effects in order. Misuse, and nothing changed, where it may not be asked now."""
        self._out = []
        dispatch(self, max(self.now, now), x)
        self.settle()
        out, self._out = self._out, []
        return out

    def clone(self) -> Linux:
        """A driver of its own in the same state."""
        new = Linux.__new__(Linux)
        new.__dict__.update(self.__dict__)
        for name in ("pages", "roots", "counters", "vports", "types", "running", "locks", "flights"):
            setattr(new, name, getattr(self, name).copy())
        new._out = []
        return new

    def key(self) -> bytes:
        """The state that decides what can happen from here."""
        return kernel_key(self)

    def unordered_key(self) -> bytes:
        """The same without the order in which the commands that have a slot were sent."""
        return kernel_key(self, by_slot=True)

    def slots(self) -> dict[int, int]:
        """The slot of each command that has one."""
        return {n: flight.slot for n, flight in self.flights.items()}

    def constants(self) -> tuple[object, ...]:
        """Objects in the state that never change."""
        return self.choices, self.config, self.config.supplier, self.config.bounds

    def check(self) -> None:
        """The model's own consistency, whatever Linux does wrong; raises CustodyError."""
        check_kernel(self)

    def is_free(self, addresses: Addresses) -> Mask:
        """True for each page that is not mapped, or a free block of a system page that is."""
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
        """The pages that each tree lists; None while a page command is out or pages are collected for one."""
        if any(f.slot == PAGE_SLOT and not f.late for f in self.flights.values()):
            return None
        if any(giving(thread) for thread in self.running.values()):
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
        """The driver from outside; the counters are those of debugfs, without a sign there."""
        mode = Mode.VHCA_ID if self.vhca_mode else Mode.FUNC_ID
        counters = {"total": self.fw_pages} | {str(t): self.counters.get(t, 0) for t in COUNTED}
        busy = [t.operation for _, t in sorted(self.running.items()) if t.operation is not None]
        waits: list[tuple[str, Wait]] = [(n, t.wait) for n, t in sorted(self.running.items()) if t.wait is not None]
        waiting = {name: self._words(wait) for name, wait in waits}
        return View(mode, self.up, counters, (*busy, *self.asked), waiting)

    def _words(self, wait: Wait) -> str:
        return f"{wait}, held by {self.locks[wait.lock]}" if isinstance(wait, ForLock) else str(wait)
