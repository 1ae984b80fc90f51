"""How fast a world is explored, how large a state is, and how the states grow with the bounds.

``python bench/explore.py`` prints the tables for ``bench/README.md``. Every row is the median of three runs, each in a
process of its own, so that memory is the run's own; states are counted once, for they are always the same.
Speeds are by processor time. A search in one process and the same one on two workers run at the same time, so that the
rest of the machine costs both the same. The longest path of workers is the coordinator's processor time and, of each
step, that of the worker that had most to do: by it two cores that do nothing else would be so much faster.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import msgspec

from fwpages.explore.check.part import Arcs
from fwpages.explore.check.random_walks import random_walks
from fwpages.explore.check.search import Crew, Outcome, Paths, search
from fwpages.explore.check.visited import Keys, Numbers
from fwpages.explore.check.workers import processes
from fwpages.explore.model.spec import Spec
from fwpages.scenario import Scenario, load

T = TypeVar("T")

DESIGNS = ("posted", "merged", "fwpages")
#: functions come and go, firmware asks by itself, answers to GIVEs get lost
FAULTS = ("give-aborted-done", "give-refused", "take-refused", "request-lost")
STATES = 20_000
#: functions, requests, faults and time-outs of the world whose search is timed
LARGE = (2, 1, 1, 0)


def world(functions: int, requests: int, faults: int, timeouts: int = 0) -> Scenario:
    """A world of so many functions, each of which comes and goes and asks so many times for a page."""
    steps = ['[[step]]\ndo = "open"']
    tables = []
    for n in range(functions):
        name = f"vf{n}"
        tables.append(f'[[function]]\nname = "{name}"\ntype = "vf"\nindex = {n}\nvhca_id = {0x31 + n}\npages = 1')
        first = '\nafter = "open"' if n == 0 else ""
        steps.append(f'[[step]]\ndo = "enable"\nfunction = "{name}"{first}')
        ask = f'[[step]]\ndo = "request"\nfunction = "{name}"\npages = 1\nafter = "enable {name}"'
        steps += [ask] * requests
    steps += [f'[[step]]\ndo = "disable"\nfunction = "vf{n}"' for n in range(functions)]
    last = f"disable vf{functions - 1}" if functions else "open"
    steps.append(f'[[step]]\ndo = "close"\nafter = "{last}"')
    faulty = [f'[[fault]]\nname = "{name}"' for name in FAULTS] if faults else []
    head = '[device]\nprofile = "connectx7"\nboot_pages = 1\ninit_pages = 1'
    bounds = f"[bounds]\nfaults = {faults}\ntimeouts = {timeouts}\nstates = {STATES}"
    # nothing is expected but to be counted: with `always` a broken state would not be gone on from
    return load("bench", "\n".join([head, *tables, *steps, *faulty, bounds, "[expect]\nalways = []\n"]))


def peak() -> int:
    """Bytes of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Paced:
    """A crew of worker processes; ``longest``: of each step the seconds of the worker that had most to do, together."""

    def __init__(self, crew: Crew) -> None:
        self.crew, self.longest = crew, 0.0

    def begin(self, paths: Paths, numbers: Numbers) -> Keys:
        """See ``Crew``."""
        return self._step(lambda: self.crew.begin(paths, numbers))

    def expand(self) -> Sequence[Arcs]:
        """See ``Crew``."""
        return self._step(self.crew.expand)

    def keep(self, kept: Sequence[tuple[Numbers, Numbers]]) -> None:
        """See ``Crew``."""
        self._step(lambda: self.crew.keep(kept))

    def _step(self, work: Callable[[], T]) -> T:
        before = workers_used()
        found = work()
        self.longest += max(used - before[pid] for pid, used in workers_used().items())
        return found


def workers_used() -> dict[int | None, float]:
    """Seconds of processor time that each child of this process has used so far, by its number."""
    stats = {child.pid: Path(f"/proc/{child.pid}/schedstat") for child in multiprocessing.active_children()}
    return {pid: int(stat.read_text("ascii").split()[0]) / 1e9 for pid, stat in stats.items()}


def started() -> dict[int | None, float]:
    """The same once the workers wait for work: their start is not of the search."""
    before, now = dict[int | None, float](), workers_used()
    while before != now:
        time.sleep(2)
        before, now = now, workers_used()
    return now


