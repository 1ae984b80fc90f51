"""The memory that a driver lets a device reach, and what of it the driver lets go while firmware holds it.

Theory of operation. Behind an IOMMU a device sees each page that its driver maps and unmaps. ``Reach`` is fed with
these maps and unmaps, and says which pages an unmap lets go of; whoever knows what firmware holds compares them
(a served device by its firmware, an audit by the commands of the trace) and books the rest in ``LetGo``.

Not every unmap is the driver's. A guest without an IOMMU has its memory mapped in a few large ranges, which the virtual
machine's monitor maps and unmaps as it likes; at power-off the monitor unmaps everything at once; and a driver that has
turned bus mastering off has taken the memory from the device before it unmaps it. None of these lets go of anything.

Where no page was ever let go early, that proves something only if an early unmap would have been seen: every page that
was given lay in a mapping of its own (``MOST_PIECE``), and pages that came back were unmapped before the next page
command. A lazy IOMMU unmaps them later in the session, a driver that keeps its memory mapped does not: ``judged`` says
so. An unmap that comes late is nevertheless true, as the driver cannot map the address anew before it.

Where there is no IOMMU, or the driver keeps its memory mapped, there was nothing to look at: a verdict may stand
without it, and says so. Where the maps were there and do not tell (``missed``), a verdict is not known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique

import numpy as np

from fwpages.pages import PAGE_SHIFT, SparseSpace, TagMap
from fwpages.pages.space import REGION_SHIFT, Addresses
from fwpages.pages.words import many
from fwpages.prm.identity import Identity

#: bytes of the largest piece that is taken for a mapping of the driver's own: a large page of an IOMMU
MOST_PIECE = 2 << 20
#: bytes of the largest unmap that is taken for the driver's: what an IOMMU's table entry maps at most. A monitor
#: unmaps all of a device's addresses at once
MOST_UNMAP = 1 << 30
#: regions of 128 MiB in which mappings are followed: 1 TiB, as firmware's own store has it
MOST_REGIONS = 1 << 13
#: addresses that a report names: enough to find the place in a log
FIRST_ADDRESSES = 4
#: different lettings-go (of a function, a use, a moment) that are kept apart: a device has some hundred functions
MOST_KINDS = 1000

_MAPPED, _BACK = 1, 2
_NONE: Addresses = np.zeros(0, np.uint64)


@unique
class Use(StrEnum):
    """The use that firmware makes of memory that it holds, in words that follow its pages."""

    LENT = ""
    EARLIER = " of an earlier session"
    QUEUE = " of event queues"
    COMMAND = " of commands without an answer"


@unique
class Moment(StrEnum):
    """The moment of a session, in words."""

    STARTING = "before INIT_HCA"
    WORKING = "while the device worked"
    CLOSING = "after TEARDOWN_HCA"
    OFF = "after DISABLE_HCA"
    FATAL = "while the device was in a fatal state"
    LOST = "while the link was lost"


@unique
class Judged(StrEnum):
    """Proof that no page was let go early, or the reason why there is none."""

    YES = "judged"
    NO_MAPS = "no memory was mapped for the device"
    NO_PAGES = "no page was given"
    WHOLE = "the guest's memory is mapped as a whole, no IOMMU shows the driver's maps"
    LATE = "pages that came back were unmapped later: the IOMMU is lazy (iommu=strict in the guest makes it tell)"
    KEPT = "pages that came back stayed mapped: the driver keeps its memory mapped"
    SCATTERED = "the mappings are spread over more address space than is followed"

    @property
    def missed(self) -> bool:
        """The driver's maps were there to look at, and do not tell."""
        return self in (Judged.LATE, Judged.SCATTERED)


@dataclass(slots=True)
class LetGo:
    """Pages (4 KiB) of one function, use and moment that a driver let go while firmware held them."""

    function: Identity | None
    use: Use
    moment: Moment
    pages: int = 0
    first: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, who: Identity | None, use: Use, moment: Moment, addresses: Addresses) -> LetGo:
        """These pages."""
        return cls(who, use, moment, addresses.size, addresses[:FIRST_ADDRESSES].tolist())

    def add(self, addresses: Addresses) -> None:
        """Count these too."""
        self.pages += addresses.size
        self.first += addresses[: FIRST_ADDRESSES - len(self.first)].tolist()

    @property
    def detail(self) -> str:
        """All of it in words."""
        whose = "" if self.function is None else f" of {self.function}"
        more = ", ..." if self.pages > len(self.first) else ""
        named = ", ".join(f"{a:#x}" for a in self.first)
        them = "it" if self.pages == 1 else "them"
        return f"{many(self.pages)}{self.use}{whose} unmapped {self.moment}, while firmware held {them}: {named}{more}"


