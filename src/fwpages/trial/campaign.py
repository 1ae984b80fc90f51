"""A campaign: rows are played several at a time, each play in a process and a folder of its own.

A process that ends early, hangs or raises is a row that was not judged, never the end of the campaign.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import MappingProxyType

from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.folders import BUG
from fwpages.trial.played import ENDED_BEFORE, Play, Played, Turn, unplayed
from fwpages.trial.rows import Row
from fwpages.trial.standing import Known

#: an effect counts when this many plays agree on it: a race may show it once
PLAYS = 3
#: seconds of one play: its stages have bounds of their own, which end it before, also on a machine that has a sixth of
#: a processor (``clock``); only a bug of ours goes on
MOST_PLAY = 2400.0
#: seconds of a campaign: the longest one, on two cores without KVM, takes an hour
MOST_CAMPAIGN = 4 * 3600.0

#: the reason of a campaign that Ctrl-C ended
INTERRUPTED = "interrupted"

#: called with each row that is finished, and how many are
Watch = Callable[[Played, int], None]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The seconds of one play and of the whole campaign."""

    play: float = MOST_PLAY
    campaign: float = MOST_CAMPAIGN


BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class _Running:
    """A play that runs in a process, since ``begun`` (monotonic seconds)."""

    number: int
    process: BaseProcess
    result: Connection
    begun: float


def folder_of(row: Row, number: int) -> str:
    """The name of a row's folder: its number in the campaign, from 1, and its fault or trouble."""
    return f"{number + 1:03d}-{row.label if row.fault is None else row.fault.name}"


def play_folder(play: int) -> str:
    """The name of the folder of a row's play, from 1."""
    return f"play-{play}"


class _Plays:
    """The plays of a campaign: those that wait, those that run, those that are done."""

    def __init__(
        self, rows: Sequence[Row], turn: Turn, folder: Path, *, jobs: int, bounds: Bounds, known: Known
    ) -> None:
        self._rows = rows
        self._known = known
        self._turn = turn
        self._folder = folder
        self._jobs = jobs
        self._bounds = bounds
        self._waiting = deque(range(len(rows)))
        self._running: list[_Running] = []
        self._done: list[list[Play]] = [[] for _ in rows]
        self._begun: list[int] = [0] * len(rows)
        self._context = multiprocessing.get_context("spawn")

    @property
    def busy(self) -> bool:
        """Plays wait or run."""
        return bool(self._waiting or self._running)

    def fill(self) -> None:
        """Start plays until as many run as may."""
        while self._waiting and len(self._running) < self._jobs:
            self._start(self._waiting.popleft())

    def _start(self, number: int) -> None:
        self._begun[number] += 1
        folder = self._folder / folder_of(self._rows[number], number) / play_folder(self._begun[number])
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(self._turn, self._rows[number], folder, theirs))
        with _uninterrupted():
            process.start()
        theirs.close()
        self._running.append(_Running(number, process, ours, time.monotonic()))

    def step(self, seconds: float) -> Iterator[int]:
        """Wait for a play to end, at most so long; yields the numbers of the rows that are finished."""
        ended = wait([r.result for r in self._running], seconds)
        now = time.monotonic()
        for r in tuple(self._running):
            late = now - r.begun > self._bounds.play
            if r.result not in ended and not late:
                continue
            self._running.remove(r)
            row = self._rows[r.number]
            if r.result in ended:
                play = _received(r, row)
            else:
                play = unplayed(row, NotJudged.OUR_BUG, f"a play did not end within {self._bounds.play:g} s")
            _end(r)
            self._done[r.number].append(play)
            if self._again(r.number, play):
                continue
            if len(self._done[r.number]) == self._begun[r.number] and r.number not in self._waiting:
                yield r.number

    def _again(self, number: int, play: Play) -> bool:
        """Play the row again, before the others, if its first play showed an effect that is not known."""
        effect = play.judged.effect
        if len(self._done[number]) > 1 or effect in (None, Effect.NONE, self._known.get(self._rows[number])):
            return False
        self._waiting.extendleft([number] * (PLAYS - 1))
        return True

    def stop(self) -> None:
        """End every play that runs, with its machines; nothing waits after it."""
        for r in self._running:
            _end(r)
        self._running.clear()
        self._waiting.clear()

    def played(self, number: int) -> Played:
        """The row with the plays that it had; one that was not played where it had none."""
        row = self._rows[number]
        plays = self._done[number] or [unplayed(row, NotJudged.NOT_PLAYED, ENDED_BEFORE)]
        return Played(row, tuple(plays), folder_of(row, number))


