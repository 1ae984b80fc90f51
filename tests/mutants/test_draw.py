"""The draw is the same for the same seed, and passes over what cannot matter."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="needs the extra mutants")

from tests.mutants.copies import ROOT
from tests.mutants.draw import ROOMS, annotated, draw
from tests.mutants.run import files_of


def test_annotations_are_found_in_arguments_results_and_variables() -> None:
    source = "def f(a: int | None, *b: str) -> x | y:\n    c: p | q = d | e\n"
    assert sorted(annotated(source)) == [
        ((1, 9), (1, 19)),
        ((1, 25), (1, 28)),
        ((1, 33), (1, 38)),
        ((2, 7), (2, 12)),
    ]


def test_a_seed_draws_the_same_mutants_each_at_a_place_of_its_own() -> None:
    mutants, sizes = draw(ROOT, ("pages", "prm"), 7, 20)
    assert [str(m) for m in draw(ROOT, ("pages", "prm"), 7, 20)[0]] == [str(m) for m in mutants]
    assert len({(m.path, m.spec.start_pos, m.spec.end_pos) for m in mutants}) == len(mutants) == 20
    assert list(sizes) == ["pages", "prm"]
    assert [str(m) for m in draw(ROOT, ("pages", "prm"), 8, 20)[0]] != [str(m) for m in mutants]


@pytest.mark.parametrize("room", ROOMS)
def test_the_test_module_of_the_same_name_comes_first(room: str) -> None:
    module = next(p for p in sorted((ROOT / "tests" / room).glob("test_*.py"), reverse=True)).stem.removeprefix("test_")
    files = files_of(ROOT, room, module)
    assert files[0] == f"tests/{room}/test_{module}.py"
    assert len(files) == len(set(files))
    assert all(Path(ROOT / f).exists() for f in files)
