"""tinygrad's driver of mlx5 devices (``tinygrad/runtime/support/mlx/mlxdev.py``), unmodified, on a vfio-user socket.

    python -m tests.drivers.tinygrad_client SOCKET

It opens the device and makes a pair of queues, says so in a line of JSON, and ends when its input does. tinygrad has no
close: it never takes a page back.

The driver asks its PCI device for four things: registers, configuration space, memory with its addresses, a name. Here
they come from the vfio-user client of the tests. Nothing else of tinygrad runs.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import mmap
import os
import struct
import sys
from pathlib import Path
from typing import Any

from tests.link.vfio_client import HELLO, Wire, dma_map, memfd, message, region

#: addresses and memory for queues, pages and keys
ROOM = 1 << 30
FIRST = 1 << 32
PAGE = 4096
#: regions of vfio-user; the command register, and its bit for BAR 0
BAR, CONFIG = 0, 7
COMMAND, MEMORY_SPACE = 0x04, 1 << 1


class Device:
    """A device at a vfio-user socket, with one piece of memory of which parts are mapped."""

    def __init__(self, path: Path) -> None:
        self._wire = Wire(path)
        self._wire.socket.settimeout(60)
        self._ram = memfd(ROOM)
        self._ask(message(1, HELLO))

    def _ask(self, data: bytes, fds: list[int] | None = None) -> bytes:
        self._wire.send(data, fds)
        error, body = self._wire.answer()
        assert not error, os.strerror(error)
        return body

    def read(self, index: int, offset: int, length: int) -> bytes:
        """Read bytes of a region."""
        return self._ask(region(9, index, offset, length))[16:]

    def write(self, index: int, offset: int, data: bytes) -> None:
        """Write bytes of a region."""
        self._ask(region(10, index, offset, len(data), data))

    def memory(self) -> mmap.mmap:
        """Return the memory."""
        return mmap.mmap(self._ram, ROOM)

    def map(self, iova: int, offset: int, size: int) -> None:
        """Map a part of the memory."""
        self._ask(dma_map(iova, size, offset), [self._ram])


class Registers:
    """A part of BAR 0 as tinygrad indexes it: 32-bit words, or 64-bit ones as two."""

    def __init__(self, device: Device, start: int, layout: str) -> None:
        self._device, self._start, self._layout = device, start, f"<{layout}"
        self._size = struct.calcsize(self._layout)

    def __getitem__(self, index: int) -> int:
        at = self._start + index * self._size
        words = (self._device.read(BAR, at + n, 4) for n in range(0, self._size, 4))
        return int(struct.unpack(self._layout, b"".join(words))[0])

    def __setitem__(self, index: int, value: int) -> None:
        at, data = self._start + index * self._size, struct.pack(self._layout, value)
        for n in range(0, self._size, 4):
            self._device.write(BAR, at + n, data[n : n + 4])


class PciDevice:
    """The PCI device that tinygrad's driver expects, by its names."""

    pcibus = "vfio-user"

    def __init__(self, device: Device) -> None:
        self._device, self._used = device, 0
        self._memory = device.memory()
        self._view = importlib.import_module("tinygrad.runtime.support.hcq").MMIOInterface

    def map_bar(self, bar: int, off: int = 0, addr: int = 0, size: int | None = None, fmt: str = "B") -> Registers:
        """Return the registers of BAR 0 from an offset on."""
        assert (bar, addr) == (0, 0), size
        return Registers(self._device, off, fmt)

    def read_config(self, offset: int, size: int) -> int:
        """Read a register of the configuration space."""
        return int.from_bytes(self._device.read(CONFIG, offset, size), "little")

    def write_config(self, offset: int, value: int, size: int) -> None:
        """Write a register of the configuration space."""
        self._device.write(CONFIG, offset, value.to_bytes(size, "little"))

    def alloc_sysmem(self, size: int, vaddr: int = 0, contiguous: bool = False) -> tuple[Any, list[int]]:
        """Return memory and the I/O address of each of its pages."""
        assert not vaddr, contiguous
        offset, whole = self._used, -(-size // PAGE) * PAGE
        self._used += whole
        self._device.map(FIRST + offset, offset, whole)
        at = ctypes.addressof(ctypes.c_char.from_buffer(self._memory, offset))
        return self._view(at, whole), list(range(FIRST + offset, FIRST + offset + whole, PAGE))


def main() -> None:
    """Open the device, make a pair of queues, and wait for the end of the input."""
    mlx = importlib.import_module("tinygrad.runtime.support.mlx.mlxdev")
    device = Device(Path(sys.argv[1]))
    device.write(CONFIG, COMMAND, MEMORY_SPACE.to_bytes(2, "little"))
    opened = mlx.MLXDev(PciDevice(device))
    queues = mlx.MLXQP(opened)
    print(json.dumps({"uar": opened.uar, "qpn": queues.qp_info["qpn"], "eq": queues.eq_info["eq_number"]}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
