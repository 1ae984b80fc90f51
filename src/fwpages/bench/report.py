"""Results as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from fwpages.bench.rounds import Result


def table(results: Sequence[Result], rounds: int) -> Table:
    """A row for each part of a case, with our figure as a ratio to each peer's.

    `fwpages list cases` says what the cases are.
    """
    peers = list(dict.fromkeys(r.peer for r in results if r.peer))
    out = Table(title=f"median of {rounds} rounds, and the least and most of them")
    for name in ("case", "part"):
        out.add_column(name, no_wrap=True)
    for name in ("pages", "batch", "figure", "spread", *(f"÷ {p}" for p in peers)):
        out.add_column(name, justify="right", no_wrap=True)
    rows: dict[tuple[str, str], list[Result]] = {}
    for r in results:
        rows.setdefault((r.case, r.part), []).append(r)
    before = ""
    for (case, part), beside in rows.items():
        r = beside[0]
        if case != before:
            out.add_section()
        low, high = (_short(x) for x in r.spread)
        ratios = {x.peer: ratio(x.ratio) for x in beside if x.ratio is not None}
        counts = [f"{n:,}" if n else "" for n in (r.pages, r.batch)]
        out.add_row(case, part, *counts, figure(r), f"{low} to {high}", *(ratios.get(p, "") for p in peers))
        before = case
    return out


def figure(r: Result) -> str:
    """What is shown of a result, with its unit."""
    if r.ns_per_page is not None:
        return f"{_short(r.ns_per_page)} ns/page"
    if r.bytes_per_page is not None:
        return f"{_short(r.bytes_per_page)} B/page"
    return f"{_short(r.seconds or 0.0)} s"


def ratio(value: float) -> str:
    """1/8.2 for what is less than 1, else 1.3."""
    return f"1/{1 / value:.1f}" if 0 < value < 1 else f"{value:.2f}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
