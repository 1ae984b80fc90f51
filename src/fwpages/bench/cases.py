"""The cases, by name."""

from __future__ import annotations

from fwpages.bench.custody import forced_close, give_and_take, release_all
from fwpages.bench.processes import bare_import, memory, program_help
from fwpages.bench.sessions import page_path, whole_run
from fwpages.bench.shape import Case, Shape
from fwpages.bench.wire import scattered, signed, wire
from fwpages.pages.words import meant

MILLION = 1_000_000
#: pages that Linux takes back with one command when it closes (optimal_reclaimed_pages)
LINUX_BATCH = 768

#: part of a round → the order of addresses
_GIVE = {"give": "ascending"}
_TAKE = {"take": "random"}
_PAIR = {**_GIVE, **_TAKE}
_WIRE = {"give": "random", "take": "random"}
WIRE = Shape(50_000, 50_000)
_TOGETHER = {**_PAIR, "both": "random"}


def _ledger(name: str, batch: int, what: str, pages: int = MILLION, functions: int = 1) -> Case:
    parts = _TOGETHER if batch <= 16 else _PAIR
    return Case(name, what, Shape(pages, batch, functions), parts, give_and_take)


CASES: tuple[Case, ...] = (
    _ledger("ledger-50000", 50_000, "pages through the ledger, 50,000 a command"),
    _ledger("ledger-768", LINUX_BATCH, "the same, 768 a command"),
    _ledger("ledger-64", 64, "the same, 64 a command"),
    _ledger("ledger-16", 16, "the same, 16 a command"),
    _ledger("ledger-1", 1, "the same, a page a command"),
    _ledger("turns-768", LINUX_BATCH, "256 functions of 4,096 pages in turn, 768 a command", 256 * 4096, 256),
    _ledger("turns-64", 64, "the same, 64 a command", 256 * 4096, 256),
    Case("release-all", "a release_all of a million pages", Shape(MILLION, 50_000), {"release_all": ""}, release_all),
    Case(
        "forced-close",
        "a forced close with 256 functions of 4,096 pages",
        Shape(256 * 4096, LINUX_BATCH, 256),
        {"forced": ""},
        forced_close,
    ),
    Case(
        "memory", "bytes of a process for each page lent", Shape(8 * MILLION, 50_000), {"memory": ""}, memory, "bytes"
    ),
    _ledger("scale-100k", LINUX_BATCH, "100,000 pages through the ledger, 768 a command", 100_000),
    _ledger("scale-8m", LINUX_BATCH, "8 million pages, 768 a command", 8 * MILLION),
    Case(
        "path-50000", "page request to answer, host alone, 50,000 a command", Shape(MILLION, 50_000), _PAIR, page_path
    ),
    Case("path-768", "the same, 768 a command", Shape(MILLION, LINUX_BATCH), _PAIR, page_path),
    Case("path-16", "the same, 16 a command", Shape(100_000, 16), _TOGETHER, page_path),
    *(
        Case(
            f"life-{n}m",
            f"a run of {n} million pages, both sides",
            Shape(n * MILLION, 50_000),
            {"life": ""},
            whole_run,
        )
        for n in (1, 2, 4, 8)
    ),
    Case("wire", "a command of 50,000 pages over the wire, both ends", WIRE, _WIRE, wire),
    Case("wire-signed", "the same, signed and checked", WIRE, _WIRE, signed),
    Case("wire-scattered", "the same, over a bus without memory at hand", WIRE, _WIRE, scattered),
    Case("help", "fwpages --help", Shape(0), {"help": ""}, program_help),
    Case("import", "import fwpages", Shape(0), {"import": ""}, bare_import),
)


def chosen(names: tuple[str, ...]) -> tuple[Case, ...]:
    """The cases whose names these are, or begin with these; all where none is named. ValueError for one that is not."""
    unknown = [n for n in names if not any(_means(n, c) for c in CASES)]
    if unknown:
        near = meant(unknown[0], [c.name for c in CASES])
        raise ValueError(f"there is no case {unknown[0]!r}; {near}")
    return tuple(c for c in CASES if not names or any(_means(n, c) for n in names))


def _means(name: str, case: Case) -> bool:
    return case.name == name or case.name.startswith(f"{name}-")
