from __future__ import annotations

from string import ascii_lowercase

from fwpages.pages.words import many, meant


def test_one_is_no_plural() -> None:
    assert [many(n) for n in (-1, 0, 1, 2, 2000)] == ["-1 pages", "0 pages", "1 page", "2 pages", "2,000 pages"]
    assert [many(1, "boot page"), many(3, "step")] == ["1 boot page", "3 steps"]


def test_after_a_slip_up_to_twelve_names_are_listed_and_of_more_only_those_near_it() -> None:
    twelve = ["lose-page", *ascii_lowercase[:11]]
    hint = "did you mean lose-page?"
    assert meant("lose-pag", twelve) == f"there are {', '.join(twelve)}; {hint}"
    assert meant("lose-pag", [*twelve, "z"]) == hint


def test_where_no_name_is_near_all_are_listed() -> None:
    assert meant("0", ascii_lowercase) == f"there are {', '.join(ascii_lowercase)}"
    assert meant("0", []) == "there are none"