class LettingsGo:
    """Lettings-go of one session, by function, use and moment; those beyond ``MOST_KINDS`` are not kept.

    A page counts once: a driver that has let it go may use its address for something else, and unmap that too.
    """

    __slots__ = ("_known", "_rows", "_space")

    def __init__(self) -> None:
        self._rows: dict[tuple[Identity | None, Use, Moment], LetGo] = {}
        #: for each page the number of the row, from 1, in which it was counted last
        self._space = SparseSpace()
        self._known = TagMap()

    def add(self, who: Identity | None, use: Use, moment: Moment, addresses: Addresses) -> None:
        """Count these pages, but for those that this function, use and moment have."""
        key = (who, use, moment)
        if key not in self._rows:
            if len(self._rows) >= MOST_KINDS:
                return
            self._rows[key] = LetGo(who, use, moment)
        self._rows[key].add(self._fresh(list(self._rows).index(key) + 1, addresses))

    def _fresh(self, row: int, addresses: Addresses) -> Addresses:
        """Those of the pages that this row does not have yet: it has them from now on."""
        self._space.cover(addresses)
        self._known.reserve(self._space.size)
        index = self._space.index(addresses)
        new = self._known.get(index) != row
        self._known.put(index[new], row)
        fresh: Addresses = addresses[new]
        return fresh

    @property
    def rows(self) -> list[LetGo]:
        """All of them, in the order in which they began."""
        return list(self._rows.values())


class Reach:
    """The mappings of a device's memory. ``master``: the device may reach memory at all."""

    __slots__ = (
        "_back",
        "_kept",
        "_late",
        "_open",
        "_scattered",
        "_small",
        "_space",
        "_whole",
        "given_pages",
        "mapped",
        "master",
    )

    def __init__(self) -> None:
        self.master = False
        #: maps that came
        self.mapped = 0
        self._space = SparseSpace()
        #: ``_MAPPED`` for each page in a mapping of at most ``MOST_PIECE``, ``_BACK`` for those that came back and
        #: were still mapped at the next page command
        self._small = TagMap()
        self._scattered = False
        self.begin()

    def begin(self) -> None:
        """Begin a session of the driver: what is mapped stays mapped, what was judged is judged anew."""
        self.given_pages = 0
        self._whole = self._kept = self._late = False
        self._open = True
        #: pages that the last TAKE returned
        self._back = _NONE

    def map(self, iova: int, size: int) -> None:
        """A range of the device's addresses was mapped."""
        self.mapped += 1
        if size > MOST_PIECE:
            return
        pages = _pages(-(-iova >> PAGE_SHIFT), (iova + size) >> PAGE_SHIFT)
        regions = np.unique(pages >> np.uint64(PAGE_SHIFT + REGION_SHIFT)).size
        if (self._space.size >> REGION_SHIFT) + regions > MOST_REGIONS:
            self._scattered = True
            return
        self._space.cover(pages)
        self._small.reserve(self._space.size)
        self._small.put(self._space.index(pages), _MAPPED)

    def unmap(self, iova: int, size: int) -> Addresses:
        """A range was unmapped; a ``size`` of 0 stands for all. Returns the pages that the driver let go by it."""
        if not size or size > MOST_UNMAP:
            self._forget(iova, iova + size if size else 1 << 64)
            return _NONE
        pages = _pages(iova >> PAGE_SHIFT, -(-(iova + size) >> PAGE_SHIFT))
        index = self._space.index(pages)
        tags = self._small.get(index)
        small = tags != 0
        self._late = self._late or (self._open and bool((tags == _BACK).any()))
        self._small.put(index[small], 0)
        return pages[small] if self.master else _NONE

    def _forget(self, start: int, end: int) -> None:
        """Nothing between these addresses is mapped any more."""
        for tag in (_MAPPED, _BACK):
            index = self._small.where(tag)
            at = self._space.address(index)
            self._small.put(index[(at >= np.uint64(start)) & (at <= np.uint64(end - 1))], 0)

    def end(self) -> None:
        """End the session: what the driver unmaps from here on says nothing about its IOMMU."""
        self._open = False

    def given(self, pages: Addresses) -> None:
        """Firmware has these pages from now on."""
        self.given_pages += pages.size
        self._whole = self._whole or bool((self._small.get(self._space.index(pages)) == 0).any())

    def returned(self, pages: Addresses) -> None:
        """Firmware's answer to a TAKE named these pages: a driver unmaps them before its next page command."""
        self._back = pages

    def page_command(self) -> None:
        """The driver sends a page command."""
        back, self._back = self._back, _NONE
        # one of them may lie in a larger page of the host's, of which firmware still has parts
        index = self._space.index(back)
        if back.size and bool((self._small.get(index) != 0).all()):
            self._kept = True
            self._small.put(index, _BACK)

    @property
    def judged(self) -> Judged:
        """The proof, as far as the session has come, that a page let go early would have been seen."""
        if not self.mapped:
            return Judged.NO_MAPS
        if self._scattered:
            return Judged.SCATTERED
        if not self.given_pages:
            return Judged.NO_PAGES
        if self._whole:
            return Judged.WHOLE
        if self._late:
            return Judged.LATE
        return Judged.KEPT if self._kept else Judged.YES


def _pages(first: int, end: int) -> Addresses:
    """The pages with these numbers."""
    return np.arange(first, end, dtype=np.uint64) << np.uint64(PAGE_SHIFT)
