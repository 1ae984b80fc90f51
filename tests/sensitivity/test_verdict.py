from __future__ import annotations

from pathlib import Path

from tests.sensitivity.verdict import executed, statement

SOURCE = """\
def f(
    a,
    b,
):
    if (
        a
        and b
    ):
        return g(
            a,
            1,
        )
    return b
"""


def test_a_statement_is_its_lines_and_of_one_with_a_body_those_above_it() -> None:
    assert statement(SOURCE, 2) == {1, 2, 3, 4}
    assert statement(SOURCE, 7) == {5, 6, 7, 8}
    assert statement(SOURCE, 11) == {9, 10, 11, 12}
    assert statement(SOURCE, 13) == {13}
    assert statement("x = 1\n\ny = 2\n", 2) == {2}


def test_a_place_is_executed_where_any_line_of_its_statement_is(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(SOURCE, "utf-8")
    assert executed(path, 11, {9})
    assert not executed(path, 11, {5, 13})
