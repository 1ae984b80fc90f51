"""The devices of a campaign: the scenario for a row, and the pages that its functions want at run time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fwpages.device import ResetFunction, Want
from fwpages.prm.identity import Mode
from fwpages.scenario.format import DeviceTable, FunctionTable, OpenStep, Scenario
from fwpages.trial.rows import Row, Supplier, Trouble

#: pages before INIT_HCA: more than Linux takes back with one command (768), and loaded in a second or two
INIT_PAGES: Final = 1000
#: general capabilities, as they must be for a fault to find its opportunity
_CAPABILITIES: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        # a device on which release_all cannot be negotiated
        "release-all-unasked": {"release_all_pages": 0},
    }
)
#: a device that does not offer VHCA_ID mode
_NOT_OFFERED: Mapping[str, int] = MappingProxyType({"icm_mng_function_id_mode": 0})

_VFS = (
    FunctionTable(name="vf0", type="vf", vhca_id=0x31, pages=200),
    FunctionTable(name="vf1", type="vf", index=1, vhca_id=0x32, pages=50),
)
_SF = FunctionTable(name="sf0", type="sf", vhca_id=0x90)
_FUNCTIONS: Mapping[Supplier, tuple[FunctionTable, ...]] = MappingProxyType(
    {
        Supplier.PF: (*_VFS, _SF),
        Supplier.ECPF: (
            FunctionTable(name="host-pf", type="host_pf", vhca_id=1),
            *_VFS,
            _SF,
            FunctionTable(name="ec-vf0", type="ec_vf", vhca_id=0x51),
        ),
    }
)
_PROFILES: Mapping[Supplier, str] = MappingProxyType({Supplier.PF: "connectx7", Supplier.ECPF: "bluefield3"})


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the requests: what happens inside the device at once; the driver then has its time."""

    events: tuple[Want | ResetFunction, ...]

    def __str__(self) -> str:
        return ", ".join(
            f"{e.function} {e.pages:+}" if isinstance(e, Want) else f"{e.function} reset" for e in self.events
        )


#: the requests of a PF's device: pages are asked for, twice for the same function, given back, and let go of at a reset
_OF_PF = (
    Part((Want("vf0", 200), Want("self", 60), Want("sf0", 20))),
    Part((Want("vf0", 300),)),
    Part((Want("vf0", -150), Want("self", -30))),
    Part((ResetFunction("vf0"), ResetFunction("sf0"))),
)
_OF_ECPF = (
    Part((Want("host-pf", 200), Want("vf0", 100), Want("self", 60), Want("sf0", 20), Want("ec-vf0", 20))),
    Part((Want("host-pf", 300), Want("vf0", 100))),
    Part((Want("host-pf", -150), Want("self", -30))),
    Part(tuple(ResetFunction(name) for name in ("host-pf", "vf0", "sf0", "ec-vf0"))),
)
REQUESTS: Mapping[Supplier, tuple[Part, ...]] = MappingProxyType({Supplier.PF: _OF_PF, Supplier.ECPF: _OF_ECPF})


def scenario(row: Row) -> Scenario:
    """The scenario that is served for a row; its faults are the row's."""
    wanted = {} if row.fault is None else dict(_CAPABILITIES.get(row.fault.name, {}))
    if row.mode is Mode.FUNC_ID:
        wanted.update(_NOT_OFFERED)
    device = DeviceTable(profile=_PROFILES[row.supplier], init_pages=INIT_PAGES, capabilities=wanted)
    resettable = row.trouble is not Trouble.STUCK
    functions = _FUNCTIONS[row.supplier]
    return Scenario(device=device, function=functions, step=(OpenStep(),), assume={"software_reset": resettable})
