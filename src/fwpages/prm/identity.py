"""The function that a page belongs to: its name in either identity mode, and its type."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import lru_cache
from typing import TypeAlias


class Mode(StrEnum):
    """How page commands name functions in a session (``icm_mng_function_id_mode``)."""

    FUNC_ID = "func_id"
    VHCA_ID = "vhca_id"


class FunctionType(StrEnum):
    """The type of a function to its page supplier (Linux: ``enum mlx5_func_type``)."""

    SELF = "self"
    VF = "vf"
    SF = "sf"
    HOST_PF = "host_pf"
    SPF = "spf"
    EC_VF = "ec_vf"
    UNKNOWN = "unknown"

    # an enum's own is a call in Python for every look into a table of types
    __hash__ = str.__hash__


class Vport(IntEnum):
    """vport numbers with a meaning of their own."""

    HOST_PF = 0
    FIRST_VF = 1
    ECPF = 0xFFFE
    UPLINK = 0xFFFF


#: first vport number for a further PF until a driver makes its vport (CREATE_ESW_VPORT): above any VF, below any SF
SPF_VPORTS = 0x2000


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A function as page commands and events name it.

    ``number`` is function_id or vhca_id (16 bits); ``ec`` is the embedded_cpu_function bit, which is part of the
    name in FUNC_ID mode and not used (always False here) in VHCA_ID mode.
    """

    mode: Mode
    number: int
    ec: bool = False

    def __hash__(self) -> int:
        # a device names its functions in one mode: the number suffices as hash, at a quarter of the cost of all three
        return self.number

    def __post_init__(self) -> None:
        if not 0 <= self.number <= 0xFFFF:
            raise ValueError(f"a function's number has 16 bits: {self.number:#x} does not fit")
        if self.ec and self.mode is Mode.VHCA_ID:
            raise ValueError(f"vhca_id {self.number:#x} with an ec bit: VHCA_ID mode does not use it")

    def __str__(self) -> str:
        if self.mode is Mode.VHCA_ID:
            return f"vhca:{self.number:#x}"
        return f"func:{self.number:#x}{'/ec' if self.ec else ''}"

    @classmethod
    def parse(cls, text: str) -> Identity:
        """The identity that ``str`` writes so: ``vhca:0x2a``, ``func:0x3``, ``func:0x3/ec``; else ValueError."""
        m = re.fullmatch(r"(vhca|func):(0x[0-9a-fA-F]{1,4}|[0-9]{1,5})(/ec)?", text)
        if m is None:
            raise ValueError(f"{text!r} is not an identity; write vhca:0x2a, func:0x3 or func:0x3/ec")
        mode = Mode.VHCA_ID if m[1] == "vhca" else Mode.FUNC_ID
        return cls(mode, int(m[2], 0), m[3] is not None)

    @property
    def fields(self) -> dict[str, int]:
        """The two fields of a page command that name this function."""
        return {"embedded_cpu_function": int(self.ec), "function_id": self.number}


def func_id(number: int, *, ec: bool = False) -> Identity:
    """A function named by function_id and the embedded_cpu_function bit."""
    return Identity(Mode.FUNC_ID, number, ec)


def vhca_id(number: int) -> Identity:
    """A function named by vhca_id."""
    return Identity(Mode.VHCA_ID, number)


@lru_cache(maxsize=4_096)  # more functions than a device has; of those beyond, a name is made anew each time
def named(mode: Mode, number: int, ec: int | bool) -> Identity:
    """The function that these two fields name in ``mode``; the ec bit is ignored in VHCA_ID mode."""
    return vhca_id(number) if mode is Mode.VHCA_ID else func_id(number, ec=bool(ec))


@dataclass(frozen=True, slots=True)
class Supplier:
    """The supplier's own limits: enough to know a function's type by its number in FUNC_ID mode.

    ``max_vfs`` and ``max_ec_vfs`` are those of its SR-IOV capabilities (Linux: ``mlx5_core_max_vfs``).
    """

    ecpf: bool = False
    max_vfs: int = 0
    max_ec_vfs: int = 0

    @property
    def own(self) -> Identity:
        """The supplier itself as FUNC_ID mode names it."""
        return func_id(0, ec=self.ecpf)

    def type_by_number(self, who: Identity) -> FunctionType:
        """The type by a FUNC_ID number; UNKNOWN for a vhca_id, whose number says nothing of it.

        Follows Linux's ``func_id_to_type``: 0 is the supplier, or on an ECPF without the ec bit the host PF; up to
        the larger of max_vfs and max_ec_vfs a VF or, with the ec bit, an EC VF; above that an SF.
        """
        if who.mode is Mode.VHCA_ID:
            return FunctionType.UNKNOWN
        if who.number == 0:
            return FunctionType.HOST_PF if self.ecpf and not who.ec else FunctionType.SELF
        if who.number <= max(self.max_vfs, self.max_ec_vfs):
            return FunctionType.EC_VF if who.ec else FunctionType.VF
        return FunctionType.SF


#: the names that a scenario gives to functions, each with the function's identities in either mode
Names: TypeAlias = Mapping[str, Sequence[Identity]]


def by_identity(names: Names) -> dict[Identity, str]:
    """The name of each identity; those of functions that share one are joined: ``a/b``."""
    found: dict[Identity, list[str]] = {}
    for name, identities in names.items():
        for who in identities:
            found.setdefault(who, []).append(name)
    return {who: "/".join(several) for who, several in found.items()}
