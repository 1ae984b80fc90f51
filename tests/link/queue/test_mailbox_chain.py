"""Chains of mailboxes wherever a driver puts them, over a bus that can be addressed and over one that cannot."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.link.bus import BusError
from fwpages.link.memory import Memory
from fwpages.link.queue.mailbox_chain import check_signatures, follow, read_message, write_message
from fwpages.prm.delivery import Delivery, DeliveryError
from fwpages.prm.mailbox import Message, Rows, chain, column, sign
from fwpages.prm.message import NO_PAGES
from fwpages.prm.queue import mailboxes_for

BASE, ROOM, TOKEN = 1 << 33, 1 << 21, 0x5A


class Plain:
    """A bus with ``read`` and ``write`` and nothing else, which counts."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.reads = self.writes = 0

    def read(self, iova: int, length: int) -> bytes:
        self.reads += 1
        return self.memory.read(iova, length)

    def write(self, iova: int, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        self.memory.write(iova, data)


def places(layout: str, n: int, seed: int = 1) -> list[int]:
    """Where a driver put ``n`` mailboxes: in order, as Linux's pool hands them out, or anywhere."""
    slots = ROOM // 1024
    if layout == "up":
        order = list(range(n))
    elif layout == "down":
        order = list(range(n, 0, -1))
    elif layout == "pool":
        # four to a page from the last to the first, pages anywhere
        draw = random.Random(seed)
        pages = draw.sample(range(slots // 4), -(-n // 4))
        order = [page * 4 + k for page in pages for k in (3, 2, 1, 0)][:n]
    elif layout == "close":
        return [BASE + 64 * 512 + n * 1024 + (512 if n > 3 else 0) for n in range(n)]
    else:
        order = random.Random(seed).sample(range(slots), n)
    return [BASE + k * 1024 for k in order]


def laid(memory: Memory, at: list[int], token: int = TOKEN) -> Rows:
    """Mailboxes with random data at these places; returns them as rows that can be laid again."""
    rows = np.random.default_rng(len(at)).integers(0, 256, (len(at), 576), np.uint8)
    chain(rows, np.array(at, np.uint64), token)
    put(memory, at, rows)
    return rows


def put(memory: Memory, at: list[int], rows: Rows) -> None:
    for iova, row in zip(at, rows, strict=True):
        memory.write(iova, row.tobytes())


def shared(*, solid: bool = True) -> Memory:
    m = Memory()
    m.map(BASE, ROOM, solid=solid)
    return m


LAYOUTS = ["up", "down", "pool", "close", "anywhere"]


@pytest.mark.parametrize("bus_kind", ["in place", "plain", "lent"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 12, 37, 782])
def test_a_chain_is_read_and_written_wherever_it_lies(layout: str, n: int, bus_kind: str) -> None:
    memory = shared(solid=bus_kind != "lent")
    at = places(layout, n)
    rows = laid(memory, at)
    bus = Plain(memory) if bus_kind == "plain" else memory
    runs = follow(bus, at[0] if at else 0, n, TOKEN, "input")
    assert [r.first + k * r.stride for r in runs for k in range(r.count)] == at
    length = 16 + 512 * n - (5 if n else 0)
    got = read_message(bus, runs, b"0123456789abcdef", length)
    assert got.tobytes() == (b"0123456789abcdef" + rows[:, :512].tobytes())[:length]
    before = memory.read(BASE, ROOM)
    new = np.random.default_rng(9).integers(0, 256, max(0, length - 16), np.uint8).tobytes()
    write_message(bus, runs, Message(bytes(16), new, NO_PAGES, length), signatures=False)
    after, want = memory.read(BASE, ROOM), bytearray(before)
    for k, iova in enumerate(at):
        want[iova - BASE : iova - BASE + 512] = new[k * 512 : k * 512 + 512].ljust(512, b"\0")
    assert after == want, "nothing but data is written"


@settings(max_examples=60)
@given(st.lists(st.integers(0, 4000), unique=True, min_size=1, max_size=60), st.booleans())
def test_any_order_of_any_mailboxes(slots: list[int], sort: bool) -> None:
    memory = Memory()
    memory.map(BASE, 1 << 22)
    at = [BASE + 1024 * s for s in (sorted(slots) if sort else slots)]
    rows = laid(memory, at)
    runs = follow(memory, at[0], len(at), TOKEN, "output")
    assert [r.first + k * r.stride for r in runs for k in range(r.count)] == at
    length = 16 + 512 * len(at)
    assert read_message(memory, runs, bytes(16), length)[16:].tobytes() == rows[:, :512].tobytes()


def test_a_long_chain_takes_few_accesses() -> None:
    memory = shared()
    for layout in ("up", "down"):
        at = places(layout, 782)
        laid(memory, at)
        bus = Plain(memory)
        runs = follow(bus, at[0], 782, TOKEN, "input")
        assert (len(runs), bus.reads < 10) == (1, True)


def test_a_guess_beyond_what_is_mapped_is_only_a_guess() -> None:
    """The even row goes on to the end of the range, the chain does not."""
    memory = shared()
    end = BASE + ROOM - 4 * 1024
    at = [end + 1024 * k for k in range(4)] + [BASE + 1024 * k for k in range(30)]
    laid(memory, at)
    for bus in (memory, Plain(memory)):
        runs = follow(bus, at[0], len(at), TOKEN, "input")
        assert [r.first + k * r.stride for r in runs for k in range(r.count)] == at


@pytest.mark.parametrize("n", [1, 5, 200])
def test_more_mailboxes_than_needed_are_no_error(n: int) -> None:
    memory = shared()
    at = places("up", 300)
    laid(memory, at)
    assert sum(r.count for r in follow(memory, at[0], n, TOKEN, "input")) == n


# -- what is wrong ----------------------------------------------------------------------------------------------------


def refused(memory: Memory, first: int, n: int, what: str = "input") -> DeliveryError:
    with pytest.raises(DeliveryError) as slow:
        follow(Plain(memory), first, n, TOKEN, what)
    with pytest.raises(DeliveryError) as e:
        follow(memory, first, n, TOKEN, what)
    assert str(slow.value) == str(e.value)
    return e.value


@pytest.mark.parametrize("at", [0, 3, 40, 99])
@pytest.mark.parametrize("what", ["input", "output"])
def test_too_short(what: str, at: int) -> None:
    memory, where = shared(), places("up", 101)
    rows = laid(memory, where)
    column(rows, "next")[at] = 0
    put(memory, where, rows)
    e = refused(memory, where[0], 101, what)
    assert e.status is (Delivery.IN_LENGTH_ERR if what == "input" else Delivery.OUT_LENGTH_ERR)
    assert f"ends after {at + 1} mailboxes, the message takes 101" in str(e)
    assert refused(memory, 0, 1, what).detail == f"the {what} chain ends after 0 mailboxes, the message takes 1"


@pytest.mark.parametrize("at", [0, 3, 40, 99])
@pytest.mark.parametrize("what", ["input", "output"])
def test_not_aligned(what: str, at: int) -> None:
    memory, where = shared(), places("up", 101)
    rows = laid(memory, where)
    column(rows, "next")[at] += 16
    put(memory, where, rows)
    e = refused(memory, where[0], 101, what)
    assert e.status is (Delivery.IN_PTR_ALIGN_ERR if what == "input" else Delivery.OUT_PTR_ALIGN_ERR)


@pytest.mark.parametrize("back", [0, 1, 39, 40])
def test_a_loop(back: int) -> None:
    memory, where = shared(), places("up", 101)
    rows = laid(memory, where)
    column(rows, "next")[40] = where[back]
    put(memory, where, rows)
    e = refused(memory, where[0], 101)
    assert (e.status, f"mailbox 41 of the chain says that it is number {back}" in str(e)) == (
        Delivery.BAD_BLK_NUM_ERR,
        True,
    )


def test_a_mailbox_that_leads_to_itself() -> None:
    memory, where = shared(), places("up", 1)
    rows = laid(memory, where)
    column(rows, "next")[0] = where[0]
    put(memory, where, rows)
    assert refused(memory, where[0], 1 << 14).status is Delivery.BAD_BLK_NUM_ERR


@pytest.mark.parametrize("at", [0, 1, 7, 100])
def test_another_token(at: int) -> None:
    memory, where = shared(), places("up", 101)
    rows = laid(memory, where)
    column(rows, "token")[at] = 1
    put(memory, where, rows)
    e = refused(memory, where[0], 101)
    assert (e.status, e.detail) == (Delivery.TOK_ERR, f"mailbox {at} has token 1, the entry {TOKEN}")


@pytest.mark.parametrize("pointer", [1 << 60, (1 << 64) - 512, BASE + ROOM])
def test_memory_that_is_not_there(pointer: int) -> None:
    memory, where = shared(), places("up", 50)
    rows = laid(memory, where)
    column(rows, "next")[20] = pointer
    put(memory, where, rows)
    for bus in (memory, Plain(memory)):
        for first in (where[0], pointer):
            with pytest.raises(BusError):
                follow(bus, first, 50, TOKEN, "input")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_signatures(layout: str) -> None:
    memory, where = shared(), places(layout, 20)
    rows = laid(memory, where)
    sign(rows)
    put(memory, where, rows)
    runs = follow(memory, where[0], 20, TOKEN, "input")
    check_signatures(memory, runs, "input")
    memory.write(where[11] + 100, bytes([rows[11, 100] ^ 1]))
    with pytest.raises(DeliveryError, match="input mailbox 11") as e:
        check_signatures(memory, runs, "input")
    assert e.value.status is Delivery.SIGNAT_ERR
    length = 16 + 512 * 20
    assert mailboxes_for(length) == 20
    write_message(memory, runs, Message(bytes(16), bytes(range(256)) * 40, NO_PAGES, length), signatures=True)
    check_signatures(memory, runs, "input")
    assert read_message(memory, runs, bytes(16), length)[16:].tobytes() == bytes(range(256)) * 40
