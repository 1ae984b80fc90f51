"""``fwpages explore --workers 2 --checkpoint`` interrupted, killed and with a worker killed: the result is the same.

Ten processes take their time to start: it is collected only where it is named (``make test-search``).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.explore.small_worlds import WIDE

#: the program, which writes a checkpoint after every level and not each half minute
_PROGRAM = """
from fwpages.explore.check import checkpoint
from fwpages.cli import main
checkpoint.EVERY = 0.0
main()
"""
#: a step may take so long on a machine that has other things to do
_PATIENCE = 300.0


def started(folder: Path, *options: str) -> subprocess.Popen[str]:
    """A search of ``wide.toml`` in this folder."""
    line = [sys.executable, "-c", _PROGRAM, "explore", "wide.toml", "--design", "merged", "--json", *options]
    return subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def go_on(folder: Path, level: int, act: Callable[[subprocess.Popen[str]], None]) -> subprocess.Popen[str]:
    """Start the search, or go on with it, and do something to it once so many levels are written."""
    search = started(folder, "--workers", "2", "--checkpoint", "half")
    deadline = time.monotonic() + _PATIENCE
    while levels(folder / "half" / "search.json") < level:
        assert search.poll() is None, search.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    act(search)
    return search


def levels(file: Path) -> int:
    """The levels that are written."""
    return len(json.loads(file.read_bytes())["progress"]["levels"]) if file.exists() else 0


def worker_killed(search: subprocess.Popen[str]) -> None:
    """Kill one worker."""
    pids = Path(f"/proc/{search.pid}/task/{search.pid}/children").read_text("ascii").split()
    workers = [pid for pid in pids if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text("utf-8")]
    os.kill(int(workers[0]), signal.SIGKILL)
    assert len(workers) == 2


def test_a_search_that_is_interrupted_killed_and_loses_a_worker_finds_the_same(tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text(WIDE.replace("states = 400", "states = 8000"), "utf-8")
    with started(tmp_path) as straight:
        whole = json.loads(straight.communicate(timeout=_PATIENCE)[0])
    # the first step with so many states: far from the end, which comes some thousand states later
    first, second, third = (next(n for n, size in enumerate(whole["levels"]) if size > most) for most in (30, 100, 200))
    assert whole["states"] > 8000
    with go_on(tmp_path, first, lambda search: search.send_signal(signal.SIGINT)) as search:
        assert "the same command goes on" in search.communicate(timeout=_PATIENCE)[1]
        assert search.returncode == 130
    with go_on(tmp_path, second, worker_killed) as search:
        while levels(tmp_path / "half" / "search.json") < third:
            assert search.poll() is None
        search.kill()
        search.communicate()
    with started(tmp_path, "--workers", "2", "--checkpoint", "half") as search:
        out, err = search.communicate(timeout=_PATIENCE)
    assert "half: going on at step" in err
    assert json.loads(out) == whole
    assert search.returncode == straight.returncode
