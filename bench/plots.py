"""How cost grows: with the size of a command and with the number of pages, ours beside the peers'. Writes two SVGs.

python -m bench.plots      (needs the plots extra; about five minutes)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

from bench.dictionaries import DictionaryPeer
from bench.linux_rounds import LinuxPeer, build
from fwpages.bench.cases import LINUX_BATCH
from fwpages.bench.custody import give_and_take
from fwpages.bench.rounds import LEAST_ROUNDS, Peer, Result, timed
from fwpages.bench.shape import Case, Shape

IMAGES = Path(__file__).parents[1] / "docs" / "images"
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 768, 4096, 50_000)
PAGES = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 8_000_000)
#: so many pages for the first picture: enough to leave the caches, few enough for a page a command
SOME = 250_000
PARTS = {"give": "ascending", "take": "random"}
TITLES = {"give": "GIVE, addresses in ascending order", "take": "TAKE, addresses in random order"}
#: name and colour of a line; each colour and the grey of the text can be read on white and on black
LINES = {"fwpages": ("fwpages", "#2f81f7"), "linux": ("Linux", "#e5534b"), "dict": ("dictionaries", "#a371f7")}
GREY = "#7d8590"
STYLE = {
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), GREY),
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "fwpages",  # equal figures make equal files
    "savefig.transparent": True,
}


def _cases() -> list[Case]:
    by_batch = [Case(f"ledger-{b}", "", Shape(SOME, b), PARTS, give_and_take) for b in BATCHES]
    return by_batch + [Case(f"scale-{n}", "", Shape(n, LINUX_BATCH), PARTS, give_and_take) for n in PAGES]


def _draw(axes: Axes, results: Sequence[Result], part: str, along: str) -> None:
    """One line for us and one for each peer; a peer's figure is ours divided by the ratio."""
    lines: dict[str, dict[int, float]] = {}
    for r in (r for r in results if r.part == part and r.ns_per_page is not None):
        assert r.ns_per_page is not None
        x = r.batch if along == "batch" else r.pages
        lines.setdefault("fwpages", {})[x] = r.ns_per_page
        if r.peer and r.ratio:
            lines.setdefault(r.peer, {})[x] = r.ns_per_page / r.ratio
    for name, points in lines.items():
        label, colour = LINES[name]
        seconds = [ns * 1e-9 for ns in points.values()]
        axes.plot(list(points), seconds, "o-", label=label, color=colour, markersize=4)
    axes.set(xscale="log", yscale="log", xlabel="pages in a command" if along == "batch" else "pages in all")
    axes.set_title(TITLES[part], fontsize="medium")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_formatter(EngFormatter("s"))
    axes.grid(visible=True, which="major", color=GREY, alpha=0.3)


def _picture(results: Sequence[Result], along: str, name: str, title: str) -> None:
    figure, both = plt.subplots(1, 2, figsize=(9, 3.8), sharey=True, layout="constrained")
    figure.suptitle(title)
    for axes, part in zip(both, PARTS, strict=True):
        _draw(axes, results, part, along)
    both[0].set_ylabel("time per page")
    both[1].legend(frameon=False)
    figure.savefig(IMAGES / name, metadata={"Date": None})


def main() -> None:
    """Time, and draw."""
    missing = build()
    if missing:
        raise SystemExit(f"without Linux's own code there is nothing to compare with: {missing}")
    linux = LinuxPeer()
    peers: list[Peer] = [linux, DictionaryPeer()]
    try:
        results = timed(_cases(), LEAST_ROUNDS, peers)
    finally:
        linux.close()
    mpl.rcParams.update(STYLE)
    by_batch = [r for r in results if r.case.startswith("ledger")]
    _picture(by_batch, "batch", "cost-by-batch.svg", "Cost of a page by the size of a command")
    by_pages = [r for r in results if r.case.startswith("scale")]
    _picture(by_pages, "pages", "cost-by-pages.svg", f"Cost of a page by the number of pages, {LINUX_BATCH} a command")


if __name__ == "__main__":
    main()
