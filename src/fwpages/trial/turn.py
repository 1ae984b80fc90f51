"""One turn of a campaign: a row is played, judged, and its files are written, all in the process of the play."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from fwpages.report.serve import ServeReport
from fwpages.trial.effects import NotJudged
from fwpages.trial.folders import BUG, write_play
from fwpages.trial.judge import judge
from fwpages.trial.judged import Judged
from fwpages.trial.kernel import Kernel
from fwpages.trial.play import PlayOptions, play
from fwpages.trial.played import Play, SessionBooks
from fwpages.trial.rows import Row
from fwpages.trial.versions import compiler_of

#: sessions of a play whose books are kept: a driver that recovers again and again has more, and the trace has all
MOST_SESSIONS = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """Plays and judges a row on this kernel; it goes to the process of the play.

    ``tree`` is the kernel's source tree, where there is one, which tells the lines of a stack.
    """

    kernel: Kernel
    options: PlayOptions
    tree: Path | None = None

    def __call__(self, row: Row, folder: Path) -> Play:
        """Play the row in this folder. Raises OSError where its files cannot be written."""
        begun = time.monotonic()
        seen = play(row, self.kernel, folder, self.options)
        judged = _without_traceback(judge(seen), folder)
        write_play(folder, seen, self.tree)
        version, compiler = compiler_of(seen.console)
        return Play(
            judged,
            seconds=time.monotonic() - begun,
            kernel=version or seen.kernel,
            compiler=compiler,
            instruments=seen.instruments,
            stages=seen.stages,
            readings=seen.readings,
            sessions=_sessions(seen.served),
        )


def _without_traceback(judged: Judged, folder: Path) -> Judged:
    """The verdict with the error of a bug of ours; where it happened is in the folder."""
    if judged.not_judged is not NotJudged.OUR_BUG or "\n" not in judged.why.strip():
        return judged
    (folder / BUG).write_text(judged.why, "utf-8")
    return replace(judged, why=f"{judged.why.strip().splitlines()[-1]}; {folder.name}/{BUG} says where")


def _sessions(served: ServeReport | None) -> tuple[SessionBooks, ...]:
    """The firmware's books of the first sessions."""
    if served is None:
        return ()
    return tuple(
        SessionBooks(s.number, s.mode, s.end, s.given, s.returned, s.released, s.held, s.dropped)
        for s in served.sessions[:MOST_SESSIONS]
    )
