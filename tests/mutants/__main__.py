"""``python -m tests.mutants``: break one place of a copy at a time, and see which breaks no test notices."""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path

import click

from tests.mutants.copies import copy
from tests.mutants.draw import PACKAGE, ROOMS, draw
from tests.mutants.run import WORKERS, Outcome, attempt, clean_run, patience, run

OUTCOMES = ("killed", "survived", "timed out")


def table(done: list[Outcome], sizes: dict[str, int]) -> str:
    """Per room: places, mutants made, and what became of them."""
    count = Counter((o.mutant.room, o.what) for o in done)
    rows = [f"{'room':8}{'places':>8}{'mutants':>9}" + "".join(f"{o:>11}" for o in OUTCOMES)]
    for room, size in sizes.items():
        each = [count[room, o] for o in OUTCOMES]
        rows.append(f"{room:8}{size:8}{sum(each):9}" + "".join(f"{n:11}" for n in each))
    return "\n".join(rows)


@click.command()
@click.option("--seed", default=1, show_default=True, help="Which mutants are drawn.")
@click.option("--count", default=200, show_default=True, help="How many are drawn.")
@click.option("--room", "rooms", type=click.Choice(ROOMS), multiple=True, help="Only of this room (may be repeated).")
@click.option("--only", help="Of those drawn only these numbers, as 3,17,55.")
@click.option("--minutes", default=30.0, show_default=True, help="Begin none after so many minutes.")
def main(seed: int, count: int, rooms: tuple[str, ...], only: str | None, minutes: float) -> None:
    """Break one place of a copy of the sources at a time, and see which breaks no test notices."""
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the copies are removed in any case
    rooms = rooms or ROOMS
    with tempfile.TemporaryDirectory(prefix="fwpages-mutants-") as name:
        folder = Path(name).resolve()
        copy(folder / "0")
        mutants, sizes = draw(folder / "0", rooms, seed, count)
        if only is not None:
            numbers = {int(n) for n in only.split(",")}
            mutants = [m for m in mutants if m.number in numbers]
        needed = [r for r in rooms if any(m.room == r for m in mutants)]
        limits = {room: patience(clean_run(folder / "0", room)) for room in needed}
        for n in range(1, WORKERS):
            shutil.copytree(folder / "0", folder / str(n))
        copies = [folder / str(n) for n in range(WORKERS)]
        done = []
        for outcome in run(mutants, copies, start + minutes * 60, partial(attempt, limits)):
            done.append(outcome)
            if outcome.what != "killed":
                print(f"{outcome.what} {outcome.mutant}\n{outcome.diff}\n", flush=True)
    print(table(done, sizes))
    print(f"seed {seed}: {len(done)} of {len(mutants)} mutants of {PACKAGE}, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
