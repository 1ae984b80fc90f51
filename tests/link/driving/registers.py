"""A PCI device of registers alone: a configuration space and BAR 0, which a test sets as it likes."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from fwpages.device.pci.config_space import CONNECTX7, ConfigSpace, MsixPlace, PciIdentity
from fwpages.link.driving.pci_device import DeviceError, Facts, IovaRange
from fwpages.link.memory import Bytes
from fwpages.link.queue.bar import Identity, Segment


class Registers:
    """``PciDevice`` with the configuration space and the segment of the served device, and no device behind them."""

    def __init__(self, *, vfs: int = 0, ecpf: bool = False, refuse: str = "", keeps_master: bool = False) -> None:
        self.facts = Facts("registers", "test", reset="flr")
        self.ranges: Sequence[IovaRange] = (IovaRange(0, (1 << 48) - 1),)
        self.config = ConfigSpace(PciIdentity(CONNECTX7), 1 << 22, MsixPlace(8, 0x4000, 0xC000), vfs)
        self.segment = Segment(Identity(embedded_cpu=ecpf, command_time=2.0, init_time=1.0))
        self.lost = False
        self.refuse, self.keeps_master = refuse, keeps_master
        self.mapped: list[tuple[int, int, int]] = []
        self.resets = 0
        self._fd = os.eventfd(0)

    def config_read(self, offset: int, length: int) -> bytes:
        return b"\xff" * length if self.lost else self.config.read(offset, length)

    def config_write(self, offset: int, data: bytes) -> None:
        if not self.lost:
            self.config.write(offset, data)

    def bar_read(self, offset: int) -> bytes:
        return b"\xff" * 4 if self.lost else self.segment.read(offset, 4)

    def bar_write(self, offset: int, word: bytes) -> None: ...

    def arm(self, eventfds: Sequence[int]) -> None: ...

    def allocate(self, size: int) -> Bytes:
        return np.zeros(size if size < 1 << 24 else 1 << 24, np.uint8)

    def map(self, iova: int, offset: int, size: int) -> None:
        self.mapped.append((iova, offset, size))

    def unmap(self, iova: int, offset: int, size: int) -> None:
        self.mapped.remove((iova, offset, size))

    def reset(self) -> None:
        if self.refuse:
            raise DeviceError(self.refuse)
        self.resets += 1
        if not self.keeps_master:
            self.config.reset()

    def fileno(self) -> int:
        return self._fd

    def trouble(self) -> str:
        return ""

    def close(self) -> None:
        os.close(self._fd)
