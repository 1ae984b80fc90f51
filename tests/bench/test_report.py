"""Results as they are read: a row for a part, peers beside it, and every figure with its unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from fwpages.bench.report import figure, ratio, table
from fwpages.bench.rounds import Result

GIVE = Result("ledger-768", "give", 1_000_000, 768, 1, "ascending", 4.56, None, 0.00456, (4.1, 123.4), None, None)


def beside(r: Result, **peers: float) -> list[Result]:
    """The same part beside each of these peers, with our figure as a ratio to theirs."""
    return [replace(r, peer=name, ratio=times) for name, times in peers.items()]


def rows(t: Table) -> list[tuple[str, ...]]:
    """The cells of each row."""
    return list(zip(*([str(cell) for cell in c.cells] for c in t.columns), strict=True))


def heads(t: Table) -> list[str]:
    return [str(c.header) for c in t.columns]


def test_a_part_without_a_peer_is_a_row_with_its_figure() -> None:
    t = table([GIVE], 5)
    assert str(t.title).startswith("median of 5 rounds")
    assert heads(t) == ["case", "part", "pages", "batch", "figure", "spread"]
    assert rows(t) == [("ledger-768", "give", "1,000,000", "768", "4.56 ns/page", "4.1 to 123")]


def test_peers_have_a_column_each_and_a_place_where_they_have_nothing_of_the_kind() -> None:
    take = replace(GIVE, part="take")
    other = replace(GIVE, case="help", part="help")
    results = [*beside(GIVE, linux=0.5), *beside(take, linux=2.0, copy=30.0), other]
    t = table(results, 5)
    assert heads(t)[6:] == ["÷ linux", "÷ copy"]
    assert [(r[0], r[1], *r[6:]) for r in rows(t)] == [
        ("ledger-768", "give", "1/2.0", ""),
        ("ledger-768", "take", "2.00", "30.00"),
        ("help", "help", "", ""),
    ]


def test_cases_are_set_apart_and_parts_of_one_are_not() -> None:
    parts: Sequence[Result] = [
        GIVE,
        replace(GIVE, part="take"),
        replace(GIVE, case="help"),
        replace(GIVE, case="import"),
    ]
    assert [r.end_section for r in table(parts, 5).rows] == [False, True, True, False]


def test_a_case_without_pages_has_no_counts() -> None:
    (row,) = rows(table([replace(GIVE, pages=0, batch=0, ns_per_page=None)], 5))
    assert row[2:5] == ("", "", "0.00456 s")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"ns_per_page": 1234.5}, "1,234 ns/page"),
        ({"ns_per_page": 99.94}, "99.9 ns/page"),
        ({"ns_per_page": 100.4}, "100 ns/page"),
        ({"ns_per_page": 0.0}, "0 ns/page"),
        ({"ns_per_page": None, "bytes_per_page": 5.017, "seconds": None}, "5.02 B/page"),
        ({"ns_per_page": None, "seconds": 0.123456}, "0.123 s"),
    ],
)
def test_a_figure_has_its_unit_and_three_digits(fields: dict[str, float | None], text: str) -> None:
    assert figure(replace(GIVE, **fields)) == text  # type: ignore[arg-type]  # by name


@given(st.floats(0.001, 1000))
def test_a_ratio_is_read_back_as_what_it_was(value: float) -> None:
    """The peer that is eight times as fast has an eighth: it is written so, and never as 0.12."""
    text = ratio(value)
    assert text.startswith("1/") is (value < 1)
    number = float(text.removeprefix("1/"))
    # one digit behind the point of a fraction's denominator, two of a multiple
    exact = 1 / value if value < 1 else value
    assert number == pytest.approx(exact, abs=0.051 if value < 1 else 0.0051)


def test_a_ratio_to_a_round_that_took_no_time_at_all() -> None:
    assert (ratio(0.0), ratio(1.0)) == ("0.00", "1.00")
