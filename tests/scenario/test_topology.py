from __future__ import annotations

import pytest

from fwpages.device import profile
from fwpages.prm.identity import FunctionType
from fwpages.scenario import ScenarioError, ScenarioRun, load
from fwpages.scenario.topology import device_profile, functions

STEP = '[[step]]\ndo = "open"\n'


def text(device: str, *rows: str) -> str:
    tables = "".join(f"[[function]]\n{row}\n" for row in rows)
    return f"[device]\n{device}\n{tables}{STEP}"


def vf(name: str = "vf0", index: int = 0, vhca: int = 0x31, kind: str = "vf") -> str:
    return f'name = "{name}"\ntype = "{kind}"\nindex = {index}\nvhca_id = {vhca}'


@pytest.mark.parametrize(
    ("device", "rows", "words"),
    [
        ('profile = "nosuch"', [], r"device\.profile: .*nosuch.*connectx7"),
        (
            'profile = "connectx7"\ncapabilities = { colour = 1 }',
            [],
            r"device\.capabilities: .*'colour'; there are page_request_disable, ",
        ),
        ('profile = "connectx7"\ncapabilities = { vhca_id = 5 }', [], r"device\.capabilities\.vhca_id: follows"),
        (
            'profile = "connectx7"\ncapabilities = { uar_4k = 2 }',
            [],
            r"device\.capabilities\.uar_4k: expected 0 to 1, not 2$",
        ),
        ('profile = "connectx7"', [vf(), vf("vf1", 1)], r"function\[1\]\.vhca_id: 0x31 is taken by vf0"),
        ('profile = "connectx7"', [vf(), vf("vf0", 1, 0x32)], r"function\[1\]\.name: vf0 is taken"),
        ('profile = "connectx7"', [vf(), vf("vf1", 0, 0x32)], r"function\[1\]\.index: vf 0 is taken by vf0"),
        ('profile = "connectx7"', [vf(vhca=0x2A)], r"function\[0\]\.vhca_id: 0x2a is taken by the supplier itself"),
        ('profile = "connectx7"', [vf("self")], r"function\[0\]\.name: self is taken by the supplier"),
        ('profile = "connectx7"', [vf(index=127)], r"function\[0\]: vf 127 on connectx7, which has 127 of them"),
        ('profile = "connectx7"', [vf(kind="ec_vf")], r"function\[0\]: ec_vf 0 on connectx7, which has none of them"),
        (
            'profile = "connectx7"',
            [vf(kind="host_pf")],
            r"function\[0\]: host_pf 0 on connectx7, which has none of them",
        ),
        ('profile = "connectx7"', [vf(kind="spf")], r"function\[0\]: spf 0 on connectx7, which has none of them"),
        ('profile = "connectx4-lx"', [vf(kind="sf")], r"function\[0\]: sf 0 on connectx4-lx, which has none of them"),
        ('profile = "bluefield3"', [vf(index=1, kind="host_pf")], r"function\[0\]: host_pf 1 .* has 1 of them"),
    ],
)
def test_what_does_not_fit_the_device(device: str, rows: list[str], words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        ScenarioRun(load("x.toml", text(device, *rows)))


def test_numbers_follow_from_type_and_index() -> None:
    kinds = ("vf", "sf", "host_pf", "spf", "ec_vf")
    rows = [vf(f"f{n}", 0, 0x31 + n, kind) for n, kind in enumerate(kinds)]
    s = load("x.toml", text('profile = "bluefield3"', *rows, vf("g", 3, 0x60)))
    pairs = functions(s, device_profile(s))
    for spec, info in pairs:
        assert (spec.vport, spec.function_id, spec.ec) == (info.vport, info.function_id, info.ec)
        assert info.type is spec.type
    vports = {spec.name: spec.vport for spec, _ in pairs}
    assert len(set(vports.values())) == len(vports)
    by_type = {spec.type: spec for spec, _ in pairs[:5]}
    assert (by_type[FunctionType.VF].vport, by_type[FunctionType.VF].function_id) == (1, 1)
    assert (by_type[FunctionType.HOST_PF].vport, by_type[FunctionType.HOST_PF].function_id) == (0, 0)
    assert by_type[FunctionType.EC_VF].ec
    assert by_type[FunctionType.SF].ec
    assert by_type[FunctionType.SF].function_id == 0x8000
    assert pairs[5][0].vport == pairs[5][0].function_id == 4
    known = {info.type: info.vhca_id for _, info in pairs}
    assert [t for t, v in known.items() if v is not None] == [FunctionType.SPF]


def test_types_that_numbers_show_are_those_of_the_functions() -> None:
    """In FUNC_ID mode firmware names a function by number alone, and the host must not take it for another type."""
    rows = [vf(f"f{n}", 0, 0x31 + n, kind) for n, kind in enumerate(("vf", "sf", "host_pf", "ec_vf"))]
    s = load("x.toml", text('profile = "bluefield3"', *rows, vf("last", 126, 0x70)))
    p = device_profile(s)
    for spec, info in functions(s, p):
        assert p.supplier.type_by_number(info.identity) is spec.type


def test_capabilities_change_what_is_offered_and_what_is_set_at_first() -> None:
    s = load("x.toml", text('profile = "connectx7"\ncapabilities = { release_all_pages = 0, eswitch_manager = 0 }'))
    p, base = device_profile(s), profile("connectx7")
    assert (base.max["release_all_pages"], base.current["eswitch_manager"]) == (1, 1)
    assert (p.max["release_all_pages"], p.max["eswitch_manager"], p.current["eswitch_manager"]) == (0, 0, 0)
    assert p.max["icm_mng_function_id_mode"] == 1
    assert base == profile("connectx7")
