"""Names and types of functions in one session, as far as its commands show them: mode, own identity, vports."""

from __future__ import annotations

from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier, func_id, named, vhca_id
from fwpages.prm.message import Command


class Naming:
    """The mode, the own function and its vports as one session's commands show them. A trace's header names the
    ``supplier``; a kernel log has none.
    """

    def __init__(self, supplier: Supplier | None) -> None:
        self.supplier = supplier
        self.ecpf: bool | None = supplier.ecpf if supplier else None
        self.mode = Mode.FUNC_ID
        #: something in the input shows the mode; else FUNC_ID is a guess
        self.mode_shown = False
        #: a page command has named a function by vhca_id
        self.vhca_used = False
        #: own vhca_id, from the general capabilities
        self.vhca: int | None = None
        #: the name under which the device answered, or was given pages, before any mode was negotiated
        self.boot: Identity | None = None
        #: a QUERY_PAGES for boot or init pages was answered: the first GIVE may still correct the name
        self.boot_open = False
        #: the first number of a sub-function; 0 where there are none
        self.sf_base = 0
        #: vports that a command enabled, by the name that it used, with the type that it shows
        self.enabled: dict[Identity, FunctionType] = {}
        #: the same, and every vhca_id that was learned, whatever has become of the function
        self.met: set[Identity] = set()
        self._vhca_of: dict[Identity, int] = {}
        self._learned: dict[int, FunctionType] = {}

    @property
    def own(self) -> Identity:
        """The function itself in the mode that now holds."""
        if self.mode is Mode.VHCA_ID and self.vhca is not None:
            return vhca_id(self.vhca)
        return self.boot or func_id(0, ec=bool(self.ecpf))

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
        return vhca == self.vhca or vhca_id(vhca) in self.met

    def present(self, who: Identity) -> bool:
        """A vport of this name is enabled now."""
        return who in self.enabled or (who.mode is Mode.VHCA_ID and who.number in self._vhca_of.values())

    def type_of(self, who: Identity) -> FunctionType:
        """The type of a function; UNKNOWN where nothing shows it."""
        if who == self.own:
            return FunctionType.SELF
        if who.mode is Mode.VHCA_ID:
            return self._learned.get(who.number, FunctionType.UNKNOWN)
        if self.supplier is not None:
            return self.supplier.type_by_number(who)
        return self._type_without_limits(who)

    def _type_without_limits(self, who: Identity) -> FunctionType:
        """The type of a FUNC_ID name where no trace's header says how many functions of each type there are."""
        if who.number == 0:
            return FunctionType.HOST_PF if self.ecpf and not who.ec else FunctionType.SELF
        if who in self.enabled:
            return self.enabled[who]
        if who.ec:
            return FunctionType.EC_VF
        if 0 < self.sf_base <= who.number:
            return FunctionType.SF
        return FunctionType.UNKNOWN

    def enable(self, who: Identity, kind: FunctionType | None) -> None:
        """A vport was enabled, or a sub-function allocated, under its FUNC_ID name."""
        self.enabled[who] = kind or FunctionType.UNKNOWN
        self.met.add(who)

    def user_of(self, vhca: int, who: Identity) -> str | None:
        """Another function than ``who`` (its FUNC_ID name) that has this vhca_id, in words; None where it is free."""
        if vhca == self.vhca:
            return None if self.type_of_number(who) is FunctionType.SELF else "the function itself"
        return next((str(w) for w, v in self._vhca_of.items() if v == vhca and w != who), None)

    def enable_vhca(self, vhca: int) -> FunctionType:
        """A vport was enabled under its vhca_id: an ECPF does that with other physical functions alone."""
        kind = FunctionType.SPF if self.ecpf else FunctionType.UNKNOWN
        self.enabled[vhca_id(vhca)] = kind
        self.met.add(vhca_id(vhca))
        return self._learned.setdefault(vhca, kind) if vhca != self.vhca else FunctionType.SELF

    def learn(self, who: Identity, vhca: int) -> FunctionType:
        """Note the vhca_id that the capabilities of ``who`` (its FUNC_ID name) hold; returns the type that it has."""
        kind = FunctionType.SELF if vhca == self.vhca else self.type_of_number(who)
        self._vhca_of[who] = vhca
        self.met.add(vhca_id(vhca))
        self._learned[vhca] = kind
        return kind

    def type_of_number(self, who: Identity) -> FunctionType:
        """The type that a FUNC_ID name has, whatever mode holds now."""
        if who.number == 0 and (who.ec or not self.ecpf):
            return FunctionType.SELF
        return self.type_of(who)

    def gone(self, who: Identity) -> Identity:
        """Forget a vport that was disabled under its FUNC_ID name; returns its name in the mode that holds."""
        self.enabled.pop(who, None)
        vhca = self._vhca_of.pop(who, None)
        if vhca is None:
            return who
        self._learned.pop(vhca, None)
        return who if self.mode is Mode.FUNC_ID else vhca_id(vhca)

    def gone_vhca(self, vhca: int) -> Identity:
        """Forget a vport that was disabled under its vhca_id; returns its name in the mode that holds."""
        self._learned.pop(vhca, None)
        self.enabled.pop(vhca_id(vhca), None)
        who = next((w for w, v in self._vhca_of.items() if v == vhca), None)
        if who is not None:
            del self._vhca_of[who]
            self.enabled.pop(who, None)
            if self.mode is Mode.FUNC_ID:
                return who
        return vhca_id(vhca)
