"""A search on several processes, or on a cluster: each has a share of every level.

Theory of operation. The coordinator runs the search: it keeps the keys of all states and how each was reached. The
first levels of a world have few states, and are expanded in the coordinator; a level of ``SPREAD`` states is cut into
shares, runs of states with consecutive numbers, and handed over (``Shared``).

Processes of this machine (``processes``) keep their shares: a worker expands the states that it has, brings the
transitions back, and is told which of the states after them are new and its own. States stay where they were made, with
the machines that they have in common; only keys travel, and some states where a share has grown larger than the others.
Runs of consecutive numbers stay that from level to level, so neighbours in the search stay together. If a worker dies,
another one makes its states again from their paths, which the coordinator has.

On a cluster (``cluster``) workers keep nothing: a share travels packed, and comes back with the states after it packed.
So a share can be done anywhere, and is done again by Dask where a worker is lost.

Counts, paths and verdicts do not depend on the number of shares (see ``search``).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fwpages.explore.check.collecting import seldom_collected
from fwpages.explore.check.part import Arcs, Part
from fwpages.explore.check.pile import Pack, numbers_of
from fwpages.explore.check.search import Crew, Paths
from fwpages.explore.check.visited import Keys, Numbers
from fwpages.explore.model.spec import Spec

#: a level of so many states is worth to be handed over
SPREAD = 64
#: states of a share that travels to a cluster: enough work to be worth sending, few enough to lose
SHARD = 512
#: a share may be larger than the mean by this part before states are moved to another one
UNEVEN = 0.05
#: and by so many states
SLACK = 8
#: how often a worker is replaced at the same work: the third time the work is taken to be the cause
TRIES = 3

#: the states of a share, a run of numbers
Share = Sequence[Pack]


class WorkerError(RuntimeError):
    """The workers could not do their work, for the reason that it gives."""


class Hands(Protocol):
    """The receivers of a level that is handed over."""

    def pieces(self, states: int) -> int:
        """Into how many shares a level of so many states is cut."""

    def take(self, shares: Sequence[Share], paths: Paths) -> None:
        """The level, cut into shares; ``paths`` says how states were reached."""

    def begin(self, paths: Paths, numbers: Numbers) -> Keys:
        """See ``Crew``."""

    def expand(self) -> Sequence[Arcs]:
        """See ``Crew``."""

    def keep(self, kept: Sequence[tuple[Numbers, Numbers]]) -> None:
        """See ``Crew``."""


class Shared:
    """A crew that hands a level over when it is large enough."""

    def __init__(self, spec: Spec, hands: Hands) -> None:
        self._part: Part | None = Part(spec)
        self._hands = hands
        self._paths: Paths = lambda _: []

    def begin(self, paths: Paths, numbers: Numbers) -> Keys:
        """See ``Crew``."""
        assert self._part is not None
        self._paths = paths
        if numbers.size < SPREAD:
            return self._part.remake(paths(numbers), numbers)
        self._part = None
        return self._hands.begin(paths, numbers)

    def expand(self) -> Sequence[Arcs]:
        """See ``Crew``."""
        return self._hands.expand() if self._part is None else [self._part.expand()]

    def keep(self, kept: Sequence[tuple[Numbers, Numbers]]) -> None:
        """See ``Crew``."""
        if self._part is None:
            self._hands.keep(kept)
            return
        self._part.keep(*kept[0])
        self._hand_over()

    def _hand_over(self) -> None:
        """Hand the level over, if it is large enough."""
        part = self._part
        assert part is not None
        states = len(part.numbers)
        if states < SPREAD:
            return
        self._part = None
        self._hands.take(_shares(part, self._hands.pieces(states)), self._paths)


def _ends(states: int, pieces: int) -> list[int]:
    """The ends of so many equal pieces."""
    return [states * (n + 1) // pieces for n in range(pieces)]


def _shares(part: Part, pieces: int) -> list[Share]:
    """All states of a part, cut into equal shares."""
    ends = _ends(part.numbers.size, pieces)
    return [part.give(0, end - first) for first, end in pairwise([0, *ends])]


# -- processes of this machine ----------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Worker:
    """A worker process, the pipe to it, and the numbers of the states that it has."""

    process: BaseProcess
    pipe: Connection
    numbers: Numbers = field(default_factory=lambda: np.zeros(0, np.int64))


@contextmanager
def processes(spec: Spec, count: int) -> Iterator[Crew]:
    """A crew of so many worker processes."""
    workers = [started(spec) for _ in range(count)]
    try:
        yield Shared(spec, _Processes(spec, workers))
    finally:
        for worker in workers:
            worker.pipe.close()
        for worker in workers:
            worker.process.join(5)
            worker.process.kill()
            worker.process.join()


def started(spec: Spec) -> _Worker:
    """A worker process of this world."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, spec), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


