"""A search on several processes, or on a cluster: each level cut into shards by the states' keys.

Theory of operation. The coordinator runs the search: it keeps the keys of all states and how each was reached. Workers
are stateless: a shard carries the spec of its world, packed states, and which of them to expand; it brings back every
transition, and the new states packed. Nothing is shared, so it does not matter which worker does a shard, and a shard
whose worker dies is simply done again.

Which states a shard has follows from their keys alone (``bucket``): all states of a bucket meet in one place, so a
worker knows by itself which states of its shard it has seen. New states are packed by the bucket of the next level, and
one pack goes to one shard, as the number of buckets is a power of two that grows with the level. The coordinator never
unpacks a state: an arc brings the pack and its place in it (``expand.Place``).

A worker looks at a new state once, at the first transition that leads to it in the order of its shard. The order of
the level may have another first, so the coordinator hands the state and what was seen of it to every transition to
that key (``_completed``). Then it takes the transitions in the order of the level, as a search in one process does:
counts, paths and verdicts are the same for any number of workers.
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

#: states of a shard: enough work to be worth sending, few enough to lose
SHARD = 512
#: how often a shard is done again when its worker dies: the third time it is taken to be the cause
TRIES = 3


@dataclass(frozen=True, slots=True)
class Shard:
    """States to expand: the spec of their world, and packs of states, each with the places of those to expand.

    ``buckets``: the number of packs that the new states are sorted into, by their keys.
    """

    spec: Spec
    packs: tuple[tuple[bytes, tuple[int, ...]], ...]
    buckets: int


@dataclass(frozen=True, slots=True)
class Expanded:
    """The result of a shard: for each state its transitions, and the new states packed by bucket.

    The ``state`` of an arc is (b"", n) here: the n-th of the pack of its bucket.
    """

    arcs: tuple[tuple[Arc, ...], ...]
    packs: tuple[bytes, ...]


#: does shards; returns their results in the shards' order
Pool: TypeAlias = Callable[[Sequence[Shard]], Sequence[Expanded]]


class WorkerError(RuntimeError):
    """The workers could not do a shard, for the reason that it gives."""


_prepared: list[tuple[Spec, Packer, Tests]] = []


def prepared(spec: Spec) -> tuple[Packer, Tests]:
    """The packer and the tests of this world, made once in each process."""
    if not _prepared or _prepared[0][0] != spec:
        root = spec.build()
        _prepared[:] = [(spec, Packer(root), Tests(root.rules.scenario))]
    return _prepared[0][1:]


def bucket(key: bytes, count: int) -> int:
    """The bucket that a state belongs to, of ``count``."""
    return int.from_bytes(key[:8], "big") % count


def work(shard: Shard) -> Expanded:
    """Expand a shard; runs in any process that has the package."""
    packer, tests = prepared(shard.spec)
    known: set[bytes] = set()
    buckets: list[list[World]] = [[] for _ in range(shard.buckets)]

    def placed(arc: Arc) -> Arc:
        """The arc with its new state, if any, moved into a bucket."""
        if not isinstance(arc.state, World):
            return arc
        known.add(arc.key)
        worlds = buckets[bucket(arc.key, shard.buckets)]
        worlds.append(arc.state)
        return arc._replace(state=(b"", len(worlds) - 1))

    arcs = []
    for data, places in shard.packs:
        worlds = packer.unpack(data)
        arcs += [tuple(placed(arc) for arc in expand(worlds[n], tests, known.__contains__)) for n in places]
    return Expanded(tuple(arcs), tuple(packer.pack(worlds) for worlds in buckets))


def sharded(spec: Spec, pool: Pool) -> Expander:
    """An expander that has the work done by a pool: a level is cut by the states' keys."""
    packer, _ = prepared(spec)

    def expander(level: list[Keyed], _: Callable[[bytes], bool]) -> Iterator[list[Arc]]:
        members = _cut(packer, level)
        # the next level is rarely more than twice as large: what is packed together then goes to one shard
        ahead = _parts(2 * len(level))
        shards = [Shard(spec, tuple((data, _places(level, ns)) for data, ns in m.items()), ahead) for m in members]
        found: dict[int, list[Arc]] = {}
        for m, expanded in zip(members, pool(shards), strict=True):
            order = (n for ns in m.values() for n in ns)
            for n, arcs in zip(order, expanded.arcs, strict=True):
                found[n] = [_located(arc, expanded.packs) for arc in arcs]
        yield from _completed(found)

    return expander


