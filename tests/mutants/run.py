"""Mutants run: each in a copy of the tree, against the tests of its room."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import click
from attrs import evolve
from cosmic_ray.mutating import mutate_and_test

from tests.mutants.copies import called, environment, on_its_own
from tests.mutants.draw import Mutant

WORKERS = 2
#: bytes of address space: a mutant that loops for ever must not fill the machine's memory
MEMORY = 8 << 30
#: what a room is tested by besides its own tests, afterwards
MORE = {
    "host": ["tests/scenario/test_runner.py"],
    # an audit moves pages in the same ledger, and tells each cause of a finding
    "custody": [
        "tests/auditor/test_conservation.py",
        "tests/auditor/test_finding_table.py",
        "tests/auditor/test_finding_table_answers.py",
        "tests/auditor/test_finding_table_generations.py",
        "tests/auditor/test_finding_table_names.py",
    ],
}

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome:
    """``what`` is ``killed`` (the program ended badly), ``survived`` or ``timed out``; ``output`` what it printed."""

    mutant: Mutant
    what: str
    diff: str
    output: str = ""


def files_of(root: Path, room: str, module: str | None = None) -> list[str]:
    """The test module of the same name first, then the room's others, then ``MORE``."""
    names = sorted(p.name for p in (root / "tests" / room).glob("test_*.py"))
    names.sort(key=lambda name: name != f"test_{module}.py")
    return [f"tests/{room}/{name}" for name in names] + MORE.get(room, [])


def command(files: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *files]


def clean_run(root: Path, room: str) -> float:
    """Seconds that a room's tests take on the unchanged copy; they have to pass there, and on the copy's sources.

    The bytecode that this leaves in the copy serves every mutant. Cosmic Ray lets none be written later, and what it
    changes is newer than its bytecode.
    """
    on_its_own(root)
    start = time.monotonic()
    run = called(root, command(files_of(root, room)))
    if run.returncode:
        raise click.ClickException(f"the tests of {room} fail without any mutation:\n{run.stdout}{run.stderr}")
    return time.monotonic() - start


def patience(seconds: float) -> float:
    """Time that a mutant may take where the tests take ``seconds``: two run at once, and the machine may be busy."""
    return 3 * seconds + 10


def settle(copies: multiprocessing.Queue[Path]) -> None:
    """Begin a worker: in a copy of its own, with bounded memory."""
    root = copies.get()
    os.chdir(root)
    os.environ.update(environment(root))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def broken(mutant: Mutant, program: list[str], limit: float) -> Outcome:
    """Run a program in the copy that is the current directory, with this one place of it broken."""
    spec = evolve(mutant.spec, module_path=mutant.path)
    result = mutate_and_test([spec], shlex.join(program), limit)
    if result.worker_outcome.value != "normal":
        raise RuntimeError(f"{mutant}: {result.worker_outcome.value}\n{result.output}")
    what = "timed out" if result.output == "timeout" else result.test_outcome.value
    changes = [line for line in result.diff.splitlines()[3:] if line[:1] in "+-"]
    return Outcome(mutant, what, "\n".join(changes), result.output)


def attempt(limits: dict[str, float], mutant: Mutant) -> Outcome:
    """The tests of a mutant's room."""
    files = files_of(Path.cwd(), mutant.room, mutant.path.stem)
    return broken(mutant, command(files), limits[mutant.room])


def run(mutants: list[Mutant], copies: list[Path], until: float, trial: Callable[[Mutant], T]) -> Iterator[T]:
    """Try each mutant, as many at a time as there are copies; none is begun after ``until``."""
    context = multiprocessing.get_context("spawn")
    places: multiprocessing.Queue[Path] = context.Queue()
    for place in copies:
        places.put(place)
    todo, running = iter(mutants), set[Future[T]]()
    with ProcessPoolExecutor(len(copies), mp_context=context, initializer=settle, initargs=(places,)) as pool:
        while True:
            for m in islice(todo, len(copies) - len(running) if time.monotonic() < until else 0):
                running.add(pool.submit(trial, m))
            if not running:
                return
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            yield from (f.result() for f in finished)
