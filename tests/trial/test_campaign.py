"""A campaign: each play in a process and a folder of its own, and no play ends more than itself."""

from __future__ import annotations

import time
from pathlib import Path

from fwpages.trial.campaign import Bounds, campaign
from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.played import Play, Played
from fwpages.trial.rows import Row
from tests.trial.turns import turn
from tests.trial.values import DIED, FLAKY, GOOD, HUNG, LET_GO


def test_an_effect_is_played_again_twice_and_what_dies_or_raises_is_a_row_not_judged(tmp_path: Path) -> None:
    finished: list[int] = []
    rows, why = campaign(
        [FLAKY, DIED, LET_GO],
        turn,
        tmp_path,
        jobs=3,
        watch=lambda p, n: finished.append(n),
    )
    flaky, died, raised = rows
    assert why == ""
    assert [p.judged.effect for p in flaky.plays].count(Effect.LEAKED) == 2
    assert (len(flaky.plays), flaky.flaky, flaky.judged.effect) == (3, True, Effect.LEAKED)
    assert (len(died.plays), died.judged.not_judged) == (1, NotJudged.OUR_BUG)
    assert "ended early, with exit code 7" in died.judged.why
    assert raised.judged.not_judged is NotJudged.OUR_BUG
    assert raised.judged.why.startswith(f"ValueError: nobody thought of {LET_GO}; play-1/bug.txt")
    assert "in turn" in (tmp_path / raised.folder / "play-1" / "bug.txt").read_text()
    assert sorted(p.name for p in (tmp_path / flaky.folder).iterdir()) == ["play-1", "play-2", "play-3"]
    assert finished == [1, 2, 3]


def unseen(p: Played, n: int) -> None:
    """Do nothing with a row that is finished."""


def gone(pid: int) -> bool:
    """The process is not there, or a zombie that nobody has asked for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_an_interrupt_ends_the_machines_and_keeps_what_was_played(tmp_path: Path) -> None:
    def watch(p: Played, n: int) -> None:
        raise KeyboardInterrupt

    machine = tmp_path / "001-take-count-huge" / "play-1" / "machine"
    (hung, good), why = campaign([HUNG, GOOD], After(machine), tmp_path, jobs=2, watch=watch)
    assert why == "interrupted"
    assert good.judged.effect is Effect.NONE
    assert hung.judged.not_judged is NotJudged.NOT_PLAYED
    end = time.monotonic() + 30
    while not gone(int(machine.read_text())):
        assert time.monotonic() < end
        time.sleep(0.02)


class After:
    """``turn``, but for HUNG not before this file of HUNG's is written."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __call__(self, row: Row, folder: Path) -> Play:
        end = time.monotonic() + 60
        while row != HUNG and not (self.file.exists() and self.file.read_text()):
            assert time.monotonic() < end
            time.sleep(0.02)
        return turn(row, folder)


def test_a_play_without_an_end_is_ended_and_not_judged(tmp_path: Path) -> None:
    ((hung,), why) = campaign([HUNG], turn, tmp_path, jobs=1, watch=unseen, bounds=Bounds(play=0.1))
    assert (why, hung.judged.not_judged) == ("", NotJudged.OUR_BUG)
    assert hung.judged.why == "a play did not end within 0.1 s"


def test_a_campaign_has_a_time_and_says_what_was_not_played(tmp_path: Path) -> None:
    ((only,), why) = campaign([GOOD], turn, tmp_path, jobs=1, watch=unseen, bounds=Bounds(campaign=-1.0))
    assert why == "the campaign had its -1 s"
    assert only.judged.not_judged is NotJudged.NOT_PLAYED
