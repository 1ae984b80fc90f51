"""Rounds through the host's ledger: the memory pool, custody of each page, records. Every answer is checked in full."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from fwpages.bench.shape import Round, Shape
from fwpages.custody.ledger import Ledger
from fwpages.custody.records import Record, Records
from fwpages.host.memory import Pool
from fwpages.pages.space import Addresses, Indices
from fwpages.prm.identity import FunctionType, Identity, vhca_id

#: the vhca_id of the first function
FIRST = 2
_NOTHING: Indices = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class Books:
    """A ledger with its memory, and the functions that pages are lent for."""

    pool: Pool
    ledger: Ledger
    who: list[Identity]
    rows: list[Record]

    @classmethod
    def of(cls, shape: Shape) -> Books:
        """Memory for all pages of the shape, mapped and free."""
        records = Records()
        records.begin(1)
        pool = Pool(1 << 32)
        pool.add(shape.pages)
        who = [vhca_id(FIRST + n) for n in range(shape.functions)]
        return cls(pool, Ledger(pool.space, records), who, [records.open(w, FunctionType.VF) for w in who])

    def give(self, shape: Shape) -> list[Addresses]:
        """Lend every page, the functions in turn; what their commands named, by function."""
        pool, ledger = self.pool, self.ledger
        # touched beforehand: what the system does at the first write to a page of memory is not ours to time
        named = [np.ones(shape.each, np.uint64) for _ in self.rows]
        for at, pages in shape.turns():
            for row, addresses in zip(self.rows, named, strict=True):
                index = pool.take(pages)
                ledger.offer(row, index)
                addresses[at : at + pages] = pool.space.address(index)
                ledger.accept(row, index)
        return named

    def take(self, answers: list[Addresses], shape: Shape) -> None:
        """Take back what the answers name, the functions in turn."""
        pool, ledger = self.pool, self.ledger
        for at, pages in shape.turns():
            for who, addresses in zip(self.who, answers, strict=True):
                pool.put(ledger.take(ledger.check_return(who, addresses[at : at + pages])))

    def done(self) -> None:
        """Nothing may be out: a round that lost a page has measured nothing."""
        self.ledger.check()
        if self.ledger.records.out:
            raise AssertionError(f"{self.ledger.records.out} pages are still out after the round")


def give_and_take(shape: Shape) -> Round:
    """Lend all, and take all back in random order."""
    books = Books.of(shape)
    start = time.perf_counter()
    named = books.give(shape)
    give = time.perf_counter() - start
    chance = np.random.default_rng(1)
    answers = [chance.permutation(addresses) for addresses in named]
    start = time.perf_counter()
    books.take(answers, shape)
    take = time.perf_counter() - start
    books.done()
    return {"give": give, "take": take, "both": give + take}


def release_all(shape: Shape) -> Round:
    """Everything lent, then let go of by one release_all for each function."""
    books = Books.of(shape)
    books.give(shape)
    start = time.perf_counter()
    for who in books.who:
        books.pool.put(books.ledger.release_all(who, _NOTHING))
    seconds = time.perf_counter() - start
    books.done()
    return {"release_all": seconds}


def forced_close(shape: Shape) -> Round:
    """Everything lent, then the device gone: a fence frees the pages of all functions."""
    books = Books.of(shape)
    books.give(shape)
    start = time.perf_counter()
    books.pool.put(books.ledger.discard())
    seconds = time.perf_counter() - start
    books.done()
    return {"forced": seconds}