def _cut(packer: Packer, level: list[Keyed]) -> list[dict[bytes, list[int]]]:
    """The shards of a level, none of them empty: for each pack the states of it, by their numbers in the level."""
    count = _parts(len(level))
    members: list[dict[bytes, list[int]]] = [{} for _ in range(count)]
    for n, (key, state) in enumerate(level):
        # only the first state of a search comes as a world
        data = packer.pack([packer.root]) if isinstance(state, World) else state[0]
        members[bucket(key, count)].setdefault(data, []).append(n)
    return [m for m in members if m]


def _completed(found: dict[int, list[Arc]]) -> Iterator[list[Arc]]:
    """The transitions in the order of the level, with the state on each of those that lead to a new one."""
    looked_at = {arc.key: arc for arcs in found.values() for arc in arcs if arc.state is not None}
    for n in range(len(found)):
        yield [_filled(arc, looked_at.get(arc.key)) for arc in found.pop(n)]


def _parts(states: int) -> int:
    """The number of shards of a level: a power of two, so that a larger number splits each shard of a smaller one.

    Otherwise each pack of the level before would be sent to nearly every shard, and be unpacked there.
    """
    count = 1
    while states > SHARD * count:
        count *= 2
    return count


def _places(level: list[Keyed], numbers: list[int]) -> tuple[int, ...]:
    states = (level[n][1] for n in numbers)
    return tuple(0 if isinstance(s, World) else s[1] for s in states)


def _located(arc: Arc, packs: tuple[bytes, ...]) -> Arc:
    """The arc with the pack that its new state is in."""
    if arc.state is None or isinstance(arc.state, World):
        return arc
    return arc._replace(state=(packs[bucket(arc.key, len(packs))], arc.state[1]))


def _filled(arc: Arc, by: Arc | None) -> Arc:
    """The arc with the new state that another one of the same key brought."""
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
    """End this worker with its coordinator, also with one that was killed: else it would wait for work for ever."""
    coordinator = multiprocessing.parent_process()

    def watch() -> None:
        if coordinator is not None:
            coordinator.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _run(
    shards: Sequence[Shard], workers: list[ProcessPoolExecutor], fresh: Callable[[], ProcessPoolExecutor]
) -> list[Expanded]:
    """Do the shards, one at a time on each worker; a worker that dies is replaced and its shard done again."""
    pending = list(range(len(shards)))[::-1]
    tries = [0] * len(shards)
    results: dict[int, Expanded] = {}
    running: dict[Future[Expanded], tuple[int, int]] = {}
    idle = list(range(len(workers)))
    while pending or running:
        while pending and idle:
            worker, shard = idle.pop(), pending.pop()
            try:
                running[workers[worker].submit(work, shards[shard])] = worker, shard
            except BrokenProcessPool:  # it died while it had nothing to do
                workers[worker] = fresh()
                idle.append(worker)
                pending.append(shard)
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
                    raise WorkerError(f"{TRIES} workers died while they did the same shard") from None
                pending.append(shard)
    return [results[n] for n in range(len(shards))]


# -- a cluster --------------------------------------------------------------------------------------------------------


@contextmanager
def cluster(address: str) -> Iterator[Pool]:
    """A pool on a Dask cluster, by its scheduler's address; its workers must have this package.

    Raises WorkerError where Dask is not installed (the extra ``cluster``) or the scheduler does not answer.
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
