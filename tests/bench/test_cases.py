"""The cases as they are listed: each has what its rounds measure, and shares its pages without a rest."""

from __future__ import annotations

import pytest

from fwpages.bench.cases import CASES, chosen
from fwpages.bench.shape import Case, Shape

BY_NAME = {c.name: c for c in CASES}
#: those that start processes are run elsewhere
HERE = [c.name for c in CASES if c.name not in ("help", "import", "memory")]


@pytest.mark.parametrize("name", HERE)
def test_a_round_measures_the_parts_that_are_reported(name: str) -> None:
    case = BY_NAME[name]
    # a hundredth of the functions, a few commands each
    functions = -(-case.shape.functions // 100)
    small = Shape(20 * functions, min(case.shape.batch, 8), functions)
    figures = case.run(small)
    assert case.parts.keys() <= figures.keys()
    assert all(figures[part] > 0 for part in case.parts)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_pages_are_shared_without_a_rest(case: Case) -> None:
    """A case that is divided by all pages has to have moved all of them."""
    assert case.shape.pages == case.shape.each * case.shape.functions
    assert bool(case.shape.pages) is bool(case.shape.batch)
    assert case.shape.batch <= 50_000, "no command has more: what firmware was seen to return at once"


def test_a_name_means_itself_and_those_that_go_on_with_a_dash() -> None:
    assert [c.name for c in chosen(("turns",))] == ["turns-768", "turns-64"]
    assert [c.name for c in chosen(("ledger-16",))] == ["ledger-16"]


def test_cases_come_once_and_in_their_order_however_they_are_asked_for() -> None:
    assert chosen(("wire-signed", "ledger-768", "wire", "ledger-768")) == tuple(
        BY_NAME[n] for n in ("ledger-768", "wire", "wire-signed", "wire-scattered")
    )


@pytest.mark.parametrize("names", [("ledger", "nothing"), ("nothing", "else"), ("Wire",), ("",), ("ledger-",)])
def test_a_case_that_there_is_not_is_named_and_nothing_is_chosen(names: tuple[str, ...]) -> None:
    wrong = next(n for n in names if n != "ledger")
    with pytest.raises(
        ValueError, match=rf"^there is no case '{wrong}'; (there are ledger-50000, .*, import|did you mean .*\?)$"
    ):
        chosen(names)
