"""A function that lines count under two names, until one of them says that they are one."""

from __future__ import annotations

from fwpages.auditor.counts import Tally
from fwpages.auditor.naming import Naming
from fwpages.prm.identity import func_id, vhca_id
from tests.auditor.lives import OWN_VHCA


def test_a_function_with_two_lines_has_one_when_its_names_are_one() -> None:
    """What lines do not tell of one of them is not known of both."""
    boot, own = func_id(0), vhca_id(OWN_VHCA)

    def joined(taken: bool, released: int = 0) -> tuple[object, ...]:
        t = Tally(Naming(None))
        t.give(boot, 6)
        t.give(own, 20, doubtful=True)
        t.give(own, 4)
        if taken:
            t.take(own, 3, solicited=True)
        if released:
            t.release(own, released)
        t.rename(boot, own)
        (line,) = t.lines.values()
        return line.who, line.given, line.doubtful, line.released, line.asked, line.out, line.returned, line.peak

    # when each of them had the most is not known, so neither is the most of both
    assert joined(taken=False) == (own, 30, 20, 0, 0, 30, 0, None)
    assert joined(taken=True) == (own, 30, 20, 0, 3, None, None, None)
    assert joined(taken=True, released=1) == (own, 30, 20, 1, 3, 26, 3, None)


def test_a_line_that_had_nothing_leaves_the_others_peak() -> None:
    t = Tally(Naming(None))
    t.give(func_id(0), 6)
    t.give(vhca_id(5), 0)
    t.rename(func_id(0), vhca_id(5))
    assert [(line.given, line.peak) for line in t.lines.values()] == [(6, 6)]


def test_what_is_not_sure_of_one_name_is_not_sure_of_the_function() -> None:
    for first in (True, False):
        t = Tally(Naming(None))
        names = (func_id(0), vhca_id(5))
        for who in names:
            t.give(who, 6)
        t.release(names[0] if first else names[1], 9)
        t.take(names[1], 768, solicited=False)
        t.rename(*names)
        assert (t.doubted, t.sweeping) == (True, True)
        assert [f.given for f in t.functions(known=True)] == [None]
