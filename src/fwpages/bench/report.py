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
    for (case, _), beside in rows.items():
        if case != before:
            out.add_section()
        out.add_row(*_row(beside, peers))
        before = case
    return out


def _row(beside: list[Result], peers: list[str]) -> list[str]:
    """The cells of one part of a case; its results differ in the peer alone."""
    r = beside[0]
    ratios = {x.peer: ratio(x.ratio) for x in beside if x.ratio is not None}
    counts = [f"{n:,}" if n else "" for n in (r.pages, r.batch)]
    spread = " to ".join(map(_short, r.spread))
    return [r.case, r.part, *counts, figure(r), spread, *(ratios.get(p, "") for p in peers)]


def figure(r: Result) -> str:
    """The figure of a result, with its unit."""
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
