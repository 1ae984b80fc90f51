"""A core with the kernel's own tables needs no other file; files are read for what the core does not have."""

from __future__ import annotations

import lzma
import struct
from pathlib import Path
from random import Random

import pytest

import fwpages as fw
from fwpages.machine.structures import kdump
from fwpages.machine.structures.errors import FileError
from fwpages.machine.structures.symbols import from_lines
from fwpages.machine.structures.vmcoreinfo import Vmcoreinfo
from tests.machine.btf_writer import BtfWriter
from tests.machine.kernels import DIRECT, IMAGE, OPS, SHAPES, Device, Kernel, pages, write_core

ADDRESS = "0000:01:00.0"


def kernel(version: str = "6.12") -> Kernel:
    k = Kernel(SHAPES[version])
    k.add(Device(ADDRESS, {0: pages(0x1000000, 25)}))
    k.finish()
    return k


def pack_names(k: Kernel, counted: str = "from a base") -> None:
    """Put the table of symbols into the kernel's memory: a token for each letter, one for a common ending."""
    tokens = [bytes([n]) if 32 <= n < 127 else b"" for n in range(256)]
    tokens[200] = b"link"
    names = {"_stext": IMAGE, **{n: a for n, a in k.symbols.items() if n != "mlx5_devlink_ops"}, "z" * 200: IMAGE + 8}
    table = b"".join(token + b"\0" for token in tokens)
    places, at = [], 0
    for token in tokens:
        places.append(at)
        at += len(token) + 1
    packed = bytearray()
    for name in names:
        letters = ("d" + name).encode().replace(b"link", bytes([200]))
        n = len(letters)
        packed += (bytes([n]) if n < 128 else bytes([n & 0x7F | 0x80, n >> 7])) + letters
    first = IMAGE - 0x1000
    offsets = [a - first for a in names.values()]
    if counted == "from a base, below zero":
        offsets = [-1 - offset for offset in offsets]

    def put(data: bytes) -> int:
        at = k.room(len(data) + 4096)
        k.put(at, data)
        return at

    k.symbols |= {
        "kallsyms_names": put(bytes(packed)),
        "kallsyms_num_syms": put(struct.pack("<I", len(names))),
        "kallsyms_token_table": put(table),
        "kallsyms_token_index": put(struct.pack("<256H", *places)),
    }
    if counted == "from the kernel's start":
        offsets = [offset - 0x1000 for offset in offsets]
    if counted == "from themselves":
        table_at = k.symbols["kallsyms_offsets"] = IMAGE + len(k.image)
        offsets = [a - (table_at + 4 * n) for n, a in enumerate(names.values())]
        k.image += struct.pack(f"<{len(offsets)}i", *offsets)
        return
    if counted.startswith("from a base"):
        k.symbols["kallsyms_relative_base"] = put(struct.pack("<Q", first))
    k.symbols["kallsyms_offsets"] = put(struct.pack(f"<{len(offsets)}I", *(o & 0xFFFFFFFF for o in offsets)))


def load_module(k: Kernel, name: str = "mlx5_core") -> None:
    """Put the driver's module and its symbols into the list of modules, after one of another name."""
    texts = b"\0other\0mlx5_devlink_ops\0"
    strtab = k.text(texts.decode())
    rows = struct.pack("<IBBHQQ", 1, 0, 0, 0, 5, 0) + struct.pack("<IBBHQQ", 7, 0, 0, 0, OPS, 0)
    symtab = k.room(len(rows))
    k.put(symtab, rows)
    table = k.make("mod_kallsyms", symtab=symtab, num_symtab=2, strtab=strtab)
    head = k.symbols["modules"] = k.variable(0, 0)
    made = []
    for label in ("another", name):
        at = k.make("module", kallsyms=table)
        k.put(at + k.member("module", "name"), label.encode())
        made.append(at)
    k.chain(head, [at + k.member("module", "list") for at in made])
    data = k.room(len(k.driver_blob))
    k.put(data, k.driver_blob)
    btf = k.make("btf", data=data, data_size=len(k.driver_blob))
    entry = k.make("btf_module", module=made[1], btf=btf)
    k.symbols["btf_modules"] = k.variable(0, 0)
    k.chain(k.symbols["btf_modules"], [entry + k.member("btf_module", "list")])
    start = IMAGE + len(k.image)
    k.image += k.base_blob
    k.symbols |= {"__start_BTF": start, "__stop_BTF": start + len(k.base_blob)}