def measure(design: str, shape: tuple[int, int, int, int], workers: int, states: int) -> dict[str, float]:
    """One search of up to so many states: what it found, in what time, with how much memory beyond the start."""
    spec = Spec("bench", world(*shape), design)
    spec = replace(spec, scenario=msgspec.structs.replace(spec.scenario, bounds=_bound(spec.scenario, states)))
    small = replace(spec, scenario=msgspec.structs.replace(spec.scenario, bounds=_bound(spec.scenario, 100)))
    search(small)  # imports, tables and whatever else is there once
    before = peak()
    if workers == 1:
        cpu = time.process_time()
        outcome = search(spec)
        return {**_counts(outcome), "cpu": time.process_time() - cpu, "memory": peak() - before}
    with processes(spec, workers) as crew:
        paced, cpu, start = Paced(crew), time.process_time(), started()
        outcome = search(spec, crew=paced)
        used, theirs = time.process_time() - cpu, [used - start[pid] for pid, used in workers_used().items()]
    return {**_counts(outcome), "cpu": used, "workers": sum(theirs), "most": max(theirs), "path": used + paced.longest}


def _bound(scenario: Scenario, states: int) -> object:
    return msgspec.structs.replace(scenario.bounds, states=states)


def _counts(o: Outcome) -> dict[str, float]:
    return {"states": o.states, "transitions": o.transitions, "complete": o.complete, "widest": max(o.levels)}


def walks(design: str) -> float:
    """Steps of random walks per second."""
    spec = Spec("bench", world(2, 1, 1), design)
    start = time.process_time()
    done = random_walks(spec, 150, 1)
    return done.steps / (time.process_time() - start)


def apart(*cases: tuple[object, ...], times: int = 3) -> list[dict[str, float]]:
    """Measure in processes of their own, several cases at the same time; of each the median of every figure."""
    runs = [_at_once(cases) for _ in range(times)]
    return [{k: statistics.median(run[n][k] for run in runs) for k in runs[0][n]} for n in range(len(cases))]


def _at_once(cases: Sequence[tuple[object, ...]]) -> list[dict[str, float]]:
    lines = [[sys.executable, __file__, "--one", json.dumps(case)] for case in cases]
    processes = [subprocess.Popen(line, stdout=subprocess.PIPE) for line in lines]
    return [json.loads(process.communicate()[0]) for process in processes]


def row(*cells: object) -> None:
    """A row of a Markdown table."""
    print(f"| {' | '.join(str(c) for c in cells)} |", flush=True)


def _shapes() -> list[tuple[int, int, int, int]]:
    return [
        (0, 0, 0, 0),
        (1, 0, 0, 0),
        (1, 1, 0, 0),
        (1, 1, 1, 0),
        (1, 1, 1, 1),
        (2, 0, 0, 0),
        (2, 1, 0, 0),
        (2, 1, 1, 0),
    ]


def main() -> None:
    """Print the tables."""
    row("functions", "requests", "faults", "time-outs", *DESIGNS)
    row(*["---:"] * 7)
    for shape in _shapes():
        found = [apart((design, shape, 1, STATES), times=1)[0] for design in DESIGNS]
        row(*shape, *(f"{f['states']:,.0f}" if f["complete"] else f"> {STATES:,}" for f in found))
    print()
    row("design", "states", "states/s", "transitions/s", "bytes per state", "random steps/s")
    row("---", *["---:"] * 5)
    for design in DESIGNS:
        f = apart((design, LARGE, 1, STATES))[0]
        less = apart((design, LARGE, 1, STATES // 4), times=1)[0]
        per = (f["memory"] - less["memory"]) / (f["states"] - less["states"])
        speeds = f"{f['states'] / f['cpu']:,.0f}", f"{f['transitions'] / f['cpu']:,.0f}"
        row(design, f"{f['states']:,.0f}", *speeds, f"{per:,.0f}", f"{walks(design):,.0f}")
    print()
    show_workers()


def show_workers() -> None:
    """Print the table of two workers beside one process."""
    row("design", "states", "processor s, one process", "coordinator", "both workers", "longest path", "ratio")
    row("---", *["---:"] * 6)
    for design in DESIGNS:
        one, two = apart(*((design, LARGE, workers, STATES) for workers in (1, 2)))
        times = (f"{n:.2f}" for n in (one["cpu"], two["cpu"], two["workers"], two["path"], one["cpu"] / two["path"]))
        row(design, f"{two['states']:,.0f}", *times)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help="measure one row: JSON of design, shape, workers")
    parser.add_argument("--workers", action="store_true", help="only the table of workers")
    chosen = parser.parse_args()
    if chosen.one is None:
        (show_workers if chosen.workers else main)()
    else:
        asked = json.loads(chosen.one)
        print(json.dumps(measure(asked[0], tuple(asked[1]), *asked[2:])))
