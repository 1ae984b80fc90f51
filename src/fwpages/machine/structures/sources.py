"""The memory, the types and the symbols of one kernel: of the running one, or of a core.

Each has several places where types and symbols may be. The first that has what is needed serves; where none has, the
error says what would.
"""

from __future__ import annotations

import fcntl
import lzma
import os
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from types import TracebackType

from fwpages.machine.structures import driver, nodes, symbols
from fwpages.machine.structures.btf import Btf, NoTypeError
from fwpages.machine.structures.elf import Elf
from fwpages.machine.structures.errors import FileError, NotPossibleError, TornError, UnmappedError
from fwpages.machine.structures.kdump import MAGIC, Kdump
from fwpages.machine.structures.memory import Content, FileContent, Memory, Spans, physical_spans, virtual_spans
from fwpages.machine.structures.page_tables import Geometry, PageTables, aarch64, x86_64
from fwpages.machine.structures.vmcoreinfo import Vmcoreinfo

#: symbols of the kernel itself that may be needed
_OWN = driver.SYMBOLS | nodes.SYMBOLS | {"modules", "btf_modules", "__start_BTF", "__stop_BTF"}
#: symbols by which a list as linked is moved to where the kernel is
_ANCHORS = frozenset({"_stext", "init_uts_ns", "swapper_pg_dir", "init_top_pgt"})
#: x86-64's addresses of the kernel's image begin here
_IMAGE = 0xFFFF_FFFF_8000_0000
#: sizes of pages that AArch64 has
_ARM_PAGES = (4096, 16384, 65536)
_WORD = (1 << 64) - 1
#: from this Linux on /proc/kcore is read safely
_OLDEST = (5, 14)
#: the largest file of types that is read
_MOST_BYTES = 256 << 20

_NO_TYPES = (
    "pahole -J --btf_base /sys/kernel/btf/vmlinux mlx5_core.ko (a module with debug symbols), "
    "then fwpages inspect --btf mlx5_core.ko"
)


@dataclass(slots=True)
class Source:
    """The memory of one kernel, and the files that describe it. A context manager: it closes the core.

    ``live`` is True for the running kernel, which changes while it is read.
    """

    name: str
    live: bool
    fd: int
    memory: Memory
    note: Vmcoreinfo | None
    machine: str
    release: str | None
    page_size: int
    kernel: Btf
    types: Btf
    symbols: dict[str, int]

    def __enter__(self) -> Source:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class _Core:
    """An open core: its memory, its note."""

    name: str
    memory: Memory
    note: Vmcoreinfo | None
    machine: str


# -- the running kernel ------------------------------------------------------------------------------------------------


def running(btf: Sequence[Path] = (), names: Path | None = None, root: Path = Path("/")) -> Source:
    """The running kernel, by ``/proc/kcore`` below ``root``.

    Raises NotPossibleError where the machine does not allow it, FileError for a file that is not what it should be.
    """
    release = _line(root / "proc/sys/kernel/osrelease")
    _new_enough(release)
    if not (root / "sys/module/mlx5_core").exists():
        raise NotPossibleError("mlx5_core is not loaded on this machine: no function's pages to be found")
    fd = _open_kcore(root)
    try:
        core = _core(fd, str(root / "proc/kcore"), tables=False)
        given = _given(btf)
        base = _live_types(given, root)
        types = given.driver(base) or _blob(root / "sys/kernel/btf/mlx5_core", base) or _built_in(base)
        if types is None:
            raise NotPossibleError(
                "mlx5_core has no BTF, as drivers built out of the kernel's tree often have none: "
                "/sys/kernel/btf/mlx5_core is not there",
                _NO_TYPES,
            )
        found = _live_symbols(core, base, names, root)
        size = (core.note.page_size if core.note else None) or os.sysconf("SC_PAGE_SIZE")
        return Source(core.name, True, fd, core.memory, core.note, core.machine, release, size, base, types, found)
    except BaseException:
        os.close(fd)
        raise


def _live_types(given: _Given, root: Path) -> Btf:
    """The types of the running kernel, from a file that was given or its own; NotPossibleError if neither has them."""
    own = _bytes(root / "sys/kernel/btf/vmlinux")
    base = given.kernel(own, "the running kernel") or (Btf(own, "/sys/kernel/btf/vmlinux") if own else None)
    if base is None:
        raise NotPossibleError(
            "this kernel has no BTF, the description of its types: /sys/kernel/btf/vmlinux is not there",
            "a kernel with CONFIG_DEBUG_INFO_BTF",
        )
    return base


