"""The assumptions of a world: switches that are on or off, and the parts of a scenario that are there under one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from fwpages.scenario.format import Scenario, Switch


@dataclass(frozen=True, slots=True)
class Assumption:
    """A switch: its meaning when on and when off, its default, and the source that says so.

    ``default`` None leaves it as each design has it. ``source`` is ``unknown`` where no document or code says it.
    """

    on: str
    off: str
    default: bool | None
    source: str


ASSUMPTIONS: Mapping[Switch, Assumption] = MappingProxyType(
    {
        "vport_command_waits": Assumption(
            "firmware completes a vport command only when it has the pages that it asked for that function",
            "firmware completes a vport command without waiting for pages",
            False,
            'unknown; the review asks it, its author answers "no real issue"',
        ),
        "another_ahead": Assumption(
            "another page request may be ahead in the queue when a function's own comes",
            "page requests come one at a time",
            True,
            "one EQ and one queue for all functions: Linux, pagealloc.c:req_pages_handler",
        ),
        "never_uplink": Assumption(
            "firmware never asks for the uplink, nor for an ECPF otherwise than as itself",
            "firmware may ask for the uplink's vhca_id, and for the ECPF's by its vport",
            True,
            "the patch's author in the review; not in a document",
        ),
        "boot_names_zero": Assumption(
            "the answer to QUERY_PAGES(boot) names function 0",
            "the answer to QUERY_PAGES(boot) may name another function",
            True,
            "the patch's author in the review; seen with Linux 7.2 only on firmware of our own",
        ),
        "switch_at_set_cap": Assumption(
            "firmware switches the mode when it answers SET_HCA_CAP",
            "firmware switches the mode at INIT_HCA",
            True,
            "Linux, pagealloc.c:mlx5_satisfy_startup_pages names init pages by vhca_id",
        ),
        "host_pages_4k": Assumption(
            "host pages are 4 KiB",
            "host pages are 64 KiB, sixteen blocks to a page",
            True,
            "a property of the kernel's build (PAGE_SIZE)",
        ),
        "keeps_vhca_id": Assumption(
            "a vport keeps its vhca_id in the table after it is disabled",
            "a vport's vhca_id leaves the table when it is disabled",
            None,
            "each design's own choice",
        ),
        "software_reset": Assumption(
            "the driver can reset the device by software, and a fatal syndrome asks for it",
            "the device cannot be reset by software",
            True,
            "bit 30 of initializing, and rfr: Linux, health.c:mlx5_error_sw_reset; which devices offer it is unknown",
        ),
    }
)


def assumed(scenario: Scenario, overrides: Mapping[Switch, bool] = MappingProxyType({})) -> dict[Switch, bool | None]:
    """The position of every switch: ``overrides`` before the scenario's ``[assume]`` before the default."""
    defaults: dict[Switch, bool | None] = {name: a.default for name, a in ASSUMPTIONS.items()}
    return {**defaults, **scenario.assume, **overrides}


def under(scenario: Scenario, overrides: Mapping[Switch, bool] = MappingProxyType({})) -> Scenario:
    """The scenario with only the parts that are there under these assumptions, without their ``when``."""
    stands = assumed(scenario, overrides)
    # every ``when`` that holds, as the format lets it be written
    true = {None} | {name if value else f"not {name}" for name, value in stands.items()}
    return msgspec.structs.replace(
        scenario,
        function=tuple(msgspec.structs.replace(f, when=None) for f in scenario.function if f.when in true),
        step=tuple(msgspec.structs.replace(s, when=None) for s in scenario.step if s.when in true),
        fault=tuple(msgspec.structs.replace(f, when=None) for f in scenario.fault if f.when in true),
    )
