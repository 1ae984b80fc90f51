"""Rounds over the wire: one command encoded at one end and decoded at the other.

A GIVE goes from the driver's arrays through queue entry and mailboxes to the device's arrays, the answer to a TAKE in
the opposite direction; both ends are the real ones, with a firmware between them that only answers.
"""

from __future__ import annotations

import time
from typing import cast

import numpy as np

from fwpages.bench.shape import Round, Shape
from fwpages.device import Completed, Effect, Firmware, Input, Phase, Submitted
from fwpages.host import Send
from fwpages.link.memory import Memory
from fwpages.link.queue.device import QueueDevice
from fwpages.link.queue.driver import Completion, QueueHost
from fwpages.prm.message import Answer, Command, PageArray
from fwpages.prm.opcodes import ManagePages, Opcode

#: commands of one round
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
        """Answer a command."""
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
        """One command and its answer."""
        self.driver.submit(Send(1, 1, SLOT, c))
        self.driver.ring(SLOT)
        self.device.step(0.0)
        (came,) = self.driver.poll()
        assert isinstance(came, Completion)
        assert came.answer is not None
        assert came.answer.ok
        return came.answer


def _built(shape: Shape, *, signed: bool, scattered: bool) -> tuple[Wire, Command, Command]:
    """Both ends, tried once: what arrives is what was sent."""
    first = np.arange(shape.pages, dtype=np.uint64) << np.uint64(12)
    pas = np.random.default_rng(1).permutation(first) + np.uint64(1 << 32)
    give = Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {"input_num_entries": shape.pages}, pas)
    take = Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {"input_num_entries": shape.pages})
    wire = Wire(pas, signatures=signed, memory=Scattered() if scattered else None)
    wire.run(give)
    if not np.array_equal(wire.echo.given, pas) or not np.array_equal(wire.run(take).pas, pas):
        raise AssertionError("the wire brought other pages than it was given")
    return wire, give, take


def wire(shape: Shape, *, signed: bool = False, scattered: bool = False) -> Round:
    """Seconds for one GIVE and for one TAKE of all pages of the shape: encoded at one end, decoded at the other."""
    both, give, take = _built(shape, signed=signed, scattered=scattered)
    out = {}
    for name, command in (("give", give), ("take", take)):
        start = time.perf_counter()
        for _ in range(REPEAT):
            both.run(command)
        out[name] = (time.perf_counter() - start) / REPEAT
    return out


def signed(shape: Shape) -> Round:
    """With every mailbox and entry signed and checked."""
    return wire(shape, signed=True)


def scattered(shape: Shape) -> Round:
    """Over a bus that can only be read and written piece by piece."""
    return wire(shape, scattered=True)
