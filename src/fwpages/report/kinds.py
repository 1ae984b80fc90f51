"""Kinds of functions in the words of the field, for everything that people read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fwpages.prm.identity import FunctionType

_KINDS: Mapping[FunctionType, str] = MappingProxyType(
    {
        FunctionType.VF: "VF",
        FunctionType.SF: "SF",
        FunctionType.HOST_PF: "host PF",
        FunctionType.SPF: "SPF",
        FunctionType.EC_VF: "EC VF",
        FunctionType.UNKNOWN: "unknown",
    }
)


def kind(of: FunctionType, supplier: str | None) -> str:
    """The kind of a function; of the supplier's own, PF, ECPF or VF where that is known, else ``own``."""
    if of is FunctionType.SELF:
        return supplier.upper() if supplier else "own"
    return _KINDS[of]
