"""The ledger of an observed session: the one that a host keeps, over any addresses that the input names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fwpages.custody.ledger import Ledger, Returned, State
from fwpages.custody.records import Record, Records
from fwpages.pages import PAGE_SIZE, SparseSpace
from fwpages.pages.space import REGION_PAGES, Addresses, Indices
from fwpages.prm.identity import FunctionType, Identity

#: pages of address space that one session's ledger follows (1 TiB, 1 GiB of tags); more is a garbled input
MAX_COVERED = 1 << 28

_NONE: Addresses = np.zeros(0, np.uint64)
_PAGE = np.uint64(PAGE_SIZE - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A GIVE's pages: those that could be offered, and those that could not, each with its reason.

    ``left``: those among the offered that an earlier session left with firmware.
    """

    record: Record
    index: Indices
    twice: Addresses
    bad: Addresses
    left: Addresses


class ObservedLedger:
    """Moves pages as the observed commands say, and keeps the most that was out at one time.

    ``leftovers`` are pages that an earlier session left with firmware, never fenced, and that were not given since.
    A page that is given while firmware has it is *contested*: which function firmware knows it by is open, and it may
    come back from any function.
    """

    __slots__ = ("_contested", "ledger", "leftovers", "space")

    def __init__(self, leftovers: Addresses = _NONE) -> None:
        self.space = SparseSpace()
        self.ledger = Ledger(self.space, Records())
        self.records.begin(1)
        self.leftovers = leftovers
        self._contested = np.zeros(0, np.int64)

    @property
    def contested(self) -> int:
        """How many pages are contested."""
        return int(self._contested.size)

    @property
    def records(self) -> Records:
        """The table of functions and their counts."""
        return self.ledger.records

    def offer(self, who: Identity, kind: FunctionType, pas: Addresses) -> Offer | None:
        """Pages named in a GIVE: free → offered. None where the addresses are too scattered to be followed."""
        record = self.records.open(who, kind)
        bad = (pas == 0) | ((pas & _PAGE) != 0)
        good = pas[~bad]
        regions = np.unique(good >> np.uint64(27)).size
        if self.space.size + regions * REGION_PAGES > MAX_COVERED:
            return None
        self.space.cover(good)
        self.ledger.extend()
        index = self.space.index(good)
        free = self.ledger.is_free(index)
        first = np.zeros(index.size, np.bool_)
        first[np.unique(index, return_index=True)[1]] = True
        free &= first
        self.ledger.offer(record, index[free])
        left = good[free & np.isin(good, self.leftovers)]
        self.leftovers = np.setdiff1d(self.leftovers, left) if left.size else self.leftovers
        return Offer(record, index[free], good[~free], pas[bad], left)

    def owners_of(self, addresses: Addresses) -> str:
        """The functions that have, or last had, these pages, in words: ``func:0x0 (37), func:0x3 (2)``."""
        index = self.space.index(addresses)
        numbers, counts = np.unique(self.ledger.owners(index), return_counts=True)
        rows = self.records.rows
        pairs = zip(numbers.tolist(), counts.tolist(), strict=True)
        return ", ".join(f"{rows[n - 1].identity if n else 'no function'} ({c})" for n, c in pairs)

    def accept(self, offer: Offer) -> None:
        """offered → held."""
        self.ledger.accept(offer.record, offer.index)

    def refuse(self, offer: Offer) -> None:
        """offered → free."""
        self.ledger.refuse(offer.record, offer.index)

    def doubt(self, offer: Offer) -> None:
        """offered → doubtful."""
        self.ledger.doubt(offer.record, offer.index)

    def withdraw(self, offer: Offer) -> None:
        """doubtful → free: a late refusal."""
        self.ledger.withdraw(offer.index)

    def check_return(self, who: Identity, addresses: Addresses) -> Returned:
        """Sort what a TAKE's answer names."""
        return self.ledger.check_return(who, addresses)

    def contest(self, offer: Offer) -> None:
        """The pages that the GIVE could not offer, as firmware had them, are contested from now on."""
        self._contested = np.union1d(self._contested, self.space.index(offer.twice))

    def take_contested(self, returned: Returned) -> tuple[Returned, int]:
        """Contested pages come back, from whichever function. Returns the rest, and how many came back."""
        if not self.contested or not (returned.foreign.size or returned.twice.size):
            return returned, 0
        foreign, twice = (self.space.index(pas) for pas in (returned.foreign, returned.twice))
        ours, again = np.isin(foreign, self._contested), np.isin(twice, self._contested)
        none = returned.foreign[:0]
        n = self.take(Returned(foreign[ours], none, none, none))
        return returned._replace(foreign=returned.foreign[~ours], twice=returned.twice[~again]), n

    def take(self, returned: Returned) -> int:
        """held or doubtful → free."""
        return self.ledger.take(returned).size

    def evict(self, addresses: Addresses, waiting: Indices) -> None:
        """These pages came back in lines that are lost: they are given anew. Not those of GIVEs still ``waiting``."""
        index = np.unique(self.space.index(addresses))
        out = index[index >= 0]
        out = out[~self.ledger.is_free(out)]
        out = out[~np.isin(out, waiting)]
        none = addresses[:0]
        self.take(Returned(out, none, none, none))

    def release(self, who: Identity, unsure: Indices) -> int:
        """Every page of this function → free, but for the ``unsure``, which an unanswered GIVE names."""
        return self.ledger.release_all(who, unsure).size

    def doubt_held(self, who: Identity) -> Indices:
        """held → doubtful, all of this function's; returns which those were."""
        return self.ledger.doubt_held(who)

    def settle(self, index: Indices) -> None:
        """doubtful → held, those that still are."""
        self.ledger.settle(index)

    def discard(self) -> int:
        """A fence: everything that is out → free."""
        return self.ledger.discard().size

    def left(self) -> Addresses:
        """The addresses that are out, of all functions."""
        parts = [self.ledger.blocks(r, s) for r in self.records if r.outstanding for s in (State.HELD, State.DOUBTFUL)]
        return self.space.address(np.concatenate(parts)) if parts else np.zeros(0, np.uint64)