@pytest.mark.parametrize(
    "counted", ["from a base", "from a base, below zero", "from the kernel's start", "from themselves"]
)
def test_a_core_that_has_everything_in_its_memory_needs_no_file(counted: str, tmp_path: Path) -> None:
    """However the kernel's table of symbols counts addresses."""
    k = kernel()
    load_module(k)
    pack_names(k, counted)
    report = fw.machine.inspect(k.write(tmp_path / "core")).report
    assert [(d.device, d.pages) for d in report.devices] == [(ADDRESS, 25)]


def test_a_core_without_the_driver_is_not_known(tmp_path: Path) -> None:
    k = kernel()
    load_module(k, name="mlx4_core")
    pack_names(k)
    report = fw.machine.inspect(k.write(tmp_path / "core"), btf=k.blobs(tmp_path)).report
    assert report.devices == []
    assert "mlx5_devlink_ops" in report.missing[0].what


@pytest.mark.parametrize("seed", range(30))
def test_damaged_tables_are_not_known_or_refused(seed: int, tmp_path: Path) -> None:
    k = kernel()
    load_module(k)
    pack_names(k)
    random = Random(seed)
    places = [a for n, a in k.symbols.items() if n.startswith("kallsyms_") or n in ("modules", "btf_modules")]
    for _ in range(4):
        k.put(random.choice(places) + random.randrange(60), random.randbytes(3))
    try:
        report = fw.machine.inspect(k.write(tmp_path / "core")).report
    except FileError:
        return
    assert all(d.pages in (25, None) for d in report.devices)


def _elf(path: Path, sections: dict[str, bytes]) -> Path:
    """An ELF file with these sections."""
    names = b"\0" + b"".join(n.encode() + b"\0" for n in [*sections, ".shstrtab"])
    body, rows, at = b"", bytes(64), 64
    for name, data in {**sections, ".shstrtab": names}.items():
        rows += struct.pack(
            "<IIQQQQIIQQ", names.index(b"\0" + name.encode() + b"\0") + 1, 1, 0, 0, at, len(data), 0, 0, 1, 0
        )
        body += data
        at += len(data)
    count = len(sections) + 2
    head = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, at, 0, 64, 0, 0, 64, count, count - 1)
    path.write_bytes(head + body + rows)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_types_may_be_in_the_files_of_the_kernel_and_the_module(packed: bool, tmp_path: Path) -> None:
    k = kernel()
    files = [
        _elf(tmp_path / "vmlinux", {".text": b"x", ".BTF": k.base_blob}),
        _elf(tmp_path / "m.ko", {".BTF": k.driver_blob}),
    ]
    if packed:
        files[1].write_bytes(lzma.compress(files[1].read_bytes()))
    report = fw.machine.inspect(k.write(tmp_path / "core"), btf=files, symbols=k.kallsyms(tmp_path / "s")).report
    assert report.devices[0].pages == 25


def test_a_module_built_elsewhere_brings_the_base_of_its_types(tmp_path: Path) -> None:
    k = kernel()
    files = [k.blobs(tmp_path)[0], _elf(tmp_path / "m.ko", {".BTF": k.driver_blob, ".BTF.base": k.base_blob})]
    report = fw.machine.inspect(k.write(tmp_path / "core"), btf=files, symbols=k.kallsyms(tmp_path / "s")).report
    assert report.devices[0].pages == 25


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"hello, world, this is text", "no BTF"),
        (b"\xfd7zXZ\0rubbish", "cannot be unpacked"),
        (b"\x28\xb5\x2f\xfd", "zstd -d"),
    ],
)
def test_a_file_without_types_is_refused(data: bytes, words: str, tmp_path: Path) -> None:
    k = kernel()
    (tmp_path / "f").write_bytes(data)
    with pytest.raises(FileError, match=words):
        fw.machine.inspect(k.write(tmp_path / "core"), btf=[k.blobs(tmp_path)[0], tmp_path / "f"])


