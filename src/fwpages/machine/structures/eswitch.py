"""The e-switch of a device: its vports, and the functions that they belong to.

A vport is there for each function that the e-switch could serve; it is *enabled* while its function is. In VHCA_ID
mode the driver notes the function's vhca_id with the vport when it enables it, and forgets it when it disables it. In
FUNC_ID mode the number of a VF or an SF is that of its vport.

Structures: Linux, drivers/net/ethernet/mellanox/mlx5/core/eswitch.h. Offsets are those of the kernel at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fwpages.machine.structures.btf import Btf, NoTypeError
from fwpages.machine.structures.memory import Memory
from fwpages.machine.structures.xarray import XArrays
from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier, Vport, func_id, vhca_id

#: vports that belong to the device's own function, or to none
_OWN = frozenset({Vport.ECPF, Vport.UPLINK})


@dataclass(frozen=True, slots=True)
class FunctionVport:
    """A function's vport: its number, and if it is enabled (None: the e-switch is not at work, and does not tell)."""

    number: int
    enabled: bool | None


@dataclass(frozen=True, slots=True)
class Vports:
    """The vports of a device by the identity of their function.

    ``complete`` says that every enabled vport names its function, so that a function without one has none enabled.
    """

    of: Mapping[Identity, FunctionVport] = field(default_factory=dict)
    complete: bool = False

    def enabled(self, who: Identity) -> bool | None:
        """True if the function has an enabled vport, False if it has none; None where the e-switch does not tell."""
        vport = self.of.get(who)
        if vport is not None:
            return vport.enabled
        return False if self.complete else None


@dataclass(frozen=True, slots=True)
class _Row:
    """A vport as it stands in the core; ``vhca`` is 0 where the driver noted none."""

    number: int
    enabled: bool
    vhca: int

    def vport(self, *, at_work: bool) -> FunctionVport:
        """The function's vport; an e-switch that is not at work does not tell if it is enabled."""
        return FunctionVport(self.number, self.enabled if at_work else None)

    def lacks_vhca(self, supplier: Supplier) -> bool:
        """True if the vport is enabled, belongs to a function that the supplier serves, and does not name it."""
        served = self.number not in _OWN and (self.number != Vport.HOST_PF or supplier.ecpf)
        return self.enabled and not self.vhca and served


class Eswitches:
    """Reads the e-switches of one kernel, by its types."""

    def __init__(self, memory: Memory, types: Btf, arrays: XArrays) -> None:
        self._memory = memory
        self._arrays = arrays
        self._known = False
        try:
            self._vports = types.structure("mlx5_eswitch").member("vports")
            vport = types.structure("mlx5_vport")
            self._number, self._enabled = vport.member("vport"), vport.member("enabled")
        except NoTypeError:
            return
        self._known = True
        self._vhca = vport.member("vhca_id") if vport.has("vhca_id") else None
        members = [m for m in (self._number, self._enabled, self._vhca) if m is not None]
        self._start = min(m.offset for m in members)
        self._size = max(m.offset + m.size for m in members) - self._start

    def read(self, eswitch: int, mode: Mode, supplier: Supplier) -> Vports:
        """The vports of the e-switch at an address (0: the device has none).

        TornError and UnmappedError where it does not hold together, or is not in the core.
        """
        if not eswitch or not self._known:
            return Vports()
        rows = self._rows(eswitch)
        at_work = _at_work(rows, supplier)
        vports = [row.vport(at_work=at_work) for row in rows]
        if mode is Mode.FUNC_ID:
            return Vports({who: vport for vport in vports for who in _by_number(vport.number, supplier)})
        found = {vhca_id(row.vhca): vport for row, vport in zip(rows, vports, strict=True) if row.vhca}
        return Vports(found, at_work and self._names_all(rows, supplier))

    def _names_all(self, rows: Sequence[_Row], supplier: Supplier) -> bool:
        """True if every enabled vport names its function."""
        return self._vhca is not None and not any(row.lacks_vhca(supplier) for row in rows)

    def _rows(self, eswitch: int) -> list[_Row]:
        """The vports of an e-switch as they stand in the core."""
        entries = self._arrays.entries(eswitch + self._vports.offset)
        return [self._row(self._memory.read(at + self._start, self._size)) for _, at in entries]

    def _row(self, data: bytes) -> _Row:
        """One vport, of whose structure ``data`` is the part that is read."""
        vhca = self._vhca.of(data, -self._start) if self._vhca is not None else 0
        return _Row(
            number=self._number.of(data, -self._start),
            enabled=bool(self._enabled.of(data, -self._start)),
            vhca=vhca if 0 < vhca <= 0xFFFF else 0,
        )


def _at_work(rows: Sequence[_Row], supplier: Supplier) -> bool:
    """True if the e-switch serves functions."""
    # a PF has VFs only by its e-switch; an embedded CPU serves its host without one too
    return not supplier.ecpf or any(row.enabled for row in rows if row.number not in _OWN)


def _by_number(number: int, supplier: Supplier) -> list[Identity]:
    """The functions that a vport's number may stand for in FUNC_ID mode.

    EC VFs are left out: their vports begin at a number that is in no structure of the driver's. On an ECPF an SF is
    its own or that of the external host; no two have one number.
    """
    kind = supplier.type_by_number(func_id(number))
    if number in _OWN or kind is FunctionType.SELF:
        return []
    if kind is FunctionType.SF and supplier.ecpf:
        return [func_id(number), func_id(number, ec=True)]
    return [func_id(number)]
