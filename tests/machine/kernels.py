"""Kernels that are made up: types as several versions of Linux have them, memory with mlx5 devices, cores of it."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from fwpages.machine.structures.btf import Btf
from tests.machine.btf_writer import BtfWriter, Declared

#: where the parts of this kernel are in virtual memory
IMAGE = 0xFFFF_FFFF_8200_0000
DIRECT = 0xFFFF_8880_0000_0000
VMEMMAP = 0xFFFF_EA00_0000_0000
PAGE_SLOT = 31
#: virtual address, physical address, bytes
Piece = tuple[int, int, bytes | bytearray | NDArray[np.uint8]]
OPS, OTHER_OPS = IMAGE + 0x100, IMAGE + 0x200


@dataclass(frozen=True)
class Shape:
    """The differences between versions of the driver that matter here."""

    name: str
    #: types of functions by their names, in their order
    types: tuple[str, ...]
    func_type: bool
    mode: bool
    #: commands' variables in a structure of their own
    vars: bool = True
    ec_vfs: bool = True
    #: devlinks are in an array; else in a list
    array: bool = True


SHAPES = {
    "5.14": Shape("5.14", ("PF", "VF", "SF", "HOST_PF"), False, False, vars=False, ec_vfs=False, array=False),
    "6.1": Shape("6.1", ("PF", "VF", "SF", "HOST_PF"), False, False, ec_vfs=False),
    "6.12": Shape("6.12", ("PF", "VF", "SF", "HOST_PF", "EC_VF"), False, False),
    "7.2": Shape("7.2", ("SELF", "VF", "SF", "HOST_PF", "SPF", "EC_VF"), True, True),
}


def kernel_types(shape: Shape) -> BtfWriter:
    w = BtfWriter()
    u8, u32, u64, p = w.u8, w.u32, w.u64, w.pointer
    head = w.struct("list_head", [("next", p), ("prev", p)])
    lock = w.struct("spinlock", [("raw", u32)])
    w.struct("xarray", [("xa_lock", w.typedef("spinlock_t", lock)), ("xa_flags", u32), ("xa_head", p)])
    w.struct(
        "xa_node",
        [
            ("shift", u8),
            ("offset", u8),
            ("count", u8),
            ("nr_values", u8),
            ("parent", p),
            ("array", p),
            ("", w.struct("", [("private_list", head)], union=True)),
            ("slots", w.array(p, 16)),
            ("marks", w.array(u64, 3)),
        ],
    )
    w.struct("rb_node", [("__rb_parent_color", u64), ("rb_right", p), ("rb_left", p)])
    w.struct("rb_root", [("rb_node", p)])
    w.struct("page", [("flags", u64), ("rest", w.array(u64, 7))])
    w.struct(
        "pglist_data",
        [
            ("zones", w.array(u64, 5)),
            ("node_start_pfn", u64),
            ("node_present_pages", u64),
            ("node_spanned_pages", u64),
            ("node_id", u32),
        ],
    )
    kobject = w.struct("kobject", [("name", p), ("entry", head)])
    w.struct("device", [("kobj", kobject), ("parent", p)])
    links = [] if shape.array else [("list", head)]
    w.struct("devlink", [("index", u32), *links, ("ops", p), ("dev", p), ("priv", w.array(u8, 0))])
    table = w.struct("mod_kallsyms", [("symtab", p), ("num_symtab", u32), ("strtab", p), ("typetab", p)])
    w.struct(
        "module", [("state", u32), ("list", head), ("name", w.array(u8, 56)), ("kallsyms", p), ("core_kallsyms", table)]
    )
    w.struct("btf", [("data", p), ("types", p), ("data_size", u32)])
    w.struct("btf_module", [("list", head), ("module", p), ("btf", p)])
    return w


def driver_types(shape: Shape, base: BtfWriter) -> BtfWriter:
    w = BtfWriter(base)
    u8, u16, u32, u64, p, named = w.u8, w.u16, w.u32, w.u64, w.pointer, base.named
    kinds = {f"MLX5_{name}": n for n, name in enumerate(shape.types)} | {"MLX5_FUNC_TYPE_NUM": len(shape.types)}
    if shape.func_type:
        kinds["MLX5_FUNC_TYPE_NONE"] = len(shape.types)
    w.enum("mlx5_func_type", kinds)
    mode = (
        w.enum("mlx5_page_mgt_mode", {"MLX5_PAGE_MGT_MODE_FUNC_ID": 0, "MLX5_PAGE_MGT_MODE_VHCA_ID": 1})
        if shape.mode
        else u32
    )
    w.enum("mlx5_cap_type", {"MLX5_CAP_GENERAL": 0, "MLX5_CAP_NUM": 4})
    w.struct(
        "fw_page",
        [
            ("rb_node", named["rb_node"]),
            ("addr", u64),
            ("page", p),
            ("function", u32),
            *([("func_type", u16)] if shape.func_type else []),
            ("bitmask", u64),
            ("list", named["list_head"]),
            ("free_count", u32),
        ],
    )
    slots: list[tuple[str, Declared]] = [("log_sz", u8), ("max_reg_cmds", u32), ("bitmask", u64)]
    cmd = w.struct(
        "mlx5_cmd",
        [("nb", p), *([("vars", w.struct("", slots))] if shape.vars else slots), ("ent_arr", w.array(p, 32))],
    )
    sriov = w.struct(
        "mlx5_core_sriov", [("num_vfs", u32), ("max_vfs", u16), *([("max_ec_vfs", u16)] if shape.ec_vfs else [])]
    )
    priv = w.struct(
        "mlx5_priv",
        [
            ("pg_wq", p),
            ("page_root_xa", named["xarray"]),
            ("reg_pages", u32),
            ("free_list", named["list_head"]),
            ("fw_pages", u32),
            ("page_counters", w.array(u32, len(shape.types))),
            ("fw_pages_alloc_failed", u32),
            ("give_pages_dropped", u32),
            ("reclaim_pages_discard", u32),
            *([("page_mgt_mode", mode)] if shape.mode else []),
            ("numa_node", u32),
            ("eswitch", p),
            ("sriov", sriov),
        ],
    )
    w.struct("mlx5_hca_cap", [("cur", w.array(u32, 16)), ("max", w.array(u32, 16))])
    caps = w.struct("", [("hca", w.array(p, 4)), ("embedded_cpu", u8)])
    coredev = w.enum("mlx5_coredev_type", {"MLX5_COREDEV_PF": 0, "MLX5_COREDEV_VF": 1, "MLX5_COREDEV_SF": 2})
    w.struct("mlx5_core_dev", [("device", p), ("coredev_type", coredev), ("cmd", cmd), ("caps", caps), ("priv", priv)])
    w.struct("mlx5_eswitch", [("dev", p), ("vports", named["xarray"])])
    w.struct("mlx5_vport", [("dev", p), *([("vhca_id", u32)] if shape.mode else []), ("vport", u16), ("enabled", w.u8)])
    return w


@dataclass
class Entry:
    """A page that a driver gave: DMA address, frame, type as the kernel counts it, bits of free blocks."""

    addr: int
    frame: int
    type: int = 0
    free: int = 0


@dataclass
class Device:
    """A device to put into memory: entries by functions' keys; counters that are None are what they add up to."""

    name: str
    trees: Mapping[int, Sequence[Entry]]
    vhca_mode: bool = False
    fw_pages: int | None = None
    by_type: Mapping[int, int] = field(default_factory=dict)
    own: int = 0x2A
    numa_node: int = 0
    embedded: bool = False
    max_vfs: int = 8
    kind: int = 0
    pending: bool = False
    vports: Mapping[int, int] = field(default_factory=dict)  # vport to vhca_id
    off: frozenset[int] = frozenset()  # those that are not enabled
    ops: int = OPS
    large: Mapping[int, int] = field(default_factory=dict)  # so many pages for a key, in a complete tree


