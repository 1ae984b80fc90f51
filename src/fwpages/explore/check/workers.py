"""A search on several processes, or on a cluster: levels cut into shards by the states' keys.

The coordinator keeps the keys and how each state was reached; workers are handed states, and hand back every
transition. Which worker does what changes nothing: shards follow from keys, and what comes back is taken in the order
of the level. A worker that dies costs its shard again.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from fwpages.explore.check.expand import Arc, Tests, expand
from fwpages.explore.check.search import Expander, Keyed
from fwpages.explore.model.spec import Packer, Spec
from fwpages.explore.model.world import World

#: states of a shard: enough work to be worth the way, few enough to lose
SHARD = 512
#: how often a shard is done again when its worker dies: one that kills three is at fault itself
TRIES = 3


@dataclass(frozen=True, slots=True)
class Shard:
    """States to expand: the spec of their world, the states packed, with those that count of each pack.

    ``buckets``: how many parts the next level's states are sorted into, by their keys.
    """

    spec: Spec
    packs: tuple[tuple[bytes, tuple[int, ...]], ...]
    buckets: int


@dataclass(frozen=True, slots=True)
class Expanded:
    """What a shard came to: for each state its transitions, and the new states packed by bucket.

    The ``state`` of an arc is here (b"", n): the n-th of its bucket's pack.
    """

    arcs: tuple[tuple[Arc, ...], ...]
    packs: tuple[bytes, ...]


#: does shards, and hands back what they came to in the shards' order
Pool: TypeAlias = Callable[[Sequence[Shard]], Sequence[Expanded]]


class WorkerError(RuntimeError):
    """The workers could not do a shard; says why."""


_prepared: list[tuple[Spec, Packer, Tests]] = []


def prepared(spec: Spec) -> tuple[Packer, Tests]:
    """What a process needs to expand states of this world, made once."""
    if not _prepared or _prepared[0][0] != spec:
        root = spec.build()
        _prepared[:] = [(spec, Packer(root), Tests(root.rules.scenario))]
    return _prepared[0][1:]


def bucket(key: bytes, count: int) -> int:
    """The part that a state belongs to."""
    return int.from_bytes(key[:8], "big") % count


def work(shard: Shard) -> Expanded:
    """Expand a shard; runs in any process that has the package."""
    packer, tests = prepared(shard.spec)
    known: set[bytes] = set()
    buckets: list[list[World]] = [[] for _ in range(shard.buckets)]
    out = []
    for data, places in shard.packs:
        worlds = packer.unpack(data)
        for n in places:
            arcs = []
            for arc in expand(worlds[n], tests, known.__contains__):
                mine = buckets[bucket(arc.key, shard.buckets)]
                if isinstance(arc.state, World):
                    known.add(arc.key)
                    mine.append(arc.state)
                    arcs.append(arc._replace(state=(b"", len(mine) - 1)))
                else:
                    arcs.append(arc)
            out.append(tuple(arcs))
    return Expanded(tuple(out), tuple(packer.pack(worlds) for worlds in buckets))


def sharded(spec: Spec, pool: Pool) -> Expander:
    """An expander that has the work done by a pool: the level is cut by the states' keys."""
    packer, _ = prepared(spec)

    def expander(level: list[Keyed], _: Callable[[bytes], bool]) -> Iterator[list[Arc]]:
        count = _parts(len(level))
        members: list[dict[bytes, list[int]]] = [{} for _ in range(count)]
        for n, (key, state) in enumerate(level):
            # only the first state comes as it is
            data = packer.pack([packer.root]) if isinstance(state, World) else state[0]
            members[bucket(key, count)].setdefault(data, []).append(n)
        # the next level is rarely more than twice as large: what is packed together then goes to one shard
        ahead = _parts(2 * len(level))
        shards = [Shard(spec, tuple((d, _places(level, ns)) for d, ns in m.items()), ahead) for m in members if m]
        found: dict[int, list[Arc]] = {}
        for m, expanded in zip((m for m in members if m), pool(shards), strict=True):
            order = (n for ns in m.values() for n in ns)
            for n, arcs in zip(order, expanded.arcs, strict=True):
                found[n] = [_placed(arc, expanded.packs) for arc in arcs]
        looked_at = {arc.key: arc for arcs in found.values() for arc in arcs if arc.state is not None}
        for n in range(len(level)):
            # a shard looks at a state once, and not where the level's order would come to it first
            yield [_filled(arc, looked_at.get(arc.key)) for arc in found.pop(n)]

    return expander


