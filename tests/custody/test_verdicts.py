"""Verdicts: green is earned, findings outrank what is not known, and an open session is never clean."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.custody.accounts import End, Verdict, verdict_of
from fwpages.custody.verdicts import Facts, Lack, judge

CLOSED = Facts(end=End.CLOSED, wrong=False, pages=True, log=True)
bools = st.booleans()
facts = st.builds(
    Facts,
    end=st.sampled_from(End),
    wrong=bools,
    pages=bools,
    from_load=bools,
    left=st.sampled_from([None, 0, 7]),
    asked_for_all=bools,
    gaps=bools,
    folded=bools,
    log=bools,
)


@settings(max_examples=200)
@given(facts)
def test_a_verdict_is_clean_only_where_the_input_proves_it(f: Facts) -> None:
    judged = judge(f)
    assert (judged.verdict is Verdict.FINDINGS) is f.wrong
    assert (judged.verdict is Verdict.NOT_KNOWN) is bool(judged.lacks)
    assert all(m.what for m in judged.missing)
    if judged.verdict is Verdict.CLEAN:
        assert f.end in (End.CLOSED, End.FORCED, End.RESET)
        assert f.pages
        assert f.from_load
        assert not f.gaps
        assert not f.folded
        assert f.left == 0 or (f.left is None and f.asked_for_all)
    if judged.verdict is Verdict.CONSISTENT:
        assert f.end is End.OPEN


@pytest.mark.parametrize(
    ("f", "lacks"),
    [
        (CLOSED, ()),
        (replace(CLOSED, left=None, asked_for_all=True), ()),
        (replace(CLOSED, end=End.RESET), ()),
        (replace(CLOSED, pages=False), (Lack.PAGE_MESSAGES,)),
        (replace(CLOSED, pages=False, log=False), (Lack.PAGES,)),
        (replace(CLOSED, pages=False, from_load=False), (Lack.PAGE_MESSAGES, Lack.LOAD)),
        (replace(CLOSED, from_load=False), (Lack.LOAD,)),
        (replace(CLOSED, from_load=False, after_load=True), (Lack.LOAD_MESSAGES,)),
        (replace(CLOSED, from_load=False, log=False), (Lack.BEGINNING,)),
        (replace(CLOSED, gaps=True, left=None), (Lack.LINES,)),
        (replace(CLOSED, folded=True), (Lack.WHOLE_LINES,)),
        (replace(CLOSED, left=None), (Lack.RETURNS,)),
        (replace(CLOSED, left=5, releases=False), (Lack.RELEASES,)),
        (replace(CLOSED, end=End.FORCED, left=7), (Lack.FENCE,)),
        (replace(CLOSED, end=End.REMOVED), (Lack.FATE,)),
    ],
)
def test_each_lack_makes_it_not_known(f: Facts, lacks: tuple[Lack, ...]) -> None:
    assert judge(f).lacks == lacks
    assert judge(f).verdict is (Verdict.NOT_KNOWN if lacks else Verdict.CLEAN)
    assert judge(replace(f, wrong=True)).verdict is Verdict.FINDINGS


def test_an_open_session_may_hold_pages_and_is_consistent_so_far() -> None:
    assert judge(replace(CLOSED, end=End.OPEN, left=30)).verdict is Verdict.CONSISTENT
    assert judge(replace(CLOSED, end=End.OPEN, left=None)).lacks == (Lack.RETURNS,)
    assert judge(replace(CLOSED, end=End.OPEN, left=5, releases=False)).lacks == (Lack.RELEASES,)


def test_the_worst_verdict_is_that_of_all() -> None:
    assert verdict_of(Verdict) is Verdict.FINDINGS
    assert verdict_of([Verdict.CLEAN, Verdict.CONSISTENT, Verdict.NOT_KNOWN]) is Verdict.NOT_KNOWN
    assert verdict_of([Verdict.CLEAN, Verdict.CONSISTENT]) is Verdict.CONSISTENT
    assert verdict_of([Verdict.CLEAN]) is Verdict.CLEAN
    assert verdict_of([]) is Verdict.NOT_KNOWN
    assert [v.clean for v in Verdict] == [True, False, None, None]
