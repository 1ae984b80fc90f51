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


def path_of(fault: str) -> str:
    """The replay string that the plan has for this fault."""
    entry = PLAN[fault]
    assert isinstance(entry, Entry)
    return entry.path


@pytest.mark.parametrize("path", [path_of("release-all-crossing"), "merged::e975401a:46:AAB~PABCB"], ids=["17", "13"])
def test_a_driver_goes_a_path_of_the_explorer(
    new: Kernel, tmp_path: Path, capsys: pytest.CaptureFixture[str], path: str
) -> None:
    """Questions 17 and 13 of the review: release_all crosses a GIVE without any fault; a reset that is never done."""
    out = tmp_path / "out"
    assert invoke(["trial", "--replay", path, "--json", "-o", str(out)]) == 1
    result = msgspec.json.decode(capsys.readouterr().out, type=ReplayedPath)
    assert (result.way, result.effect) == (Way.SAME, Effect.LET_GO.value), result
    assert any(words.startswith("custody: ") for words in result.path_ends)
    assert f"Linux version {new.name}" in (out / "kernel.log").read_text("utf-8")
