"""What the wire costs: ns per page for one command of 50,000 pages, encoded at one end and decoded at the other.

A GIVE goes from the driver's arrays through queue entry and 782 mailboxes to the device's arrays, the answer to a TAKE
the other way; both ends are the real ones, with a firmware between them that only answers. The limit is a plain copy of
the same 400,000 bytes. Rounds of both alternate; each figure is the median. Run it with ``python -m bench.wire``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import cast

import numpy as np
from rich.console import Console
from rich.table import Table

from fwpages.device import Completed, Effect, Firmware, Input, Phase, Submitted
from fwpages.host import Send
from fwpages.link.memory import Memory
from fwpages.link.queue_device import QueueDevice
from fwpages.link.queue_host import Came, QueueHost
from fwpages.prm.message import Answer, Command, PageArray
from fwpages.prm.opcodes import ManagePages, Opcode

PAGES = 50_000
ROUNDS = 15
REPEAT = 20
SLOT = 31


class Echo:
    """Answers a TAKE with the pages that it was made with, and everything else with OK."""

    deadline = None
    phase = Phase.WORKING

    def __init__(self, pages: PageArray, *, checksums: bool) -> None:
        self.pages = pages
        self.checksums = checksums
        self.eqs: dict[int, object] = {}
        self.given: PageArray = pages[:0]

    def feed(self, _: float, x: Input) -> list[Effect]:
        assert isinstance(x, Submitted)
        c = x.command
        if c.op_mod == ManagePages.TAKE:
            fields = {"output_num_entries": self.pages.size}
            return [Completed(x.id, Answer(c.opcode, fields=fields, pas=self.pages))]
        self.given = c.pas
        return [Completed(x.id, Answer(c.opcode))]


class Scattered(Memory):
    """Memory that is reached by ``read`` and ``write`` only, as that of a bus that cannot address it."""

    blocks = None  # type: ignore[assignment]


class Wire:
    """Both ends, with memory between them."""

    def __init__(self, pages: PageArray, *, signatures: bool = False, memory: Memory | None = None) -> None:
        self.memory = memory or Memory()
        self.echo = Echo(pages, checksums=signatures)
        self.device = QueueDevice(cast("Firmware", self.echo), self.memory, lambda _: None)
        self.driver = QueueHost(self.memory, self.device, signatures=signatures)

    def run(self, c: Command) -> Answer:
        self.driver.submit(Send(1, 1, SLOT, c))
        self.driver.ring(SLOT)
        self.device.step(0.0)
        (came,) = self.driver.poll()
        assert isinstance(came, Came)
        assert came.answer is not None
        assert came.answer.ok
        return came.answer


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    for _ in range(REPEAT):
        run()
    return (time.perf_counter() - start) / REPEAT


def measure(pages: int = PAGES, rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Seconds of each case, one figure a round; the answers are compared with what was sent."""
    pas = np.random.default_rng(1).permutation(np.arange(pages, dtype=np.uint64) << np.uint64(12)) + np.uint64(1 << 32)
    give = Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"input_num_entries": pages}, pas)
    take = Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": pages})
    plain, signed, slow = Wire(pas), Wire(pas, signatures=True), Wire(pas, memory=Scattered())
    for wire in (plain, signed, slow):
        wire.run(give)
        assert np.array_equal(wire.echo.given, pas)
        assert np.array_equal(wire.run(take).pas, pas)
    source, target = pas.view(np.uint8), np.empty(pas.nbytes, np.uint8)
    cases: dict[str, Callable[[], object]] = {
        "plain copy": lambda: np.copyto(target, source),
        "GIVE": lambda: plain.run(give),
        "TAKE": lambda: plain.run(take),
        "GIVE, signed and checked": lambda: signed.run(give),
        "TAKE, signed and checked": lambda: signed.run(take),
        "GIVE, over read and write": lambda: slow.run(give),
        "TAKE, over read and write": lambda: slow.run(take),
    }
    out: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            out[name].append(_seconds(run))
    return out


def main() -> None:
    """Print the table."""
    figures = measure()
    copy = statistics.median(figures["plain copy"])
    table = Table("case", "ns per page", "spread", "plain copies", title=f"{PAGES:,} pages in one command")
    for name, seconds in figures.items():
        ns = [s / PAGES * 1e9 for s in seconds]
        median = statistics.median(seconds)
        table.add_row(name, f"{median / PAGES * 1e9:.2f}", f"{min(ns):.2f} to {max(ns):.2f}", f"{median / copy:.1f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
