"""The NUMA node of a page, by its number in physical memory (*page frame*), from the kernel's own tables.

A page's ``struct page`` stands at the place of its frame in one large table. A node spans a range of frames. Where the
ranges of two nodes overlap, the node of a frame in both is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fwpages.machine.structures.btf import Btf, NoTypeError
from fwpages.machine.structures.errors import UnmappedError
from fwpages.machine.structures.memory import Addresses, Memory
from fwpages.machine.structures.symbols import Symbols
from fwpages.machine.structures.vmcoreinfo import Vmcoreinfo

#: symbols that tell the nodes
SYMBOLS = frozenset({"vmemmap_base", "memstart_addr", "node_data", "nr_node_ids", "contig_page_data"})
#: a node's number where it is not known
UNKNOWN = -1
#: the most nodes that Linux is built for
_MOST_NODES = 1024


@dataclass(frozen=True, slots=True)
class Span:
    """A node's frames: from ``first``, ``count`` of them."""

    node: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Nodes:
    """The table of pages and the spans of the nodes. ``base`` is None where the table's place is not known."""

    base: int | None
    page_struct: int
    spans: tuple[Span, ...]

    @property
    def known(self) -> bool:
        """True where the node of a page can be told."""
        return self.base is not None and bool(self.spans)

    @property
    def numbers(self) -> list[int]:
        """The nodes' numbers in ascending order."""
        return sorted(s.node for s in self.spans)

    def of(self, pages: Addresses) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The node of the page with each ``struct page``, ``UNKNOWN`` where two nodes span it; and if it is a page at
        all.

        Where nothing is known of nodes, every address but 0 may be a page's.
        """
        node = np.full(len(pages), UNKNOWN, np.int64)
        if self.base is None or not self.spans:
            return node, pages != 0
        frames, rest = np.divmod(pages - np.uint64(self.base), np.uint64(self.page_struct))
        hits = np.zeros(len(pages), np.int64)
        for s in self.spans:
            inside = frames - np.uint64(s.first) < np.uint64(s.count)
            node[inside] = s.node
            hits += inside
        node[hits != 1] = UNKNOWN
        return node, (rest == 0) & (hits > 0) & (pages >= np.uint64(self.base))


def find(memory: Memory, kernel: Btf, symbols: Symbols, note: Vmcoreinfo | None, page_size: int) -> Nodes:
    """The nodes of a kernel; without those that its symbols and types do not tell."""
    try:
        size = kernel.structure("page").size
        return Nodes(_table(memory, symbols, note, size, page_size), size, _spans(memory, kernel, symbols))
    except (NoTypeError, UnmappedError):
        return Nodes(None, 1, ())


def _table(memory: Memory, symbols: Symbols, note: Vmcoreinfo | None, size: int, page_size: int) -> int | None:
    """The address of the ``struct page`` of frame 0: x86-64 keeps it in a variable, arm64 has it by its first frame."""
    if "vmemmap_base" in symbols:
        return memory.number(symbols["vmemmap_base"])
    if note is not None and "vmemmap" in note.symbols:
        return note.symbols["vmemmap"]
    numbers = note.numbers if note else {}
    if "VMEMMAP_START" in numbers and "memstart_addr" in symbols:
        start = memory.number(symbols["memstart_addr"])
        return numbers["VMEMMAP_START"] - start // page_size * size & (1 << 64) - 1
    return None


def _spans(memory: Memory, kernel: Btf, symbols: Symbols) -> tuple[Span, ...]:
    data = kernel.structure("pglist_data")
    first, count, node_id = (data.member(m) for m in ("node_start_pfn", "node_spanned_pages", "node_id"))
    places: list[int] = []
    if "node_data" in symbols and "nr_node_ids" in symbols:
        n = memory.number(symbols["nr_node_ids"], 4)
        places = [memory.number(symbols["node_data"] + 8 * i) for i in range(min(n, _MOST_NODES))]
    elif "contig_page_data" in symbols:
        places = [symbols["contig_page_data"]]

    def value(at: int, offset: int, size: int) -> int:
        return memory.number(at + offset, size)

    rows = [Span(*(value(at, m.offset, m.size) for m in (node_id, first, count))) for at in places if at]
    return tuple(s for s in rows if s.count)