def campaign(
    rows: Sequence[Row],
    turn: Turn,
    folder: Path,
    *,
    jobs: int,
    watch: Watch,
    known: Known = MappingProxyType({}),
    bounds: Bounds = BOUNDS,
) -> tuple[tuple[Played, ...], str]:
    """Play these rows, ``jobs`` at a time; each row with its plays, and why some were not played, "" where all were.

    A row that shows an effect is played ``PLAYS`` times; one that shows the effect of the baseline (``known``) once.
    KeyboardInterrupt ends the machines, and what was played is returned. ``turn`` must be a function that another
    process can import.
    """
    plays = _Plays(rows, turn, folder, jobs=jobs, bounds=bounds, known=known)
    end = time.monotonic() + bounds.campaign
    finished: dict[int, Played] = {}
    why = ""
    try:
        while plays.busy:
            if time.monotonic() > end:
                why = f"the campaign had its {bounds.campaign:g} s"
                break
            plays.fill()
            for number in plays.step(min(1.0, bounds.play / 4)):
                finished[number] = plays.played(number)
                watch(finished[number], len(finished))
    except KeyboardInterrupt:
        why = INTERRUPTED
    finally:
        plays.stop()
    return tuple(finished.get(n) or plays.played(n) for n in range(len(rows))), why


def _received(r: _Running, row: Row) -> Play:
    """The play that the process sent, or one that says how it ended."""
    try:
        play: Play = r.result.recv()
    except (EOFError, OSError):
        r.process.join(5)
        code = r.process.exitcode
        ended = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return unplayed(row, NotJudged.OUR_BUG, f"the process that played it ended early, with {ended}")
    return play


def _end(r: _Running) -> None:
    """End the process and all that it started, however far it is."""
    try:
        os.killpg(r.process.pid or 0, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # it has ended, or is not yet in a group of its own
        r.process.kill()
    r.process.join(30)
    r.result.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep SIGINT away from a process that is started here, until it says otherwise."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


# -- in the process of a play -----------------------------------------------------------------------------------------


def _work(turn: Turn, row: Row, folder: Path, result: Connection) -> None:
    """Play a row and send what it came to."""
    os.setsid()  # a terminal's Ctrl-C is the campaign's alone, which then ends this process with its machine
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _follow()
    try:
        folder.mkdir(parents=True)
        play = turn(row, folder)
    except OSError as e:
        if e.errno != errno.ENOSPC:
            play = _bug(row, folder, e)
        else:
            play = unplayed(row, NotJudged.DISK_FULL, f"{e.filename or folder}: {e.strerror}")
    except Exception as e:
        play = _bug(row, folder, e)
    result.send(play)
    result.close()


def _bug(row: Row, folder: Path, e: Exception) -> Play:
    """A play that a bug of ours ended; the folder has the traceback, to report it with."""
    where = folder / BUG
    try:
        where.write_text("".join(traceback.format_exception(e)), "utf-8")
    except OSError:
        return unplayed(row, NotJudged.OUR_BUG, f"{type(e).__name__}: {e}")
    return unplayed(row, NotJudged.OUR_BUG, f"{type(e).__name__}: {e}; {where.parent.name}/{where.name} says where")


def _follow() -> None:
    """End this process and its machine with the campaign, also with one that was killed."""
    campaign_process = multiprocessing.parent_process()

    def watch() -> None:
        if campaign_process is not None:
            campaign_process.join()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
