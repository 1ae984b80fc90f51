"""The functions of a device: their names, and the state of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from fwpages.pages.words import many, meant
from fwpages.prm.identity import FunctionType, Identity, Mode, Vport, func_id, vhca_id

K = TypeVar("K")

#: pages that one page request can name: num_pages has 32 bits, signed (``mlx5_eqe_page_req``)
MOST_PAGES = (1 << 31) - 1


#: types that FUNC_ID mode has no name for
NAMELESS = (FunctionType.SPF, FunctionType.UNKNOWN)


class Asks(StrEnum):
    """The moment from which an SF wants its pages: when it is allocated, or when ENABLE_HCA activates it.

    It is not known which one hardware has. The default is the first: a driver that cannot tell whose pages these are
    has to account for them all the same, and Linux has not loaded the SF's vport then.
    """

    ALLOC = "alloc"
    ACTIVATE = "activate"


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A function that the supplier gives pages for.

    ``function_id`` and ``ec`` name it in FUNC_ID mode (which has no name for an SPF), ``vhca_id`` in VHCA_ID mode,
    ``vport`` in e-switch commands. ``pages``: the 4 KiB pages that it wants once it is enabled. A spec of type SELF
    describes the supplier itself, which wants them after INIT_HCA. A spec of type UNKNOWN is a vport that no command
    enables (the uplink, an ECPF by its vport). ``reuses``: the function whose vhca_id this one gets when that one is
    disabled; firmware may still have pages of that one then. ``next_vhca_id``: the vhca_id that it has once it was
    disabled and its pages are back. ``asks`` matters for an SF alone.
    """

    name: str
    type: FunctionType
    vport: int
    function_id: int
    ec: bool
    vhca_id: int
    pages: int = 0
    reuses: str = ""
    asks: Asks = Asks.ALLOC
    next_vhca_id: int | None = None

    def __post_init__(self) -> None:
        for what in ("vport", "function_id", "vhca_id"):
            if not 0 <= getattr(self, what) <= 0xFFFF:
                raise ValueError(f"function {self.name}: {what} has 16 bits, not {getattr(self, what):#x}")
        if not 0 <= self.pages <= MOST_PAGES:
            raise ValueError(f"function {self.name} wants 0 to {many(MOST_PAGES)}, not {self.pages}")

    def identity(self, mode: Mode) -> Identity | None:
        """Return the name in page commands, the first one where its vhca_id changes.

        None in FUNC_ID mode for an SPF and for a vport that is never enabled.
        """
        if mode is Mode.VHCA_ID:
            return vhca_id(self.vhca_id)
        return None if self.type in NAMELESS else func_id(self.function_id, ec=self.ec)


@dataclass(slots=True)
class Function:
    """The state of one function; counts are 4 KiB pages.

    ``enabled``: firmware runs the function and wants pages for it. An SF runs from the moment when it is ``allocated``;
    ``activated``: ENABLE_HCA came for it after that.

    ``wanted`` pages are not given yet; ``announced`` of them are known to the driver, by an event or an answer.
    ``unneeded`` of the announced ones are not needed any more: the request stands, and what it brings is asked back.
    ``asked_back`` pages are what a TAKE returns; events announced ``announced_back`` of them.
    """

    slot: int
    enabled: bool = False
    wanted: int = 0
    announced: int = 0
    unneeded: int = 0
    asked_back: int = 0
    announced_back: int = 0
    allocated: bool = False
    activated: bool = False

    def copy(self) -> Function:
        """Return an independent copy."""
        return Function(*self.row)

    @property
    def row(self) -> tuple[int, bool, int, int, int, int, int, bool, bool]:
        """The whole state as a tuple."""
        return (
            self.slot,
            self.enabled,
            self.wanted,
            self.announced,
            self.unneeded,
            self.asked_back,
            self.announced_back,
            self.allocated,
            self.activated,
        )


@dataclass(frozen=True, slots=True)
class Roster:
    """The functions of a device by each of their names; slot 0 is the supplier itself.

    ``by_function`` is keyed by (function_id, embedded_cpu_function); an SPF has no entry there. ``by_vhca_id`` has both
    vhca_ids of a function that gets another one: ``State.home_of`` knows which one it has now.
    """

    specs: tuple[FunctionSpec, ...]
    by_name: dict[str, int] = field(default_factory=dict, compare=False)
    by_function: dict[tuple[int, bool], int] = field(default_factory=dict, compare=False)
    by_vhca_id: dict[int, int] = field(default_factory=dict, compare=False)
    by_vport: dict[int, int] = field(default_factory=dict, compare=False)
    #: by the slot in ``by_vhca_id``: every slot with that vhca_id, where they are several
    sharing: dict[int, tuple[int, ...]] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for slot, spec in enumerate(self.specs):
            _enter(self.by_name, spec.name, slot, self.specs, "name")
            home = self.by_vhca_id.get(spec.vhca_id)
            if not spec.reuses or home is None or self.specs[home].name != spec.reuses:
                _enter(self.by_vhca_id, spec.vhca_id, slot, self.specs, "vhca_id")
            else:
                self.sharing[home] = (*self.sharing.get(home, (home,)), slot)
            if spec.next_vhca_id is not None:
                _enter(self.by_vhca_id, spec.next_vhca_id, slot, self.specs, "vhca_id")
            if spec.type is not FunctionType.UNKNOWN:
                _enter(self.by_vport, spec.vport, slot, self.specs, "vport")
            if spec.type not in NAMELESS:
                _enter(self.by_function, (spec.function_id, spec.ec), slot, self.specs, "function_id")

    def named(self, name: str) -> int:
        """Return the slot of the function with this name; ValueError, which lists the names, where there is none."""
        try:
            return self.by_name[name]
        except KeyError:
            raise ValueError(f"no function {name!r}; {meant(name, sorted(self.by_name))}") from None

    def by_eswitch(self, number: int, *, ec: bool) -> int | None:
        """Return the slot that ENABLE_HCA and QUERY_HCA_CAP name: by function_id, else without ``ec`` by vport.

        Linux sends the vport number there, and for an EC VF its number among them (``mlx5_vport_to_func_id``).
        """
        slot = self.by_function.get((number, ec))
        return self.by_vport.get(number) if slot is None and not ec else slot


def _enter(table: dict[K, int], key: K, slot: int, specs: tuple[FunctionSpec, ...], what: str) -> None:
    other = table.setdefault(key, slot)
    if other != slot:
        raise ValueError(f"functions {specs[other].name} and {specs[slot].name} have the same {what}")


def roster(functions: Sequence[FunctionSpec], own_vhca_id: int, *, ecpf: bool) -> Roster:
    """Return the device's functions with the supplier first: the spec of type SELF, or one made for it, ``self``.

    ValueError where two share a name, a vhca_id, a vport or a function_id, or where SELF is not (0 | ec).
    """
    own = [f for f in functions if f.type is FunctionType.SELF]
    if len(own) > 1:
        raise ValueError(f"functions {' and '.join(f.name for f in own)} cannot all be the supplier itself")
    vport = Vport.ECPF if ecpf else Vport.HOST_PF
    first = own[0] if own else FunctionSpec("self", FunctionType.SELF, vport, 0, ecpf, own_vhca_id)
    if (first.function_id, first.ec) != (0, ecpf):
        raise ValueError(f"function {first.name} is the supplier: function_id 0, ec {ecpf}")
    return Roster((first, *(f for f in functions if f is not first)))
