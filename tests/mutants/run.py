"""Mutants run: each in a copy of the tree, against the tests of its room."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click
from attrs import evolve
from cosmic_ray.mutating import mutate_and_test

from tests.mutants.draw import Mutant

ROOT = Path(__file__).parents[2]
WORKERS = 2
#: bytes of address space: a mutant that loops for ever must not fill the machine's memory
MEMORY = 8 << 30
#: what a room is tested by besides its own tests, afterwards
MORE = {"host": ["tests/scenario/test_life.py"]}


@dataclass(frozen=True)
class Outcome:
    mutant: Mutant
    what: str
    diff: str


def copy(to: Path) -> None:
    """Copy what the tests need of the tree."""
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("src", "tests"):
        shutil.copytree(ROOT / folder, to / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", to)


def files_of(root: Path, room: str, module: str | None = None) -> list[str]:
    """The test module of the same name first, then the room's others, then ``MORE``."""
    names = sorted(p.name for p in (root / "tests" / room).glob("test_*.py"))
    names.sort(key=lambda name: name != f"test_{module}.py")
    return [f"tests/{room}/{name}" for name in names] + MORE.get(room, [])


def command(files: list[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *files]


def environment(root: Path) -> dict[str, str]:
    """The copy's sources before the installed ones; the same Hypothesis examples for every mutant."""
    return {"PYTHONPATH": str(root / "src"), "CI": "1"}


def clean_run(root: Path, room: str) -> float:
    """Seconds that a room's tests take on the unchanged copy; they have to pass there, and on the copy's sources.

    The bytecode that this leaves in the copy serves every mutant. Cosmic Ray lets none be written later, and what it
    changes is newer than its bytecode.
    """
    env = os.environ | environment(root)
    where = [sys.executable, "-c", "import fwpages; print(fwpages.__file__)"]
    found = subprocess.run(where, cwd=root, env=env, check=True, capture_output=True, text=True).stdout.strip()
    if not Path(found).is_relative_to(root):
        raise click.ClickException(f"tests would import {found}, not the copy in {root}")
    start = time.monotonic()
    run = subprocess.run(command(files_of(root, room)), cwd=root, env=env, check=False, capture_output=True, text=True)
    if run.returncode:
        raise click.ClickException(f"the tests of {room} fail without any mutation:\n{run.stdout}{run.stderr}")
    return time.monotonic() - start


def patience(seconds: float) -> float:
    """How long a mutant may take where the tests take ``seconds``: two run at once, and the machine may be busy."""
    return 3 * seconds + 10


def settle(copies: multiprocessing.Queue[Path]) -> None:
    """Begin a worker: in a copy of its own, with bounded memory."""
    root = copies.get()
    os.chdir(root)
    os.environ.update(environment(root))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def attempt(mutant: Mutant, limit: float) -> Outcome:
    root = Path.cwd()
    spec = evolve(mutant.spec, module_path=mutant.path)
    files = files_of(root, mutant.room, mutant.path.stem)
    result = mutate_and_test([spec], shlex.join(command(files)), limit)
    if result.worker_outcome.value != "normal":
        raise RuntimeError(f"{mutant}: {result.worker_outcome.value}\n{result.output}")
    what = "timed out" if result.output == "timeout" else result.test_outcome.value
    changes = [line for line in result.diff.splitlines()[3:] if line[:1] in "+-"]
    return Outcome(mutant, what, "\n".join(changes))


def run(mutants: list[Mutant], folder: Path, limits: dict[str, float], until: float) -> list[Outcome]:
    """Two at a time; each that no test noticed is printed as it is found."""
    context = multiprocessing.get_context("spawn")
    copies: multiprocessing.Queue[Path] = context.Queue()
    for n in range(WORKERS):
        copies.put(folder / str(n))
    done: list[Outcome] = []
    todo, running = iter(mutants), set[Future[Outcome]]()
    with ProcessPoolExecutor(WORKERS, mp_context=context, initializer=settle, initargs=(copies,)) as pool:
        while True:
            for m in islice(todo, WORKERS - len(running) if time.monotonic() < until else 0):
                running.add(pool.submit(attempt, m, limits[m.room]))
            if not running:
                return done
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for outcome in (f.result() for f in finished):
                done.append(outcome)
                if outcome.what != "killed":
                    print(f"{outcome.what} {outcome.mutant}\n{outcome.diff}\n", flush=True)
