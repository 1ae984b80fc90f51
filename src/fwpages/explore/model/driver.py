"""The interface of a driver for the explorer: our own host, or a model of another driver.

A driver is a state machine with the host's inputs and effects. A model may have threads that can be interrupted
between two places: such a thread takes its next step when it is fed ``Run``, and every order of them is tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from fwpages.host import Bounds, Effect, PageRequest
from fwpages.host import Input as HostInput
from fwpages.host.io import Operation
from fwpages.pages.space import Addresses
from fwpages.pages.tags import Mask
from fwpages.prm.identity import Identity, Mode, Supplier


@dataclass(frozen=True, slots=True)
class Run:
    """A thread of the driver goes on from a place where it can be interrupted to the next one."""

    thread: str


@dataclass(frozen=True, slots=True)
class NotQueued:
    """A page request came, and there was no memory to queue it (Linux: ``kzalloc`` in ``req_pages_handler``)."""

    request: PageRequest


Input: TypeAlias = HostInput | Run | NotQueued


@dataclass(frozen=True, slots=True)
class DriverConfig:
    """The configuration of a driver: its identity, its bounds, the start of its DMA memory, the size of a host page.

    ``page_shift`` is 12 for host pages of 4 KiB, 16 for 64 KiB, of which firmware is given sixteenths.
    ``keeps_vhca_id``: a vport's vhca_id stays in the e-switch's table after it is disabled; None as the design does.
    ``software_reset``: the device can be reset by software (bit 30 of ``initializing`` in its initialization segment).
    """

    supplier: Supplier = field(default_factory=Supplier)
    bounds: Bounds = field(default_factory=Bounds)
    base: int = 1 << 32
    page_shift: int = 12
    keeps_vhca_id: bool | None = None
    software_reset: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """The state of a driver as the explorer sees it.

    ``mode`` is the one in which it would name a function now; ``open`` that a session is open (page requests are
    served); ``counters`` its page counters by name (``total``, and the values of FunctionType it counts; pages of
    4 KiB; negative where a 32-bit counter would have wrapped); ``busy`` the operations that have not ended;
    ``waiting`` what each thread that stands still waits for (``answer to MANAGE_PAGES``, ``state_lock, held by
    eswitch``).
    """

    mode: Mode
    open: bool
    counters: Mapping[str, int]
    busy: tuple[Operation, ...]
    waiting: Mapping[str, str]


class Driver(Protocol):
    """A driver as the explorer drives it. Equal inputs, equal effects: no clock, no chance, no I/O."""

    @property
    def ordered(self) -> bool:
        """Its link feeds it every event that came before a completion before that completion.

        Where this is False (Linux: page requests and completions come by different event queues) a completion may
        overtake events.
        """

    @property
    def deadline(self) -> float | None:
        """When to feed a Tick if nothing comes."""

    @property
    def next_id(self) -> int:
        """The number that the next command gets: those below it are taken."""

    def pending(self) -> tuple[int, ...]:
        """The numbers of the commands that have a slot, in the order in which the key has them."""

    def threads(self) -> tuple[str, ...]:
        """The threads that can take a step by themselves now, by name; empty where every input is served whole."""

    def feed(self, now: float, x: Input) -> list[Effect]:
        """One input; returns the effects in order. Raises Misuse, and changes nothing, if it may not be asked."""

    def clone(self) -> Driver:
        """An independent driver in the same state."""

    def key(self) -> bytes:
        """The state that decides what can happen from here: equal keys, equal futures. Times count from now."""

    def unordered_key(self) -> bytes:
        """``key`` without the order in which the commands that have a slot were sent: they stand by their slots."""

    def slots(self) -> Mapping[int, int]:
        """The slot of each command that has one, by its number."""

    def check(self) -> None:
        """Invariants that the driver can see by itself; raises CustodyError."""

    def is_free(self, addresses: Addresses) -> Mask:
        """True for each page that the driver takes to be its own: unmapped, freed, or free to be given again."""

    def held(self) -> dict[Identity, Addresses] | None:
        """The pages that each function has by the driver's books; None while the books are unknown."""

    def counted_as(self, who: Identity) -> str | None:
        """The counter in which pages of this function are now, or would be if they were given now; None: in none."""

    def view(self) -> View:
        """Its state as the explorer sees it."""

    def constants(self) -> tuple[object, ...]:
        """Objects in its state that never change: a driver of an equal configuration has equal ones, in this order."""
