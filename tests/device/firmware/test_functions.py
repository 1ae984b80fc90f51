from __future__ import annotations

from dataclasses import replace

import pytest

from fwpages.device.firmware.functions import MOST_PAGES, FunctionSpec, roster
from fwpages.prm.identity import FunctionType, Mode, func_id, vhca_id

VF = FunctionSpec("vf", FunctionType.VF, 1, 1, ec=False, vhca_id=0x31)
SPF = FunctionSpec("spf", FunctionType.SPF, 7, 1, ec=False, vhca_id=0x50)


def test_identities() -> None:
    assert VF.identity(Mode.FUNC_ID) == func_id(1)
    assert VF.identity(Mode.VHCA_ID) == vhca_id(0x31)
    assert SPF.identity(Mode.FUNC_ID) is None
    assert SPF.identity(Mode.VHCA_ID) == vhca_id(0x50)


@pytest.mark.parametrize("bad", [{"vport": -1}, {"function_id": 1 << 16}, {"vhca_id": 1 << 16}, {"pages": -1}])
def test_ranges(bad: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="function vf"):
        replace(VF, **bad)  # type: ignore[arg-type]  # one integer field
    with pytest.raises(ValueError, match="wants"):
        replace(VF, pages=MOST_PAGES + 1)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (replace(VF, vport=2, function_id=2, vhca_id=2), "name"),
        (replace(VF, name="b", vport=2, function_id=2), "vhca_id"),
        (replace(VF, name="b", function_id=2, vhca_id=2), "vport"),
        (replace(VF, name="b", vport=2, vhca_id=2), "function_id"),
    ],
)
def test_no_two_share_a_name(other: FunctionSpec, what: str) -> None:
    with pytest.raises(ValueError, match=f"same {what}"):
        roster([VF, other], 0x2A, ecpf=False)


def test_an_spf_has_no_function_id() -> None:
    r = roster([VF, SPF], 0x2A, ecpf=False)
    assert r.by_function == {(0, False): 0, (1, False): 1}
    assert r.by_eswitch(7, ec=False) == 2
    assert r.by_eswitch(7, ec=True) is None


def test_the_supplier_may_be_listed() -> None:
    own = FunctionSpec("pf0", FunctionType.SELF, 0, 0, ec=False, vhca_id=3, pages=9)
    assert roster([VF, own], 0x2A, ecpf=False).specs == (own, VF)
    with pytest.raises(ValueError, match="function_id 0"):
        roster([own], 0x2A, ecpf=True)
    with pytest.raises(ValueError, match="cannot all be"):
        roster([own, replace(own, name="b")], 0x2A, ecpf=False)
    with pytest.raises(ValueError, match="there are self, vf"):
        roster([VF], 0x2A, ecpf=False).named("x")
