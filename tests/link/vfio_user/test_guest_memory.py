"""Guest memory as a bus: over several mappings, with their permissions, and whatever the client does to its files."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.link.bus import BusError
from fwpages.link.vfio_user import guest_memory as vfio_user_memory
from fwpages.link.vfio_user.guest_memory import GuestMemory
from fwpages.link.vfio_user.messages import DmaMap, MessageError
from tests.link.vfio_client import memfd, open_fds

PAGE = 4096


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    before = open_fds()
    m = GuestMemory()
    yield m
    m.close()
    assert open_fds() == before
    assert len(m) == 0


def put(
    m: GuestMemory, iova: int, pages: int, fd: int | None, *, offset: int = 0, read: bool = True, write: bool = True
) -> None:
    m.map(DmaMap(iova, pages * PAGE, offset, read, write), None if fd is None else os.dup(fd))


def fails(m: GuestMemory, number: int, iova: int, fd: int, *, pages: int = 1, write: bool = True) -> None:
    with pytest.raises(MessageError) as e:
        put(m, iova, pages, fd, write=write)
    assert e.value.errno == number


@pytest.mark.parametrize("sealed", [True, False])
def test_across_mappings(memory: GuestMemory, sealed: bool) -> None:
    a, b = memfd(2 * PAGE, sealed=sealed), memfd(2 * PAGE, sealed=sealed)
    # a page of one file, then two of the other, then the first one's other page
    put(memory, 0x10000, 1, a, offset=PAGE)
    put(memory, 0x11000, 2, b)
    put(memory, 0x13000, 1, a)
    data = bytes(range(256)) * 64
    memory.write(0x10000, data)
    assert memory.read(0x10000, len(data)) == data
    assert memory.read(0x10FFE, 4) == data[0xFFE:0x1002]
    assert os.pread(a, PAGE, 0) == data[3 * PAGE :]
    assert os.pread(b, 2 * PAGE, 0) == data[PAGE : 3 * PAGE]
    memory.write(0x12FFF, memoryview(b"xy"))
    assert (os.pread(b, 1, 2 * PAGE - 1), os.pread(a, 1, 0)) == (b"x", b"y")
    assert memory.read(0x10000, 0) == b""
    os.close(a)
    os.close(b)


def test_what_is_not_mapped(memory: GuestMemory) -> None:
    fd = memfd(4 * PAGE)
    put(memory, 0x10000, 1, fd)
    put(memory, 0x12000, 1, fd, offset=2 * PAGE)
    for iova, length in ((0, 1), (0xFFFF, 1), (0xFFFF, 2), (0x11000, 1), (0x10FFF, 2), (0x10000, 0x3000), (0x13000, 1)):
        with pytest.raises(BusError):
            memory.read(iova, length)
        with pytest.raises(BusError):
            memory.write(iova, b"\xff" * length)
    assert not any(os.pread(fd, 4 * PAGE, 0))
    os.close(fd)


def test_permissions(memory: GuestMemory) -> None:
    fd = memfd(3 * PAGE)
    os.pwrite(fd, b"data", PAGE)
    put(memory, 0x10000, 1, fd)
    put(memory, 0x11000, 1, fd, offset=PAGE, write=False)
    put(memory, 0x12000, 1, fd, offset=2 * PAGE, read=False)
    assert memory.read(0x11000, 4) == b"data"
    memory.write(0x12000, b"in")
    with pytest.raises(BusError):
        memory.write(0x10FFE, b"over")
    with pytest.raises(BusError):
        memory.read(0x11FFE, 4)
    assert not any(os.pread(fd, PAGE, 0))
    os.close(fd)


def test_range_without_a_descriptor(memory: GuestMemory) -> None:
    put(memory, 0x10000, 1, None)
    with pytest.raises(BusError):
        memory.read(0x10000, 1)
    with pytest.raises(MessageError):
        put(memory, 0x10000, 1, None)
    assert memory.unmap(0x10000, PAGE) == PAGE


def test_unmapped_is_gone(memory: GuestMemory) -> None:
    fd = memfd(2 * PAGE)
    put(memory, 0x10000, 1, fd)
    put(memory, 0x11000, 1, fd, offset=PAGE)
    assert memory.unmap(0x10000, PAGE) == PAGE
    with pytest.raises(BusError):
        memory.read(0x10000, 1)
    memory.write(0x11000, b"still")
    assert memory.unmap(0x20000, PAGE) == 0
    assert memory.unmap(0, 0x20000) == PAGE
    assert (memory.mapped, memory.unmapped) == (2, 2)
    os.close(fd)


def test_overlaps(memory: GuestMemory) -> None:
    fd = memfd(4 * PAGE)
    put(memory, 0x10000, 2, fd)
    for iova in (0xF000, 0x10000, 0x11000):
        fails(memory, errno.EEXIST, iova, fd, pages=2)
    put(memory, 0xE000, 2, fd)
    put(memory, 0x12000, 2, fd)
    os.close(fd)


def test_read_only_descriptor(memory: GuestMemory) -> None:
    fd = memfd(PAGE)
    reader = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY)
    writer = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY)
    fails(memory, errno.EACCES, 0x10000, reader)
    fails(memory, errno.EACCES, 0x10000, writer)
    put(memory, 0x10000, 1, reader, write=False)
    assert memory.read(0x10000, 1) == b"\0"
    fails(memory, errno.EACCES, 0x20000, fd)
    for each in (fd, reader, writer):
        os.close(each)


@pytest.mark.parametrize("seal", [fcntl.F_SEAL_WRITE, 0x10])
def test_memory_sealed_against_writing(memory: GuestMemory, seal: int) -> None:
    fd = memfd(PAGE, sealed=False)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seal | fcntl.F_SEAL_SHRINK)
    fails(memory, errno.EACCES, 0x10000, fd)
    put(memory, 0x10000, 1, fd, write=False)
    assert memory.read(0x10000, 1) == b"\0"
    os.close(fd)


def test_descriptors_that_are_no_memory(memory: GuestMemory) -> None:
    reader, writer = os.pipe()
    folder = os.open("/", os.O_RDONLY)
    with tempfile.TemporaryFile(dir=os.getcwd()) as plain:
        plain.truncate(PAGE)
        for fd in (reader, writer, folder, plain.fileno()):
            if fd == plain.fileno() and _has_seals(fd):
                continue  # the test's own folder is memory
            fails(memory, errno.EINVAL, 0x10000, fd)
    for fd in (reader, writer, folder):
        os.close(fd)


def _has_seals(fd: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_GET_SEALS)
    except OSError:
        return False
    return True


def test_beyond_the_end_of_a_file(memory: GuestMemory) -> None:
    fd = memfd(PAGE)
    fails(memory, errno.EINVAL, 0x10000, fd, pages=2)
    os.close(fd)


def test_file_that_becomes_shorter(memory: GuestMemory) -> None:
    """It would kill a process that has it mapped."""
    fd = memfd(2 * PAGE, sealed=False)
    put(memory, 0x10000, 2, fd)
    memory.write(0x11000, b"there")
    os.truncate(fd, PAGE)
    with pytest.raises(BusError):
        memory.read(0x11000, 1)
    with pytest.raises(BusError):
        memory.write(0x11000, b"gone")
    assert os.fstat(fd).st_size == PAGE
    memory.write(0x10000, b"still")
    os.close(fd)


def test_file_that_becomes_sealed(memory: GuestMemory) -> None:
    fd = memfd(PAGE, sealed=False)
    put(memory, 0x10000, 1, fd)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    with pytest.raises(BusError):
        memory.write(0x10000, b"no")
    os.close(fd)


def test_file_that_grew(memory: GuestMemory) -> None:
    fd = memfd(PAGE, sealed=False)
    put(memory, 0x10000, 1, fd)
    os.truncate(fd, 2 * PAGE)
    fails(memory, errno.EACCES, 0x20000, fd, pages=2)
    memory.unmap(0x10000, PAGE)
    put(memory, 0x20000, 2, fd)
    os.close(fd)


def test_file_too_large_to_map(memory: GuestMemory) -> None:
    fd = memfd(1 << 62)
    fails(memory, errno.ENOMEM, 0x10000, fd)
    os.close(fd)


def test_bounds(memory: GuestMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vfio_user_memory, "MAX_MAPS", 3)
    monkeypatch.setattr(vfio_user_memory, "MAX_FILES", 2)
    fds = [memfd(PAGE) for _ in range(3)]
    put(memory, 0x10000, 1, fds[0])
    put(memory, 0x20000, 1, fds[1])
    fails(memory, errno.EMFILE, 0x30000, fds[2])
    put(memory, 0x30000, 1, fds[1])
    fails(memory, errno.ENOSPC, 0x40000, fds[0])
    for fd in fds:
        os.close(fd)


def test_many_ranges_cost_one_descriptor(memory: GuestMemory) -> None:
    """With an I/O memory management unit every page is a range of its own."""
    fd = memfd(2000 * PAGE)
    before = open_fds()
    for n in range(2000):
        put(memory, (1 << 40) + n * PAGE, 1, fd, offset=(1999 - n) * PAGE)
    assert open_fds() == before + 1
    memory.write(1 << 40, bytes(2000 * PAGE))
    os.close(fd)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 15), st.integers(1, 4)), max_size=40), st.data())
def test_against_a_dictionary(steps: list[tuple[bool, int, int]], data: st.DataObject) -> None:
    """Ranges come and go at random: what is mapped is what a table of pages says, and reads the page it should."""
    before, m, fd = open_fds(), GuestMemory(), memfd(32 * PAGE)
    for n in range(32):
        os.pwrite(fd, bytes([n]), n * PAGE)
    table: dict[int, int] = {}
    heads: dict[int, int] = {}
    for is_map, page, count in steps:
        span = range(page, page + count)
        if is_map:
            offset = data.draw(st.integers(0, 28))
            if any(p in table for p in span):
                with pytest.raises(MessageError):
                    put(m, page * PAGE, count, fd, offset=offset * PAGE)
                continue
            put(m, page * PAGE, count, fd, offset=offset * PAGE)
            table.update({p: offset + p - page for p in span})
            heads[page] = count
            continue
        inside = [h for h, c in heads.items() if h in span and h + c - 1 in span]
        cut = any(p in span and not any(h <= p < h + heads[h] for h in inside) for p in table)
        if cut:
            with pytest.raises(MessageError):
                m.unmap(page * PAGE, count * PAGE)
            continue
        assert m.unmap(page * PAGE, count * PAGE) == sum(heads[h] for h in inside) * PAGE
        for h in inside:
            for p in range(h, h + heads.pop(h)):
                del table[p]
    for p in range(20):
        if p in table:
            assert m.read(p * PAGE, 1)[0] == table[p]
        else:
            with pytest.raises(BusError):
                m.read(p * PAGE, 1)
    m.close()
    os.close(fd)
    assert open_fds() == before
