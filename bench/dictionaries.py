"""Linux's design in plain Python: a dictionary of pages for each function, a list of pages with free blocks, counters.

As in ``mlx5/core/pagealloc.c`` each page is an object that is looked up by its address when it comes back, and pages
are given and taken one by one; a dictionary is where Linux has a red-black tree. A system page is 4 KiB, one block.
"""

from __future__ import annotations

import time
from collections import defaultdict

import numpy as np

from fwpages.bench.shape import Case, Round, Shape

FIRST = 2


class Page:
    """``struct fw_page``: one page of memory that firmware has."""

    __slots__ = ("address", "free_count", "function", "kind")

    def __init__(self, address: int, function: int, kind: str) -> None:
        self.address = address
        self.function = function
        self.kind = kind
        self.free_count = 1


class Allocator:
    """Pages by function and address, and the counters."""

    def __init__(self, pages: int) -> None:
        self.free = [(1 << 32) + (n << 12) for n in range(pages - 1, -1, -1)]
        self.roots: dict[int, dict[int, Page]] = {}
        self.fw_pages = 0
        self.counters: dict[str, int] = defaultdict(int)

    def give(self, function: int, count: int, kind: str) -> list[int]:
        """The addresses of ``count`` pages, tracked one by one."""
        root = self.roots.setdefault(function, {})
        named = []
        for _ in range(count):
            address = self.free.pop()
            page = Page(address, function, kind)
            page.free_count = 0
            root[address] = page
            named.append(address)
        self.fw_pages += count
        self.counters[kind] += count
        return named

    def reclaim(self, function: int, addresses: list[int]) -> int:
        """Free each of the pages that firmware names; returns how many there were."""
        root, claimed = self.roots[function], 0
        for address in addresses:
            page = root.pop(address, None)
            if page is None:
                continue
            page.free_count += 1
            self.counters[page.kind] -= 1
            self.free.append(address)
            claimed += 1
        self.fw_pages -= claimed
        return claimed

    def release_all(self, function: int) -> None:
        """Free all that the function has."""
        root = self.roots.pop(function)
        for address, page in root.items():
            self.counters[page.kind] -= 1
            self.free.append(address)
        self.fw_pages -= len(root)


class DictionaryPeer:
    """The cases that such an allocator has."""

    name = "dict"

    def run(self, case: Case) -> Round | None:
        """One round; None for what it has nothing of, and for the largest, which would take minutes."""
        family = case.name.split("-")[0]
        if case.shape.pages > 1 << 20:
            return None
        if family in ("ledger", "turns", "scale"):
            return _round(case.shape, "take")
        if case.name == "release-all":
            return {"release_all": _round(case.shape, "all")["take"]}
        if case.name == "forced-close":
            return {"forced": _round(case.shape, "all")["take"]}
        return None


def _round(shape: Shape, how: str) -> Round:
    books = Allocator(shape.pages)
    functions = range(FIRST, FIRST + shape.functions)
    named: dict[int, list[int]] = {f: [] for f in functions}
    start = time.perf_counter()
    for _, pages in shape.turns():
        for f in functions:
            named[f] += books.give(f, pages, "vfs")
    give = time.perf_counter() - start
    answers = {f: np.random.default_rng(1).permutation(np.array(of)).tolist() for f, of in named.items()}
    start = time.perf_counter()
    if how == "all":
        for f in functions:
            books.release_all(f)
    else:
        for at, pages in shape.turns():
            for f in functions:
                books.reclaim(f, answers[f][at : at + pages])
    take = time.perf_counter() - start
    if books.fw_pages:
        raise AssertionError(f"{books.fw_pages} pages are left")
    return {"give": give, "take": take, "both": give + take}
