from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from fwpages.explore.check import workers
from fwpages.explore.check.part import Arcs
from fwpages.explore.check.search import Crew, Outcome, Paths, search
from fwpages.explore.check.visited import Keys, Numbers
from fwpages.explore.check.workers import Raised, Shard, Shared, Travelling, WorkerError, processes, work
from fwpages.explore.model.spec import Spec
from tests.explore.small_worlds import DESIGNS, WIDE, found, made, small


def serial(shards: Sequence[Shard]) -> list[tuple[Arcs, bytes]]:
    """Every shard, here, in an order of its own."""
    done = {n: work(shards[n]) for n in reversed(range(len(shards)))}
    return [done[n] for n in range(len(shards))]


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels are handed over early, in shares so small that a level has many."""
    monkeypatch.setattr(workers, "SPREAD", 8)
    monkeypatch.setattr(workers, "SHARD", 8)


def same(a: Outcome, b: Outcome) -> None:
    assert a == b
    assert list(a.broken) == list(b.broken)
    assert list(a.reached) == list(b.reached)


@pytest.mark.parametrize(
    ("name", "design"), [("asks", "fwpages"), *(("session", d) for d in DESIGNS), ("timeout", "fwpages")]
)
def test_shares_change_nothing(monkeypatch: pytest.MonkeyPatch, name: str, design: str) -> None:
    monkeypatch.setattr(workers, "SPREAD", 2)
    monkeypatch.setattr(workers, "SHARD", 2)
    spec = small(name, design)
    same(found(name, design), search(spec, crew=Shared(spec, Travelling(spec, serial))))


def test_what_is_broken_is_the_same_in_shares() -> None:
    spec = made(WIDE.replace('never = ["uncounted"]', 'never = ["uncounted", "taken"]'), "posted")
    alone = search(spec)
    assert {"uncounted", "taken"} & alone.broken.keys()
    same(alone, search(spec, crew=Shared(spec, Travelling(spec, serial))))


@pytest.mark.parametrize("count", [1, 3])
def test_with_processes_the_outcome_is_the_same(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(workers, "SLACK", 0)
    spec = made(WIDE)
    alone = search(spec)
    assert max(alone.levels) > 30
    with processes(spec, count) as crew:
        same(alone, search(spec, crew=crew))


class Watched:
    """A crew whose workers are killed at some of its steps, by number, before the step or while they do it."""

    def __init__(self, crew: Crew, workers: list[Any], steps: Sequence[int]) -> None:
        self.crew, self.workers, self.steps = crew, workers, steps
        self.step = self.killed = 0

    def begin(self, paths: Paths, numbers: Numbers) -> Keys:
        return self.crew.begin(paths, numbers)

    def expand(self) -> Sequence[Arcs]:
        self._kill()
        return self.crew.expand()

    def keep(self, kept: Sequence[tuple[Numbers, Numbers]]) -> None:
        self._kill()
        self.crew.keep(kept)

    def _kill(self) -> None:
        self.step += 1
        if self.step in self.steps:
            victim = self.workers[self.step % len(self.workers)].process
            os.kill(victim.pid, signal.SIGKILL)  # our own child
            victim.join()
            self.killed += 1


def test_workers_that_are_killed_change_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    start = workers.started

    def noted(spec: Spec) -> Any:
        started.append(start(spec))
        return started[-1]

    monkeypatch.setattr(workers, "started", noted)
    spec = made(WIDE, "merged")
    alone = search(spec)
    steps = 2 * len(alone.levels)
    with processes(spec, 2) as crew:
        watched = Watched(crew, started, [steps // 2 - 9, steps - 12, steps - 9])
        same(alone, search(spec, crew=watched))
    assert watched.killed == 3
    assert len(started) >= 4


def test_work_at_which_three_workers_die_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = small("left")
    monkeypatch.setattr(workers, "SPREAD", 2)
    monkeypatch.setattr(workers, "serve", _dying)
    with processes(spec, 1) as crew, pytest.raises(WorkerError, match="3 workers died while they did the same work"):
        search(spec, crew=crew)


def _dying(pipe: Connection, spec: Spec) -> None:
    """A worker that dies at the first thing that it is asked."""
    pipe.recv()
    os._exit(1)


def test_an_error_in_a_worker_is_the_coordinators(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = small("left")
    monkeypatch.setattr(workers, "SPREAD", 2)
    monkeypatch.setattr(workers, "serve", _failing)
    with processes(spec, 1) as crew, pytest.raises(RuntimeError, match="a bug"):
        search(spec, crew=crew)


def _failing(pipe: Connection, _: Spec) -> None:
    """A worker whose work raises an error."""
    pipe.recv()
    pipe.send(Raised(RuntimeError("a bug")))


def test_workers_end_with_a_coordinator_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "wide.toml").write_text(WIDE, "utf-8")
    line = [sys.executable, "-c", "from fwpages.cli import main; main()", "explore", "wide.toml", "--workers", "2"]
    with subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as coordinator:
        children = Path(f"/proc/{coordinator.pid}/task/{coordinator.pid}/children")
        found: list[str] = []
        while not found and coordinator.poll() is None:
            found = [pid for pid in children.read_text("utf-8").split() if "spawn_main" in _typed(pid)]
            time.sleep(0.01)
        coordinator.kill()
    assert found
    deadline = time.monotonic() + 20
    while any("spawn_main" in _typed(pid) for pid in found):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _typed(pid: str) -> str:
    """The command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8")
    except OSError:
        return ""


def test_an_error_in_a_shard_is_reported() -> None:
    spec = made(WIDE)

    def broken(_: Sequence[Shard]) -> list[tuple[Arcs, bytes]]:
        raise WorkerError("no")

    with pytest.raises(WorkerError, match="no"):
        search(spec, crew=Shared(spec, Travelling(spec, broken)))


# -- a cluster --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")
def test_a_cluster_finds_the_same() -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    spec = small("session", "merged")
    with (
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as local,
        workers.cluster(spec, local.scheduler_address) as crew,
    ):
        same(found("session", "merged"), search(spec, crew=crew))


@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    dask = pytest.importorskip("dask.distributed", reason="the extra `cluster` is not installed")
    client = dask.Client
    monkeypatch.setattr(dask, "Client", lambda address, timeout: client(address, timeout=0.5))
    with (
        pytest.raises(WorkerError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        workers.cluster(small("session"), "tcp://127.0.0.1:9"),
    ):
        pass


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dask.distributed", None)
    with (
        pytest.raises(WorkerError, match=r"pip install 'fwpages\[cluster\]'"),
        workers.cluster(small("session"), "tcp://x:1"),
    ):
        pass
