"""Counting by one-line messages: what is said is true, and what lines do not tell is not known."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor.books import MAX_TAKE, Books, Request, lines_of
from fwpages.auditor.naming import Naming
from fwpages.custody.accounts import FunctionAccount
from fwpages.prm.identity import Identity, Mode, func_id, vhca_id

A, B = func_id(0), func_id(3)

Step = tuple[str, Identity, int]
steps = st.lists(
    st.tuples(st.sampled_from(["give", "lose", "take", "release"]), st.sampled_from([A, B]), st.integers(0, 20)),
    max_size=20,
)


class Counted(Books):
    """Books that a test counts in by lines, as the driver's messages do."""

    def __init__(self, mode: Mode = Mode.FUNC_ID) -> None:
        super().__init__()
        self.naming = Naming(None)
        self.naming.mode = mode

    def give(self, who: Identity, pages: int, *, doubtful: bool = False) -> None:
        self.by_lines.give(lines_of(self.of(who)), pages, doubtful=doubtful)

    def take(self, who: Identity, pages: int, *, solicited: bool) -> None:
        self.by_lines.take(lines_of(self.of(who)), pages, solicited=solicited)

    def release(self, who: Identity, pages: int) -> None:
        self.released(self.of(who), pages)

    def functions(self) -> list[FunctionAccount]:
        return [tally.account(book.identity, self.naming, known=True) for book, tally in self.counted()]


def _row(t: Counted, who: Identity) -> FunctionAccount:
    return next(f for f in t.functions() if f.identity == str(who))


class Truth:
    """The pages that firmware really has of each function, which a log's lines tell in part only."""

    def __init__(self) -> None:
        self.had = {who: {"given": 0, "returned": 0, "released": 0, "held": 0, "doubtful": 0} for who in (A, B)}
        self.peaks = {A: 0, B: 0}
        self.peak = 0

    def out(self, who: Identity) -> int:
        return self.had[who]["held"] + self.had[who]["doubtful"]

    def step(self, what: str, who: Identity, n: int, tally: Counted) -> None:
        row = self.had[who]
        if what in ("give", "lose"):
            row["given"] += n
            row["doubtful" if what == "lose" else "held"] += n
            tally.give(who, n, doubtful=what == "lose")
        elif what == "take":
            # a TAKE's line says what was asked; firmware returns what it likes
            back = min(n, row["held"]) // 2
            row["returned"] += back
            row["held"] -= back
            tally.take(who, n, solicited=True)
        else:
            # the driver lets go of what it knows to be out: not of what it gave up
            row["released"] += row["held"]
            tally.release(who, row["held"])
            row["held"] = 0
        self.peaks[who] = max(self.peaks[who], self.out(who))
        self.peak = max(self.peak, self.out(A) + self.out(B))


@settings(max_examples=50)
@given(steps)
def test_every_count_that_it_gives_is_true(counted: list[Step]) -> None:
    tally, truth = Counted(), Truth()
    for what, who, n in counted:
        truth.step(what, who, n, tally)
        assert tally.by_lines.out in (None, truth.out(A) + truth.out(B))
        assert tally.by_lines.peak in (None, truth.peak)
    for who in tally.rows:
        f, row = _row(tally, who), truth.had[who]
        assert (f.given, f.released, f.doubtful) == (row["given"], row["released"], row["doubtful"])
        assert f.returned in (None, row["returned"])
        assert f.held in (None, row["held"])
        assert f.peak in (None, truth.peaks[who])
        taken = [what for what, other, _ in counted if other == who]
        since = taken[len(taken) - taken[::-1].index("release") :] if "release" in taken else taken
        assert (f.returned is None) is (f.held is None) is ("take" in since)


def test_what_a_driver_gave_up_stays_out_when_it_lets_go_of_the_rest() -> None:
    t = Counted()
    t.give(A, 5)
    t.give(A, 2, doubtful=True)
    t.give(B, 4)
    t.release(A, 5)
    assert (_row(t, A).held, _row(t, A).doubtful, t.by_lines.out, t.by_lines.peak) == (0, 2, 6, 11)


def test_more_released_than_was_given_makes_the_line_unsure() -> None:
    t = Counted()
    assert not Counted().doubted
    t.give(A, 5)
    t.release(A, 9)
    assert t.doubted
    assert _row(t, A).given is None


# -- which request a line serves


def test_the_oldest_request_that_fits_is_served() -> None:
    t = Counted()
    for number, n in ((3, 7), (4, 7), (3, 9), (3, 7)):
        t.requested(number, n)
    assert [t.serve(3, 7, take=False) for _ in range(3)] == [Request(3, 7), Request(3, 7), None]
    # now it is the only one of its size, and a line that names no function can mean no other
    assert t.serve(None, 7, take=False) == Request(4, 7)


@pytest.mark.parametrize(
    ("number", "pages", "take", "fits"),
    [
        (3, 7, False, True),
        (3, None, False, True),
        (3, 8, False, False),
        (9, 7, False, False),
        (3, 7, True, False),
        (4, 12, True, True),
        (4, 12, False, False),
        # Linux cuts what it takes back for one request, and nothing else
        (5, MAX_TAKE, True, True),
        (5, MAX_TAKE - 1, True, False),
        (6, MAX_TAKE, False, False),
        # without a function's name, one single request has to fit
        (None, 12, True, True),
        (None, None, False, False),
    ],
)
def test_a_line_serves_the_request_that_it_is_like(
    number: int | None, pages: int | None, take: bool, fits: bool
) -> None:
    t = Counted()
    for whose, n in ((3, 7), (4, -12), (5, -MAX_TAKE - 1), (6, MAX_TAKE + 1)):
        t.requested(whose, n)
    assert (t.serve(number, pages, take=take) is not None) is fits


