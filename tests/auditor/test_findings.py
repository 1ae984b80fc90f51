"""Findings while they are gathered: bounded in number, and nothing of what was found is lost by that."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor.findings import MAX_ALIKE, MAX_NAMED, Faults, FoundFault, finding
from fwpages.custody.findings import Cause, FindingName
from fwpages.pages.words import many
from fwpages.prm.identity import Identity, func_id, vhca_id
from fwpages.readers.observations import Place

AT = Place("t.jsonl", 9, 0.25)
A, B = vhca_id(0x31), vhca_id(0x32)


def _fault(cause: Cause = Cause.RETURNED_TWICE, **rest: object) -> FoundFault:
    return FoundFault(cause, AT, **rest)  # type: ignore[arg-type]  # the fields of a FoundFault by name


def _lost() -> FoundFault:
    return _fault(Cause.LOG_LINES_LOST)


def _filled(*faults: FoundFault) -> Faults:
    gathered = Faults()
    for f in faults:
        gathered.add(f)
    return gathered


def test_a_finding_says_everything_and_what_helps() -> None:
    shown = finding(_fault(function=A, pages=3, detail="TAKE named 3 pages"))
    assert (shown.name, shown.blame, shown.function, shown.pages) == ("returned-twice", "device", "vhca:0x31", 3)
    assert (shown.detail, shown.remedy) == ("TAKE named 3 pages", Cause.RETURNED_TWICE.remedy)
    assert shown.at == {"file": "t.jsonl", "line": 9, "time": 0.25}
    assert (finding(_lost()).function, finding(_lost()).pages) == (None, None)


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from([Cause.RETURNED_TWICE, Cause.BAD_ADDRESS]), st.integers(1, 9)), max_size=60))
def test_no_finding_and_no_page_is_lost_to_the_bound(told: list[tuple[Cause, int]]) -> None:
    rows = _filled(*(_fault(cause, function=A, pages=n, detail="d") for cause, n in told)).rows()
    for cause in (Cause.RETURNED_TWICE, Cause.BAD_ADDRESS):
        mine, pages = [r for r in rows if r.name == cause.finding], [n for x, n in told if x is cause]
        assert [r.pages for r in mine] == pages[:MAX_ALIKE]
        more = pages[MAX_ALIKE:]
        words = f"d (and {len(more)} more like it, {sum(more)} pages)" if more else "d"
        assert [r.detail for r in mine[-1:]] == [words] * bool(mine)
        assert all(r.detail == "d" for r in mine[:-1])


def test_where_no_pages_are_told_none_are_summed() -> None:
    rows = _filled(*[_lost()] * (MAX_ALIKE + 2)).rows()
    assert rows[-1].detail == " (and 2 more like it)"


def test_each_function_has_its_own_share() -> None:
    rows = _filled(*[_fault(function=who) for who in (A, B) for _ in range(MAX_ALIKE)]).rows()
    assert [r.function for r in rows] == ["vhca:0x31"] * MAX_ALIKE + ["vhca:0x32"] * MAX_ALIKE
    assert not any("more like it" in r.detail for r in rows)


def test_a_name_is_bounded_over_all_functions() -> None:
    many = _filled(*(_fault(function=vhca_id(n), pages=1) for n in range(MAX_NAMED + 3)), _lost())
    assert len(many) == MAX_NAMED + 1
    assert many.rows()[MAX_NAMED - 1].detail.endswith("(and 3 more like it, 3 pages)")


def test_it_tells_whether_there_is_one_about_a_function() -> None:
    gathered = _filled(_fault(function=A))
    assert gathered.has(FindingName.RETURNED_TWICE)
    assert gathered.has(FindingName.RETURNED_TWICE, A)
    assert not gathered.has(FindingName.RETURNED_TWICE, B)
    assert not gathered.has(FindingName.RETURNED_FOREIGN)


def test_a_function_that_is_called_otherwise_keeps_its_findings() -> None:
    gathered = _filled(_fault(function=func_id(0)), _fault(function=B))
    gathered.rename(func_id(0), A)
    assert [r.function for r in gathered.rows()] == ["vhca:0x31", "vhca:0x32"]
    assert gathered.has(FindingName.RETURNED_TWICE, A)


def test_missing_lines_are_counted_beyond_the_bound() -> None:
    assert _filled(_fault()).damage() == 0
    assert _filled(*[_fault(), _lost()] * (2 * MAX_ALIKE)).damage() == 2 * MAX_ALIKE


def test_what_was_inferred_can_be_forgotten_and_what_was_heard_or_lost_stays() -> None:
    heard = _fault(Cause.GIVE_REFUSED, heard=True, detail="err -5")
    gathered = _filled(_fault(), *[heard] * (MAX_ALIKE + 4), _fault(Cause.BAD_ADDRESS), _lost())
    assert gathered.drop_inferred() == 2
    assert [r.name for r in gathered.rows()] == ["give-refused"] * MAX_ALIKE + ["log-lines-lost"]
    # the ones that were only counted are still counted in the last of their name
    assert gathered.rows()[MAX_ALIKE - 1].detail == "err -5 (and 4 more like it)"
    assert gathered.drop_inferred() == 0


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from([A, B, None]), st.integers(0, 9)), max_size=70),
    st.sampled_from(["rename", "drop", "both"]),
)
def test_what_is_not_listed_stays_with_its_function_whatever_becomes_of_the_rest(
    told: list[tuple[Identity | None, int]], then: str
) -> None:
    """Of each function, how many there were and their pages: listed, or in the words of the last that is."""
    gathered, new = Faults(), vhca_id(0x77)
    for who, n in told:
        gathered.add(_fault(Cause.BAD_ADDRESS))
        gathered.add(_fault(function=who, pages=n, heard=True))
    if then != "rename":
        gathered.drop_inferred()
    if then != "drop":
        gathered.rename(A, new)
    rows = [r for r in gathered.rows() if r.name == "returned-twice"]
    for who in (A, B, None):
        mine = [n for w, n in told if w == who]
        called = None if who is None else str(new if who == A and then != "drop" else who)
        shown = [r for r in rows if r.function == called]
        assert [r.pages for r in shown] == mine[:MAX_ALIKE]
        more = mine[MAX_ALIKE:]
        pages = f", {many(sum(more))}" if sum(more) else ""
        assert [r.detail for r in shown[-1:]] == [f" (and {len(more)} more like it{pages})" if more else ""] * bool(
            mine
        )


def test_two_names_of_one_function_are_one_kind_of_finding() -> None:
    gathered = _filled(*[_fault(function=who, pages=1) for who in (A, B) for _ in range(MAX_ALIKE + 2)])
    gathered.rename(A, B)
    assert gathered.rows()[-1].detail == " (and 4 more like it, 4 pages)"
    half = _filled(*[_fault(function=who) for who in (A, B) for _ in range(MAX_ALIKE - 4)])
    half.rename(A, B)
    half.add(_fault(function=B))
    assert half.rows()[-1].detail == " (and 1 more like it)"
    # the bound is the function's, and it is full
    gathered.add(_fault(function=B, pages=1))
    assert len(gathered) == 2 * MAX_ALIKE
    assert gathered.rows()[-1].detail == " (and 5 more like it, 5 pages)"


def test_beyond_the_bound_of_a_name_other_functions_are_told_together() -> None:
    listed = [_fault(function=vhca_id(n), pages=1) for n in range(MAX_NAMED)]
    gathered = _filled(*listed, *(_fault(function=vhca_id(n), pages=1) for n in (3, 3, 5000, 6000)))
    rows = gathered.rows()
    assert rows[3].detail == " (and 2 more like it, 2 pages)"
    assert rows[-1].detail == " (and 2 more like it, 2 pages)"
    # a name that is dropped takes what was not listed of it along, and has room again
    assert gathered.drop_inferred() == MAX_NAMED
    gathered.add(_fault(function=A, pages=1))
    assert [r.detail for r in gathered.rows()] == [""]


def test_missing_lines_are_still_counted_when_what_was_inferred_is_dropped() -> None:
    gathered = _filled(*[_fault(), _lost()] * (2 * MAX_ALIKE))
    gathered.drop_inferred()
    gathered.rename(A, B)
    assert gathered.damage() == 2 * MAX_ALIKE