def _new_enough(release: str | None) -> None:
    m = re.match(r"(\d+)\.(\d+)", release or "")
    if m is None:
        raise NotPossibleError(
            "the version of the running kernel is not known: /proc/sys/kernel/osrelease cannot be read"
        )
    if (int(m[1]), int(m[2])) < _OLDEST:
        raise NotPossibleError(
            f"Linux {release} reads /proc/kcore without a check that memory is there; 5.14 and newer check",
            "fwpages inspect --core FILE, with a core of this machine",
        )


def _open_kcore(root: Path) -> int:
    path = root / "proc/kcore"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotPossibleError("there is no /proc/kcore: this kernel is built without CONFIG_PROC_KCORE") from None
    except PermissionError:
        lockdown = _line(root / "sys/kernel/security/lockdown") or ""
        if "[confidentiality]" in lockdown:
            raise NotPossibleError(
                "the kernel is locked down for confidentiality: no process may read /proc/kcore",
                "fwpages top, which reads counters alone",
            ) from None
        raise NotPossibleError(
            "/proc/kcore may be read by root alone, with CAP_SYS_RAWIO", "sudo fwpages inspect"
        ) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise NotPossibleError(
            "another fwpages inspect is running on this machine", "the same command, once it has ended"
        ) from None
    return fd


def _live_symbols(core: _Core, base: Btf, names: Path | None, root: Path) -> dict[str, int]:
    """The addresses: of the file that was given, else of kallsyms, else of the tables in memory."""
    wanted = _OWN | {driver.OPERATIONS}
    found: dict[str, int] = {}
    if names is not None:
        found = _from_file(names, core, wanted)
    else:
        try:
            with (root / "proc/kallsyms").open(encoding="ascii", errors="replace") as lines:
                found = symbols.from_lines(lines, wanted)
        except OSError:
            pass
    return _completed(core, base, found, wanted)


# -- a core ------------------------------------------------------------------------------------------------------------


def _regular(path: Path) -> Path:
    """The path of a file. FileError for what is none: a pipe would keep the reader waiting, a device has no end."""
    try:
        mode = path.stat().st_mode
    except OSError as e:
        raise FileError(f"{path}: {e.strerror}") from None
    if not S_ISREG(mode):
        raise FileError(f"{path}: not a file")
    return path


