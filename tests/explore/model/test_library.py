from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.explore.model.library import load, names
from fwpages.explore.model.spec import Spec
from fwpages.scenario import ScenarioError
from tests.explore.small_worlds import DESIGNS, WORLDS


def test_worlds_come_with_the_package() -> None:
    assert names()
    assert names() == sorted(names())


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", names())
def test_each_of_them_can_be_built(name: str, design: str) -> None:
    world = load(name)
    assert world.description
    assert world.expect.sometimes
    w = Spec(name, world, design).build()
    assert w.quiet


def test_a_file_is_a_world_too(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(WORLDS["session"], "utf-8")
    assert load(str(file)) == load("-", WORLDS["session"])


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="there is no world 'no-such'; there are "):
        load("no-such")
    with pytest.raises(ScenarioError, match="No such file"):
        load(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="not text in UTF-8"):
        load(str(tmp_path / "bytes.toml"))
    with pytest.raises(ScenarioError, match="Is a directory"):
        load(f"{tmp_path}/")


def test_one_function_of_a_world() -> None:
    name = next(n for n in names() if len(load(n).function) > 1)
    world = load(name)
    for f in world.function:
        one = load(f"{name}:{f.name}")
        assert [g.name for g in one.function] == [f.name]
        assert {getattr(s, "function", f.name) for s in one.step} == {f.name}
        assert Spec(name, one).build().quiet
    with pytest.raises(ScenarioError, match="there is no function 'absent' in this world; there are "):
        load(f"{name}:absent")
