"""Sums over functions: a count that is not known is never guessed, and types add up to the whole."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.custody.accounts import (
    DEBUGFS,
    UNKNOWN,
    Count,
    End,
    FindingAccount,
    FunctionAccount,
    Missing,
    Report,
    SessionAccount,
    Verdict,
    by_type,
    counters,
    total,
)
from fwpages.prm.identity import FunctionType

COLUMNS = ("given", "returned", "released", "discarded", "held", "doubtful", "peak")
SUMMED = COLUMNS[:-1]

counts = st.none() | st.integers(0, 1 << 30)
functions = st.lists(
    st.builds(
        FunctionAccount,
        identity=st.just("vhca:0x31"),
        generation=st.just(0),
        type=st.sampled_from(FunctionType),
        **dict.fromkeys(COLUMNS, counts),
    ),
    max_size=4,
)


def _row(kind: FunctionType, **rest: Count) -> FunctionAccount:
    counts: dict[str, Count] = dict.fromkeys(COLUMNS, 0)
    return FunctionAccount(identity="vhca:0x31", generation=0, type=kind, name="", **counts | rest)


def _sum(values: list[Count]) -> Count:
    known = [v for v in values if v is not None]
    return sum(known) if len(known) == len(values) else None


@settings(max_examples=25)
@given(functions)
def test_a_sum_is_known_where_all_of_its_parts_are(rows: list[FunctionAccount]) -> None:
    sums = total(rows)
    for name in COLUMNS:
        assert getattr(sums, name) == _sum([getattr(f, name) for f in rows])


@settings(max_examples=25)
@given(functions, counts)
def test_the_most_that_was_out_together_replaces_the_sum_of_peaks(rows: list[FunctionAccount], peak: Count) -> None:
    sums = total(rows, peak=peak)
    assert sums.peak == peak
    assert [getattr(sums, name) for name in SUMMED] == [getattr(total(rows), name) for name in SUMMED]


@settings(max_examples=25)
@given(functions)
def test_types_add_up_to_the_whole(rows: list[FunctionAccount]) -> None:
    parts = by_type(rows)
    assert list(parts) == [t.value for t in FunctionType]
    for name in SUMMED:
        assert _sum([getattr(t, name) for t in parts.values()]) == getattr(total(rows), name)


def test_peaks_of_two_functions_do_not_tell_what_both_had_together() -> None:
    vf, sf = FunctionType.VF, FunctionType.SF
    rows = [_row(vf, peak=7), _row(vf, peak=5), _row(sf, peak=3)]
    assert [by_type(rows)[t].peak for t in (vf, sf)] == [None, 3]
    reported = by_type(rows, {vf: 9, sf: 99})
    assert [reported[t].peak for t in (vf, sf)] == [9, 3]
    # a type that never had pages while it was counted so had none at its peak
    assert by_type(rows, {})[vf].peak == 0
    assert by_type([*rows, _row(vf, peak=None)], {vf: 9})[vf].peak is None


@settings(max_examples=25)
@given(functions)
def test_counters_are_what_is_out_now(rows: list[FunctionAccount]) -> None:
    figures = counters(rows, fw_pages_give_dropped=4)
    out = {t: _sum([c for f in rows if f.type is t for c in (f.held, f.doubtful)]) for t in FunctionType}
    assert figures.pop("fw_pages_total") == _sum(list(out.values()))
    assert figures.pop("fw_pages_doubtful") == _sum([f.doubtful for f in rows])
    assert figures.pop("fw_pages_give_dropped") == 4
    assert figures == {name: out[kind] for kind, name in DEBUGFS.items()}


def test_the_function_itself_has_no_counter_of_its_own_and_is_in_the_total() -> None:
    figures = counters([_row(FunctionType.SELF, held=5), _row(FunctionType.VF, held=2, doubtful=1)])
    assert [name for name, n in figures.items() if n] == ["fw_pages_total", "fw_pages_vfs", "fw_pages_doubtful"]
    assert (figures["fw_pages_total"], figures["fw_pages_vfs"]) == (8, 3)


def test_nothing_is_known_of_unknown_sums() -> None:
    assert {getattr(UNKNOWN, name) for name in COLUMNS} == {None}


def _session(verdict: Verdict) -> SessionAccount:
    return SessionAccount(
        device="dut",
        mode="func_id",
        end=End.CLOSED,
        verdict=verdict,
        clean=verdict.clean,
        totals=total([]),
        by_type={},
        counters={},
        functions=[],
    )


def test_a_report_has_the_worst_verdict_of_its_sessions_and_inputs() -> None:
    clean, finding, lack = _session(Verdict.CLEAN), FindingAccount(name="log-truncated", blame="log"), Missing(what="x")
    assert (Report.of([clean]).verdict, Report.of([clean]).clean) == (Verdict.CLEAN, True)
    for verdict in Verdict:
        assert Report.of([clean, _session(verdict)]).verdict is verdict
    assert Report.of([clean], [finding], [lack]).verdict is Verdict.FINDINGS
    assert Report.of([clean], missing=[lack]).verdict is Verdict.NOT_KNOWN
    assert (Report.of([]).verdict, Report.of([]).clean) == (Verdict.NOT_KNOWN, None)