def test_a_request_for_nothing_is_none() -> None:
    t = Counted()
    t.requested(3, 0)
    assert t.serve(3, None, take=False) is None
    assert t.settle() == []


def test_a_request_that_no_line_answers_leaves_its_function_unsure() -> None:
    t = Counted()
    t.give(A, 5)
    t.give(B, 6)
    t.requested(3, -4)
    assert t.settle() == ["firmware wanted 4 pages taken back for function 0x3, and no line says what came of it"]
    assert (_row(t, A).given, _row(t, B).given) == (5, None)
    # a function that has no line yet may be any
    t = Counted()
    t.give(A, 5)
    t.release_requested(9)
    assert t.settle() == ["firmware released all pages of function 0x9, no line says how many"]
    assert _row(t, A).given is None


def test_a_release_that_its_line_confirms_is_settled() -> None:
    t = Counted()
    t.give(B, 5)
    t.release_requested(3)
    t.release(B, 5)
    assert t.settle() == []
    assert _row(t, B).returned == 0


# -- the close


def test_a_driver_swept_out_asked_every_function_for_all_that_it_may_have() -> None:
    t = Counted()
    assert not t.swept_out()
    t.give(A, 100)
    t.give(B, 10)
    t.take(A, 768, solicited=False)
    assert t.sweeping
    assert not t.swept_out()
    t.release(B, 10)
    assert t.swept_out()


def test_what_firmware_was_rid_of_on_its_own_request_need_not_be_swept() -> None:
    t = Counted()
    t.give(A, 100)
    t.take(A, 40, solicited=True)
    t.take(A, 59, solicited=False)
    assert not t.swept_out()
    t.take(A, 1, solicited=False)
    assert t.swept_out()


def test_while_a_driver_sweeps_the_functions_after_the_last_line_are_open() -> None:
    t = Counted()
    t.give(A, 100)
    t.give(B, 10)
    t.take(A, 768, solicited=False)
    t.settle()
    assert (_row(t, B).given, _row(t, B).held, _row(t, B).returned) == (10, None, None)


# -- names


def test_a_function_that_is_called_otherwise_stays_the_first_and_keeps_its_counts() -> None:
    t = Counted(Mode.VHCA_ID)
    t.give(A, 6)
    t.give(vhca_id(0x31), 7)
    t.rename(A, vhca_id(5))
    t.rename(B, vhca_id(9))
    rows = t.functions()
    assert [(f.identity, f.given, f.held, f.peak) for f in rows] == [("vhca:0x5", 6, 6, 6), ("vhca:0x31", 7, 7, 7)]
    t.rename(vhca_id(0x31), vhca_id(5))
    assert [(f.identity, f.given, f.held) for f in t.functions()] == [("vhca:0x5", 13, 13)]
    assert t.settle() == []
    assert not t.boot_pages_unclear(t.naming)


def test_boot_pages_without_a_vhca_id_break_the_count() -> None:
    t = Counted(Mode.VHCA_ID)
    t.give(A, 6)
    assert t.boot_pages_unclear(t.naming)


def _joined(*, taken: bool = False, released: int = 0) -> Counted:
    """One function that lines counted under two names, until one of them shows that they are one."""
    t = Counted()
    t.give(func_id(0), 6)
    t.give(vhca_id(5), 20, doubtful=True)
    t.give(vhca_id(5), 4)
    if taken:
        t.take(vhca_id(5), 3, solicited=True)
    if released:
        t.release(vhca_id(5), released)
    t.rename(func_id(0), vhca_id(5))
    return t


def test_counts_under_two_names_are_added_when_the_names_are_one() -> None:
    (f,) = _joined().functions()
    # when each name had the most is not known, so neither is the most of both
    assert (f.identity, f.given, f.doubtful, f.held, f.returned, f.peak) == ("vhca:0x5", 30, 20, 10, 0, None)
    (f,) = _joined(taken=True).functions()
    assert (f.given, f.held, f.returned, f.released) == (30, None, None, 0)
    (f,) = _joined(taken=True, released=1).functions()
    assert (f.given, f.held, f.returned, f.released) == (30, 6, 3, 1)


def test_a_name_that_had_no_pages_leaves_the_peak_of_the_other() -> None:
    t = Counted()
    t.give(func_id(0), 6)
    t.give(vhca_id(5), 0)
    t.rename(func_id(0), vhca_id(5))
    assert [(f.given, f.peak) for f in t.functions()] == [(6, 6)]


@pytest.mark.parametrize("unsure", [func_id(0), vhca_id(5)])
def test_counts_that_are_not_sure_under_one_name_are_not_sure_of_the_function(unsure: Identity) -> None:
    t = Counted()
    for who in (func_id(0), vhca_id(5)):
        t.give(who, 6)
    t.release(unsure, 9)
    t.take(vhca_id(5), 768, solicited=False)
    t.rename(func_id(0), vhca_id(5))
    assert (t.doubted, t.sweeping) == (True, True)
    assert [f.given for f in t.functions()] == [None]
