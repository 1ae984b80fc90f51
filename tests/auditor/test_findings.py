"""Findings while they are gathered: bounded in number, and nothing of what was found is lost by that."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor.books import Book, Books
from fwpages.auditor.findings import MAX_ALIKE, MAX_NAMED, Finding, Findings, account
from fwpages.custody.findings import Cause, FindingName
from fwpages.pages.words import many
from fwpages.prm.identity import func_id, vhca_id
from fwpages.readers.observations import Place

AT = Place("t.jsonl", 9, 0.25)
A, B = Book(vhca_id(0x31)), Book(vhca_id(0x32))
BOOKS = [Book(vhca_id(n)) for n in range(6001)]


def _fault(cause: Cause = Cause.RETURNED_TWICE, **rest: object) -> Finding:
    return Finding(cause, AT, **rest)  # type: ignore[arg-type]  # the fields of a Finding by name


def _lost() -> Finding:
    return _fault(Cause.LOG_LINES_LOST)


def _filled(*faults: Finding) -> Findings:
    gathered = Findings()
    for f in faults:
        gathered.add(f)
    return gathered


def test_a_finding_says_everything_and_what_helps() -> None:
    shown = account(_fault(book=A, pages=3, detail="TAKE named 3 pages"))
    assert (shown.name, shown.blame, shown.function, shown.pages) == ("returned-twice", "device", "vhca:0x31", 3)
    assert (shown.detail, shown.remedy) == ("TAKE named 3 pages", Cause.RETURNED_TWICE.remedy)
    assert shown.at == {"file": "t.jsonl", "line": 9, "time": 0.25}
    assert (account(_lost()).function, account(_lost()).pages) == (None, None)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from([Cause.RETURNED_TWICE, Cause.BAD_ADDRESS]), st.integers(1, 9)), max_size=60))
def test_no_finding_and_no_page_is_lost_to_the_bound(added: list[tuple[Cause, int]]) -> None:
    rows = _filled(*(_fault(cause, book=A, pages=n, detail="d") for cause, n in added)).rows()
    for cause in (Cause.RETURNED_TWICE, Cause.BAD_ADDRESS):
        mine, pages = [r for r in rows if r.name == cause.finding], [n for x, n in added if x is cause]
        assert [r.pages for r in mine] == pages[:MAX_ALIKE]
        more = pages[MAX_ALIKE:]
        words = f"d (and {len(more)} more like it, {many(sum(more))})" if more else "d"
        assert [r.detail for r in mine[-1:]] == [words] * bool(mine)
        assert all(r.detail == "d" for r in mine[:-1])


def test_findings_without_pages_have_no_sum_of_pages() -> None:
    rows = _filled(*[_lost()] * (MAX_ALIKE + 2)).rows()
    assert rows[-1].detail == " (and 2 more like it)"


def test_each_function_has_its_own_share() -> None:
    rows = _filled(*[_fault(book=who) for who in (A, B) for _ in range(MAX_ALIKE)]).rows()
    assert [r.function for r in rows] == ["vhca:0x31"] * MAX_ALIKE + ["vhca:0x32"] * MAX_ALIKE
    assert not any("more like it" in r.detail for r in rows)


def test_a_name_is_bounded_over_all_functions() -> None:
    filled = _filled(*(_fault(book=BOOKS[n], pages=1) for n in range(MAX_NAMED + 3)), _lost())
    assert len(filled) == MAX_NAMED + 1
    assert filled.rows()[MAX_NAMED - 1].detail.endswith("(and 3 more like it, 3 pages)")


def test_a_finding_can_be_asked_for_by_name_and_function() -> None:
    gathered = _filled(_fault(book=A))
    assert gathered.has(FindingName.RETURNED_TWICE)
    assert gathered.has(FindingName.RETURNED_TWICE, A.identity)
    assert not gathered.has(FindingName.RETURNED_TWICE, B.identity)
    assert not gathered.has(FindingName.RETURNED_FOREIGN)


def test_what_was_inferred_can_be_forgotten_and_what_was_stated_or_lost_stays() -> None:
    stated = _fault(Cause.GIVE_REFUSED, stated=True, detail="err -5")
    gathered = _filled(_fault(), *[stated] * (MAX_ALIKE + 4), _fault(Cause.BAD_ADDRESS), _lost())
    assert gathered.drop_inferred() == 2
    assert [r.name for r in gathered.rows()] == ["give-refused"] * MAX_ALIKE + ["log-lines-lost"]
    # the ones that were only counted are still counted in the last of their name
    assert gathered.rows()[MAX_ALIKE - 1].detail == "err -5 (and 4 more like it)"
    assert gathered.drop_inferred() == 0


def test_beyond_the_bound_of_a_name_other_functions_are_counted_together() -> None:
    listed = [_fault(book=BOOKS[n], pages=1) for n in range(MAX_NAMED)]
    gathered = _filled(*listed, *(_fault(book=BOOKS[n], pages=1) for n in (3, 3, 5000, 6000)))
    rows = gathered.rows()
    assert rows[3].detail == " (and 2 more like it, 2 pages)"
    assert rows[-1].detail == " (and 2 more like it, 2 pages)"
    # a name that is dropped takes what was not listed of it along, and has room again
    assert gathered.drop_inferred() == MAX_NAMED
    gathered.add(_fault(book=A, pages=1))
    assert [r.detail for r in gathered.rows()] == [""]


def test_findings_under_two_names_of_one_function_are_counted_in_its_last_one() -> None:
    books = Books()
    old, new = books.of(func_id(0)), books.of(vhca_id(5))
    gathered = _filled(*[_fault(book=book, pages=1) for book in (old, new) for _ in range(MAX_ALIKE + 2)])
    books.rename(func_id(0), vhca_id(5))
    rows = gathered.rows()
    assert {r.function for r in rows} == {"vhca:0x5"}
    assert rows[-1].detail == " (and 2 more like it, 2 pages) (and 2 more like it, 2 pages)"


def test_a_finding_shows_the_name_that_its_function_has_at_last() -> None:
    book = Book(func_id(0))
    gathered = _filled(*[_fault(book=book, pages=1)] * (MAX_ALIKE + 2))
    book.identity = vhca_id(0x2A)
    rows = gathered.rows()
    assert {r.function for r in rows} == {"vhca:0x2a"}
    assert rows[-1].detail == " (and 2 more like it, 2 pages)"
    assert gathered.has(FindingName.RETURNED_TWICE, vhca_id(0x2A))