class Kernel:
    """The memory of a made-up kernel.

    Structures are put into it one after the other, at addresses that are returned.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        page_size: int = 4096,
        spans: Sequence[tuple[int, int]] = ((0, 1 << 20), (1 << 20, 1 << 20)),
        seed: int = 1,
        table: bool = True,
    ) -> None:
        self.shape = shape
        self.page_size = page_size
        self.random = Random(seed)
        self.base_writer = kernel_types(shape)
        self.base_blob = self.base_writer.blob()
        self.driver_blob = driver_types(shape, self.base_writer).blob()
        self.base = Btf(self.base_blob, "vmlinux")
        self.types = Btf(self.driver_blob, "mlx5_core", self.base)
        self.image = bytearray(0x4000)
        self.direct = bytearray(64)
        self.symbols: dict[str, int] = {"mlx5_devlink_ops": OPS}
        self.numbers: dict[str, int] = {}
        self.devices: dict[str, int] = {}
        self.nodes: dict[int, list[int]] = {}
        self.slabs: list[tuple[int, NDArray[np.uint8]]] = []
        self._links: list[int] = []
        self._image_next = 0x300
        if table:
            self.symbols["vmemmap_base"] = self.variable(VMEMMAP)
            data = [
                self.make("pglist_data", node_start_pfn=a, node_spanned_pages=n, node_id=i)
                for i, (a, n) in enumerate(spans)
            ]
            self.symbols["node_data"] = self.variable(*data)
            self.symbols["nr_node_ids"] = self.variable(len(spans))

    # -- memory -------------------------------------------------------------------------------------------------------

    def variable(self, *words: int) -> int:
        at = self._image_next
        self._image_next += 8 * max(len(words), 1)
        struct.pack_into(f"<{len(words)}Q", self.image, at, *words)
        return IMAGE + at

    def room(self, size: int) -> int:
        self.direct += bytes(-len(self.direct) % 8)
        at = len(self.direct)
        self.direct += bytes(size)
        return DIRECT + at

    def text(self, words: str) -> int:
        at = self.room(len(words) + 1)
        self.put(at, words.encode())
        return at

    def put(self, address: int, data: bytes) -> None:
        where, start = (self.image, IMAGE) if address >= IMAGE else (self.direct, DIRECT)
        where[address - start : address - start + len(data)] = data

    def get(self, address: int, size: int = 8) -> int:
        where, start = (self.image, IMAGE) if address >= IMAGE else (self.direct, DIRECT)
        return int.from_bytes(where[address - start : address - start + size], "little")

    def set(self, name: str, address: int, **values: int) -> None:
        """Set members of a structure; two underscores in a name stand for a dot."""
        kind = (self.types if self.types.has(name) else self.base).structure(name)
        for label, value in values.items():
            path = label if label.startswith("__") else label.replace("__", ".")
            m = kind.member(path)
            self.put(address + m.offset, (value & (1 << 8 * m.size) - 1).to_bytes(m.size, "little"))

    def make(self, name: str, extra: int = 0, **values: int) -> int:
        at = self.room((self.types if self.types.has(name) else self.base).structure(name).size + extra)
        self.set(name, at, **values)
        return at

    def member(self, name: str, path: str) -> int:
        return (self.types if self.types.has(name) else self.base).structure(name).member(path).offset

    # -- structures ---------------------------------------------------------------------------------------------------

    def xarray(self, address: int, entries: Mapping[int, int]) -> None:
        """Fill an array with entries by number."""
        if not entries:
            return
        head = self.member("xarray", "xa_head")
        if list(entries) == [0]:
            self.put(address + head, struct.pack("<Q", entries[0]))
            return
        shift = 0
        while max(entries) >> shift >= 16:
            shift += 4
        top = self._xa_node(address, 0, 0, shift, entries)
        self.set("xa_node", top, offset=7)  # it has no place: Linux sets none, and its memory was used before
        self.put(address + head, struct.pack("<Q", top | 2))

    def _xa_node(self, array: int, parent: int, place: int, shift: int, entries: Mapping[int, int]) -> int:
        node = self.make("xa_node", shift=shift, offset=place, array=array, parent=parent)
        slots = self.member("xa_node", "slots")
        groups: dict[int, dict[int, int]] = {}
        for number, entry in entries.items():
            groups.setdefault(number >> shift, {})[number & (1 << shift) - 1] = entry
        for n, below in groups.items():
            entry = self._xa_node(array, node, n, shift - 4, below) | 2 if shift else below[0]
            self.put(node + slots + 8 * n, struct.pack("<Q", entry))
        return node

    def tree(self, key: int, entries: Sequence[Entry]) -> int:
        """A tree of these entries, of a random shape; returns the address of its ``rb_root``."""
        root = self.make("rb_root")
        made = [
            self.make(
                "fw_page",
                addr=e.addr,
                page=self.struct_page(e.frame),
                function=key,
                bitmask=e.free,
                free_count=e.free.bit_count(),
            )
            for e in entries
        ]
        for at, e in zip(made, entries, strict=True):
            if self.shape.func_type:
                self.set("fw_page", at, func_type=e.type)
        order = sorted(range(len(made)), key=lambda i: -entries[i].addr)
        self.nodes[key] = made
        work = [(0, len(order), 0, root + self.member("rb_root", "rb_node"))]
        while work:
            low, high, parent, slot = work.pop()
            if low >= high:
                continue
            spread = (high - low) // 4
            middle = (low + high) // 2 + self.random.randint(-spread, spread)
            middle = min(max(middle, low), high - 1)
            at = made[order[middle]] + self.member("fw_page", "rb_node")
            self.put(slot, struct.pack("<Q", at))
            self.set("rb_node", at, __rb_parent_color=parent | self.random.randint(0, 1))
            work.append((low, middle, at, at + self.member("rb_node", "rb_left")))
            work.append((middle + 1, high, at, at + self.member("rb_node", "rb_right")))
        return root

    def large_tree(self, key: int, count: int) -> int:
        """A complete tree of so many entries in a slab of their own, in no order; the address of its ``rb_root``."""
        page, node = self.types.structure("fw_page"), self.base.structure("rb_node")
        stride = -(-page.size // 32) * 32  # as the kernel's caches round
        start = DIRECT + (1 << 40) * (len(self.slabs) + 1)
        slab = np.zeros((count, stride), np.uint8)
        number = np.arange(count, dtype=np.int64)
        row = np.random.default_rng(self.random.randrange(1 << 30)).permutation(count)
        within = page.member("rb_node").offset
        link = np.uint64(start + within) + row.astype(np.uint64) * np.uint64(stride)

        def put(offset: int, size: int, values: NDArray[np.uint64]) -> None:
            slab[row, offset : offset + size] = values.astype(f"<u{size}").reshape(-1, 1).view(np.uint8)

        parents = np.where(number > 0, link[(number - 1) // 2], np.uint64(0))
        put(within + node.member("__rb_parent_color").offset, 8, parents | np.uint64(1))
        for name, child in (("rb_left", 2 * number + 1), ("rb_right", 2 * number + 2)):
            there = np.where(child < count, link[np.minimum(child, count - 1)], np.uint64(0))
            put(within + node.member(name).offset, 8, there)
        # the order of the addresses in a tree is of no account to a reader
        n = number.astype(np.uint64)
        put(page.member("addr").offset, 8, (n + np.uint64(1)) * np.uint64(self.page_size))
        put(page.member("page").offset, 8, np.uint64(VMEMMAP) + n * np.uint64(self.base.structure("page").size))
        put(page.member("function").offset, 4, np.full(count, key, np.uint64))
        self.slabs.append((start, slab.reshape(-1)))
        root = self.make("rb_root")
        self.put(root + self.member("rb_root", "rb_node"), struct.pack("<Q", int(link[0])))
        return root

    def struct_page(self, frame: int) -> int:
        return VMEMMAP + frame * self.base.structure("page").size

    def add(self, d: Device) -> int:
        """Put a device into memory; returns the address of its ``mlx5_core_dev``."""
        blocks = self.page_size // 4096
        start = self.member("devlink", "priv")
        link = self.make("devlink", self.types.structure("mlx5_core_dev").size, index=len(self._links), ops=d.ops)
        core = link + start
        self._links.append(link)
        held = {k: sum(blocks - e.free.bit_count() for e in es) for k, es in d.trees.items()}
        held |= {k: n * blocks for k, n in d.large.items()}
        dev = self.make("device", kobj__name=self.text(d.name))
        caps = self.make("mlx5_hca_cap")
        self.put(caps + 6, struct.pack(">H", d.own))
        slots = "cmd__vars__" if self.shape.vars else "cmd__"
        mask = (1 << PAGE_SLOT) - 1 | (0 if d.pending else 1 << PAGE_SLOT)
        self.set(
            "mlx5_core_dev",
            core,
            device=dev,
            priv__fw_pages=sum(held.values()) if d.fw_pages is None else d.fw_pages,
            priv__numa_node=d.numa_node,
            caps__embedded_cpu=d.embedded,
            coredev_type=d.kind,
            priv__sriov__max_vfs=d.max_vfs,
            **{f"{slots}bitmask": mask, f"{slots}max_reg_cmds": PAGE_SLOT},
        )
        self.put(core + self.types.structure("mlx5_core_dev").member("caps.hca").offset, struct.pack("<Q", caps))
        if self.shape.mode:
            self.set("mlx5_core_dev", core, priv__page_mgt_mode=int(d.vhca_mode))
        free = core + self.member("mlx5_core_dev", "priv.free_list")
        self.put(free, struct.pack("<QQ", free, free))
        counters = core + self.member("mlx5_core_dev", "priv.page_counters")
        for n, value in (d.by_type or self._by_type(d, held)).items():
            self.put(counters + 4 * n, struct.pack("<I", value & 0xFFFFFFFF))
        trees = {k: self.tree(k, es) for k, es in d.trees.items()}
        trees |= {k: self.large_tree(k, n) for k, n in d.large.items()}
        self.xarray(core + self.member("mlx5_core_dev", "priv.page_root_xa"), trees)
        if d.vports:
            self._eswitch(core, d)
        self.devices[d.name] = core
        return core

    def _by_type(self, d: Device, held: Mapping[int, int]) -> dict[int, int]:
        sums: dict[int, int] = {}
        for key, entries in d.trees.items():
            if self.shape.func_type:
                for e in entries:
                    if e.type < len(self.shape.types):
                        sums[e.type] = sums.get(e.type, 0) + self.page_size // 4096 - e.free.bit_count()
            else:
                name = self.type_of(d, key)
                sums[self.shape.types.index(name)] = sums.get(self.shape.types.index(name), 0) + held[key]
        for key in d.large:
            first = 0 if self.shape.func_type else self.shape.types.index(self.type_of(d, key))
            sums[first] = sums.get(first, 0) + held[key]
        return sums

    def type_of(self, d: Device, key: int) -> str:
        """The type by a function's number, as the driver of this shape tells it."""
        number, ec = key & 0xFFFF, bool(key >> 16)
        if not number:
            return "HOST_PF" if d.embedded and not ec else "PF"
        if number > d.max_vfs:
            return "SF"
        return "EC_VF" if ec and "EC_VF" in self.shape.types else "VF"

    def _eswitch(self, core: int, d: Device) -> None:
        esw = self.make("mlx5_eswitch")
        entries = {}
        for n, vhca in d.vports.items():
            entries[n] = self.make("mlx5_vport", vport=n, enabled=n not in d.off)
            if self.shape.mode:
                self.set("mlx5_vport", entries[n], vhca_id=vhca)
        self.xarray(esw + self.member("mlx5_eswitch", "vports"), entries)
        self.set("mlx5_core_dev", core, priv__eswitch=esw)

    def finish(self) -> None:
        """Make the kernel's list of devlinks."""
        if self.shape.array:
            at = self.symbols["devlinks"] = self.variable(0, 0)
            self.xarray(at, dict(enumerate(self._links)))
            return
        head = self.symbols["devlink_list"] = self.variable(0, 0)
        self.chain(head, [link + self.member("devlink", "list") for link in self._links])

    def chain(self, head: int, entries: Sequence[int]) -> None:
        ring = [head, *entries]
        for n, at in enumerate(ring):
            self.put(at, struct.pack("<QQ", ring[(n + 1) % len(ring)], ring[n - 1]))

    # -- files --------------------------------------------------------------------------------------------------------

    def note(self) -> bytes:
        lines = [f"OSRELEASE={self.shape.name}.0-test", f"PAGESIZE={self.page_size}", f"SYMBOL(_stext)={IMAGE:x}"]
        lines += [f"SYMBOL({name})={at:x}" for name, at in self.symbols.items() if name.startswith("kallsyms_")]
        lines += [f"NUMBER({name})={n}" for name, n in self.numbers.items()]
        return "\n".join(lines).encode() + b"\n"

    def write(self, path: Path) -> Path:
        """Write an ELF core with the kernel's memory by virtual address."""
        slabs = [(at, 0x40000000, slab) for at, slab in self.slabs]
        write_core(path, [(DIRECT, 0x100000, self.direct), (IMAGE, 0x1000000, self.image), *slabs], self.note())
        return path

    def kallsyms(self, path: Path, *, hidden: bool = False) -> Path:
        rows = [
            f"{0 if hidden else at:016x} d {name}" + ("\t[mlx5_core]" if name == "mlx5_devlink_ops" else "")
            for name, at in self.symbols.items()
        ]
        path.write_text("\n".join(rows) + "\n")
        return path

    def blobs(self, folder: Path) -> list[Path]:
        files = [folder / "vmlinux", folder / "mlx5_core"]
        for file, blob in zip(files, (self.base_blob, self.driver_blob), strict=True):
            file.write_bytes(blob)
        return files