def test_a_module_without_types_is_refused_with_the_recipe(tmp_path: Path) -> None:
    k = kernel()
    with pytest.raises(FileError, match="pahole"):
        fw.machine.inspect(k.write(tmp_path / "core"), btf=[_elf(tmp_path / "m.ko", {".text": b"x"})])


def test_types_of_another_module_are_refused(tmp_path: Path) -> None:
    k = kernel()
    w = BtfWriter(k.base_writer)
    w.struct("mlx4_dev", [("a", w.u8)])
    (tmp_path / "m").write_bytes(w.blob())
    with pytest.raises(FileError, match="other than mlx5_core"):
        fw.machine.inspect(k.write(tmp_path / "core"), btf=[k.blobs(tmp_path)[0], tmp_path / "m"])


@pytest.mark.parametrize("start", kdump.MAGIC)
def test_without_libkdumpfile_a_compressed_dump_is_refused_with_the_line_that_installs_it(
    start: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kdump, "library", lambda: None)
    (tmp_path / "vmcore").write_bytes(start + bytes(100))
    with pytest.raises(FileError, match=r"apt install libkdumpfile.*makedumpfile -E"):
        fw.machine.inspect(tmp_path / "vmcore")


@pytest.mark.skipif(kdump.library() is None, reason="libkdumpfile is not installed")
@pytest.mark.parametrize("start", kdump.MAGIC)
def test_a_compressed_dump_that_is_none_is_refused(start: bytes, tmp_path: Path) -> None:
    (tmp_path / "vmcore").write_bytes(start + bytes(100_000))
    with pytest.raises(FileError, match="libkdumpfile does not read this dump"):
        fw.machine.inspect(tmp_path / "vmcore")


def test_a_file_that_is_no_core_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello")
    with pytest.raises(FileError, match="not an ELF file"):
        fw.machine.inspect(tmp_path / "f")
    with pytest.raises(FileError, match="without memory"):
        fw.machine.inspect(_elf(tmp_path / "m.ko", {".text": b"x"}))


def test_a_core_by_physical_address_alone_of_another_machine_is_not_known(tmp_path: Path) -> None:
    """Its page tables would lead to the addresses; those of x86-64 can be followed."""
    k = kernel()
    write_core(tmp_path / "core", [(0, 0x1000, k.direct), (0, 0x900000, k.image)], k.note(), machine=183)
    report = fw.machine.inspect(tmp_path / "core", btf=k.blobs(tmp_path), symbols=k.kallsyms(tmp_path / "s")).report
    assert (report.verdict, report.machine, report.devices) == ("not known", "aarch64", [])
    assert report.missing


def test_symbols_of_the_value_0_are_hidden_ones() -> None:
    lines = ["0000000000000000 d devlinks", "ffffffff82000000 D modules\n", "ffffffffc0000000 r x\t[m]"]
    assert from_lines(lines, {"devlinks", "modules", "x"}) == {"modules": 0xFFFFFFFF82000000, "x": 0xFFFFFFFFC0000000}


def test_a_line_without_an_address_is_refused() -> None:
    with pytest.raises(FileError, match="no address"):
        from_lines(["hello d devlinks"], {"devlinks"}, "file")


def test_vmcoreinfo_is_read_by_its_keys() -> None:
    v = Vmcoreinfo.parse(
        b"OSRELEASE=6.1\nPAGESIZE=65536\nSYMBOL(a)=ffff888000000000\nNUMBER(n)=-4\nNUMBER(h)=0x10\n\xff\nX\n"
    )
    assert (v.release, v.page_size) == ("6.1", 65536)
    assert v.symbols == {"a": DIRECT}
    assert v.numbers == {"n": -4, "h": 16}
