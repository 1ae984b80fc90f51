"""Turns for a campaign, in a module that the process of a play can import."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from fwpages.trial.effects import Effect
from fwpages.trial.played import Play
from fwpages.trial.rows import Row
from tests.trial.values import DIED, FLAKY, GOOD, HUNG, quiet, shown


def turn(row: Row, folder: Path) -> Play:
    """Each row by its own rule: it dies, raises, has an effect at times, hangs with a program, or is quiet."""
    (folder / "played").write_text(folder.name)
    if row == DIED:
        os._exit(7)
    if row == FLAKY:
        return shown(row, Effect.LEAKED) if folder.name in ("play-1", "play-2") else quiet(row)
    if row == HUNG:
        sleeper = subprocess.Popen(["sleep", "600"])
        (folder / "machine").write_text(str(sleeper.pid))
        time.sleep(600)
    if row == GOOD:
        return quiet(row)
    raise ValueError(f"nobody thought of {row}")
