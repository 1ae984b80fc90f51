"""The structures of mlx5_core: its devices, their counters, and the lists of pages that firmware holds.

The devices are in devlink's array of all devlinks, told from others' by the operations of their driver. A device has a
map from a function's key to a red-black tree of ``fw_page``, one for each page that the driver gave for this function.

Structures: Linux, drivers/net/ethernet/mellanox/mlx5/core/pagealloc.c and include/linux/mlx5/driver.h, and
net/devlink. Nothing but their names is taken from there: every offset is that of the kernel at hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from fwpages.machine.structures.btf import Btf, Member, NoTypeError, Structure
from fwpages.machine.structures.errors import NotPossibleError, TornError
from fwpages.machine.structures.eswitch import Eswitches, Vports
from fwpages.machine.structures.memory import Memory
from fwpages.machine.structures.rbtree import NodeLayout
from fwpages.machine.structures.symbols import Symbols, linked
from fwpages.machine.structures.xarray import XArrays
from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier, func_id, vhca_id

MODULE = "mlx5_core"
#: the symbols that lead to the devices: of the kernel, and of the driver
SYMBOLS = frozenset({"devlinks", "devlink_list"})
OPERATIONS = "mlx5_devlink_ops"
_SYMBOLS = "fwpages inspect --symbols FILE, a copy of /proc/kallsyms of the machine itself, read as root"
#: Linux's names of the types of functions
_TYPES = {
    "MLX5_PF": FunctionType.SELF,
    "MLX5_SELF": FunctionType.SELF,
    "MLX5_VF": FunctionType.VF,
    "MLX5_SF": FunctionType.SF,
    "MLX5_HOST_PF": FunctionType.HOST_PF,
    "MLX5_SPF": FunctionType.SPF,
    "MLX5_EC_VF": FunctionType.EC_VF,
    "MLX5_FUNC_TYPE_NONE": FunctionType.UNKNOWN,
}
#: Linux's names of the kinds of devices
_KINDS: Mapping[str, Literal["pf", "vf", "sf"]] = MappingProxyType(
    {"MLX5_COREDEV_PF": "pf", "MLX5_COREDEV_VF": "vf", "MLX5_COREDEV_SF": "sf"}
)
#: counters beside fw_pages, by their names in debugfs
_COUNTERS = {
    "fw_pages_alloc_failed": "fw_pages_alloc_failed",
    "give_pages_dropped": "fw_pages_give_dropped",
    "reclaim_pages_discard": "fw_pages_reclaim_discard",
}
#: bytes that the numbers of an entry may have
_NUMBERS = frozenset({1, 2, 4, 8})
#: more devlinks than this no machine has
_MOST_DEVLINKS = 1 << 16


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Where the parts of ``fw_page`` are; ``func_type`` is None in kernels that do not have it."""

    node: NodeLayout
    addr: Member
    page: Member
    function: Member
    bitmask: Member
    free_count: Member
    func_type: Member | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device's head at one moment: all of it but the trees.

    ``fw_pages`` is its counter of pages, which may be negative; ``by_type`` its counters by type. ``pending`` says
    that a page command is between the driver and firmware, None where the kernel's types do not say. ``roots`` has the
    address of the first node by a function's key, 0 for an empty tree; ``vports`` is what the e-switch says of
    functions.
    """

    address: int
    name: str
    mode: Mode
    kind: Literal["pf", "ecpf", "vf", "sf"] | None
    own: int | None
    numa_node: int | None
    supplier: Supplier
    fw_pages: int
    by_type: Mapping[FunctionType, int]
    counters: Mapping[str, int]
    pending: bool | None
    roots: Mapping[int, int]
    vports: Vports

    def identity(self, key: int) -> Identity:
        """The function with this key. TornError for a key that no function can have."""
        if self.mode is Mode.VHCA_ID and key >> 16 == 0:
            return vhca_id(key)
        if self.mode is Mode.FUNC_ID and key >> 17 == 0:
            return func_id(key & 0xFFFF, ec=bool(key >> 16))
        raise TornError(f"{key:#x} is no function's key in {self.mode} mode")


class Driver:
    """mlx5_core's structures in one kernel's memory, by its types.

    Raises NotPossibleError for a kernel that lacks a type, a member or a symbol that is needed.
    """

    def __init__(self, memory: Memory, kernel: Btf, types: Btf, symbols: Symbols) -> None:
        self._memory = memory
        self._kernel = kernel
        self._symbols = symbols
        try:
            self._arrays = XArrays(memory, kernel)
            self._resolve(types)
            self.page = _page_layout(kernel, types)
        except NoTypeError as e:
            raise NotPossibleError(f"the driver of this kernel is not one that can be read: {e}") from None
        self._types = types
        self._eswitches = Eswitches(memory, types, self._arrays)
        values = types.enumerators("mlx5_func_type")
        self.types: Mapping[int, FunctionType] = {values[n]: kind for n, kind in _TYPES.items() if n in values}
        kinds = types.enumerators("mlx5_coredev_type")
        self._kinds = {kinds[name]: kind for name, kind in _KINDS.items() if name in kinds}
        self._vhca_mode = types.enumerators("mlx5_page_mgt_mode").get("MLX5_PAGE_MGT_MODE_VHCA_ID")

    def _resolve(self, types: Btf) -> None:
        device = types.structure("mlx5_core_dev")
        self._size = device.size
        self._device, self._roots = device.member("device"), device.member("priv.page_root_xa")
        self._free_list, self._fw_pages = device.member("priv.free_list"), device.member("priv.fw_pages")
        self._node, self._embedded = device.member("priv.numa_node"), device.member("caps.embedded_cpu")
        self._max_vfs = device.member("priv.sriov.max_vfs")
        self._max_ec_vfs = _optional(device, "priv.sriov.max_ec_vfs")
        self._by_type, self._mode = _optional(device, "priv.page_counters"), _optional(device, "priv.page_mgt_mode")
        self._slots = _optional(device, "cmd.vars.bitmask", "cmd.bitmask")
        self._page_slot = _optional(device, "cmd.vars.max_reg_cmds", "cmd.max_reg_cmds")
        self._counters = {label: m for name, label in _COUNTERS.items() if (m := _optional(device, f"priv.{name}"))}
        self._kind = _optional(device, "coredev_type")
        self._caps, self._eswitch = _optional(device, "caps.hca"), _optional(device, "priv.eswitch")

    # -- devices ------------------------------------------------------------------------------------------------------

    def devices(self) -> list[int]:
        """The addresses of mlx5_core's devices (``struct mlx5_core_dev``).

        Raises NotPossibleError where the symbols do not lead to them, TornError and UnmappedError as a reading does.
        """
        if OPERATIONS not in self._symbols:
            raise NotPossibleError(f"the symbol {OPERATIONS} of {MODULE} is not known", _SYMBOLS)
        try:
            devlink = self._kernel.structure("devlink")
            ops, priv = devlink.member("ops"), devlink.member("priv")
        except NoTypeError as e:
            raise NotPossibleError(f"this kernel's devlink cannot be followed: {e}") from None
        wanted = self._symbols[OPERATIONS]
        return [at + priv.offset for at in self._devlinks(devlink) if self._memory.number(at + ops.offset) == wanted]

    def _devlinks(self, devlink: Structure) -> list[int]:
        if "devlinks" in self._symbols:
            return [at for _, at in self._arrays.entries(self._symbols["devlinks"])]
        if "devlink_list" in self._symbols and devlink.has("list"):
            link = devlink.member("list").offset
            return [at - link for at in linked(self._memory, self._symbols["devlink_list"], _MOST_DEVLINKS)]
        raise NotPossibleError("the kernel's symbol devlinks is not known", _SYMBOLS)

    def read(self, address: int) -> Device:
        """A device's head.

        Raises TornError and UnmappedError where it does not hold together, or is not in the core.
        """
        data = self._memory.read(address, self._size)
        if not self._free_list_of(data):
            raise TornError("the driver has not begun to keep lists of pages for it, or its memory cannot be read")
        mode = self._mode_of(data)
        supplier = Supplier(
            ecpf=bool(self._embedded.of(data)),
            max_vfs=self._max_vfs.of(data),
            max_ec_vfs=self._max_ec_vfs.of(data) if self._max_ec_vfs else 0,
        )
        node = _signed(self._node.of(data))
        return Device(
            address=address,
            name=self.name(address),
            mode=mode,
            kind="ecpf" if supplier.ecpf else self._kinds.get(self._kind.of(data)) if self._kind else None,
            own=self._own(data),
            numa_node=node if node >= 0 else None,
            supplier=supplier,
            fw_pages=_signed(self._fw_pages.of(data)),
            by_type=self._type_counters(data),
            counters={label: m.of(data) for label, m in self._counters.items()},
            pending=self._pending(data),
            roots=self._trees(address),
            vports=self._eswitches.read(self._eswitch_of(data), mode, supplier),
        )

    def name(self, address: int) -> str:
        """The name of a device in sysfs. UnmappedError where it is not in the core, TornError where it has none."""
        device = self._memory.number(address + self._device.offset)
        kernels = self._kernel.structure("device")
        place = self._memory.number(device + kernels.member("kobj.name").offset)
        if not place:
            raise TornError("a device has no name: it is being made or removed")
        return self._memory.text(place)

    def _free_list_of(self, data: bytes) -> int:
        return int.from_bytes(data[self._free_list.offset : self._free_list.offset + 8], "little")

    def _eswitch_of(self, data: bytes) -> int:
        return self._eswitch.of(data) if self._eswitch is not None else 0

    def _mode_of(self, data: bytes) -> Mode:
        if self._mode is None or self._vhca_mode is None:
            return Mode.FUNC_ID
        return Mode.VHCA_ID if self._mode.of(data) == self._vhca_mode else Mode.FUNC_ID

    def _type_counters(self, data: bytes) -> dict[FunctionType, int]:
        if self._by_type is None:
            return {}
        start, each = self._by_type.offset, self._by_type.each
        found: dict[FunctionType, int] = {}
        for value, kind in self.types.items():
            if value < self._by_type.count and kind is not FunctionType.UNKNOWN:
                at = start + value * each
                found[kind] = _signed(int.from_bytes(data[at : at + each], "little"))
        return found

    def _pending(self, data: bytes) -> bool | None:
        """True if a page command is pending: the slot that page commands have to themselves is in use."""
        if self._slots is None or self._page_slot is None:
            return None
        slot = self._page_slot.of(data)
        if not 0 < slot < 8 * self._slots.size:
            return None
        return not self._slots.of(data) >> slot & 1

    def _own(self, data: bytes) -> int | None:
        """The device's own vhca_id, from the capabilities that it reported; None where they are not there."""
        general = self._types.enumerators("mlx5_cap_type").get("MLX5_CAP_GENERAL")
        place_of = _optional(self._types.structure("mlx5_hca_cap"), "cur") if self._types.has("mlx5_hca_cap") else None
        if self._caps is None or general is None or place_of is None:
            return None
        start = self._caps.offset + general * 8
        place = int.from_bytes(data[start : start + 8], "little")
        if not place:
            return None
        # vhca_id is 16 bits from bit 0x30 of the general capabilities, big-endian as all of them
        return int.from_bytes(self._memory.read(place + place_of.offset + 6, 2), "big")

    def _trees(self, address: int) -> dict[int, int]:
        """The address of the first node of each function's tree, by the function's key."""
        root = self._kernel.structure("rb_root").member("rb_node").offset
        entries = self._arrays.entries(address + self._roots.offset)
        return {key: self._memory.number(at + root) for key, at in entries}


def _optional(structure: Structure, *paths: str) -> Member | None:
    return next((structure.member(path) for path in paths if structure.has(path)), None)


def _signed(value: int) -> int:
    """A 32-bit counter of the kernel, below zero where it went there."""
    return value - (1 << 32) if value >> 31 else value


def _page_layout(kernel: Btf, types: Btf) -> PageLayout:
    page, node = types.structure("fw_page"), kernel.structure("rb_node")
    kernel.structure("rb_root").member("rb_node")
    kernel.structure("device").member("kobj.name")
    start = page.member("rb_node").offset
    parent, left, right = (start + node.member(m).offset for m in ("__rb_parent_color", "rb_left", "rb_right"))
    names = ("addr", "page", "function", "bitmask", "free_count")
    members = {name: page.member(name) for name in names}
    kind = _optional(page, "func_type")
    for m in (*members.values(), *([kind] if kind is not None else [])):
        if m.size not in _NUMBERS or m.offset + m.size > page.size:
            raise NoTypeError(f"struct fw_page has a number of {m.size} bytes")
    return PageLayout(node=NodeLayout(page.size, start, parent, left, right), func_type=kind, **members)
