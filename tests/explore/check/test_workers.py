from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fwpages.explore.check import workers
from fwpages.explore.check.search import Outcome, search
from fwpages.explore.check.workers import Expanded, Pool, Shard, WorkerError, bucket, processes, sharded, work
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, found, made, small, steps

#: a session in which much is open at a time, so that levels have many states
WIDE = (
    HEAD
    + '[[function]]\nname = "vf1"\ntype = "vf"\nindex = 1\nvhca_id = 0x32\npages = 1\n'
    + steps(*SESSION, "request vf0 1, after open", "enable vf1, after open")
    + '[bounds]\nstates = 400\n[expect]\nnever = ["uncounted"]\neventually = ["agree-again"]\nsometimes = ["given"]\n'
)


def serial(shards: Sequence[Shard]) -> list[Expanded]:
    """Every shard, here, in an order of its own."""
    done = {n: work(shards[n]) for n in reversed(range(len(shards)))}
    return [done[n] for n in range(len(shards))]


@pytest.fixture
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards so small that a level has many."""
    monkeypatch.setattr(workers, "SHARD", 8)


def same(a: Outcome, b: Outcome) -> None:
    assert a == b
    assert list(a.broken) == list(b.broken)
    assert list(a.reached) == list(b.reached)


@pytest.mark.usefixtures("little")
@pytest.mark.parametrize(
    ("name", "design"), [("asks", "fwpages"), *(("session", d) for d in DESIGNS), ("timeout", "fwpages")]
)
def test_shards_change_nothing(name: str, design: str) -> None:
    spec = small(name, design)
    same(found(name, design), search(spec, expander=sharded(spec, serial)))


def test_with_processes_the_outcome_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SHARD", 10)
    spec = made(WIDE)
    alone = search(spec)
    assert max(alone.levels) > 30
    with processes(3) as pool:
        same(alone, search(spec, expander=sharded(spec, pool)))


def test_states_are_sorted_by_their_keys() -> None:
    assert bucket(bytes(16), 5) == 0
    assert bucket((7).to_bytes(8, "big") + b"\xff" * 8, 5) == 2
    assert {bucket(os.urandom(16), 3) for _ in range(200)} == {0, 1, 2}


class Mortal(ProcessPoolExecutor):
    """An executor whose process is killed while it has a shard to do, as long as ``deaths`` are left.

    A shard that was done before the blow fell does not count.
    """

    deaths = 0
    made = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        Mortal.made += 1

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        while Mortal.deaths and not future.running() and not future.done():
            time.sleep(0.0005)
        if Mortal.deaths and not future.done():
            for process in list(self._processes.values()):  # the executor's own, by its pid
                os.kill(int(str(process.pid)), signal.SIGKILL)
            Mortal.deaths -= isinstance(future.exception(), BrokenProcessPool)
        return future


@contextmanager
def mortal(monkeypatch: pytest.MonkeyPatch, count: int, deaths: int) -> Iterator[Pool]:
    monkeypatch.setattr(workers, "ProcessPoolExecutor", Mortal)
    Mortal.deaths, Mortal.made = deaths, 0
    with processes(count) as pool:
        yield pool


def test_a_worker_killed_at_its_work_changes_nothing_but_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SHARD", 64)
    spec = made(WIDE, "merged")
    alone = search(spec)
    with mortal(monkeypatch, 2, 0) as pool:
        levels = 0

        def killing(shards: Sequence[Shard]) -> Sequence[Expanded]:
            nonlocal levels
            levels += 1
            if levels in (30, len(alone.levels) - 2):  # both have worked by then
                Mortal.deaths = 1
            return pool(shards)

        same(alone, search(spec, expander=sharded(spec, killing)))
    assert Mortal.deaths == 0
    assert Mortal.made >= 4


def test_a_shard_that_kills_three_workers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = small("left")
    with (
        mortal(monkeypatch, 1, 3) as pool,
        pytest.raises(WorkerError, match="3 workers died while they did the same shard"),
    ):
        search(spec, expander=sharded(spec, pool))


def test_a_worker_that_died_of_boredom_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = small("left")
    with mortal(monkeypatch, 1, 0) as pool:
        shards: list[Sequence[Shard]] = []

        def killing(these: Sequence[Shard]) -> Sequence[Expanded]:
            found = pool(these)
            if not shards:
                Mortal.deaths = 1
            shards.append(these)
            return found

        same(found("left"), search(spec, expander=sharded(spec, killing)))


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
    spec = small("left")

    def broken(_: Sequence[Shard]) -> Sequence[Expanded]:
        raise WorkerError("no")

    with pytest.raises(WorkerError, match="no"):
        search(spec, expander=sharded(spec, broken))


# -- a cluster --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default")
def test_a_cluster_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    monkeypatch.setattr(workers, "SHARD", 32)
    spec = small("session", "merged")
    with (
        distributed.LocalCluster(
            n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as local,
        workers.cluster(local.scheduler_address) as pool,
    ):
        same(found("session", "merged"), search(spec, expander=sharded(spec, pool)))


@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    dask = pytest.importorskip("dask.distributed", reason="the extra `cluster` is not installed")
    client = dask.Client
    monkeypatch.setattr(dask, "Client", lambda address, timeout: client(address, timeout=0.5))
    with (
        pytest.raises(WorkerError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"),
        workers.cluster("tcp://127.0.0.1:9"),
    ):
        pass


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dask.distributed", None)
    with pytest.raises(WorkerError, match=r"pip install 'fwpages\[cluster\]'"), workers.cluster("tcp://x:1"):
        pass