@dataclass(frozen=True, slots=True)
class Raised:
    """The answer of a worker whose work raised an error."""

    error: Exception


def serve(pipe: Connection, spec: Spec) -> None:
    """Do what the coordinator asks of a part, until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interruption is the coordinator's; it ends its workers
    _follow()
    with seldom_collected():
        part = Part(spec)
        while True:
            try:
                name, args = pipe.recv()
            except EOFError:
                return
            try:
                answer = getattr(part, name)(*args)
            except Exception as e:  # ours or the world's: the coordinator raises it
                answer = Raised(e)
            pipe.send(answer)


def _follow() -> None:
    """End this worker with its coordinator, also with one that was killed while the worker was at work."""
    coordinator = multiprocessing.parent_process()

    def watch() -> None:
        if coordinator is not None:
            coordinator.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _answer(worker: _Worker) -> Any:
    """The answer of a worker; raises what its work raised, EOFError or OSError where it is dead."""
    answer = worker.pipe.recv()
    if isinstance(answer, Raised):
        raise answer.error
    return answer


#: a method of Part with its arguments
_Request = tuple[str, tuple[object, ...]]


class _Processes:
    """The workers, each with a share; one that dies is replaced by another that makes the share again."""

    def __init__(self, spec: Spec, workers: list[_Worker]) -> None:
        self._spec, self._workers = spec, workers
        self._paths: Paths = lambda _: []

    def pieces(self, states: int) -> int:
        """A share for each worker."""
        del states
        return len(self._workers)

    def take(self, shares: Sequence[Share], paths: Paths) -> None:
        """See ``Hands``."""
        self._paths = paths
        self._ask({n: ("receive", (share,)) for n, share in enumerate(shares)})
        for worker, share in zip(self._workers, shares, strict=True):
            worker.numbers = numbers_of(share)

    def begin(self, paths: Paths, numbers: Numbers) -> Keys:
        """See ``Crew``: each worker makes its share by itself."""
        self._paths = paths
        shares = np.split(numbers, _ends(numbers.size, len(self._workers))[:-1])
        keys = self._ask({n: ("remake", (paths(share), share)) for n, share in enumerate(shares)})
        for worker, share in zip(self._workers, shares, strict=True):
            worker.numbers = share
        return np.concatenate(keys)

    def expand(self) -> Sequence[Arcs]:
        """See ``Hands``."""
        return self._ask(dict.fromkeys(range(len(self._workers)), ("expand", ())))

    def keep(self, kept: Sequence[tuple[Numbers, Numbers]]) -> None:
        """See ``Hands``."""
        for worker, (_, numbers) in zip(self._workers, kept, strict=True):
            worker.numbers = numbers
        self._ask({n: ("keep", of_part) for n, of_part in enumerate(kept)}, done_by_remaking=True)
        self._even()

    def _even(self) -> None:
        """Move states between workers where shares differ too much; each keeps a run of consecutive numbers."""
        sizes = [worker.numbers.size for worker in self._workers]
        states = sum(sizes)
        if max(sizes) <= states / len(sizes) * (1 + UNEVEN) + SLACK:
            return
        least = min(int(worker.numbers[0]) for worker in self._workers if worker.numbers.size)
        cuts = [least, *(least + end for end in _ends(states, len(sizes)))]
        moved = [run for n in range(len(sizes)) for run in self._given(n, cuts)]
        for to, share in moved:
            self._ask({to: ("receive", (share,))})
            self._workers[to].numbers = np.sort(np.concatenate([self._workers[to].numbers, numbers_of(share)]))

    def _given(self, n: int, cuts: list[int]) -> list[tuple[int, Share]]:
        """The states that a worker gives up, each run with the worker to which it belongs by these cuts."""
        worker, given = self._workers[n], list[tuple[int, Share]]()
        for to in set(range(len(cuts) - 1)) - {n}:
            low, high = np.searchsorted(worker.numbers, cuts[to : to + 2]).tolist()
            if low < high:
                given.append((to, self._ask({n: ("give", (low, high))})[0]))
                worker.numbers = np.delete(worker.numbers, np.s_[low:high])
        return given

    def _ask(self, requests: dict[int, _Request], *, done_by_remaking: bool = False) -> list[Any]:
        """Ask workers at once, each one thing; returns their answers. One that is dead is replaced, and asked again."""
        dead = [n for n, request in requests.items() if not self._sent(n, request)]
        answers: dict[int, Any] = {}
        for n in requests:
            if n not in dead:
                try:
                    answers[n] = _answer(self._workers[n])
                except (EOFError, OSError):
                    dead.append(n)
        for n in dead:
            answers[n] = self._again(n, None if done_by_remaking else requests[n])
        return [answers[n] for n in requests]

    def _sent(self, n: int, request: _Request) -> bool:
        try:
            self._workers[n].pipe.send(request)
        except OSError:
            return False
        return True

    def _again(self, n: int, request: _Request | None) -> Any:
        """Replace a worker, make its states again from their paths, and ask once more."""
        for _ in range(TRIES - 1):
            old = self._workers[n]
            old.pipe.close()
            old.process.kill()
            old.process.join()
            new = self._workers[n] = started(self._spec)
            new.numbers = old.numbers
            answer: Any = None
            try:
                if old.numbers.size:
                    new.pipe.send(("remake", (self._paths(old.numbers), old.numbers)))
                    _answer(new)
                if request is not None:
                    new.pipe.send(request)
                    answer = _answer(new)
            except (EOFError, OSError):
                continue
            return answer
        raise WorkerError(f"{TRIES} workers died while they did the same work")


def memory() -> int | None:
    """The memory of this process and its workers now, in bytes; None where the kernel does not tell."""
    total = 0
    for process in ["self", *(str(child.pid) for child in multiprocessing.active_children())]:
        try:
            total += int(Path(f"/proc/{process}/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return None
    return total


# -- a cluster --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shard:
    """A share that travels: the spec of the world, and packs of states with the places of those to expand."""

    spec: Spec
    packs: tuple[tuple[bytes, tuple[int, ...]], ...]
    numbers: Numbers


#: does shards; returns for each the transitions, and all candidates packed
Pool = Callable[[Sequence[Shard]], Sequence[tuple[Arcs, bytes]]]

_prepared: list[tuple[Spec, Part]] = []


def prepared(spec: Spec) -> Part:
    """The part of this world, made once in each process: it keeps the machines of the shards before."""
    if not _prepared or _prepared[0][0] != spec:
        _prepared[:] = [(spec, Part(spec))]
    return _prepared[0][1]


def work(shard: Shard) -> tuple[Arcs, bytes]:
    """Expand a shard; runs in any process that has the package."""
    part = prepared(shard.spec)
    part.load(shard.packs, shard.numbers)
    return part.expand(), part.packed()


class Travelling:
    """Hands that keep nothing: shards are done by a pool."""

    def __init__(self, spec: Spec, pool: Pool) -> None:
        self._spec, self._pool = spec, pool
        self._shards: list[Shard] = []
        self._packs: list[bytes] = []

    def pieces(self, states: int) -> int:
        """Shares of at most ``SHARD`` states."""
        return -(-states // SHARD)

    def take(self, shares: Sequence[Share], paths: Paths) -> None:
        """See ``Hands``."""
        del paths  # a shard that is lost is done again by the pool
        self._shards = [
            Shard(self._spec, tuple((data, tuple(range(n.size))) for data, n in share), numbers_of(share))
            for share in shares
        ]

    def begin(self, paths: Paths, numbers: Numbers) -> Keys:
        """See ``Crew``: the states are made here, and packed."""
        part = Part(self._spec)
        keys = part.remake(paths(numbers), numbers)
        self.take(_shares(part, self.pieces(numbers.size)), paths)
        return keys

    def expand(self) -> Sequence[Arcs]:
        """See ``Hands``."""
        done = self._pool(self._shards)
        self._packs = [data for _, data in done]
        return [arcs for arcs, _ in done]

    def keep(self, kept: Sequence[tuple[Numbers, Numbers]]) -> None:
        """Shards of the next level: runs of consecutive numbers, over several packs where these have few states."""
        places = np.concatenate([candidates for candidates, _ in kept])
        numbers = np.concatenate([n for _, n in kept])
        pack = np.repeat(np.arange(len(kept)), [n.size for _, n in kept])
        ends = _ends(numbers.size, self.pieces(numbers.size)) if numbers.size else []
        self._shards = [
            Shard(self._spec, tuple(self._picked(pack[first:end], places[first:end])), numbers[first:end])
            for first, end in pairwise([0, *ends])
        ]

    def _picked(self, pack: Numbers, places: Numbers) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        for n in np.unique(pack).tolist():
            yield self._packs[n], tuple(places[pack == n].tolist())


@contextmanager
def cluster(spec: Spec, address: str) -> Iterator[Crew]:
    """A crew on a Dask cluster, by its scheduler's address; its workers must have this package.

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
        yield Shared(spec, Travelling(spec, lambda shards: _gathered(client, shards)))


def _gathered(client: Any, shards: Sequence[Shard]) -> Sequence[tuple[Arcs, bytes]]:
    futures = client.map(work, shards, pure=False, retries=TRIES)
    try:
        results: list[tuple[Arcs, bytes]] = client.gather(futures)
    except Exception as e:
        raise WorkerError(f"the cluster could not do {len(shards)} shards: {e}") from e
    return results
