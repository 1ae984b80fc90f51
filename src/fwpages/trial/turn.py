"""One turn of a campaign: a row is played, judged, and its files are written, all in the process of the play."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fwpages.report.serve import ServeReport
from fwpages.trial.folders import write_play
from fwpages.trial.judged import Judged
from fwpages.trial.played import Play, SessionBooks
from fwpages.trial.rows import Row
from fwpages.trial.seen import Seen
from fwpages.trial.versions import compiler_of

#: sessions of a play whose books are kept: a driver that recovers again and again has more, and the trace has all
MOST_SESSIONS = 20


@dataclass(frozen=True, slots=True)
class Trial:
    """Plays and judges a row; both functions, and what they hold, go to the process of the play.

    ``tree`` is the kernel's source tree, where there is one, which tells the lines of a stack.
    """

    play: Callable[[Row, Path], Seen]
    judge: Callable[[Seen], Judged]
    tree: Path | None = None

    def __call__(self, row: Row, folder: Path) -> Play:
        """Play the row in this folder. Raises OSError where its files cannot be written."""
        begun = time.monotonic()
        seen = self.play(row, folder)
        judged = self.judge(seen)
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


def _sessions(served: ServeReport | None) -> tuple[SessionBooks, ...]:
    """The firmware's books of the first sessions."""
    if served is None:
        return ()
    return tuple(
        SessionBooks(s.number, s.mode, s.end, s.given, s.returned, s.released, s.held, s.dropped)
        for s in served.sessions[:MOST_SESSIONS]
    )
