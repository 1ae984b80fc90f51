"""A PCI device as a driver in user space reaches it; a transport implements it (vfio-user, VFIO of this machine)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fwpages.link.memory import Bytes


class DeviceError(RuntimeError):
    """The device, or the way to it, does not do what was asked; the text says what, with the values, and what to do."""


@dataclass(frozen=True, slots=True)
class IovaRange:
    """I/O addresses that memory may be mapped at: ``start`` to ``last``, both included."""

    start: int
    last: int


@dataclass(frozen=True, slots=True)
class Facts:
    """The description of a device: its ``name`` for people, the ``transport``, and what its reset is worth.

    ``reset`` names the kind of reset, and is empty where the device has none that proves a fence; ``no_reset`` is the
    reason then.
    """

    name: str
    transport: str
    reset: str
    no_reset: str = ""


class PciDevice(Protocol):
    """One function. Offsets and lengths are bytes. Every method raises DeviceError where it fails.

    Accesses to BAR 0 are of exactly 32 bits: a register is one access on the bus.
    """

    @property
    def facts(self) -> Facts:
        """The device's description."""

    @property
    def ranges(self) -> Sequence[IovaRange]:
        """The I/O addresses that can be mapped, ascending; holes lie between them."""

    def config_read(self, offset: int, length: int) -> bytes:
        """Return bytes of the configuration space, little-endian."""

    def config_write(self, offset: int, data: bytes) -> None:
        """Write bytes of the configuration space."""

    def bar_read(self, offset: int) -> bytes:
        """Return the four bytes at this offset of BAR 0."""

    def bar_write(self, offset: int, word: bytes) -> None:
        """Write four bytes at this offset of BAR 0."""

    def arm(self, eventfds: Sequence[int]) -> None:
        """Let MSI-X vectors 0, 1, … signal these eventfds. To be repeated after a reset."""

    def allocate(self, size: int) -> Bytes:
        """Return ``size`` bytes of zeros, from which ``map`` maps. Called once; a page costs memory once it is used."""

    def map(self, iova: int, offset: int, size: int) -> None:
        """Map ``size`` bytes of the allocated memory, from ``offset`` on, at ``iova``: whole 4 KiB pages."""

    def unmap(self, iova: int, offset: int, size: int) -> None:
        """Undo one ``map``, and give the memory back: it reads as zeros afterwards."""

    def reset(self) -> None:
        """Reset the function. On return it is done: the device reaches no memory. DeviceError where that is not so."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when the device has something to say about itself (``trouble``)."""

    def trouble(self) -> str:
        """Return why the device is out of reach, as far as its descriptor tells; empty where it is not."""

    def close(self) -> None:
        """Let go of the device and of the memory. It may be called again."""
