"""Memory of a core is what its pieces have, and nothing stands for what they do not have."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fwpages.machine.structures.elf import Elf
from fwpages.machine.structures.errors import FileError, UnmappedError
from fwpages.machine.structures.memory import FileContent, Memory, physical_spans, virtual_spans
from fwpages.machine.structures.page_tables import PageTables, aarch64, x86_64
from tests.machine.kernels import Piece, write_core

BASE = 0xFFFF_8880_0000_0000
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def memory(path: Path, *pieces: tuple[int, bytes]) -> Iterator[Memory]:
    write_core(path, [(at, 0, data) for at, data in pieces], b"A=1\n")
    with opened(path) as fd:
        yield Memory(FileContent(fd), virtual_spans(Elf(fd, "core").loads()))


def test_bytes_are_those_of_the_piece_at_the_address(tmp_path: Path) -> None:
    with memory(tmp_path / "c", (BASE, b"abcdefgh"), (BASE + 0x1000, b"ijklmnop")) as m:
        assert m.read(BASE + 2, 3) == b"cde"
        assert m.read(BASE + 0x1000, 8) == b"ijklmnop"
        assert m.number(BASE, 2) == int.from_bytes(b"ab", "little")
        assert m.text(BASE + 0x1004, 4) == "mnop"


@pytest.mark.parametrize("at", [0, 8, BASE - 1, BASE + 7, BASE + 8, BASE + 0x2000, (1 << 64) - 1, -5])
def test_an_address_that_no_piece_has_is_an_error(at: int, tmp_path: Path) -> None:
    with memory(tmp_path / "c", (BASE, b"abcdefgh")) as m, pytest.raises(UnmappedError):
        m.read(at, 2)


def test_memory_across_two_pieces_that_touch_is_read_whole(tmp_path: Path) -> None:
    with memory(tmp_path / "c", (BASE + 4096, b"b" * 4096), (BASE, b"a" * 4096)) as m:
        assert m.read(BASE + 4090, 12) == b"a" * 6 + b"b" * 6


def test_a_file_that_ends_early_does_not_have_the_rest(tmp_path: Path) -> None:
    with memory(tmp_path / "c", (BASE, bytes(range(1, 129)))) as m:
        os.truncate(tmp_path / "c", os.path.getsize(tmp_path / "c") - 28)
        assert m.read(BASE, 100) == bytes(range(1, 101))
        with pytest.raises(UnmappedError):
            m.read(BASE, 101)
        rows, known = m.gather(np.array([BASE, BASE + 92, BASE + 93], np.uint64), 8)
        assert known.tolist() == [True, True, False]
        assert rows[1].tobytes() == bytes(range(93, 101))


@QUICK
@given(seed=st.integers(0, 1 << 30), size=st.sampled_from([8, 24, 80]), count=st.integers(0, 300))
def test_many_structures_at_once_are_those_at_their_addresses(seed: int, size: int, count: int, tmp_path: Path) -> None:
    random = Random(seed)
    pieces = [(BASE + n * 0x1000_0000, random.randbytes(random.choice([100, 5000, 200_000]))) for n in range(3)]
    at = [random.choice(pieces)[0] + random.randrange(-20, 200_100) for _ in range(count)]
    with memory(tmp_path / "c", *pieces) as m:
        rows, known = m.gather(np.array(at, np.uint64), size)
        for n, address in enumerate(at):
            try:
                expected = m.read(address, size)
            except UnmappedError:
                assert not known[n]
            else:
                assert known[n]
                assert rows[n].tobytes() == expected


def _table(entries: dict[int, int]) -> bytearray:
    table = bytearray(4096)
    for n, entry in entries.items():
        struct.pack_into("<Q", table, 8 * n, entry)
    return table


@pytest.mark.parametrize("levels", [4, 5])
def test_page_tables_lead_to_small_and_large_pages(levels: int, tmp_path: Path) -> None:
    """In a dump by physical address: 4 KiB, 2 MiB and 1 GiB pages, the encryption's bit left out."""
    hidden = 1 << 47
    tops = [0x1000] if levels == 4 else [0x8000, 0x1000]
    physical = bytearray(0x10000)

    def put(at: int, data: bytes | bytearray) -> None:
        physical[at : at + len(data)] = data

    if levels == 5:
        put(0x8000, _table({511: 0x1000 | 1}))
    put(0x1000, _table({273: 0x2000 | 1 | hidden}))
    put(0x2000, _table({0: 0x3000 | 1, 1: 0x1_4000_0000 | 0x80 | 1, 2: 0}))
    put(0x3000, _table({0: 0x4000 | 1, 1: 0x60_0000 | 0x1000 | 0x80 | 1}))  # bit 12 of a large page is no address
    put(0x4000, _table({0: 0x5000 | 1 | 1 << 63, 1: 0x7000 | 1, 2: 0x6000, 3: 0x9000_0000 | 1}))
    put(0x5000, b"small" + bytes(4088) + b"end")
    put(0x7000, b"next")
    large, huge = b"two MiB at an offset", b"one GiB"
    pieces: list[Piece] = [
        (0, 0, physical),
        (0x61_2340, 0x61_2340, large),
        (0x1_4012_3456, 0x1_4012_3456, huge),
    ]
    write_core(tmp_path / "c", pieces, None)
    with opened(tmp_path / "c") as fd:
        loads = Elf(fd, "core").loads()
        of_physical = physical_spans(loads)
        tables = PageTables(Memory(FileContent(fd), of_physical), tops[0], x86_64(levels, hidden))
        m = Memory(FileContent(fd), virtual_spans(loads), of_physical, tables)
        assert m.read(BASE, 5) == b"small"
        assert m.read(BASE + 0x20_0000 + 0x1_2340, len(large)) == large
        assert m.read(BASE + 0x4000_0000 + 0x12_3456, len(huge)) == huge
        assert m.read(BASE + 4093, 7) == b"endnext"  # the two pages do not lie side by side
        _, known = m.gather(np.array([BASE, BASE + 4093, BASE + 0x1000], np.uint64), 4)
        assert known.tolist() == [True, False, True]
        for lost in (0x2000, 0x3000, 0x8000_0000):  # not present; not in the core; no table
            with pytest.raises(UnmappedError):
                m.read(BASE + lost, 4)