def _parts(states: int) -> int:
    """How many shards a level of so many states is cut into: a power of two, so that a larger number splits each part.

    Were it otherwise, each pack of the level before would be sent to nearly every shard, and be unpacked there.
    """
    count = 1
    while states > SHARD * count:
        count *= 2
    return count


def _places(level: list[Keyed], numbers: list[int]) -> tuple[int, ...]:
    states = (level[n][1] for n in numbers)
    return tuple(0 if isinstance(s, World) else s[1] for s in states)


def _placed(arc: Arc, packs: tuple[bytes, ...]) -> Arc:
    if arc.state is None or isinstance(arc.state, World):
        return arc
    return arc._replace(state=(packs[bucket(arc.key, len(packs))], arc.state[1]))


def _filled(arc: Arc, by: Arc | None) -> Arc:
    if by is None or arc.bad_step:
        return arc
    return arc._replace(state=by.state, bad_state=by.bad_state, content=by.content)


# -- processes of this machine ----------------------------------------------------------------------------------------


@contextmanager
def processes(count: int) -> Iterator[Pool]:
    """A pool of worker processes, each alone in its executor: one that dies takes nothing else with it."""
    context = multiprocessing.get_context("spawn")

    def fresh() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=context, initializer=_follow)

    workers = [fresh() for _ in range(count)]
    try:
        yield lambda shards: _run(shards, workers, fresh)
    finally:
        for worker in workers:
            worker.shutdown(wait=True, cancel_futures=True)


def _follow() -> None:
    """A worker ends with its coordinator, also with one that was killed: by itself it would wait for work for ever."""
    coordinator = multiprocessing.parent_process()

    def watch() -> None:
        if coordinator is not None:
            coordinator.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(
    shards: Sequence[Shard], workers: list[ProcessPoolExecutor], fresh: Callable[[], ProcessPoolExecutor]
) -> list[Expanded]:
    waiting = list(range(len(shards)))[::-1]
    tries = [0] * len(shards)
    results: dict[int, Expanded] = {}
    running: dict[Future[Expanded], tuple[int, int]] = {}
    idle = list(range(len(workers)))
    while waiting or running:
        while waiting and idle:
            worker, shard = idle.pop(), waiting.pop()
            try:
                running[workers[worker].submit(work, shards[shard])] = worker, shard
            except BrokenProcessPool:  # it died while it had nothing to do
                workers[worker] = fresh()
                idle.append(worker)
                waiting.append(shard)
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            worker, shard = running.pop(future)
            idle.append(worker)
            try:
                results[shard] = future.result()
            except BrokenProcessPool:
                workers[worker].shutdown(wait=False)
                workers[worker] = fresh()
                tries[shard] += 1
                if tries[shard] == TRIES:
                    raise WorkerError(f"{TRIES} workers died over the same shard") from None
                waiting.append(shard)
    return [results[n] for n in range(len(shards))]


# -- a cluster --------------------------------------------------------------------------------------------------------


@contextmanager
def cluster(address: str) -> Iterator[Pool]:
    """A pool on a Dask cluster, by its scheduler's address; its workers must have this package.

    WorkerError where Dask is not installed (the extra ``cluster``) or the scheduler does not answer.
    """
    try:
        from dask.distributed import Client  # noqa: PLC0415  # an extra, and slow to import
    except ImportError:
        raise WorkerError("--cluster needs Dask: pip install 'fwpages[cluster]'") from None
    try:
        client: Any = Client(address, timeout=10)
    except (OSError, ValueError) as e:
        raise WorkerError(f"no Dask scheduler answers at {address}: {e}") from None
    with client:
        yield lambda shards: _gathered(client, shards)


def _gathered(client: Any, shards: Sequence[Shard]) -> list[Expanded]:
    futures = client.map(work, shards, pure=False, retries=TRIES)
    try:
        results: list[Expanded] = client.gather(futures)
    except Exception as e:
        raise WorkerError(f"the cluster could not do {len(shards)} shards: {e}") from e
    return results
