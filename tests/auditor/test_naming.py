"""Names of functions: own identity, types and vhca_ids, as the commands of a session tell them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor.naming import BootName, Naming
from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier, func_id, vhca_id
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode

OWN = 0x2A
words = st.integers(0, 0xFFFF)
suppliers = st.builds(Supplier, ecpf=st.booleans(), max_vfs=st.integers(0, 300), max_ec_vfs=st.integers(0, 300))


def _enable(number: int, ec: int, id_type: int) -> Command:
    fields = {"function_id": number, "embedded_cpu_function": ec, "function_id_type": id_type}
    return Command(Opcode.ENABLE_HCA, fields=fields)


def _naming(mode: Mode = Mode.FUNC_ID, supplier: Supplier | None = None, *, ecpf: bool = False) -> Naming:
    """A session whose own vhca_id is known."""
    n = Naming(supplier)
    n.ecpf, n.mode, n.vhca = ecpf, mode, OWN
    return n


def test_the_function_itself_goes_by_its_boot_name_until_mode_and_vhca_id_are_known() -> None:
    n = Naming(None)
    assert n.own == func_id(0)
    n.ecpf = True
    assert n.own == func_id(0, ec=True)
    n.boot = BootName(func_id(5), certain=True)
    assert n.own == func_id(5)
    n.mode = Mode.VHCA_ID
    assert n.own == func_id(5)
    n.vhca = 0
    assert n.own == vhca_id(0)
    n.mode = Mode.FUNC_ID
    assert n.own == func_id(5)


@pytest.mark.parametrize(
    ("ecpf", "number", "ec", "id_type", "own"),
    [
        (False, 0, 0, 0, True),
        (False, 3, 0, 0, False),
        (True, 0, 1, 0, True),
        (True, 0, 0, 0, False),
        (True, 2, 1, 0, False),
        (False, OWN, 0, 1, True),
        (False, 0, 0, 1, False),
        (True, 0, 1, 1, False),
    ],
)
def test_which_enable_hca_is_about_the_function_itself(
    ecpf: bool, number: int, ec: int, id_type: int, own: bool
) -> None:
    assert _naming(ecpf=ecpf).is_own_hca(_enable(number, ec, id_type)) is own


def test_no_vhca_id_is_the_own_one_before_it_is_known() -> None:
    assert not Naming(None).is_own_hca(_enable(0, 0, 1))


@settings(max_examples=40)
@given(words, st.booleans())
def test_the_ec_bit_is_part_of_a_name_in_func_id_mode_alone(number: int, ec: bool) -> None:
    assert _naming().name(number, ec) == func_id(number, ec=ec)
    assert _naming(Mode.VHCA_ID).name(number, ec) == vhca_id(number)


# -- types


@settings(max_examples=40)
@given(suppliers, words, st.booleans())
def test_a_supplier_tells_the_types_of_all_numbers(supplier: Supplier, number: int, ec: bool) -> None:
    who = func_id(number, ec=ec)
    n = Naming(supplier)
    assert n.type_of(who) is supplier.type_by_number(who)


@pytest.mark.parametrize(
    ("who", "kind", "enabled"),
    [
        (func_id(0), "self", "self"),
        (func_id(3), "unknown", "vf"),
        (func_id(3, ec=True), "ec_vf", "vf"),
        (func_id(0x7F), "unknown", "vf"),
        (func_id(0x80), "sf", "vf"),
        (vhca_id(0x80), "unknown", "vf"),
    ],
)
def test_types_where_no_header_describes_the_supplier(who: Identity, kind: str, enabled: str) -> None:
    n = _naming()
    n.sf_base = 0x80
    assert n.type_of(who) == kind
    # a command that enabled it knows better than its number
    n.enable(who, FunctionType.VF)
    assert n.type_of(who) == enabled


def test_sub_functions_begin_at_their_first_number() -> None:
    n = _naming()
    assert n.type_of(func_id(0x80)) == "unknown"
    for base, kind in ((0, "unknown"), (1, "sf"), (0x80, "sf"), (0x81, "unknown")):
        n.sf_base = base
        assert n.type_of(func_id(0x80)) == kind


def test_number_0_of_an_ecpf_is_the_host_pf_unless_it_has_the_ec_bit() -> None:
    for n in (_naming(ecpf=True), Naming(Supplier(ecpf=True))):
        assert (n.type_of(func_id(0)), n.type_of(func_id(0, ec=True))) == ("host_pf", "self")


@settings(max_examples=40)
@given(suppliers, words, words.filter(lambda v: v != OWN))
def test_a_vhca_id_has_the_type_of_the_number_that_it_was_learned_with(
    supplier: Supplier, number: int, vhca: int
) -> None:
    n = _naming(Mode.VHCA_ID, supplier, ecpf=supplier.ecpf)
    who = func_id(number)
    assert not n.knows(vhca)
    assert n.type_of(vhca_id(vhca)) is FunctionType.UNKNOWN
    kind = n.learn(who, vhca)
    assert kind is n.type_of(vhca_id(vhca)) is supplier.type_by_number(who)
    assert n.knows(vhca)
    assert n.gone(who) == vhca_id(vhca)
    assert n.knows(vhca), "a name that was somebody's is no name of the wrong mode, whatever became of the function"
    assert n.type_of(vhca_id(vhca)) is FunctionType.UNKNOWN


def test_the_own_vhca_id_is_self_whatever_number_it_was_learned_with() -> None:
    n = _naming(Mode.VHCA_ID, Supplier(max_vfs=8))
    assert n.learn(func_id(3), OWN) is FunctionType.SELF
    assert n.knows(OWN)


# -- whose a vhca_id is


def test_a_vhca_id_is_one_functions_alone() -> None:
    n = _naming()
    n.learn(func_id(3), 0x31)
    assert n.user_of(0x31, func_id(3)) is None
    assert n.user_of(0x31, func_id(4)) == "func:0x3"
    assert n.user_of(0x32, func_id(4)) is None
    assert n.user_of(OWN, func_id(4)) == "the function itself"
    assert n.user_of(OWN, func_id(0)) is None
    n.gone(func_id(3))
    assert n.user_of(0x31, func_id(4)) is None


@pytest.mark.parametrize("mode", Mode)
def test_a_vport_that_is_gone_has_its_name_of_the_mode_that_holds(mode: Mode) -> None:
    for by_vhca in (False, True):
        n = _naming(mode)
        n.enable(func_id(3), FunctionType.VF)
        n.learn(func_id(3), 0x31)
        named = n.gone_vhca(0x31) if by_vhca else n.gone(func_id(3))
        assert named == (vhca_id(0x31) if mode is Mode.VHCA_ID else func_id(3))
        # nothing of it is left: the name may be another's next
        assert (n.enabled, n.user_of(0x31, func_id(9))) == ({}, None)
        assert n.type_of(named) is FunctionType.UNKNOWN


def test_a_vport_without_a_known_vhca_id_keeps_its_func_id_name() -> None:
    n = _naming(Mode.VHCA_ID)
    n.enable(func_id(3), FunctionType.VF)
    assert n.gone(func_id(3)) == func_id(3)
    assert n.gone_vhca(0x77) == vhca_id(0x77)


def test_only_an_ecpf_knows_that_what_it_enables_by_vhca_id_is_a_physical_function() -> None:
    for ecpf, kind in ((True, "spf"), (False, "unknown")):
        n = _naming(Mode.VHCA_ID, ecpf=ecpf)
        assert n.enable_vhca(7) == kind
        assert n.type_of(vhca_id(7)) == kind
        assert n.gone_vhca(7) == vhca_id(7)
        assert n.enabled == {}
    n = _naming(Mode.VHCA_ID, Supplier(ecpf=True, max_vfs=8), ecpf=True)
    n.learn(func_id(3), 0x31)
    assert n.enable_vhca(0x31) == "vf"


@pytest.mark.parametrize("mode", [Mode.FUNC_ID, Mode.VHCA_ID])
def test_the_name_of_a_vport_that_is_gone_is_known_and_not_present(mode: Mode) -> None:
    n = _naming(mode, Supplier(max_vfs=8))
    vf, vhca = func_id(3), vhca_id(0x31)
    assert not n.knows(0x31)
    n.enable(vf, None)
    n.learn(vf, 0x31)
    assert n.present(vf)
    assert n.present(vhca)
    n.gone(vf)
    assert not n.present(vf)
    assert not n.present(vhca)
    assert n.knows(0x31)
    assert n.met(vf)
    assert n.met(vhca)
    # whoever has the vhca_id next may be of another type
    assert n.type_of(vhca) is FunctionType.UNKNOWN


def test_a_vport_that_was_enabled_by_its_vhca_id_is_known_by_it() -> None:
    n = _naming(Mode.VHCA_ID, ecpf=True)
    n.enable_vhca(7)
    assert n.knows(7)
    assert n.present(vhca_id(7))
    n.gone_vhca(7)
    assert n.knows(7)
    assert not n.present(vhca_id(7))


def test_page_commands_name_a_sub_function_as_a_function_of_its_supplier() -> None:
    assert _naming().sf_name(0x90) == func_id(0x90)
    assert _naming(ecpf=True).sf_name(0x90) == func_id(0x90, ec=True)
