from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier, Vport, func_id, named, vhca_id

T = FunctionType
identities = st.builds(func_id, st.integers(0, 0xFFFF), ec=st.booleans()) | st.builds(vhca_id, st.integers(0, 0xFFFF))


@given(identities)
def test_an_identity_is_what_its_words_say(who: Identity) -> None:
    assert Identity.parse(str(who)) == who


def test_words() -> None:
    assert str(vhca_id(0x2A)) == "vhca:0x2a"
    assert str(func_id(3)) == "func:0x3"
    assert str(func_id(3, ec=True)) == "func:0x3/ec"
    assert Identity.parse("vhca:42") == vhca_id(0x2A)
    assert Identity.parse("func:0xFFFF/ec") == func_id(0xFFFF, ec=True)


@pytest.mark.parametrize(
    "text",
    [
        *("", "0x2a", "vhca:", "vhca:0x", "vhca:-1", "vhca:0x10000", "func:65536", "vhca:0x1/ec", "func:0x1/EC"),
        *("func:1 ", " func:1", "pf:1", "func:0x1/ec/ec", "vhca:0x2a\n", "func:٣", "vhca:0b1"),
    ],
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an identity|16 bits|does not use it"):
        Identity.parse(text)


@pytest.mark.parametrize("number", [-1, 0x10000])
def test_numbers_have_sixteen_bits(number: int) -> None:
    for make in (func_id, vhca_id):
        with pytest.raises(ValueError, match="16 bits"):
            make(number)


def test_the_ec_bit_is_part_of_a_name_in_func_id_mode_only() -> None:
    with pytest.raises(ValueError, match="does not use it"):
        Identity(Mode.VHCA_ID, 3, ec=True)
    assert func_id(3) != func_id(3, ec=True)
    assert named(Mode.VHCA_ID, 3, 1) == vhca_id(3)
    assert named(Mode.FUNC_ID, 3, 1) == func_id(3, ec=True)
    assert named(Mode.FUNC_ID, 3, 0) == func_id(3)
    assert func_id(3, ec=True).fields == {"embedded_cpu_function": 1, "function_id": 3}
    assert vhca_id(3).fields == {"embedded_cpu_function": 0, "function_id": 3}


PF = Supplier(max_vfs=4)
PF_EC_LARGER = Supplier(max_vfs=4, max_ec_vfs=9)
PF_WITHOUT = Supplier()
ECPF = Supplier(ecpf=True, max_vfs=8, max_ec_vfs=2)
ECPF_EC_LARGER = Supplier(ecpf=True, max_vfs=2, max_ec_vfs=8)


@pytest.mark.parametrize(
    ("supplier", "number", "ec", "kind"),
    [
        (PF, 0, False, T.SELF),
        (PF, 0, True, T.SELF),
        (PF, 1, False, T.VF),
        (PF, 4, False, T.VF),
        (PF, 4, True, T.EC_VF),
        (PF, 5, False, T.SF),
        (PF, 5, True, T.SF),
        (PF, 0xFFFF, False, T.SF),
        (PF_EC_LARGER, 5, False, T.VF),
        (PF_EC_LARGER, 9, True, T.EC_VF),
        (PF_EC_LARGER, 10, False, T.SF),
        (PF_WITHOUT, 0, False, T.SELF),
        (PF_WITHOUT, 1, False, T.SF),
        (ECPF, 0, True, T.SELF),
        (ECPF, 0, False, T.HOST_PF),
        (ECPF, 1, False, T.VF),
        (ECPF, 8, True, T.EC_VF),
        (ECPF, 8, False, T.VF),
        (ECPF, 9, False, T.SF),
        (ECPF, 9, True, T.SF),
        (ECPF_EC_LARGER, 3, False, T.VF),
        (ECPF_EC_LARGER, 8, True, T.EC_VF),
        (ECPF_EC_LARGER, 9, True, T.SF),
    ],
)
def test_the_type_that_a_number_tells(supplier: Supplier, number: int, ec: bool, kind: FunctionType) -> None:
    assert supplier.type_by_number(func_id(number, ec=ec)) is kind


@given(st.integers(0, 0xFFFF), st.booleans())
def test_a_vhca_id_tells_no_type(number: int, ecpf: bool) -> None:
    assert Supplier(ecpf, 8, 8).type_by_number(vhca_id(number)) is T.UNKNOWN


def test_the_supplier_itself() -> None:
    assert PF.own == func_id(0)
    assert ECPF.own == func_id(0, ec=True)
    for supplier in (PF, ECPF):
        assert supplier.type_by_number(supplier.own) is T.SELF


def test_vports_with_a_meaning() -> None:
    assert (Vport.HOST_PF, Vport.FIRST_VF, Vport.ECPF, Vport.UPLINK) == (0, 1, 0xFFFE, 0xFFFF)