#: pages of AArch64: their size, bits of address, and the bits that each level above the last resolves
ARM = {
    "4k": (4096, 48, (39, 30, 21)),
    "16k": (16384, 52, (47, 36, 25)),
    "64k": (65536, 48, (42, 29)),
    "4k of 39": (4096, 39, (30, 21)),
}


@pytest.mark.parametrize("form", list(ARM))
def test_page_tables_of_aarch64_lead_to_pages_and_blocks(form: str, tmp_path: Path) -> None:
    """In a dump by physical address, for each size of pages."""
    size, address_bits, shifts = ARM[form]
    base = (1 << 64) - (1 << address_bits)
    below, block = shifts[-1], 1 << shifts[-1]
    top = base & (1 << address_bits) - 1
    physical = bytearray(size * 8)
    for n, shift in enumerate(shifts[:-1]):  # each table leads to the next: valid, a table
        at = size * n + (top >> shift & size // 8 - 1) * 8
        physical[at : at + 8] = (size * (n + 1) | 0b11).to_bytes(8, "little")
    middle, last = size * (len(shifts) - 1), size * len(shifts)
    rows = {0: last | 0b11, 1: 4 * block | 0b01, 2: 0b10}
    for index, entry in rows.items():
        physical[middle + index * 8 : middle + index * 8 + 8] = entry.to_bytes(8, "little")
    # the attributes above and below the address are none of it
    small = (last + size) | 0b11 | 1 << 54 | 0x700
    physical[last : last + 8] = small.to_bytes(8, "little")
    physical[last + size : last + size + 5] = b"small"
    write_core(tmp_path / "c", [(0, 0, physical), (0, 4 * block + 0x1230, b"a block")], None)
    with opened(tmp_path / "c") as fd:
        loads = Elf(fd, "core").loads()
        content, of_physical = FileContent(fd), physical_spans(loads)
        geometry = aarch64(size, address_bits)
        assert geometry.shifts == shifts
        m = Memory(content, virtual_spans(loads), of_physical, PageTables(Memory(content, of_physical), 0, geometry))
        assert m.read(base, 5) == b"small"
        assert m.read(base + block + 0x1230, 7) == b"a block"
        for lost in (size, 2 * block, 3 * block):  # no page, an entry that is not valid, none
            with pytest.raises(UnmappedError):
                m.read(base + lost, 4)
        assert below == geometry.region


# -- files ------------------------------------------------------------------------------------------------------------


def test_notes_and_sections_are_read_by_name(tmp_path: Path) -> None:
    write_core(tmp_path / "c", [(BASE, 0, b"x")], b"OSRELEASE=6.1\n")
    with opened(tmp_path / "c") as fd:
        elf = Elf(fd, "core")
        assert list(elf.notes()) == [(b"VMCOREINFO", b"OSRELEASE=6.1\n")]
        assert elf.sections() == {}
        assert elf.machine == "x86_64"


def _core(path: Path) -> bytearray:
    write_core(path, [(BASE, 0, b"x" * 100)], b"A=1\n")
    return bytearray(path.read_bytes())


@pytest.mark.parametrize(
    ("at", "new", "words"),
    [
        (0, b"KDUMP", "not an ELF file"),
        (4, b"\x01", "32 bits"),
        (5, b"\x02", "big-endian"),
        (54, b"\x08", "no ELF file's"),
        (56, b"\xf0\x7f", "cut short"),
        (64 + 32, b"\xff\xff\xff\xff\xff", "no core's"),
    ],
)
def test_a_file_that_is_no_core_is_refused_with_what_is_wrong(at: int, new: bytes, words: str, tmp_path: Path) -> None:
    data = _core(tmp_path / "c")
    data[at : at + len(new)] = new
    (tmp_path / "c").write_bytes(data)
    with opened(tmp_path / "c") as fd, pytest.raises(FileError, match=words):
        list(Elf(fd, "core").notes())


@pytest.mark.parametrize("size", [0, 3, 30, 63])
def test_a_file_that_ends_within_its_header_is_refused(size: int, tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(_core(tmp_path / "d")[:size])
    with opened(tmp_path / "c") as fd, pytest.raises(FileError):
        Elf(fd, "core")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 1 << 30))
def test_damaged_headers_raise_nothing_but_their_own_error(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    data = _core(tmp_path / "d")
    for _ in range(random.randint(1, 6)):
        data[random.randrange(240)] = random.randrange(256)
    (tmp_path / "c").write_bytes(data)
    with opened(tmp_path / "c") as fd:
        try:
            elf = Elf(fd, "core")
            list(elf.notes())
            elf.sections()
            Memory(FileContent(fd), virtual_spans(elf.loads())).read(BASE, 4)
        except (FileError, UnmappedError):
            pass
