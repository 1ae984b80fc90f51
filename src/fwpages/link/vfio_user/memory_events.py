"""Events of a client's memory: the client maps and unmaps it, its driver turns bus mastering on and off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Mapped:
    """``size`` bytes at I/O address ``iova`` can be reached from now on."""

    iova: int
    size: int


@dataclass(frozen=True, slots=True)
class Unmapped:
    """``size`` bytes at I/O address ``iova`` cannot be reached any more; a ``size`` of 0 stands for all memory."""

    iova: int
    size: int


@dataclass(frozen=True, slots=True)
class BusMaster:
    """The driver lets the device reach memory at all, or no longer."""

    on: bool


MemoryEvent: TypeAlias = Mapped | Unmapped | BusMaster
