from __future__ import annotations

import pytest

from fwpages.explore.show.wants import wants


@pytest.mark.parametrize(("pages", "words"), [(3, "vf0 wants 3 pages"), (-1, "vf0 lets go of 1 page")])
def test_what_firmware_wants(pages: int, words: str) -> None:
    assert wants("vf0", pages) == words
