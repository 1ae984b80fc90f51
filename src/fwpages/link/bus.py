"""DMA between a device and the host's memory."""

from __future__ import annotations

from typing import Protocol


class BusError(RuntimeError):
    """An access to an I/O address range that is not mapped, or not mapped for it; nothing was changed."""


class Bus(Protocol):
    """DMA as a device does it. ``iova`` is an I/O address, lengths are bytes; a range may cross mappings."""

    def read(self, iova: int, length: int) -> bytes:
        """``length`` bytes at ``iova``. BusError where a part of it is not mapped readable."""

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        """Put ``data`` at ``iova``. BusError, and nothing written, where a part of it is not mapped writable."""
