"""Counting by one-line messages: a count that is given is true, and what lines do not tell is not known."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.custody.accounts import FunctionAccount, SessionAccount
from fwpages.prm.capability import general
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from tests.auditor.audited_traces import AuditedTrace

A, B = 3, 4
#: Linux takes back no more than this for one request
MAX_TAKE = 50_000

Step = tuple[str, int, int]
steps = st.lists(
    st.tuples(st.sampled_from(["give", "lose", "take", "release"]), st.sampled_from([A, B]), st.integers(1, 20)),
    max_size=20,
)


class DriverLog(AuditedTrace):
    """A driver's lines from its load on, without command dumps."""

    def __init__(self) -> None:
        super().__init__(log=True)
        self.say("requested 1 boot pages for func_id 0x0", "npages 1, ec_function 0, func_id 0x0, err 0")

    def gave(self, number: int, n: int) -> None:
        self.say(f"npages {n}, ec_function 0, func_id {number:#x}, err 0")

    def lost(self, number: int, n: int) -> None:
        """A GIVE that was not answered."""
        self.say(f"func_id {number:#x}, npages {n}, err -110")

    def asks(self, number: int, n: int) -> None:
        self.say(f"page request for func {number:#x}, npages {n}")

    def sweeps(self, number: int, n: int) -> None:
        """A TAKE; the line says what was asked, and not what came back."""
        self.say(f"func {number:#x}, npages {n}, outlen {8 * n + 16}")

    def releases(self, number: int, n: int) -> None:
        self.say(f"page request for func {number:#x}, npages 0, release_all 1")
        self.say(f"npages {n}, ec_function 0, func_id {number:#x}")


def _rows(s: SessionAccount) -> dict[int, FunctionAccount]:
    return {int(f.identity.split(":")[1], 16): f for f in s.functions}


class Truth:
    """The pages that firmware really has of each function, which a log's lines tell in part only."""

    def __init__(self) -> None:
        self.had = {who: {"given": 0, "returned": 0, "released": 0, "held": 0, "doubtful": 0} for who in (A, B)}
        self.peaks = {A: 0, B: 0}
        self.peak = 1

    def out(self, who: int) -> int:
        return self.had[who]["held"] + self.had[who]["doubtful"]

    def step(self, what: str, who: int, n: int, log: DriverLog) -> None:
        row = self.had[who]
        if what in ("give", "lose"):
            row["given"] += n
            row["doubtful" if what == "lose" else "held"] += n
            (log.lost if what == "lose" else log.gave)(who, n)
        elif what == "take":
            # firmware returns what it likes
            back = min(n, row["held"]) // 2
            row["returned"] += back
            row["held"] -= back
            log.asks(who, -n)
            log.sweeps(who, n)
        else:
            # the driver lets go of what it knows to be out: not of what it gave up
            row["released"] += row["held"]
            log.releases(who, row["held"])
            row["held"] = 0
        self.peaks[who] = max(self.peaks[who], self.out(who))
        self.peak = max(self.peak, 1 + self.out(A) + self.out(B))


@settings(max_examples=50)
@given(steps)
def test_every_count_that_it_gives_is_true(counted: list[Step]) -> None:
    log, truth = DriverLog(), Truth()
    for what, who, n in counted:
        truth.step(what, who, n, log)
    s = log.over()
    assert s.totals.peak in (None, truth.peak)
    assert s.totals.held in (None, 1 + truth.had[A]["held"] + truth.had[B]["held"])
    for who, f in _rows(s).items():
        if who not in truth.had:
            continue
        row = truth.had[who]
        assert (f.given, f.released, f.doubtful) == (row["given"], row["released"], row["doubtful"])
        assert f.returned in (None, row["returned"])
        assert f.held in (None, row["held"])
        assert f.peak in (None, truth.peaks[who])
        mine = [what for what, other, _ in counted if other == who]
        since = mine[len(mine) - mine[::-1].index("release") :] if "release" in mine else mine
        assert (f.returned is None) is (f.held is None) is ("take" in since)


