"""The draw is the same for the same seed, and passes over what cannot matter."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("cosmic_ray", reason="needs the extra mutants")

from tests.mutants.copies import ROOT
from tests.mutants.draw import PACKAGE, ROOMS, annotated, draw
from tests.mutants.run import files_of


def test_annotations_are_found_in_arguments_results_and_variables() -> None:
    source = "def f(a: int | None, *b: str) -> x | y:\n    c: p | q = d | e\n"
    assert sorted(annotated(source)) == [
        ((1, 9), (1, 19)),
        ((1, 25), (1, 28)),
        ((1, 33), (1, 38)),
        ((2, 7), (2, 12)),
    ]


def test_a_seed_draws_the_same_mutants_each_at_a_place_of_its_own(tmp_path: Path) -> None:
    """Of two rooms with a module each, as to find every mutation of the whole takes seconds."""
    for module in ("pages/tags.py", "prm/status.py"):
        (tmp_path / PACKAGE / module).parent.mkdir(parents=True)
        shutil.copy(ROOT / PACKAGE / module, tmp_path / PACKAGE / module)
    mutants, sizes = draw(tmp_path, ("pages", "prm"), 7, 20)
    assert [str(m) for m in draw(tmp_path, ("pages", "prm"), 7, 20)[0]] == [str(m) for m in mutants]
    assert len({(m.path, m.spec.start_pos, m.spec.end_pos) for m in mutants}) == len(mutants) == 20
    assert list(sizes) == ["pages", "prm"]
    assert all(sizes.values())
    assert [str(m) for m in draw(tmp_path, ("pages", "prm"), 8, 20)[0]] != [str(m) for m in mutants]


@pytest.mark.parametrize("room", ROOMS)
def test_the_test_module_of_the_same_name_comes_first(room: str) -> None:
    module = next(p for p in sorted((ROOT / "tests" / room).glob("test_*.py"), reverse=True)).stem.removeprefix("test_")
    files = files_of(ROOT, room, module)
    assert files[0] == f"tests/{room}/test_{module}.py"
    assert len(files) == len(set(files))
    assert all(Path(ROOT / f).exists() for f in files)
