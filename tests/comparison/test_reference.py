"""The page about the JSON of a comparison has every key and every kind."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fwpages.comparison.kinds import Kind
from fwpages.comparison.values import Diff, Difference, Edit, FunctionPair, InputSide, SessionPair

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "diff-json.md").read_text("utf-8")


@pytest.mark.parametrize("struct", [Diff, InputSide, SessionPair, FunctionPair, Difference, Edit])
def test_every_key_is_described(struct: type[msgspec.Struct]) -> None:
    for f in msgspec.structs.fields(struct):
        assert f"`{f.encode_name}`" in PAGE, f"{struct.__name__}.{f.encode_name}"


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_difference_is_described(kind: Kind) -> None:
    assert f"| `{kind.value}` | {kind.meaning} | {kind.look_at} |" in PAGE
