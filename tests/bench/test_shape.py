"""Pages are cut into commands, and functions take turns."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fwpages.bench.shape import Shape

shapes = st.builds(Shape, st.integers(1, 600), st.integers(1, 200), st.integers(1, 20))


@given(shapes)
def test_the_turns_of_a_function_are_all_its_pages_once_and_in_order(shape: Shape) -> None:
    named = [n for first, pages in shape.turns() for n in range(first, first + pages)]
    assert named == list(range(shape.each))


@given(shapes)
def test_commands_are_full_but_for_the_last(shape: Shape) -> None:
    sizes = [pages for _, pages in shape.turns()]
    assert all(n == shape.batch for n in sizes[:-1])
    assert all(1 <= n <= shape.batch for n in sizes)


@given(st.integers(0, 500), st.integers(1, 20))
def test_functions_have_equal_shares_of_pages_that_can_be_shared(each: int, functions: int) -> None:
    shape = Shape(each * functions, 10, functions)
    assert (shape.each, len(shape.turns())) == (each, -(-each // 10))


def test_one_function_has_everything() -> None:
    assert Shape(1000, 64).turns() == [(n * 64, 64) for n in range(15)] + [(960, 40)]
    assert Shape(7, 50_000).turns() == [(0, 7)]
