"""The hangs that a kernel reports, each with the time that its machine had while it lasted.

Theory of operation. A kernel takes a task for hung after so many seconds of a clock that goes on while others keep its
machine from running. So each such report is noted as it comes, with the machine's own time (``clock``) of the seconds
that it tells of. Where that is less than ``LEAST``, the report says that the machine was starved, and nothing of its
driver. A hang that lasts is reported again, with more seconds, and counts then.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fwpages.trial.effects import Effect
from fwpages.trial.kernel_signs import MOST_LINE, MOST_REPORTS, Sign
from fwpages.trial.seen import HangTold, Seen
from fwpages.trial.sign_table import SIGN_WORDINGS

#: seconds that a kernel waits with its report (``play.APPEND``), where the report does not tell them
USUAL: Final = 20.0
#: the least of the machine's own seconds in which a hang is one: half of those that the kernel waits, and more than the
#: 7 s for which Linux's driver waits for an answer that does not come
LEAST: Final = USUAL / 2
#: bytes of the console that are read at once
_CHUNK: Final = 1 << 20

_HANGS = tuple(w.pattern for w in SIGN_WORDINGS if w.effect is Effect.HUNG)
_SECONDS = re.compile(r"(?:for more than|stuck for) (\d{1,6}) ?s")


class HangWatch:
    """Reads a console as it grows, and notes the kernel's reports of hangs; ``MOST_REPORTS`` of them, the latest.

    ``had_in_last`` is that of the machine's clock.
    """

    def __init__(self, console: Path, had_in_last: Callable[[float], float]) -> None:
        self._console, self._had_in_last = console, had_in_last
        self._read = 0
        self._rest = b""
        self._told: deque[HangTold] = deque(maxlen=MOST_REPORTS)

    @property
    def told(self) -> tuple[HangTold, ...]:
        """The reports so far, in their order."""
        return tuple(self._told)

    def look(self) -> None:
        """Read what was printed since the last look."""
        if not self._console.exists() or self._console.stat().st_size <= self._read:
            return
        with self._console.open("rb") as f:
            f.seek(self._read)
            data = f.read(_CHUNK)
        self._read += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[-MOST_LINE:]
        for line in lines:
            self._line(line.decode("utf-8", "replace").strip())

    def _line(self, line: str) -> None:
        if any(p.search(line) for p in _HANGS):
            m = _SECONDS.search(line)
            seconds = USUAL if m is None else float(m[1])
            self._told.append(HangTold(line, seconds, round(self._had_in_last(seconds), 1)))


def starvation(seen: Seen) -> Callable[[Sign], HangTold | None]:
    """A function that tells of a report of the kernel's whether its machine was starved, and no task hung."""
    known = {t.line: t for t in seen.hangs if t.had < LEAST}
    lines = seen.console.split("\n") if known else []

    def look(sign: Sign) -> HangTold | None:
        return known.get(lines[sign.line - 1].strip()) if sign.effect is Effect.HUNG and known else None

    return look
