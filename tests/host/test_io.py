from __future__ import annotations

import pytest

from fwpages.host import VportInfo
from fwpages.prm.identity import FunctionType, Identity, func_id


@pytest.mark.parametrize(
    ("info", "identity"),
    [
        (VportInfo(1, FunctionType.VF, 1), func_id(1)),
        (VportInfo(0x8000, FunctionType.SF, 0x8000), func_id(0x8000)),
        (VportInfo(0, FunctionType.HOST_PF, 0), func_id(0)),
        (VportInfo(0xC000, FunctionType.EC_VF, 1, ec=True), func_id(1, ec=True)),
        (VportInfo(0x2000, FunctionType.SPF, 0x2000, vhca_id=0x77), func_id(0x2000)),
    ],
)
def test_how_func_id_mode_names_a_vport_s_function(info: VportInfo, identity: Identity) -> None:
    assert info.identity == identity
