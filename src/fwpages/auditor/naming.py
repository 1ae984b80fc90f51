"""Names and types of functions in one session, as far as its commands show them: mode, own identity, vports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier, func_id, named, vhca_id
from fwpages.prm.identity import Vport as Vports
from fwpages.prm.message import Command


class Proof(Enum):
    """How far the input shows the mode that holds."""

    NONE = "a guess"
    SHOWN = "shown"
    #: a page command has named a function by vhca_id
    USED = "used"


@dataclass(frozen=True, slots=True)
class BootName:
    """The function's own name before any mode was negotiated: that of the answer to QUERY_PAGES for boot or init pages.

    Until the first GIVE it is not ``certain``: that may still correct it.
    """

    identity: Identity
    certain: bool


@dataclass(slots=True)
class Vport:
    """A name that a command gave to a vport, whatever has become of it.

    ``enabled``: it is there now, under this name. ``function``: the FUNC_ID name of the function whose capabilities
    hold this vhca_id; None for a FUNC_ID name. ``last``: that function and its type, also when it is gone: an e-switch
    that knows a vhca_id may name the function by it when it comes back, and ask for nothing else.
    """

    type: FunctionType = FunctionType.UNKNOWN
    enabled: bool = False
    function: Identity | None = None
    last: tuple[Identity, FunctionType] | None = None


class Naming:
    """The mode, the own function and its vports as one session's commands show them. A trace's header names the
    ``supplier``; a kernel log has none.
    """

    def __init__(self, supplier: Supplier | None) -> None:
        self.supplier = supplier
        self.ecpf: bool | None = supplier.ecpf if supplier else None
        self.mode = Mode.FUNC_ID
        #: without a proof FUNC_ID is a guess
        self.proof = Proof.NONE
        #: own vhca_id, from the general capabilities
        self.vhca: int | None = None
        self.boot: BootName | None = None
        #: the first number of a sub-function; 0 where there are none
        self.sf_base = 0
        #: vports by the names that commands enabled them by, and by the vhca_ids that their capabilities hold
        self._vports: dict[Identity, Vport] = {}
        #: the VFs that an embedded CPU's external host can have, by QUERY_ESW_FUNCTIONS
        self.host_vfs = 0
        #: numbers of vports that CREATE_ESW_VPORT made: those of further physical functions
        self._further: set[int] = set()

    @property
    def own(self) -> Identity:
        """The function itself in the mode that now holds."""
        if self.mode is Mode.VHCA_ID and self.vhca is not None:
            return vhca_id(self.vhca)
        return self.boot_name

    @property
    def boot_name(self) -> Identity:
        """The function itself before any mode was negotiated."""
        return self.boot.identity if self.boot is not None else func_id(0, ec=bool(self.ecpf))

    @property
    def mode_shown(self) -> bool:
        """Something in the input shows the mode."""
        return self.proof is not Proof.NONE

    def show_mode(self) -> None:
        """The input shows the mode."""
        if self.proof is Proof.NONE:
            self.proof = Proof.SHOWN

    def use(self) -> None:
        """A page command names a function in the mode that holds."""
        if self.mode is Mode.VHCA_ID:
            self.proof = Proof.USED

    @property
    def enabled(self) -> dict[Identity, FunctionType]:
        """The vports that are enabled now, by the name that the command used, with the type that it shows."""
        return {who: v.type for who, v in self._vports.items() if v.enabled}

    def met(self, who: Identity) -> bool:
        """A vport had this name at some time."""
        return who in self._vports

    @property
    def kind(self) -> Literal["pf", "ecpf"] | None:
        """The kind of the function itself; None where a kernel log does not show it, which may be a VF's as well."""
        if self.ecpf:
            return "ecpf"
        others = any(who != self.own for who in self._vports)
        return "pf" if self.supplier is not None or others else None

    @property
    def poses_as_pf(self) -> bool:
        """The host opened an ECPF as if it were a plain physical function: whatever it sends is refused with reason."""
        return self.supplier is not None and self.supplier.ecpf and self.ecpf is False

    def name(self, number: int, ec: bool | int) -> Identity:
        """The function that a page command or event of the present mode names."""
        return named(self.mode, number, ec)

    def sf_name(self, number: int) -> Identity:
        """The FUNC_ID name of a sub-function, which ALLOC_SF, DEALLOC_SF and the capabilities give without the ec bit:
        those of an ECPF have it in page commands.
        """
        return func_id(number, ec=bool(self.ecpf))

    def is_own_hca(self, c: Command) -> bool:
        """This ENABLE_HCA or DISABLE_HCA is about the function itself."""
        number = c["function_id"]
        if c["function_id_type"]:
            return self.vhca is not None and number == self.vhca
        return number == 0 and (bool(c["embedded_cpu_function"]) or not self.ecpf)

    def vport_name(self, c: Command) -> Identity:
        """The vport that ENABLE_HCA or DISABLE_HCA names."""
        number = c["function_id"]
        return vhca_id(number) if c["function_id_type"] else func_id(number, ec=bool(c["embedded_cpu_function"]))

    def knows(self, vhca: int) -> bool:
        """This vhca_id is the own one, or was at some time another function's, by its capabilities."""
        return vhca == self.vhca or self.met(vhca_id(vhca))

    def present(self, who: Identity) -> bool:
        """A vport of this name is enabled now."""
        vport = self._vports.get(who)
        return vport is not None and (vport.enabled or vport.function is not None)

    def type_of(self, who: Identity) -> FunctionType:
        """The type of a function; UNKNOWN where nothing shows it."""
        if who == self.own:
            return FunctionType.SELF
        if who.mode is Mode.VHCA_ID:
            vport = self._vports.get(who)
            return FunctionType.UNKNOWN if vport is None else vport.type
        if self.supplier is not None:
            return self.supplier.type_by_number(who)
        return self._type_without_limits(who)

    def _type_without_limits(self, who: Identity) -> FunctionType:
        """The type of a FUNC_ID name where no trace's header says how many functions of each type there are."""
        if who.number == 0:
            return FunctionType.HOST_PF if self.ecpf and not who.ec else FunctionType.SELF
        vport = self._vports.get(who)
        if vport is not None and vport.enabled:
            return vport.type
        if who.ec:
            return FunctionType.EC_VF
        if who.number <= self.host_vfs:
            return FunctionType.VF
        if 0 < self.sf_base <= who.number:
            return FunctionType.SF
        return FunctionType.UNKNOWN

    def enable(self, who: Identity, kind: FunctionType | None) -> None:
        """A vport was enabled, or a sub-function allocated, under its FUNC_ID name."""
        vport = self._vport(who)
        vport.type, vport.enabled = kind or FunctionType.UNKNOWN, True

    def _vport(self, who: Identity) -> Vport:
        return self._vports.setdefault(who, Vport())

    def create(self, number: int, vhca: int) -> None:
        """CREATE_ESW_VPORT made this vport for a further physical function with this vhca_id."""
        self._further.add(number)
        self._vport(vhca_id(vhca)).type = FunctionType.SPF

    def further(self, number: int) -> bool:
        """CREATE_ESW_VPORT made a vport of this number."""
        return number in self._further

    def user_of(self, vhca: int, who: Identity) -> str | None:
        """Another function than ``who`` (its FUNC_ID name) that has this vhca_id, in words; None where it is free."""
        if vhca == self.vhca:
            return None if self.type_of_number(who) is FunctionType.SELF else "the function itself"
        vport = self._vports.get(vhca_id(vhca))
        if vport is None or vport.function in (None, who):
            return None
        holder = self._vports.get(vport.function)
        return None if holder is not None and not holder.enabled else str(vport.function)

    def enable_vhca(self, vhca: int) -> FunctionType:
        """A vport was enabled under its vhca_id: an ECPF does that with other physical functions alone."""
        self.remember(vhca)
        vport = self._vport(vhca_id(vhca))
        vport.enabled = True
        if vport.type is FunctionType.UNKNOWN and self.ecpf:
            vport.type = FunctionType.SPF
        return vport.type if vhca != self.vhca else FunctionType.SELF

    def learn(self, who: Identity, vhca: int) -> FunctionType:
        """Note the vhca_id that the capabilities of ``who`` (its FUNC_ID name) hold; returns the type that it has."""
        kind = FunctionType.SELF if vhca == self.vhca else self.type_of_number(who)
        former = self._holder(who)
        if former is not None:
            former.function = None
        vport = self._vport(vhca_id(vhca))
        vport.type, vport.function, vport.last = kind, who, (who, kind)
        return kind

    def remember(self, vhca: int) -> FunctionType:
        """A command names a function by this vhca_id: the one that had it last has it again, if no other has it."""
        vport = self._vports.get(vhca_id(vhca))
        if vport is None:
            return FunctionType.UNKNOWN
        if vport.function is None and vport.last is not None and self._holder(vport.last[0]) is None:
            vport.function, vport.type = vport.last
        return vport.type

    def _holder(self, who: Identity) -> Vport | None:
        """The vhca_id that the capabilities of this FUNC_ID name hold."""
        return next((v for v in self._vports.values() if v.function == who), None)

    def type_of_number(self, who: Identity) -> FunctionType:
        """The type that a FUNC_ID name has, whatever mode holds now."""
        if who.number == 0 and (who.ec or not self.ecpf):
            return FunctionType.SELF
        if who.mode is Mode.FUNC_ID and who.number in self._further and not who.ec:
            return FunctionType.SPF
        return self.type_of(who)

    def gone(self, who: Identity) -> Identity:
        """Forget a vport that was disabled under its FUNC_ID name; returns its name in the mode that holds."""
        self._disable(who)
        number = next((name.number for name, v in self._vports.items() if v.function == who), None)
        if number is None:
            return who
        vport = self._vports[vhca_id(number)]
        vport.type, vport.function = FunctionType.UNKNOWN, None
        return who if self.mode is Mode.FUNC_ID else vhca_id(number)

    def of_host_above(self, number: int) -> tuple[Identity, ...]:
        """The FUNC_ID names of an external host's VFs with higher numbers than this whose vhca_ids are known."""
        functions = (v.function for v in self._vports.values())
        return tuple(f for f in functions if f is not None and not f.ec and number < f.number <= self.host_vfs)

    def gone_vhca(self, vhca: int) -> Identity:
        """Forget a vport that was disabled under its vhca_id; returns its name in the mode that holds."""
        vport = self._vports.get(vhca_id(vhca))
        if vport is None:
            return vhca_id(vhca)
        who = vport.function
        vport.type, vport.enabled, vport.function = FunctionType.UNKNOWN, False, None
        if who is not None:
            self._disable(who)
            if self.mode is Mode.FUNC_ID:
                return who
        return vhca_id(vhca)

    def perhaps_gone(self, who: Identity) -> None:
        """A command that disables this vport was not answered: from now on another may have its vhca_id."""
        self._vport(who).enabled = False
        function = self._vports[who].function
        if function is not None:
            self._vport(function).enabled = False

    def function_asked(self, number: int, *, ec_vf: bool) -> Identity:
        """The FUNC_ID name of the function whose capabilities QUERY_HCA_CAP asks for: a sub-function's as elsewhere.

        An ECPF may ask for its own by its vport.
        """
        if self.ecpf and number == Vports.ECPF:
            return self.boot_name
        if number in self._further:
            return func_id(number)
        plain, sf = func_id(number, ec=ec_vf), self.sf_name(number)
        is_sf = FunctionType.SF in (self.enabled.get(sf), self.type_of_number(sf))
        return sf if is_sf and not ec_vf else plain

    def _disable(self, who: Identity) -> None:
        if who in self._vports:
            self._vports[who].enabled = False
