"""A driver small enough to read: it brings a served device up over vfio-user, as far as page requests."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Protocol

import numpy as np

from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.messages import HEADER_SIZE
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.event import PageRequestEvent, decode_page_request
from fwpages.prm.message import Answer, Command, decode_answer, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.queue import CMDQ_ENTRY, ENTRY_TYPE, MAILBOX, MAILBOX_DATA, mailboxes_for
from tests.link.vfio_client import HEADER, HELLO, dma_map, dma_unmap, memfd, message, region, set_irqs

RAM = 64 << 20
QUEUE, INPUT, OUTPUT, EQS = 0x10000, 0x100000, 0x400000, 0x700000
#: pages for firmware are taken from here on
PAGES = 0x1000000
CONFIG, BAR = 7, 0


class Served(Protocol):
    """The end of a socket pair that a server hands a client."""

    def connected(self) -> Connection: ...

    def disconnected(self, reason: str) -> None: ...

    def tick(self) -> None: ...


class Driver:
    """One client with 64 MiB of memory. ``command`` executes one command on slot 0, with an answer of its length."""

    #: 1 on an embedded CPU
    ec = 0

    def __init__(self, device: Served) -> None:
        self.device = device
        self.session = device.connected()
        self.ram = memfd(RAM)
        self.irqs = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(4)]
        self.consumed: dict[int, int] = {}
        self.next_page = PAGES
        self.given: list[int] = []
        self.ask(message(1, HELLO))
        self.map_memory()
        self.ask(set_irqs(0, 4), [os.dup(fd) for fd in self.irqs])
        self.set_up()

    def ask(self, data: bytes, fds: list[int] | None = None) -> bytes:
        out, left = b"", list(fds or [])
        while data:
            n = self.session.need
            out += self.session.feed(data[:n], left)
            data, left = data[n:], []
        assert HEADER.unpack_from(out)[4] == 0, f"errno {HEADER.unpack_from(out)[4]}"
        return out[HEADER_SIZE:]

    def map_memory(self) -> None:
        """All of it at once, as where there is no IOMMU."""
        self.ask(dma_map(0, RAM), [os.dup(self.ram)])

    def reset(self) -> None:
        """A function-level reset, with the registers set up again as the constructor does."""
        self.ask(message(13))
        self.set_up()

    def set_up(self) -> None:
        """Memory space, bus mastering, MSI-X, and where the command queue is."""
        self.write(CONFIG, 0x04, (6).to_bytes(2, "little"))
        self.write(CONFIG, 0xA2, (0x8000).to_bytes(2, "little"))
        self.write(BAR, 0x10, bytes(4))
        self.write(BAR, 0x14, QUEUE.to_bytes(4, "big"))

    def read(self, index: int, offset: int, length: int) -> bytes:
        return self.ask(region(9, index, offset, length))[16:]

    def write(self, index: int, offset: int, data: bytes) -> None:
        self.ask(region(10, index, offset, len(data), data))

    def _chain(self, base: int, data: bytes, blocks: int) -> int:
        for n in range(blocks):
            at = base + n * 1024
            os.pwrite(self.ram, data[n * MAILBOX_DATA : (n + 1) * MAILBOX_DATA].ljust(MAILBOX_DATA, b"\0"), at)
            control = {"next": at + 1024 if n + 1 < blocks else 0, "block_number": n, "token": 1}
            os.pwrite(self.ram, MAILBOX.pack(control)[MAILBOX_DATA:], at + MAILBOX_DATA)
        return base if blocks else 0

    def command(self, c: Command, slot: int = 0) -> Answer:
        data, length = encode_command(c), max(16, c.reply_length)
        entry = CMDQ_ENTRY.pack(
            {
                "type": ENTRY_TYPE,
                "input_length": len(data),
                "input_mailbox": self._chain(INPUT, data[16:], mailboxes_for(len(data))),
                "input": int.from_bytes(data[:16].ljust(16, b"\0"), "big"),
                "output_mailbox": self._chain(OUTPUT, b"", mailboxes_for(length)),
                "output_length": length,
                "token": 1,
                "ownership": 1,
            }
        )
        os.pwrite(self.ram, entry, QUEUE + slot * 64)
        self.write(BAR, 0x18, (1 << slot).to_bytes(4, "big"))
        self.device.tick()
        back = os.pread(self.ram, 64, QUEUE + slot * 64)
        done = CMDQ_ENTRY.unpack(back)
        assert done["ownership"] == 0
        assert done["delivery_status"] == 0
        blocks = [os.pread(self.ram, MAILBOX_DATA, OUTPUT + n * 1024) for n in range(mailboxes_for(length))]
        return decode_answer(c.opcode, (back[32:48] + b"".join(blocks))[:length])

    def ok(self, opcode: int, op_mod: int = 0, **fields: int) -> Answer:
        answer = self.command(Command(opcode, op_mod, fields))
        assert answer.ok, answer
        return answer

    def give(self, number: int, n: int, ec: int = 0) -> None:
        pages = np.arange(self.next_page, self.next_page + n * 4096, 4096, dtype=np.uint64)
        self.next_page += n * 4096
        fields = {"function_id": number, "embedded_cpu_function": ec, "input_num_entries": n}
        assert self.command(Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields, pas=pages)).ok

    def take(self, number: int, n: int) -> int:
        a = self.ok(Opcode.MANAGE_PAGES, ManagePages.TAKE, function_id=number, input_num_entries=n)
        return a["output_num_entries"]

    def eq(self, number: int, mask: int, uar: int) -> int:
        base = EQS + number * 0x4000
        os.pwrite(self.ram, (b"\0" * 63 + b"\1") * 256, base)
        pas = np.arange(base, base + 0x4000, 4096, dtype=np.uint64)
        fields = {"log_eq_size": 8, "uar_page": uar, "intr": number, "event_bitmask_0": mask}
        a = self.command(Command(Opcode.CREATE_EQ, 0, fields, pas=pas))
        assert a.ok
        self.consumed[number] = 0
        self.arm(a["eq_number"], number, uar)
        return a["eq_number"]

    def arm(self, eqn: int, number: int, uar: int) -> None:
        self.write(BAR, uar * 4096 + 0x40, (eqn << 24 | self.consumed[number] & 0xFFFFFF).to_bytes(4, "big"))

    def event(self, number: int) -> PageRequestEvent | None:
        """The next entry of a queue; None where there is none."""
        index = self.consumed[number]
        raw = os.pread(self.ram, 64, EQS + number * 0x4000 + index % 256 * 64)
        if raw[63] & 1 != (index >> 8) & 1:
            return None
        self.consumed[number] += 1
        return decode_page_request(raw)

    def up(self) -> int:
        """From ENABLE_HCA to queues for commands and page requests, in VHCA_ID mode; the own vhca_id."""
        self.ok(Opcode.ENABLE_HCA, embedded_cpu_function=self.ec)
        self.ok(Opcode.SET_ISSI, current_issi=1)
        boot = self.ok(Opcode.QUERY_PAGES, QueryPages.BOOT, embedded_cpu_function=self.ec)["num_pages"]
        self.give(0, boot, ec=self.ec)
        most = self.ok(Opcode.QUERY_HCA_CAP, 0).data
        page = self.ok(Opcode.QUERY_HCA_CAP, 1).data
        own = int.from_bytes(page[6:8], "big")
        if most[0x54] & 0x80:
            page = page[:0x54] + bytes([page[0x54] | 0x80]) + page[0x55:]
            page = page[:0x28] + bytes([page[0x28] | most[0x28] & 0x04]) + page[0x29:]  # release_all_pages
        assert self.command(Command(Opcode.SET_HCA_CAP, 0, data=page[:CAP_PAGE])).ok
        own = own if most[0x54] & 0x80 else 0
        self.give(own, self.ok(Opcode.QUERY_PAGES, QueryPages.INIT, function_id=own)["num_pages"])
        self.ok(Opcode.INIT_HCA)
        uar = self.ok(Opcode.ALLOC_UAR)["uar"]
        self.eqns = [self.eq(0, 1 << 0x0A, uar), self.eq(1, 1 << 0x0B, uar)]
        self.uar = uar
        return own

    def down(self, own: int) -> None:
        """Close the device: everything is taken back from each function that the test knows to have pages."""
        for eqn in self.eqns:
            self.ok(Opcode.DESTROY_EQ, eq_number=eqn)
        self.ok(Opcode.DEALLOC_UAR, uar=self.uar)
        self.ok(Opcode.TEARDOWN_HCA)
        while self.take(own, 700):
            pass
        self.ok(Opcode.DISABLE_HCA, embedded_cpu_function=self.ec)

    def close(self) -> None:
        self.session.close()
        self.device.disconnected("the test is over")
        for fd in (self.ram, *self.irqs):
            os.close(fd)


class PagedDriver(Driver):
    """A driver behind a strict IOMMU: pages are mapped for a GIVE, and unmapped when an answer to a TAKE names them.

    With ``keep`` it keeps them mapped, as a lazy IOMMU does for a while.
    """

    keep = False

    def map_memory(self) -> None:
        """Queue, mailboxes and event queues in pieces of 2 MiB; the pages for firmware one by one, later."""
        for at in range(0, PAGES, 2 << 20):
            self.map(at, 2 << 20)

    def map(self, iova: int, size: int = 4096) -> None:
        self.ask(dma_map(iova, size, iova), [os.dup(self.ram)])

    def unmap(self, iova: int, size: int = 4096) -> None:
        self.ask(dma_unmap(iova, size))

    def unmap_each(self, pages: Iterable[int]) -> None:
        for page in pages:
            self.unmap(page)

    def give(self, number: int, n: int, ec: int = 0) -> None:
        for page in range(self.next_page, self.next_page + n * 4096, 4096):
            self.map(page)
        super().give(number, n, ec)

    def command(self, c: Command, slot: int = 0) -> Answer:
        answer = super().command(c, slot)
        if c.opcode == Opcode.MANAGE_PAGES and c.op_mod == ManagePages.TAKE and answer.ok and not self.keep:
            self.unmap_each(answer.pas[: answer["output_num_entries"]].tolist())
        return answer
