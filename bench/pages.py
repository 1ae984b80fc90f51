"""What a page costs: ns per page through the host's ledger alone, and through host, direct link and firmware together.

Each figure is the median of five rounds in this process, with the least and the most beside it; absolute figures are
this machine's, to be compared within one run only. Run it with ``make bench``.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from fwpages.host.ledger import Ledger
from fwpages.host.memory import Pool
from fwpages.host.records import Records
from fwpages.prm.identity import FunctionType, func_id
from fwpages.scenario import Life, load

PAGES = 1_000_000
ROUNDS = 5
WHO = func_id(1)


def _ledger(batch: int) -> tuple[float, float]:
    """Seconds to give and to take back ``PAGES`` pages in commands of ``batch``, every answer checked in full."""
    records = Records()
    records.begin(1)
    pool = Pool(1 << 32)
    pool.add(PAGES)
    ledger = Ledger(pool.space, records)
    row = records.open(WHO, FunctionType.VF)
    start = time.perf_counter()
    named = []
    for _ in range(PAGES // batch):
        index = pool.take(batch)
        ledger.offer(row, index)
        named.append(pool.space.address(index))
        ledger.accept(row, index)
    give = time.perf_counter() - start
    answers = np.random.default_rng(1).permutation(np.concatenate(named)).reshape(-1, batch)
    start = time.perf_counter()
    for addresses in answers:
        pool.put(ledger.take(ledger.check_return(WHO, addresses)))
    take = time.perf_counter() - start
    ledger.check()
    return give, take


def _life(scenario: str) -> float:
    """Seconds for a whole life of 8 million pages, both sides, give and take."""
    life = Life(load(scenario))
    start = time.perf_counter()
    result = life.run()
    seconds = time.perf_counter() - start
    if not result.clean:
        raise SystemExit(f"{scenario}: not clean")
    return seconds


def _row(table: Table, what: str, pages: int, rounds: list[float]) -> None:
    ns = [s / pages * 1e9 for s in rounds]
    table.add_row(what, f"{pages:,}", f"{statistics.median(ns):.1f}", f"{min(ns):.1f} to {max(ns):.1f}")


def _rounds(run: Callable[[], float]) -> list[float]:
    run()
    return [run() for _ in range(ROUNDS)]


def main() -> None:
    """Print the table."""
    table = Table("case", "pages", "ns per page", "spread", title="ns per page, median of 5 rounds")
    for batch in (50_000, 1_000, 50):
        pairs = [_ledger(batch) for _ in range(ROUNDS + 1)][1:]
        _row(table, f"ledger, give, batch {batch:,}", PAGES, [g for g, _ in pairs])
        _row(table, f"ledger, take in random order, batch {batch:,}", PAGES, [t for _, t in pairs])
    _row(table, "life of connectx5-heavy, given and taken", 8_000_000, _rounds(lambda: _life("connectx5-heavy")))
    Console(width=100).print(table)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    Console(width=100).print(f"peak memory of this process: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
