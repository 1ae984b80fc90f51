from __future__ import annotations

from fwpages.pages.words import many


def test_one_is_no_plural() -> None:
    assert [many(n) for n in (-1, 0, 1, 2, 2000)] == ["-1 pages", "0 pages", "1 page", "2 pages", "2,000 pages"]
    assert [many(1, "boot page"), many(3, "step")] == ["1 boot page", "3 steps"]
