"""A GIVE or TAKE that names another function than firmware asked for: one finding, the host's, and nothing follows.

A page request names a function and a count; a host that gives as many to somebody else has mixed up two names.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.prm.identity import Supplier, func_id, vhca_id
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status
from tests.observe.fed import Fed
from tests.observe.lives import OWN_VHCA, pages

#: whom firmware asks for, and the names that a host could take for it, with their ec bits
VHCA = (0x31, [(0, 0), (OWN_VHCA, 0), (0xFFFF, 0), (0x32, 0)])
FUNC = (3, [(0, 0), (OWN_VHCA, 0), (0xFFFF, 0), (4, 0), (3, 1)])
CASES = [(True, VHCA[0], *name) for name in VHCA[1]] + [(False, FUNC[0], *name) for name in FUNC[1]]
MODES = pytest.mark.parametrize(("vhca", "who"), [(True, 0x31), (False, 3)])


def _opened(*, vhca: bool, log: bool = False) -> Fed:
    life = Fed(Supplier(max_vfs=8), log=log)
    life.opened(vhca=vhca)
    return life


def _name(number: int, ec: int, *, vhca: bool) -> str:
    return str(vhca_id(number) if vhca else func_id(number, ec=bool(ec)))


def _close(life: Fed, *, vhca: bool) -> None:
    """The close brings back what is the own function's; nothing is left of anybody."""
    life.closed(own=OWN_VHCA if vhca else 0)
    report = life.over()
    assert (report.end, report.totals.held, report.totals.doubtful) == ("closed", 0, 0)
    for f in report.functions:
        assert (f.held, f.returned) == (0, f.given)


@pytest.mark.parametrize(("vhca", "who", "number", "ec"), CASES)
def test_a_give_in_another_name_is_one_finding_of_the_host(vhca: bool, who: int, number: int, ec: int) -> None:
    life = _opened(vhca=vhca)
    life.event(who, 7)
    life.give(number, pages(0x500, 7), ec=ec)
    at = life.line - 1
    # firmware knows for whom the pages were, and has no part in the mistake
    life.event(who, -7)
    life.take(who, pages(0x500, 7))
    named, wanted = _name(number, ec, vhca=vhca), _name(who, 0, vhca=vhca)
    assert life.found == [("identity-mismatch", "host", named, 7)]
    (f,) = life.s.faults.rows()
    assert f.at["line"] == at
    assert f.detail.endswith(
        f"(GIVE) of 7 pages names {named}: firmware wants that of {wanted}, and nothing of {named}"
    )
    _close(life, vhca=vhca)
    assert len(life.found) == 1


@pytest.mark.parametrize(("vhca", "who", "number", "ec"), CASES)
def test_a_take_in_another_name_is_one_too(vhca: bool, who: int, number: int, ec: int) -> None:
    """Firmware gives back what it wanted to."""
    life = _opened(vhca=vhca)
    life.event(who, 7)
    life.give(who, pages(0x500, 7))
    life.event(who, -7)
    life.take(number, pages(0x500, 7), ec=ec)
    named, wanted = _name(number, ec, vhca=vhca), _name(who, 0, vhca=vhca)
    assert life.found == [("identity-mismatch", "host", named, 7)]
    (f,) = life.s.faults.rows()
    assert f.at["line"] == life.line - 1
    assert f.detail.endswith(
        f"(TAKE) of 7 pages names {named}: firmware wants that of {wanted}, and nothing of {named}"
    )
    _close(life, vhca=vhca)
    assert len(life.found) == 1


@MODES
def test_a_device_that_gives_back_what_the_wrong_name_has_does_as_it_is_told(vhca: bool, who: int) -> None:
    life = _opened(vhca=vhca)
    own = OWN_VHCA if vhca else 0
    life.event(who, 7)
    life.give(who, pages(0x500, 7))
    life.event(own, 7)
    life.give(own, pages(0x600, 7))
    life.event(who, -7)
    life.take(own, pages(0x600, 7))
    life.take(who, pages(0x500, 7))
    _close(life, vhca=vhca)
    assert life.found == [("identity-mismatch", "host", _name(own, 0, vhca=vhca), 7)]


@MODES
def test_an_ec_bit_that_no_function_here_has_is_one_finding(vhca: bool, who: int) -> None:
    life = _opened(vhca=vhca)
    life.event(who, 7)
    life.give(who, pages(0x500, 7), ec=1)
    life.event(who, -7)
    life.take(who, pages(0x500, 7))
    assert [(name, blame) for name, blame, *_ in life.found] == [("identity-mismatch", "host")]
    _close(life, vhca=vhca)
    assert len(life.found) == 1


def test_even_unasked_an_ec_bit_on_a_plain_physical_function_is_a_wrong_name() -> None:
    for ecpf, names in ((False, ["identity-mismatch"]), (True, [])):
        life = Fed(Supplier(ecpf=ecpf, max_vfs=8, max_ec_vfs=8), ecpf=ecpf)
        life.opened(vhca=False)
        life.give(3, pages(0x500, 7), ec=1)
        assert life.names == names


