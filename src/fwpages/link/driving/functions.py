"""The functions beside the supplier of a driven device: by names, in words, and against those that the user names.

A device has numbers for its functions, and no names. Here they are called as ``fwpages.Device`` calls its own: by type
and place, from 0 on (``vf0``, ``sf3``, ``ec-vf0``, ``host-pf0``, ``spf0``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fwpages.host import Done, Host, VportInfo
from fwpages.host.io import OperationKind
from fwpages.link.driving.opening import Described
from fwpages.pages.words import many
from fwpages.prm.esw_functions import OtherFunctions
from fwpages.prm.identity import FunctionType, Identity, vhca_id

_WORDS = {
    FunctionType.VF: "VF",
    FunctionType.SF: "SF",
    FunctionType.HOST_PF: "host PF",
    FunctionType.SPF: "SPF",
    FunctionType.EC_VF: "EC VF",
}


@dataclass
class ToldFunctions:
    """The functions that the device of ``host`` tells, in the order of their vports.

    ``infos`` are those of now, by name; ``names`` all that there were, each with the identities known of it.
    """

    host: Host
    infos: Mapping[str, VportInfo] = field(default_factory=dict)
    names: dict[str, tuple[Identity, ...]] = field(default_factory=dict)

    def note(self, e: Done) -> bool:
        """Take notice of an operation's end; True where the functions are others than before."""
        if e.ok and e.operation.kind is OperationKind.ENABLE and e.operation.vport is not None:
            self._learn(e.operation.vport)
        if not e.ok or e.operation.kind is not OperationKind.FUNCTIONS:
            return False
        before, self.infos = self.infos, _named(self.host.vports.values())
        for name, info in self.infos.items():
            self._called(name, info.identity if info.vhca_id is None else vhca_id(info.vhca_id))
        return self.infos != before

    def _learn(self, vport: int) -> None:
        """Take the identity that a function has since it was enabled."""
        state = self.host.session.vports.get(vport)
        if state is not None and state.identity is not None:
            for name in (name for name, info in self.infos.items() if info.vport == vport):
                self._called(name, state.identity)

    def _called(self, name: str, who: Identity) -> None:
        self.names[name] = tuple(dict.fromkeys((*self.names.get(name, ()), who)))

    @property
    def counts(self) -> dict[str, int]:
        """How many functions of each type there are."""
        return {str(kind): len(names) for kind, names in _by_type(self.infos).items()}

    def __str__(self) -> str:
        """``2 VFs (vf0, vf1), 256 SFs (sf0 to sf255)``; ``none``."""
        parts = [f"{many(len(names), _WORDS[kind])} ({_listed(names)})" for kind, names in _by_type(self.infos).items()]
        return ", ".join(parts) or "none"


def _named(infos: Iterable[VportInfo]) -> dict[str, VportInfo]:
    found: dict[str, VportInfo] = {}
    place: dict[FunctionType, int] = {}
    for info in sorted(infos, key=lambda v: v.vport):
        n = place[info.type] = place.get(info.type, -1) + 1
        found[f"{info.type.replace('_', '-')}{n}"] = info
    return found


def _by_type(infos: Mapping[str, VportInfo]) -> dict[FunctionType, list[str]]:
    found: dict[FunctionType, list[str]] = {}
    for name, info in infos.items():
        found.setdefault(info.type, []).append(name)
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(names) if len(names) <= 2 else f"{names[0]} to {names[-1]}"


def beyond_sriov(named: Mapping[str, VportInfo], described: Described) -> str:
    """Say which of the user's functions the device's own SR-IOV capability does not have; empty where none.

    A device that shows no such capability says nothing: virtual machines hide it.
    """
    kind = FunctionType.EC_VF if described.supplier.ecpf else FunctionType.VF
    most = described.vfs
    return "" if most is None else _beyond(named, kind, most, f"the device has {many(most, _WORDS[kind])}, by SR-IOV")


def beyond_host(named: Mapping[str, VportInfo], others: OtherFunctions | None) -> str:
    """Say which of the user's functions the embedded CPU's external host does not have; empty where none.

    Without a host PF the device says nothing about VFs.
    """
    if others is None:
        return ""
    pf = next((name for name, info in named.items() if info.type is FunctionType.HOST_PF), None)
    if not others.host_pf:
        return "" if pf is None else f"{pf}: by QUERY_ESW_FUNCTIONS the device has no host PF"
    words = f"by QUERY_ESW_FUNCTIONS the device has {many(others.total_vfs, 'host VF')}"
    return _beyond(named, FunctionType.VF, others.total_vfs, words)


def _beyond(named: Mapping[str, VportInfo], kind: FunctionType, most: int, words: str) -> str:
    beyond = [name for name, info in named.items() if info.type is kind and info.function_id > most]
    return f"{_listed(beyond)}: {words}" if beyond else ""
