"""``python -m tests.sensitivity``: break ``host/`` in one place at a time, and see which breaks the worlds find."""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import click
import msgspec

from tests.mutants.copies import called, copy, on_its_own
from tests.mutants.draw import draw
from tests.mutants.run import run
from tests.sensitivity.trial import ASK, Asked, ask, lines_executed
from tests.sensitivity.verdict import CLEAN, Clean


def share(n: int, of: int) -> str:
    return f"{n:4} of {of:3}  {100 * n / of:3.0f} %" if of else f"{n:4} of {of:3}"


def summary(done: list[Asked]) -> str:
    """Shares, times, and which worlds found how many."""
    reached = [a for a in done if a.reached]
    rows = []
    for words, some in (("all mutants", done), ("where a world comes", reached)):
        n = len(some)
        rows += [
            f"{words}:",
            f"  by search             {share(sum(a.search.found for a in some), n)}",
            f"  by walks, same time   {share(sum(a.by_then for a in some), n)}",
            f"  by walks, whole pass  {share(sum(a.walks.found for a in some), n)}",
            f"  by walks only         {share(sum(a.walks.found and not a.search.found for a in some), n)}",
            f"  changed, not found    {share(sum(bool(a.search.changed) and not a.search.found for a in some), n)}",
        ]
    for words, times in (
        ("search", [a.search.seconds for a in done if a.search.found]),
        ("walks", [a.walks.seconds for a in done if a.walks.found]),
    ):
        if times:
            rows.append(f"median time to find by {words}: {median(times):.2f} s, longest {max(times):.1f} s")
    kinds = [f"{a.search.what} in {a.search.world}" for a in done if a.search.found]
    rows += [f"  {kinds.count(k):3} {k}" for k in sorted(set(kinds), key=lambda k: (-kinds.count(k), k))]
    return "\n".join(rows)


@click.command()
@click.option("--mutants", "number", default=100, show_default=True, help="How many are drawn.")
@click.option("--seed", default=1, show_default=True, help="Which are drawn, and how the walks go.")
@click.option("--only", help="Of those drawn only these numbers, as 3,17,55.")
@click.option("--every", is_flag=True, help="Search under each set of assumptions, not under the usual one only.")
@click.option("--minutes", default=40.0, show_default=True, help="Begin none after so many minutes.")
def main(number: int, seed: int, only: str | None, every: bool, minutes: float) -> None:
    """Break host/ in one place at a time, in a copy, and see which breaks the worlds of the review find."""
    start = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the copy is removed in any case
    more = [f"--seed={seed}", *(["--every"] if every else [])]
    with tempfile.TemporaryDirectory(prefix="fwpages-sensitivity-") as name:
        root = Path(name).resolve() / "0"
        copy(root)
        mutants, sizes = draw(root, ("host",), seed, number)
        if only is not None:
            numbers = {int(n) for n in only.split(",")}
            mutants = [m for m in mutants if m.number in numbers]
        on_its_own(root)
        first = called(root, [*ASK, "clean", *more])
        if first.returncode:
            raise click.ClickException(f"the worlds do not hold without any mutation:\n{first.stderr}")
        known = msgspec.json.decode((root / CLEAN).read_bytes(), type=Clean)
        lines = lines_executed(root)
        print(f"{len(known.worlds)} worlds, {known.seconds:.1f} s a pass; {sizes['host']} places\n", flush=True)
        limit = 60 + 30 * known.seconds
        done: list[Asked] = []
        for asked in run(mutants, [root], start + minutes * 60, partial(ask, limit, more, lines)):
            done.append(asked)
            print(f"{asked.words}\n", flush=True)
    print(summary(done))
    print(f"seed {seed}: {len(done)} of {len(mutants)} mutants of host/, {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