@MODES
def test_the_init_pages_are_the_own_functions(vhca: bool, who: int) -> None:
    life = Fed(Supplier(max_vfs=8)).booted()
    life.negotiate(vhca=vhca)
    own = OWN_VHCA if vhca else 0
    life.query(QueryPages.INIT, 20, own)
    life.give(who, pages(0x200, 20))
    assert life.found == [("identity-mismatch", "host", _name(who, 0, vhca=vhca), 20)]


@pytest.mark.parametrize(("what", "status"), [("give", Status.BAD_PARAM), ("take", Status.BAD_RES_STATE)])
def test_a_device_that_refuses_a_wrong_name_is_right(what: str, status: Status) -> None:
    life = _opened(vhca=True)
    life.event(0x31, 7)
    if what == "give":
        life.give(0x32, pages(0x500, 7), status)
    else:
        life.give(0x31, pages(0x500, 7))
        life.event(0x31, -7)
        life.cmd(life.take_command(0x32, 7), Answer(Opcode.MANAGE_PAGES, status))
    assert [(name, blame) for name, blame, *_ in life.found] == [
        ("identity-mismatch", "host"),
        (f"{what}-refused", "host"),
    ]


def test_pages_that_were_named_wrongly_excuse_no_others() -> None:
    """The device returns for 0x31 what is really the own function's, beside what is 0x31's by the host's mistake."""
    life = _opened(vhca=True)
    life.event(0x31, 7)
    life.give(0x32, pages(0x500, 7))
    life.event(0x31, -7)
    life.take(0x31, np.concatenate([pages(0x500, 5), pages(0x200, 2)]))
    assert life.found[1:] == [("returned-foreign", "device", "vhca:0x31", 2)]
    assert life.out() == {"vhca:0x2a": 30, "vhca:0x32": 2}
    # and another function than the one that was meant has no claim to them
    life.take(0x33, pages(0x505, 2))
    assert life.found[-1] == ("returned-foreign", "device", "vhca:0x33", 2)


# -- what is not claimed


def _ask(life: Fed, *asked: tuple[int, int]) -> None:
    for number, n in asked:
        life.event(number, n)


def test_where_both_functions_have_asked_either_may_be_meant() -> None:
    life = _opened(vhca=True)
    _ask(life, (0x31, 7), (0x32, 9))
    life.give(0x32, pages(0x500, 7))
    life.give(0x31, pages(0x600, 9))
    _ask(life, (0x31, -9), (0x32, -7))
    life.take(0x32, pages(0x500, 7))
    life.take(0x31, pages(0x600, 9))
    assert life.found == []
    _close(life, vhca=True)


def test_where_two_others_have_asked_for_as_many_nobody_knows_which_was_meant() -> None:
    life = _opened(vhca=True)
    _ask(life, (0x31, 7), (0x32, 7))
    life.give(0x33, pages(0x500, 7))
    assert life.found == []


@pytest.mark.parametrize("n", [6, 8])
def test_another_count_is_another_matter(n: int) -> None:
    life = _opened(vhca=True)
    _ask(life, (0x31, 7))
    life.give(0x32, pages(0x500, n))
    assert life.found == []


def test_at_the_close_everything_is_taken_back_unasked() -> None:
    life = _opened(vhca=True)
    _ask(life, (0x31, 30))
    life.give(0x31, pages(0x500, 30))
    _ask(life, (0x31, -30))
    life.plain(Opcode.TEARDOWN_HCA)
    life.take(OWN_VHCA, np.concatenate([pages(0x100, 10), pages(0x200, 20)]))
    assert life.found == []


def test_a_request_that_was_declined_or_is_void_is_waited_for_no_more() -> None:
    for void in ("cannot give", "release_all"):
        life = _opened(vhca=True)
        _ask(life, (0x31, 7))
        if void == "release_all":
            life.event(0x31, 0, release_all=True)
        else:
            command = life.give_command(0x31, pages(0, 0))
            command = type(command)(command.opcode, ManagePages.CANT_GIVE, command.fields)
            life.cmd(command)
        found = life.found
        life.give(0x32, pages(0x500, 7))
        assert life.found == found


@pytest.mark.parametrize("why", ["middle", "lost"])
def test_where_lines_are_missing_the_request_may_be_among_them(why: str) -> None:
    life = _opened(vhca=True)
    if why == "middle":
        life.s.began = False
    else:
        life.s.lose(None, "lines are missing")
    _ask(life, (0x31, 7))
    life.give(0x32, pages(0x500, 7))
    assert life.found == []


@settings(max_examples=25)
@given(st.lists(st.tuples(st.sampled_from([0x31, 0x32, 0x33]), st.integers(1, 9)), max_size=8), st.data())
def test_a_host_that_serves_what_was_asked_is_never_suspected(
    asked: list[tuple[int, int]], data: st.DataObject
) -> None:
    """In any order of the functions, each request in its turn, and cut into pieces or not."""
    life = _opened(vhca=True)
    _ask(life, *asked)
    first = 0x1000
    while asked:
        who = data.draw(st.sampled_from(sorted({number for number, _ in asked})))
        i = next(i for i, (number, _) in enumerate(asked) if number == who)
        n = data.draw(st.integers(1, asked[i][1]))
        life.give(who, pages(first, n))
        first += n
        asked = [*asked[:i], *([(who, asked[i][1] - n)] if n < asked[i][1] else []), *asked[i + 1 :]]
    assert life.found == []
