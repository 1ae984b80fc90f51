"""The state of a firmware, and the functions that the numbers in its commands name."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from fwpages.device.firmware.functions import Function, Roster
from fwpages.device.firmware.io import Offence
from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.store import Store
from fwpages.device.profiles import Profile
from fwpages.pages import PAGE_SIZE
from fwpages.pages.space import REGION_SHIFT
from fwpages.prm.capability import general
from fwpages.prm.event import EQE_SIZE, EswitchEvent, EventType
from fwpages.prm.identity import FunctionType, Identity, Mode, named, vhca_id
from fwpages.prm.message import Command, PageArray
from fwpages.prm.opcodes import opcode_name


class Phase(StrEnum):
    """The phase of a session."""

    OFF = "off"
    #: ENABLE_HCA done
    STARTING = "starting"
    #: INIT_HCA done
    WORKING = "working"
    #: TEARDOWN_HCA done
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Device:
    """The constant part of a firmware: profile, functions, maximum capabilities, and assumptions about the switch.

    ``switch_at_init``, ``boot_function`` and ``region_shift`` are as in ``Firmware``.
    """

    profile: Profile
    roster: Roster
    max: dict[str, int]
    switch_at_init: bool = False
    boot_function: int = 0
    region_shift: int = REGION_SHIFT


@dataclass(frozen=True, slots=True)
class EqContext:
    """An event queue as CREATE_EQ described it: its events, its UAR, and where it lies and rings.

    ``pas`` are I/O addresses of pages of ``page_size`` bytes, ``vector`` is the interrupt (``intr``). Firmware itself
    uses ``mask`` and ``uar``, and keeps lent pages out of this memory; a link uses the rest to deliver events.
    """

    mask: int
    uar: int
    log_size: int = 0
    page_size: int = PAGE_SIZE
    vector: int = 0
    pas: tuple[int, ...] = ()

    @property
    def blocks(self) -> PageArray:
        """The addresses of the 4 KiB blocks that its entries fill, uint64; the address after 2^64 - 4096 is 0."""
        each = max(1, min(EQE_SIZE << self.log_size, self.page_size) // PAGE_SIZE)
        found: PageArray = np.array(self.pas, np.uint64).repeat(each)
        found += np.tile(np.arange(each, dtype=np.uint64) * np.uint64(PAGE_SIZE), len(self.pas))
        return found


@dataclass(slots=True)
class Eswitch:
    """The knowledge of a supplier's e-switch beside its functions.

    ``host_vfs``: the VFs that the external host has switched on; ``told`` of it by the last QUERY_ESW_FUNCTIONS, None
    before one. ``vports``: slots whose vport CREATE_ESW_VPORT made. ``sw_ids`` and ``armed``: by MODIFY_VHCA_STATE, the
    number that the driver gave to a slot, and the slots of whose next change of state it wants an event. ``leaving``:
    slots of functions that were disabled and get their other vhca_id when their pages are back; ``renamed`` have it.
    ``news``: events of the input that is being executed.
    """

    host_vfs: int = 0
    told: int | None = None
    vports: set[int] = field(default_factory=set)
    sw_ids: dict[int, int] = field(default_factory=dict)
    armed: set[int] = field(default_factory=set)
    leaving: set[int] = field(default_factory=set)
    renamed: set[int] = field(default_factory=set)
    news: list[EswitchEvent] = field(default_factory=list)

    def copy(self) -> Eswitch:
        """Return an independent copy; ``news`` are of one input."""
        return Eswitch(
            self.host_vfs,
            self.told,
            set(self.vports),
            dict(self.sw_ids),
            set(self.armed),
            set(self.leaving),
            set(self.renamed),
        )

    def forget(self) -> None:
        """Drop what the driver has set: a session closes or begins. The host's VFs and vhca_ids stay as they are."""
        self.told = None
        self.vports.clear()
        self.sw_ids.clear()
        self.armed.clear()

    @property
    def row(self) -> tuple[object, ...]:
        """The whole state as a tuple."""
        slots = (sorted(s) for s in (self.vports, self.armed, self.leaving, self.renamed))
        return self.host_vfs, self.told, sorted(self.sw_ids.items()), *slots


