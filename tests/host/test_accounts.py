from __future__ import annotations

from dataclasses import replace

from fwpages.custody.accounts import Verdict
from fwpages.host import Close, Host, books
from fwpages.prm.identity import FunctionType, Mode, vhca_id
from tests.host.fake import OWN, VF0, Fake


def test_the_books_of_a_session_while_it_is_open_and_after() -> None:
    f = Fake().open()
    f.enable(VF0)
    f.request(0x31, 20)
    f.run()
    f.request(0x31, -5)
    f.run()
    b = books(f.host)
    assert (b.session, b.mode, b.end, b.peak, b.outstanding) == (1, Mode.VHCA_ID, "open", 28, 23)
    assert b.judged().verdict is Verdict.CONSISTENT
    own, vf = b.functions
    assert (own.identity, own.type, own.given, own.held, own.doubtful) == (vhca_id(OWN), FunctionType.SELF, 8, 8, 0)
    assert (vf.identity, vf.type, vf.given, vf.returned, vf.held, vf.peak) == (
        vhca_id(0x31),
        FunctionType.VF,
        20,
        5,
        15,
        20,
    )
    f.request(0x31, -5)
    f.abort()
    b = books(f.host)
    assert [(a.held, a.doubtful) for a in b.functions] == [(8, 0), (0, 15)]
    assert not b.clean
    f.feed(Close())
    f.fenced()
    b = books(f.host)
    assert (b.end, b.outstanding) == ("reset", 0)
    assert [a.discarded for a in b.functions] == [8, 15]
    for a in b.functions:
        assert a.given == a.returned + a.released + a.discarded + a.held + a.doubtful


def test_counters_of_what_was_not_given_and_not_taken() -> None:
    f = Fake().open()
    f.request(0x31, 2**30)
    f.run()
    b = books(f.host)
    assert (b.alloc_failed, b.give_dropped, b.reclaim_discard) == (2**30, 0, 0)
    assert [x.name for x in b.findings] == ["absurd-count"]
    assert not b.clean


def test_each_session_has_books_of_its_own() -> None:
    f = Fake().open()
    f.request(0x31, 200)
    f.run()
    f.close()
    first = books(f.host)
    assert (first.clean, first.end, first.peak) == (True, "closed", 208)
    f.open("func_id")
    assert f.host.before == first
    second = books(f.host)
    assert (second.session, second.mode, second.peak, len(second.functions)) == (2, Mode.FUNC_ID, 8, 1)


def test_a_session_that_left_pages_is_not_clean() -> None:
    f = Fake().open()
    f.feed(Close())
    f.abort()
    f.tick()
    b = books(f.host)
    assert b.outstanding == 8
    assert not b.clean


def test_the_books_of_a_host_that_was_never_opened_are_empty() -> None:
    b = books(Host())
    assert (b.session, b.functions, b.peak, b.outstanding, b.clean) == (0, (), 0, 0, None)


def test_a_session_that_has_ended_is_clean_if_nothing_is_left() -> None:
    b = books(Fake().open().host)
    assert b.outstanding == 8
    assert b.clean is None
    assert not any(replace(b, end=end).clean for end in ("closed", "forced", "reset", "lost"))
    assert replace(b, end="closed").clean is False
    back = tuple(replace(f, held=0, returned=f.given) for f in b.functions)
    assert replace(b, end="closed", functions=back).clean
    assert replace(b, end="closed", functions=()).clean is None
