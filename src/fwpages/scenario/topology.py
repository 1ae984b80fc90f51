"""The functions of a scenario as the device and the e-switch know them: numbers that follow from type and index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from fwpages.device import DERIVED, Asks, FunctionSpec, Profile, ProfileError, profile
from fwpages.host import VportInfo
from fwpages.pages.words import meant
from fwpages.prm.capability import GENERAL
from fwpages.prm.identity import SPF_VPORTS, Identity, Mode, Vport, vhca_id
from fwpages.scenario.format import FunctionTable, Scenario, ScenarioError

#: first vport number of EC VFs: the real one comes from capabilities, this is above any VF and below any SF
EC_VF_VPORTS = 0x1000
ADJACENT_VPORTS = 0x3000
#: a capability of another page than the general one
_BY_VHCA_ID = "function_id_type_vhca_id"


def device_profile(scenario: Scenario) -> Profile:
    """The scenario's profile with the scenario's changes; ScenarioError names the key path that does not fit."""
    table = scenario.device
    try:
        base = profile(table.profile)
    except ProfileError as e:
        raise ScenarioError(f"device.profile: {e}") from None
    general = dict(table.capabilities)
    by_vhca_id = general.pop(_BY_VHCA_ID, base.function_id_type_vhca_id)
    if by_vhca_id not in (0, 1):
        raise ScenarioError(f"device.capabilities.{_BY_VHCA_ID}: expected 0 or 1, not {by_vhca_id}")
    for name, value in general.items():
        _check_capability(name, value)
    current = {name: min(value, general.get(name, value)) for name, value in base.current.items()}
    return msgspec.structs.replace(
        base,
        function_id_type_vhca_id=bool(by_vhca_id),
        max={**base.max, **general},
        current=current,
        boot_pages=base.boot_pages if table.boot_pages is None else table.boot_pages,
        init_pages=base.init_pages if table.init_pages is None else table.init_pages,
    )


def _check_capability(name: str, value: int) -> None:
    f = GENERAL.by_name.get(name)
    if f is None:
        near = meant(name, [f.name for f in GENERAL if f.name not in DERIVED])
        raise ScenarioError(f"device.capabilities: there is no general capability {name!r}; {near}")
    if name in DERIVED:
        raise ScenarioError(f"device.capabilities.{name}: follows from the profile and cannot be set here")
    if value > f.mask:
        raise ScenarioError(f"device.capabilities.{name}: expected 0 to {f.mask}, not {value}")


def _numbers(f: FunctionTable, p: Profile) -> tuple[int, int, bool, int]:
    """The vport, function_id and ec bit of a function, and how many of its type there may be."""
    n = f.index
    rows: Mapping[str, tuple[int, int, bool, int]] = {
        "adjacent_vf": (ADJACENT_VPORTS + n, ADJACENT_VPORTS + n, False, 1 << 8),
        "uplink": (Vport.UPLINK, Vport.UPLINK, False, 1),
        "ecpf": (Vport.ECPF, Vport.ECPF, False, int(p.ecpf)),
        "vf": (Vport.FIRST_VF + n, 1 + n, False, p.max_vfs),
        "ec_vf": (EC_VF_VPORTS + n, 1 + n, True, p.max_ec_vfs),
        "sf": (p.sf_base_id + n, p.sf_base_id + n, p.ecpf, p.max_sf),
        "spf": (SPF_VPORTS + n, SPF_VPORTS + n, False, 16 * p.ecpf),
        "host_pf": (Vport.HOST_PF, 0, False, int(p.ecpf)),
    }
    return rows[f.type]


def names_of(pairs: Iterable[tuple[FunctionSpec, VportInfo]]) -> dict[str, tuple[Identity, ...]]:
    """The scenario's names of functions, each with its identities in either mode."""
    return {spec.name: tuple(_identities(spec)) for spec, _ in pairs}


def _identities(spec: FunctionSpec) -> Iterator[Identity]:
    yield from (who for mode in Mode if (who := spec.identity(mode)) is not None)
    if spec.next_vhca_id is not None:
        yield vhca_id(spec.next_vhca_id)


def functions(scenario: Scenario, p: Profile, *, served: bool = False) -> tuple[tuple[FunctionSpec, VportInfo], ...]:
    """Every function of the scenario for both sides; ScenarioError for two of a name, a vhca_id or an index.

    ``served``: the driver is not ours: it sends ENABLE_HCA for SFs, and vhca_ids may change under it.
    """
    out: list[tuple[FunctionSpec, VportInfo]] = []
    seen: dict[tuple[str, object], str] = {
        ("vhca_id", p.vhca_id): "the supplier itself",
        ("name", "self"): "the supplier",
    }
    for n, f in enumerate(scenario.function):
        where = f"function[{n}]"
        vport, number, ec, room = _numbers(f, p)
        if f.index >= room:
            have = f"{room} of them" if room else "none of them"
            raise ScenarioError(f"{where}: {f.type} {f.index} on {p.name}, which has {have}")
        _check_asks(where, f, served=served)
        _check_next(where, f, scenario, served=served)
        for path, key, words in _claims(f):
            if key in seen and not (path == "vhca_id" and seen[key] == f.reuses):
                raise ScenarioError(f"{where}.{path}: {words} is taken by {seen[key]}")
            seen[key] = f.name
        known = f.vhca_id if f.type in ("spf", "adjacent_vf", "uplink", "ecpf") else None
        out.append(
            (
                FunctionSpec(f.name, f.kind, vport, number, ec, f.vhca_id, f.pages, f.reuses, f.asks, f.next_vhca_id),
                VportInfo(vport, f.kind, number, ec, known),
            )
        )
    return tuple(out)


def _claims(f: FunctionTable) -> Iterator[tuple[str, tuple[str, object], str]]:
    """The values that one function alone may have: key in the file, kind and value, the value in words."""
    yield "name", ("name", f.name), f.name
    yield "vhca_id", ("vhca_id", f.vhca_id), f"{f.vhca_id:#x}"
    if f.next_vhca_id is not None:
        yield "next_vhca_id", ("vhca_id", f.next_vhca_id), f"{f.next_vhca_id:#x}"
    yield "index", ("index", (f.type, f.index)), f"{f.type} {f.index}"


def _check_asks(where: str, f: FunctionTable, *, served: bool) -> None:
    if f.asks is Asks.ALLOC:
        return
    if f.type != "sf":
        raise ScenarioError(f"{where}.asks: {f.asks} is of an sf alone, {f.name} is {f.type}")
    if not served:
        raise ScenarioError(
            f"{where}.asks: {f.asks} is of a served device alone: the host of a run does not activate SFs"
        )


def _check_next(where: str, f: FunctionTable, scenario: Scenario, *, served: bool) -> None:
    if f.next_vhca_id is None:
        return
    if not served:
        raise ScenarioError(f"{where}.next_vhca_id: a served device alone has such a function, for a driver not ours")
    if f.reuses or any(other.reuses == f.name for other in scenario.function):
        raise ScenarioError(f"{where}.next_vhca_id: {f.name} shares its vhca_id by reuses, and keeps it")