@dataclass(slots=True)
class State:
    """The changing part of a firmware. ``noted``: offences of the input that is being executed."""

    device: Device
    store: Store
    functions: list[Function]
    current: dict[str, int]
    phase: Phase = Phase.OFF
    mode: Mode = Mode.FUNC_ID
    issi: int = 0
    eqs: dict[int, EqContext] = field(default_factory=dict)
    uars: set[int] = field(default_factory=set)
    #: VHCA_ID mode: ``home`` → the slot that has the vhca_id now, where that is another
    users: dict[int, int] = field(default_factory=dict)
    noted: list[Offence] = field(default_factory=list)
    eswitch: Eswitch = field(default_factory=Eswitch)

    def copy(self) -> State:
        """Return an independent copy."""
        return State(
            self.device,
            self.store.copy(),
            [f.copy() for f in self.functions],
            dict(self.current),
            self.phase,
            self.mode,
            self.issi,
            dict(self.eqs),
            set(self.uars),
            dict(self.users),
            eswitch=self.eswitch.copy(),
        )

    def identity(self, slot: int) -> Identity | None:
        """Return the function's name in page commands now; None where the mode has none for it."""
        spec = self.device.roster.specs[slot]
        return vhca_id(self.vhca_id(slot)) if self.mode is Mode.VHCA_ID else spec.identity(self.mode)

    def vhca_id(self, slot: int) -> int:
        """Return the vhca_id that the function has now."""
        spec = self.device.roster.specs[slot]
        later = spec.next_vhca_id if slot in self.eswitch.renamed else None
        return spec.vhca_id if later is None else later

    def home_of(self, number: int) -> int | None:
        """Return the slot that keeps the demand under this vhca_id; None where no function has it now."""
        slot = self.device.roster.by_vhca_id.get(number)
        return slot if slot is not None and self.vhca_id(slot) == number else None

    def max_page(self, slot: int) -> bytes:
        """Return the maximum general capabilities of a function: for another than the supplier only its vhca_id."""
        return general({**(self.device.max if slot == 0 else {}), "vhca_id": self.vhca_id(slot)})

    def home(self, slot: int) -> int:
        """Return the slot that keeps a function's demand: in VHCA_ID mode the first function with its vhca_id."""
        roster = self.device.roster
        return slot if self.mode is Mode.FUNC_ID else roster.by_vhca_id[roster.specs[slot].vhca_id]

    def user(self, home: int) -> int:
        """Return the slot that uses the name of ``home`` now: pages given under that name are its own."""
        return self.users.get(home, home)

    def slots_named(self, home: int) -> tuple[int, ...]:
        """Return the slots whose pages have this name, in the order of return: the present user last."""
        if self.mode is Mode.FUNC_ID or home not in self.device.roster.sharing:
            return (home,)
        user = self.user(home)
        return (*(n for n in self.device.roster.sharing[home] if n != user), user)

    def held(self, home: int) -> int:
        """Return how many pages firmware has under the name of ``home``."""
        return sum(self.store.held(n) for n in self.slots_named(home))

    def take(self, home: int, n: int) -> PageArray:
        """Let go of at most ``n`` pages under the name of ``home``, those of earlier users first; return them."""
        parts: list[PageArray] = []
        for slot in self.slots_named(home):
            parts.append(self.store.take(slot, n))
            n -= parts[-1].size
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    @property
    def startup_need(self) -> int:
        """The pages that the supplier's own function still needs before its start can go on: boot, then init.

        Pages that it holds count, so those that a driver takes back in an aborted start are needed again.
        """
        if self.phase is not Phase.STARTING:
            return 0
        held, profile = self.store.held(0), self.device.profile
        return profile.boot_pages + (0 if self.booting else profile.init_pages) - held

    @property
    def booting(self) -> bool:
        """The session has started and boot pages are missing."""
        return self.phase is Phase.STARTING and self.store.held(0) < self.device.profile.boot_pages

    @property
    def pages_eqn(self) -> int | None:
        """The number of the event queue that takes page requests; None while there is none."""
        return self.eqn_for(EventType.PAGE_REQUEST)

    def eqn_for(self, event: EventType) -> int | None:
        """Return the number of the event queue that takes events of this type; None while there is none."""
        return next((n for n, eq in self.eqs.items() if eq.mask >> event & 1), None)

    def page_owner(self, c: Command) -> int:
        """Return the slot that a page command names in the current mode; RefusedError as ``owner``."""
        return self.owner(c["function_id"], ec=bool(c["embedded_cpu_function"]))

    def owner(self, number: int, *, ec: bool) -> int:
        """Return the slot that these fields name in the current mode.

        RefusedError ``identity-mode`` or ``unknown-function``.
        """
        roster = self.device.roster
        if self.mode is Mode.FUNC_ID:
            own = (number, ec) == (self.device.boot_function, roster.specs[0].ec)
            slot = 0 if own else roster.by_function.get((number, ec))
        else:
            slot = self.home_of(number)
            if ec or (slot is None and number == 0):
                raise RefusedError(OffenceName.IDENTITY_MODE, f"function_id {number:#x}, ec {int(ec)} in VHCA_ID mode")
        if slot is None:
            raise RefusedError(OffenceName.UNKNOWN_FUNCTION, f"no function {named(self.mode, number, ec)}")
        return slot

    def eswitch_owner(self, c: Command) -> int:
        """Return the slot that ENABLE_HCA, QUERY_HCA_CAP and their like name: by vhca_id, function_id or vport."""
        number, roster = c["function_id"], self.device.roster
        ec = bool(c.fields.get("embedded_cpu_function") or c.fields.get("ec_vf_function"))
        by_vhca_id = c.fields.get("function_id_type")  # ALLOC_SF and DEALLOC_SF have no such field
        if not by_vhca_id:
            slot = roster.by_eswitch(number, ec=ec)
        elif ec:
            raise RefusedError(OffenceName.IDENTITY_MODE, f"vhca_id {number:#x} with an ec bit")
        else:
            slot = self.home_of(number)
        if slot is None or roster.specs[slot].type is FunctionType.UNKNOWN:
            kind = "vhca_id" if by_vhca_id else "function_id"
            raise RefusedError(OffenceName.UNKNOWN_FUNCTION, f"no function with {kind} {number:#x}, ec {int(ec)}")
        return slot

    def require(self, c: Command, *phases: Phase) -> None:
        """Raise RefusedError ``wrong-state`` unless the session is in one of these phases."""
        if self.phase not in phases:
            raise RefusedError(OffenceName.WRONG_STATE, f"{opcode_name(c.opcode)} in phase {self.phase}")
