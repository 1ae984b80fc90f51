"""How fast a world is explored, how large a state is, and how the states grow with the bounds.

``python bench/explore.py`` prints the tables for ``bench/README.md``. Every row is the median of three runs, each in a
process of its own, so that memory is the run's own; states are counted once, for they are always the same.
Speeds are by processor time; that of workers, their start included, is in columns of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace

import msgspec

from fwpages.explore.check.random_walks import random_walks
from fwpages.explore.check.search import Outcome, search
from fwpages.explore.check.workers import processes
from fwpages.explore.model.spec import Spec
from fwpages.scenario import Scenario, load

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


def measure(design: str, shape: tuple[int, int, int, int], workers: int, states: int) -> dict[str, float]:
    """One search of up to so many states: what it found, in what time, with how much memory beyond the start."""
    spec = Spec("bench", world(*shape), design)
    spec = replace(spec, scenario=msgspec.structs.replace(spec.scenario, bounds=_bound(spec.scenario, states)))
    small = replace(spec, scenario=msgspec.structs.replace(spec.scenario, bounds=_bound(spec.scenario, 100)))
    search(small)  # imports, tables and whatever else is there once
    before = peak()
    if workers == 1:
        start, cpu = time.perf_counter(), time.process_time()
        outcome = search(spec)
        took, used = time.perf_counter() - start, time.process_time() - cpu
    else:
        with processes(spec, workers) as crew:
            start, cpu = time.perf_counter(), time.process_time()
            outcome = search(spec, crew=crew)
            took, used = time.perf_counter() - start, time.process_time() - cpu
    children = resource.getrusage(resource.RUSAGE_CHILDREN)  # of workers that have ended, their start included
    theirs = children.ru_utime + children.ru_stime
    return {**_counts(outcome), "seconds": took, "cpu": used, "workers": theirs, "memory": peak() - before}


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


def apart(*args: object, times: int = 3) -> dict[str, float]:
    """Measure in processes of their own; the median of each figure."""
    line = [sys.executable, __file__, "--one", json.dumps(args)]
    runs = [json.loads(subprocess.run(line, check=True, capture_output=True).stdout) for _ in range(times)]
    return {k: statistics.median(run[k] for run in runs) for k in runs[0]}


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
        found = [apart(design, shape, 1, STATES, times=1) for design in DESIGNS]
        row(*shape, *(f"{f['states']:,.0f}" if f["complete"] else f"> {STATES:,}" for f in found))
    print()
    row("design", "states", "states/s", "transitions/s", "bytes per state", "random steps/s")
    row("---", *["---:"] * 5)
    for design in DESIGNS:
        f = apart(design, LARGE, 1, STATES)
        less = apart(design, LARGE, 1, STATES // 4, times=1)
        per = (f["memory"] - less["memory"]) / (f["states"] - less["states"])
        speeds = f"{f['states'] / f['cpu']:,.0f}", f"{f['transitions'] / f['cpu']:,.0f}"
        row(design, f"{f['states']:,.0f}", *speeds, f"{per:,.0f}", f"{walks(design):,.0f}")
    print()
    row("design", "workers", "states", "s by the clock", "processor s, coordinator", "processor s, workers")
    row("---", *["---:"] * 5)
    for design in DESIGNS:
        for workers in (1, 2):
            f = apart(design, LARGE, workers, STATES // 2)
            times = (f"{f[name]:.1f}" for name in ("seconds", "cpu", "workers"))
            row(design, workers, f"{f['states']:,.0f}", *times)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", help="measure one row: JSON of design, shape, workers")
    chosen = parser.parse_args().one
    if chosen is None:
        main()
    else:
        asked = json.loads(chosen)
        print(json.dumps(measure(asked[0], tuple(asked[1]), *asked[2:])))