def write_core(
    path: Path,
    pieces: Iterable[tuple[int, int, bytes | bytearray | NDArray[np.uint8]]],
    note: bytes | None,
    machine: int = 62,
) -> None:
    """Write an ELF core of pieces (virtual address, physical address, bytes); a note None is left out."""
    rows = list(pieces)
    name = b"VMCOREINFO\0"
    body = (
        b""
        if note is None
        else struct.pack("<III", len(name), len(note), 0) + name + bytes(-len(name) % 4) + note + bytes(-len(note) % 4)
    )
    count = len(rows) + 1
    at = 64 + 56 * count
    headers = struct.pack("<IIQQQQQQ", 4, 0, at, 0, 0, len(body), len(body), 0)
    at += len(body)
    for virtual, physical, data in rows:
        headers += struct.pack("<IIQQQQQQ", 1, 0, at, virtual, physical, len(data), len(data), 0)
        at += len(data)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    head = struct.pack("<HHIQQQIHHHHHH", 4, machine, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    with path.open("wb") as file:
        file.write(ident + head + headers + body)
        for _, _, data in rows:
            file.write(data if isinstance(data, (bytes, bytearray)) else data.data)


def pages(first: int, count: int, *, frame: int = 0x1000, kind: int = 0, size: int = 4096) -> list[Entry]:
    """So many whole pages from an address and a frame on."""
    return [Entry(first + n * size, frame + n, kind) for n in range(count)]