def _log(*calls: tuple[str, int, int]) -> SessionAccount:
    """The account of a log in which these happen, by name, function and pages."""
    log = DriverLog()
    for name, number, n in calls:
        getattr(log, name)(number, n)
    return log.over()


def test_pages_that_a_driver_gave_up_stay_out_when_it_lets_go_of_the_rest() -> None:
    s = _log(("gave", A, 5), ("lost", A, 2), ("gave", B, 4), ("releases", A, 5))
    f = _rows(s)[A]
    assert (f.held, f.doubtful, f.returned, s.totals.held, s.totals.peak) == (0, 2, 0, 5, 12)


def test_more_released_than_was_given_makes_the_count_unknown() -> None:
    s = _log(("gave", A, 5), ("gave", B, 5), ("releases", A, 9))
    assert (_rows(s)[A].given, _rows(s)[B].given, s.totals.given) == (None, 5, None)


# -- which request a line serves


def _unserved(s: SessionAccount) -> list[str]:
    return [n.split(", and no line")[0] for n in s.notes if "no line says what came of it" in n]


@pytest.mark.parametrize(
    ("line", "served"),
    [
        ("npages 7, ec_function 0, func_id 0x3, err 0", "7 pages for function 0x3"),
        ("give_pages| err 0", None),
        ("npages 8, ec_function 0, func_id 0x3, err 0", None),
        ("npages 7, ec_function 0, func_id 0x9, err 0", None),
        ("func 0x3, npages 7, outlen 72", None),
        ("func 0x4, npages 12, outlen 112", "12 pages taken back for function 0x4"),
        ("npages 12, ec_function 0, func_id 0x4, err 0", None),
        # Linux cuts what it takes back for one request, and nothing else
        (f"func 0x5, npages {MAX_TAKE}, outlen 400016", "50,001 pages taken back for function 0x5"),
        (f"func 0x5, npages {MAX_TAKE - 1}, outlen 400016", None),
        (f"npages {MAX_TAKE}, ec_function 0, func_id 0x6, err 0", None),
        # without a function's name, one single request has to fit
        ("npages 12, outlen 112", "12 pages taken back for function 0x4"),
        ("npages 7, err 0", "7 pages for function 0x3"),
    ],
)
def test_a_line_serves_the_request_that_it_is_like(line: str, served: str | None) -> None:
    log = DriverLog()
    for number, n in ((3, 7), (4, -12), (5, -MAX_TAKE - 1), (6, MAX_TAKE + 1)):
        log.asks(number, n)
    log.say(line)
    left = _unserved(log.over())
    assert len(left) == (4 if served is None else 3)
    assert not any(served is not None and words.endswith(served) for words in left)


def test_requests_are_served_one_by_one() -> None:
    asked = [("asks", number, n) for number, n in ((3, 7), (4, 7), (3, 9), (3, 7), (3, 0))]
    assert _unserved(_log(*asked, *[("gave", 3, 7)] * 3)) == [
        "firmware asked for 7 pages for function 0x4",
        "firmware asked for 9 pages for function 0x3",
    ]
    # a line that names no function is about the only one that is left of its size
    log = DriverLog()
    for number in (3, 4):
        log.asks(number, 7)
    log.gave(3, 7)
    log.say("npages 7, err 0")
    assert _rows(log.over())[4].given == 7


def test_a_request_that_no_line_answers_leaves_its_function_unknown() -> None:
    s = _log(("gave", A, 5), ("gave", B, 6), ("asks", B, -4))
    assert _unserved(s) == ["firmware wanted 4 pages taken back for function 0x4"]
    assert (_rows(s)[A].given, _rows(s)[B].given) == (5, None)
    # a function that has no line yet may be any
    log = DriverLog()
    log.gave(A, 5)
    log.say("page request for func 0x9, npages 0, release_all 1")
    s = log.over()
    assert "firmware released all pages of function 0x9, no line says how many" in s.notes
    assert _rows(s)[A].given is None


