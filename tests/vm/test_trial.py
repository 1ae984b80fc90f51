"""``fwpages trial --replay`` on an unmodified Linux; ``make test-smoke`` plays the rows."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fwpages.cli import invoke
from fwpages.trial.effects import Effect
from fwpages.trial.kernel import Kernel
from fwpages.trial.plan import PLAN, Entry
from fwpages.trial.replay import ReplayedPath, Way


def test_a_driver_goes_a_path_of_the_explorer(new: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Question 17 of the review, without any fault: release_all crosses a GIVE, and held pages are freed."""
    entry = PLAN["release-all-crossing"]
    assert isinstance(entry, Entry)
    out = tmp_path / "out"
    assert invoke(["trial", "--replay", entry.path, "--json", "-o", str(out)]) == 1
    result = msgspec.json.decode(capsys.readouterr().out, type=ReplayedPath)
    assert (result.way, result.effect) == (Way.SAME, Effect.LET_GO.value), result
    assert any(words.startswith("custody: ") for words in result.path_ends)
    assert f"Linux version {new.name}" in (out / "kernel.log").read_text("utf-8")
