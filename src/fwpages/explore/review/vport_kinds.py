"""The second question's table: under which types a driver counts the pages of each kind of vport."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from fwpages.explore.check.search import search
from fwpages.explore.model.library import load, only
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World
from fwpages.prm.identity import FunctionType
from fwpages.scenario.format import Switch

#: kinds of vport → the function of the world that is one (none: the supplier itself)
_KINDS = {
    "the supplier, e-switch manager": "",
    "host PF": "host",
    "VF": "vf",
    "SF": "sf",
    "EC VF": "ec_vf",
    "SPF": "spf",
    "adjacent VF": "adjacent",
    "uplink": "uplink",
    "ECPF by its vport": "ecpf",
    "not yet known": "sf",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of vport, its true type, and for each design the types under which its pages were ever counted.

    ``none`` stands for no type; the types come in the order in which the search met them.
    """

    kind: str
    true: str
    types: dict[str, tuple[str, ...]]


def kinds(designs: Sequence[str]) -> tuple[Kind, ...]:
    """The table: each kind alone in a world of its own, every order tried."""
    overrides: dict[Switch, bool] = {"never_uplink": False}
    specs = Spec("types", load("types"), designs[0], overrides).rules().specs
    return tuple(
        _kind(kind, name, specs[name].type if name else FunctionType.SELF, designs) for kind, name in _KINDS.items()
    )


def _kind(kind: str, name: str, true: FunctionType, designs: Sequence[str]) -> Kind:
    """The row of this kind. Of a kind that is known in the end, the types count from when it is known."""
    met = {d: _met(d, name or "vf", own=not name) for d in designs}
    if kind == "not yet known":
        return Kind(kind, str(FunctionType.UNKNOWN), {d: tuple(t for t in m if t in _OPEN) for d, m in met.items()})
    if true not in (FunctionType.UNKNOWN, FunctionType.SELF):
        met = {d: tuple(t for t in m if t not in _OPEN) or m for d, m in met.items()}
    return Kind(kind, str(true), met)


#: what a function is counted as before it is known
_OPEN = ("none", "unknown")


def _met(design: str, name: str, *, own: bool) -> tuple[str, ...]:
    """The types met while firmware has pages of this function, or of the supplier itself."""
    alone = only(load("types"), name)
    quiet = msgspec.structs.replace(alone.expect, always=(), never=(), sometimes=())
    alone = msgspec.structs.replace(alone, expect=quiet)
    met: dict[str, None] = {}

    def look(w: World) -> None:
        inner = w.firmware.inner
        spec = inner.specs[0] if own else w.rules.specs[name]
        who = spec.identity(w.view.mode)
        if who is not None and inner.held(spec.name):
            met[str(w.driver.counted_as(who) or "none")] = None

    search(Spec(f"types:{name}", alone, design, {"never_uplink": False}), visit=look)
    return tuple(met)