def of_core(path: Path, btf: Sequence[Path] = (), names: Path | None = None) -> Source:
    """The kernel in a core: an ELF file, as QEMU's ``dump-guest-memory`` and ``makedumpfile -E`` write, or a compressed
    dump where libkdumpfile is installed.

    Raises FileError for another file, NotPossibleError where nothing describes the kernel in it.
    """
    try:
        fd = os.open(_regular(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as e:
        raise FileError(f"{path}: {e.strerror}") from None
    try:
        start = os.pread(fd, 16, 0)
        core = _compressed(fd, str(path)) if start.startswith(MAGIC) else _core(fd, str(path), tables=True)
        given = _given(btf)
        own = _completed(core, None, _from_file(names, core, _OWN | {driver.OPERATIONS}) if names else {}, _OWN)
        blob = _types_in_core(core, own)
        base = given.kernel(blob, str(path)) or _types_of(blob, core, names)
        if base is None:
            raise NotPossibleError(
                "the types of the kernel in this core are not known",
                f"fwpages inspect --core {path} --btf FILE, with its /sys/kernel/btf/vmlinux",
            )
        found = _completed(core, base, own, _OWN | {driver.OPERATIONS})
        types = given.driver(base) or _module_from_core(core, base, found) or _built_in(base)
        if types is None:
            raise NotPossibleError(
                "the types of mlx5_core in this core are not known, or it is not loaded there", _NO_TYPES
            )
        release = core.note.release if core.note else None
        size = (core.note.page_size if core.note else None) or 4096
        return Source(core.name, False, fd, core.memory, core.note, core.machine, release, size, base, types, found)
    except BaseException:
        os.close(fd)
        raise


def _core(fd: int, name: str, *, tables: bool) -> _Core:
    elf = Elf(fd, name)
    note = next((Vmcoreinfo.parse(body) for label, body in elf.notes() if label == b"VMCOREINFO"), None)
    loads = elf.loads()
    if not loads:
        raise FileError(f"{name}: an ELF file without memory: not a core")
    content, virtual = FileContent(fd), virtual_spans(loads)
    if not tables:
        return _Core(name, Memory(content, virtual), note, elf.machine)
    return _Core(name, _translated(content, virtual, physical_spans(loads), note, elf.machine), note, elf.machine)


def _compressed(fd: int, name: str) -> _Core:
    dump = Kdump(fd, name)
    note = Vmcoreinfo.parse(dump.note) if dump.note is not None else None
    # a number that the kernels of one machine alone have
    machine = dump.machine or ("x86_64" if note is not None and "phys_base" in note.numbers else "unknown")
    everywhere = Spans([(0, 1 << 52, 0)])
    return _Core(name, _translated(dump, Spans([]), everywhere, note, machine), note, machine)


def _translated(content: Content, virtual: Spans, physical: Spans, note: Vmcoreinfo | None, machine: str) -> Memory:
    """The memory of a core, by its kernel's own page tables where it does not have virtual addresses itself."""
    top = _top(note, machine) if note is not None else None
    if top is None:
        return Memory(content, virtual)
    return Memory(content, virtual, physical, PageTables(Memory(content, physical), *top))


def _top(note: Vmcoreinfo, machine: str) -> tuple[int, Geometry] | None:
    """The physical address of the topmost page table, and the form of the tables; None where the note does not tell."""
    root = note.symbols.get("swapper_pg_dir", note.symbols.get("init_top_pgt"))
    if root is None:
        return None
    numbers = note.numbers
    if machine == "x86_64" and "phys_base" in numbers:
        levels = 5 if numbers.get("pgtable_l5_enabled") else 4
        return root - _IMAGE + numbers["phys_base"], x86_64(levels, numbers.get("sme_mask", 0))
    if machine == "aarch64" and {"kimage_voffset", "TCR_EL1_T1SZ"} <= numbers.keys() and note.page_size in _ARM_PAGES:
        return root - numbers["kimage_voffset"] & _WORD, aarch64(note.page_size, 64 - numbers["TCR_EL1_T1SZ"])
    return None


def _from_file(path: Path, core: _Core, wanted: Collection[str]) -> dict[str, int]:
    try:
        with _regular(path).open(encoding="ascii", errors="replace") as lines:
            found = symbols.from_lines(lines, {*wanted, *_ANCHORS}, str(path))
    except OSError as e:
        raise FileError(f"{path}: {e.strerror}") from None
    if not found:
        raise FileError(
            f"{path}: none of the symbols that are needed; expected lines such as in /proc/kallsyms, read as root"
        )
    return symbols.shifted(found, core.note.symbols if core.note else {})


def _completed(core: _Core, base: Btf | None, found: dict[str, int], wanted: Collection[str]) -> dict[str, int]:
    """Add what the tables in the core's memory have: the kernel's, and with its types the driver's."""
    found = dict(found)
    if core.note is not None and not found.keys() >= {"modules", "devlinks"}:
        found = symbols.from_memory(core.memory, core.note, wanted) | found
    if base is not None and driver.OPERATIONS not in found and "modules" in found:
        with suppress(NoTypeError, UnmappedError, TornError):
            found |= symbols.of_module(core.memory, base, found["modules"], driver.MODULE, {driver.OPERATIONS})
    return found


# -- types -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Given:
    """The files of types that were given: vmlinux's, where it is one of them, and those of modules."""

    base: Btf | None
    modules: tuple[tuple[str, bytes, bytes | None], ...]

    def kernel(self, own: bytes | None, owner: str) -> Btf | None:
        """The types of the kernel. FileError where they are not those that the kernel itself has."""
        other = False
        if self.base is not None and own is not None:
            with suppress(FileError):  # what the kernel has may itself be damaged
                other = not self.base.same_as(own)
        if self.base is not None and other:
            raise FileError(f"{self.base.name}: BTF of another kernel than {owner}, which has its own: leave it out")
        return self.base

    def driver(self, base: Btf) -> Btf | None:
        """The types of mlx5_core, if one of the files has them."""
        for name, data, own_base in self.modules:
            types = Btf(data, name, Btf(own_base, name) if own_base else base)
            if types.has("mlx5_core_dev"):
                return types
            raise FileError(f"{name}: BTF of a module other than mlx5_core, or of one for another kernel")
        return None


def _given(paths: Sequence[Path]) -> _Given:
    base, modules = None, []
    for path in paths:
        data, own_base = _btf_of(path)
        if b"\0xa_node\0" in data:  # a module's types have this one from the kernel's
            base = Btf(data, str(path))
        else:
            modules.append((str(path), data, own_base))
    return _Given(base, tuple(modules))


def _btf_of(path: Path) -> tuple[bytes, bytes | None]:
    """The types in a file: BTF itself, or an ELF file with it; and the base that a module brings with it."""
    try:
        data = path.read_bytes() if _regular(path).stat().st_size <= _MOST_BYTES else b""
    except OSError as e:
        raise FileError(f"{path}: {e.strerror}") from None
    if not data:
        raise FileError(f"{path}: no file of types: it is empty, or larger than {_MOST_BYTES >> 20} MiB")
    if data.startswith(b"\xfd7zXZ\0"):
        try:
            data = lzma.decompress(data)
        except lzma.LZMAError as e:
            raise FileError(f"{path}: cannot be unpacked: {e}") from None
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        raise FileError(f"{path}: packed with zstd; unpack it first: zstd -d {path}")
    if not data.startswith(b"\x7fELF"):
        return data, None
    with _in_memory(data) as file:
        sections = Elf(file, str(path)).sections()
    if ".BTF" not in sections:
        raise FileError(f"{path}: an ELF file without BTF (no section .BTF); make it: {_NO_TYPES}")
    part = {name: data[s.offset : s.offset + s.size] for name, s in sections.items() if name in (".BTF", ".BTF.base")}
    return part[".BTF"], part.get(".BTF.base")


class _in_memory:  # noqa: N801  # used as a function
    """A file descriptor with these bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __enter__(self) -> int:
        self._fd = os.memfd_create("fwpages")
        view = memoryview(self._data)
        while view:
            view = view[os.write(self._fd, view) :]
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _blob(path: Path, base: Btf) -> Btf | None:
    data = _bytes(path)
    return None if data is None else Btf(data, str(path), base)


def _built_in(base: Btf) -> Btf | None:
    """The kernel's own types, where the driver is built into it."""
    return base if base.has("mlx5_core_dev") and base.has("fw_page") else None


def _types_in_core(core: _Core, found: dict[str, int]) -> bytes | None:
    """The kernel's types as they are in its memory; None where they are not there."""
    start, stop = found.get("__start_BTF"), found.get("__stop_BTF")
    if start is None or stop is None or not 0 < stop - start <= _MOST_BYTES:
        return None
    try:
        return core.memory.read(start, stop - start)
    except UnmappedError:
        return None


def _types_of(blob: bytes | None, core: _Core, names: Path | None) -> Btf | None:
    """The kernel's types that its memory has."""
    try:
        return Btf(blob, f"{core.name} (vmlinux)") if blob is not None else None
    except FileError:
        if names is None:
            raise
        raise FileError(
            f"{names}: not the addresses of the kernel in {core.name}: no types are where it says"
        ) from None


def _module_from_core(core: _Core, base: Btf, found: dict[str, int]) -> Btf | None:
    """The driver's types as the kernel keeps them for its modules."""
    try:
        entry, btf, module = base.structure("btf_module"), base.structure("btf"), base.structure("module")
        link, of, types = entry.member("list"), entry.member("module"), entry.member("btf")
        name, data, size = module.member("name"), btf.member("data"), btf.member("data_size")
        for at in symbols.linked(core.memory, found["btf_modules"], 1 << 14):
            start = at - link.offset
            owner, blob = core.memory.number(start + of.offset), core.memory.number(start + types.offset)
            if core.memory.text(owner + name.offset, name.size) == driver.MODULE:
                n = core.memory.number(blob + size.offset, size.size)
                bytes_ = core.memory.read(core.memory.number(blob + data.offset), min(n, _MOST_BYTES))
                return Btf(bytes_, f"{core.name} ({driver.MODULE})", base)
    except (KeyError, NoTypeError, UnmappedError, TornError):
        return None
    return None


def _line(path: Path) -> str | None:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return None