def test_a_release_that_its_line_confirms_is_counted() -> None:
    s = _log(("gave", B, 5), ("releases", B, 5))
    assert (_rows(s)[B].returned, _rows(s)[B].released, s.totals.held) == (0, 5, 1)
    assert not any("released all pages" in n for n in s.notes)


# -- the close

OWN = ("sweeps", 0, 768)


@pytest.mark.parametrize(
    ("calls", "end"),
    [
        ([("gave", A, 100), ("gave", B, 10), ("sweeps", A, 768), OWN], "open"),
        ([("gave", A, 10), ("asks", A, -10), ("sweeps", A, 10), OWN], "open"),
        ([("gave", A, 100), ("gave", B, 10), ("sweeps", A, 768), ("releases", B, 10), OWN], "closed"),
        # what firmware was rid of on its own request need not be asked for again
        ([("gave", A, 100), ("asks", A, -40), ("sweeps", A, 40), ("sweeps", A, 59), OWN], "open"),
        ([("gave", A, 100), ("asks", A, -40), ("sweeps", A, 40), ("sweeps", A, 60), OWN], "closed"),
    ],
)
def test_a_driver_that_asked_every_function_for_all_that_it_may_have_has_closed(
    calls: list[tuple[str, int, int]], end: str
) -> None:
    assert _log(*calls).end == end


def test_while_a_driver_sweeps_the_functions_after_the_last_line_are_open() -> None:
    s = _log(("gave", A, 100), ("gave", B, 10), ("sweeps", A, 768))
    assert (_rows(s)[B].given, _rows(s)[B].held, _rows(s)[B].returned) == (10, None, None)


# -- names


def _renamed(*boot: str, init: tuple[str, ...] = ()) -> list[FunctionAccount]:
    """Boot pages by the old number, init pages by vhca_id 5; that both are one function the capabilities show last."""
    log = AuditedTrace(log=True)
    log.say("requested 6 boot pages for func_id 0x0", "npages 6, ec_function 0, func_id 0x0, err 0", *boot)
    caps = {"vhca_id": 5, "icm_mng_function_id_mode": 1}
    log.cmd(Command(Opcode.SET_HCA_CAP, data=general(caps)), Answer(Opcode.SET_HCA_CAP))
    log.say("npages 4, ec_function 0, func 0x5, mode 1, err 0", *init)
    log.caps(caps)
    return log.over().functions


def test_counts_under_two_names_of_one_function_are_added() -> None:
    (f,) = _renamed()
    # when each name had the most is not known, so neither is the most of both
    assert (f.identity, f.given, f.held, f.returned, f.peak) == ("vhca:0x5", 10, 10, 0, None)
    for boot, init in ((("func_id 0x0, npages 20, err -110",), ()), ((), ("func_vhca_id 0x5, npages 20, err -110",))):
        (f,) = _renamed(*boot, init=init)
        assert (f.given, f.doubtful, f.held, f.returned) == (30, 20, 10, 0)
    (f,) = _renamed("page request for func 0x0, npages -3", "func 0x0, npages 3, outlen 40")
    assert (f.given, f.held, f.returned) == (10, None, None)
    (f,) = _renamed(init=("func 0x5, npages 3, outlen 40 mode 1",))
    assert (f.given, f.held, f.returned) == (10, None, None)


def test_a_function_that_gets_another_name_stays_the_first() -> None:
    rows = _renamed(init=("npages 7, ec_function 0, func 0x31, mode 1, err 0",))
    assert [(f.identity, f.given, f.held) for f in rows] == [("vhca:0x5", 10, 10), ("vhca:0x31", 7, 7)]


def test_boot_pages_without_a_vhca_id_leave_nothing_counted() -> None:
    log = DriverLog()
    log.say("npages 7, ec_function 0, func 0x31, mode 1, err 0")
    s = log.over()
    assert "no counts: no line says which vhca_id the boot pages belong to" in s.notes
    assert s.totals.given is None
