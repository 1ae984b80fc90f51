"""Read the counters of every mlx5 function once: ``counters``.

Each figure is read from the first place that has it. What no place has is None, with the reason.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import msgspec

from fwpages.custody.accounts import Count, Missing, Verdict
from fwpages.machine.asking import ASKER
from fwpages.machine.failures import findings
from fwpages.machine.functions import Function, find, folder, started
from fwpages.machine.snapshot import PAGE_BYTES, FunctionCounters, NodeMemory, PageCommands, Snapshot, Untold
from fwpages.machine.tree import DEBUGFS, MLX5, NODES, File, Reason, Tree, Unread

#: the counters by type, by their keys
_BY_TYPE: Mapping[str, File] = MappingProxyType(
    {"vf": File.VFS, "sf": File.SFS, "host_pf": File.HOST_PF, "ec_vf": File.EC_VFS, "spf": File.SPFS}
)
#: pages that could not be moved, by their keys
_FAILURES: Mapping[str, File] = MappingProxyType(
    {
        "alloc_failed": File.ALLOC_FAILED,
        "give_dropped": File.GIVE_DROPPED,
        "reclaim_discarded": File.RECLAIM_DISCARD,
    }
)
#: the statistics of MANAGE_PAGES, by their keys
_COMMANDS: Mapping[str, File] = MappingProxyType(
    {
        "n": File.N,
        "average_ns": File.AVERAGE,
        "failed": File.FAILED,
        "failed_status": File.FAILED_MBOX_STATUS,
        "last_errno": File.LAST_FAILED_ERRNO,
        "last_status": File.LAST_FAILED_MBOX_STATUS,
        "last_syndrome": File.LAST_FAILED_SYNDROME,
    }
)
#: how often the counts of one function are read before they are taken to change all the time
_READINGS = 4
#: PCI device ids of BlueField's network functions, from mlx5_core's table of devices
_BLUEFIELD = frozenset({0xA2D2, 0xA2D3, 0xA2D6, 0xA2DC, 0xA2DF})

_NO_TYPES = "in VHCA_ID mode a driver without an e-switch does not know the types"
_DPU = (
    "BlueField in DPU mode: this function's pages lie in the memory of its Arm cores, whose driver gives them; "
    "fwpages top there shows them"
)


def counters(root: str | Path = "/", *, ask_firmware: bool = False) -> Snapshot:
    """Read the counters of every mlx5 function below ``root``: this machine, or a copy of another's files.

    It sends no command to firmware, takes no lock of devlink and writes nothing; ``fwpages.machine.tree.File`` lists
    every file that it reads. With ``ask_firmware`` it does send some, through devlink (``asking``), for this machine
    alone: ValueError for another ``root``. A function that goes away meanwhile is no error. NotADirectoryError if
    ``root`` is no directory.
    """
    tree = _tree(root, ask_firmware=ask_firmware)
    machine = _memory(tree.text(File.MEMORY))
    nodes = list(_nodes(tree))
    release = _known(tree.text(File.RELEASE))
    version = _known(tree.text(File.DRIVER_VERSION))
    found = find(tree)
    in_tree = version is None and "O" not in (_known(tree.text(File.DRIVER_TAINT)) or "")
    reader = _Reader(tree, in_tree, machine, {n.node: n for n in nodes}, found, _without_debugfs(tree))
    functions = [reader.read(f) for f in found]
    if ask_firmware:
        functions = list(_asked(functions))
    functions.sort(key=lambda f: (f.pages is None, -(f.pages or 0), f.device))
    missing = [*_missing(tree, functions, reader.reason), *_untold(functions)]
    wrong = list(findings(functions))
    verdict = Verdict.FINDINGS if wrong else Verdict.NOT_KNOWN if missing else Verdict.CONSISTENT
    return Snapshot(
        taken=time.time(),
        verdict=verdict,
        clean=verdict.clean,
        kernel=release,
        driver_version=version,
        machine=machine,
        nodes=nodes,
        functions=functions,
        findings=wrong,
        missing=missing,
    )


def _tree(root: str | Path, *, ask_firmware: bool) -> Tree:
    """The files below ``root``; ValueError for firmware that cannot be asked, NotADirectoryError for no directory."""
    tree = Tree(Path(root))
    if ask_firmware and not tree.live:
        raise ValueError(f"ask_firmware asks the firmware of this machine, not of a copy such as {root}")
    if not tree.root.is_dir():
        raise NotADirectoryError(f"{root}: not a directory")
    return tree


def _known(text: str | Unread) -> str | None:
    return None if isinstance(text, Unread) or not text else text


# -- the machine --------------------------------------------------------------------------------------------------


_MEMORY_LINE = re.compile(r"(?:Node \d+ )?(MemTotal|MemFree):\s+([0-9]{1,15}) kB")


def _memory(text: str | Unread, node: int | None = None) -> NodeMemory:
    kib = {} if isinstance(text, Unread) else {m[1]: int(m[2]) * 1024 for m in _MEMORY_LINE.finditer(text)}
    return NodeMemory(node=node, total=kib.get("MemTotal"), free=kib.get("MemFree"))


def _nodes(tree: Tree) -> Iterator[NodeMemory]:
    for name in tree.listed(NODES):
        number = name.removeprefix("node")
        if number != name and number.isdecimal():
            yield _memory(tree.text(File.NODE_MEMORY, name=name), int(number))


def _without_debugfs(tree: Tree) -> Reason | None:
    """The reason why debugfs shows no function at all; None where it shows some."""
    names = tree.names(MLX5)
    if not isinstance(names, Unread):
        return None
    if names.reason is Reason.DENIED:
        return Reason.DENIED
    above = tree.names(DEBUGFS)
    if isinstance(above, Unread):
        return Reason.DENIED if above.reason is Reason.DENIED else Reason.NO_DEBUGFS
    return Reason.NO_MLX5 if above else Reason.NO_DEBUGFS


# -- a function ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Figures:
    """Figures of one function as they are read, and the reasons of those that are not known."""

    tree: Tree
    function: Function
    #: the reason that holds for every file of debugfs
    debugfs: Reason | None
    not_known: dict[str, str] = field(default_factory=dict)

    def count(self, key: str, file: File) -> int | None:
        """A counter of debugfs, under its key."""
        value = self.tree.counter(file, device=self.function.name) if self.debugfs is None else Unread(self.debugfs)
        if isinstance(value, int):
            self.not_known.pop(key, None)
            return value
        self.lacks(key, value.reason)
        return None

    def lacks(self, key: str, reason: str) -> None:
        """Note the reason why the figure is not known."""
        self.not_known[key] = str(reason)

    def settle(self) -> None:
        """Where the function's folder went away meanwhile, say so, instead of that its driver has no such files."""
        if self.debugfs is None and not self.tree.there(f"{MLX5}/{self.function.name}"):
            absent = [key for key, why in self.not_known.items() if why == Reason.ABSENT]
            self.not_known |= dict.fromkeys(absent, str(Reason.GONE))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads functions of one machine."""

    tree: Tree
    #: the driver is of Linux's own tree
    in_tree: bool
    machine: NodeMemory
    nodes: dict[int | None, NodeMemory]
    functions: list[Function]
    reason: Reason | None

    def read(self, f: Function) -> FunctionCounters:
        """Read one function's figures."""
        figures = _Figures(self.tree, f, self._debugfs(f))
        pages, source, types, rest = self._counts(f, figures)
        failures = {key: figures.count(key, file) for key, file in _FAILURES.items()}
        commands = {k: figures.count(f"commands.{k}", file) for k, file in _COMMANDS.items()}
        vhca_id = figures.count("vhca_id", File.VHCA_ID)
        slots = figures.count("slots_inuse", File.SLOTS_INUSE)
        figures.settle()
        node = self._node(f, figures)
        device_id = self._pci_id(f, File.DEVICE_ID)
        vendor = self._pci_id(f, File.VENDOR)
        return FunctionCounters(
            device=f.name,
            kind=f.kind,
            parent=f.parent,
            pci_id=None if vendor is None or device_id is None else f"{vendor:04x}:{device_id:04x}",
            vhca_id=vhca_id,
            mode=self._mode(f, types, failures["alloc_failed"], figures),
            fw_version=self._fw_version(f, figures),
            numa_node=node,
            rdma=list(f.rdma),
            net=list(f.net),
            pages=pages,
            source=source,
            by_type=types | {"rest": rest},
            alloc_failed=failures["alloc_failed"],
            give_dropped=failures["give_dropped"],
            reclaim_discarded=failures["reclaim_discarded"],
            slots_inuse=slots,
            commands=PageCommands(**commands),
            share_of_node=_share(pages, self.nodes.get(node) if node is not None else None),
            share_of_machine=_share(pages, self.machine),
            not_known=figures.not_known,
            notes=list(self._notes(f, pages, device_id)),
        )

    def _debugfs(self, f: Function) -> Reason | None:
        if self.reason is not None:
            return self.reason
        if self.tree.there(f"{MLX5}/{f.name}"):
            return None
        return Reason.GONE if self._left(f) else Reason.NO_MLX5

    def _left(self, f: Function) -> bool:
        """True if sysfs no longer has the function that it listed a moment ago."""
        return f.kind is not None and self.tree.there(folder(f)) is False

    def _counts(
        self, f: Function, figures: _Figures
    ) -> tuple[Count, Literal["debugfs", "infiniband"] | None, dict[str, Count], Count]:
        """The total, its source, the counts by type and the rest: read again where the total changed meanwhile."""
        pages: Count = None
        types: dict[str, Count] = {}
        for _ in range(_READINGS):
            pages, source = self._total(f, figures)
            types = {key: figures.count(key, file) for key, file in _BY_TYPE.items()}
            again = self.tree.counter(File.TOTAL, device=f.name) if source == "debugfs" else pages
            if isinstance(again, Unread) or again == pages:
                return pages, source, types, _rest(pages, types, figures)
        figures.lacks("rest", "the total changed each time while the counts by type were read")
        return pages, "debugfs", types, None

    def _total(self, f: Function, figures: _Figures) -> tuple[Count, Literal["debugfs", "infiniband"] | None]:
        """The driver's total: from debugfs, else from the function's RDMA device, which every user may read."""
        pages = figures.count("pages", File.TOTAL)
        if pages is not None:
            return pages, "debugfs"
        for name in f.rdma:
            value = self.tree.counter(File.IB_FW_PAGES, name=name)
            if isinstance(value, int):
                figures.not_known.pop("pages", None)
                return value, "infiniband"
        bond = self._bond(f)
        if bond is not None:
            figures.lacks(
                "pages",
                f"{figures.not_known['pages']}; and the bonded RDMA device {bond.rdma[0]} counts {bond.name} alone",
            )
        return None, None

    def _bond(self, f: Function) -> Function | None:
        """The function that a bonded RDMA device stands for, where it stands for this one too."""
        if f.rdma or not f.masters:
            return None
        return next((o for o in self.functions if o.rdma and set(o.masters) & set(f.masters)), None)

    def _mode(
        self, f: Function, types: Mapping[str, Count], alloc_failed: Count, figures: _Figures
    ) -> Literal["func_id", "vhca_id"] | None:
        """The mode as far as it follows from the files that a driver of Linux's own tree has.

        Without a count of SPFs beside one of VFs the driver is older than VHCA_ID mode. With neither, it is in VHCA_ID
        mode without an e-switch, once its start-up is over. With both, the files say nothing of the mode.
        """
        absent = {key for key in types if figures.not_known.get(key) == Reason.ABSENT}
        if self.in_tree and types["vf"] is not None and "spf" in absent:
            return "func_id"
        if self.in_tree and absent == types.keys() and alloc_failed is not None and started(self.tree, f):
            figures.not_known |= dict.fromkeys(types, _NO_TYPES)
            return "vhca_id"
        figures.lacks("mode", "the driver's files do not tell the mode")
        return None

    def _node(self, f: Function, figures: _Figures) -> int | None:
        value = self.tree.number(File.NUMA_NODE, device=f.pci) if f.pci is not None else Unread(Reason.ABSENT)
        if isinstance(value, int) and value >= 0:
            return value
        if isinstance(value, int) and len(self.nodes) == 1:  # a machine with one node names none
            return next(iter(self.nodes))
        figures.lacks("numa_node", "the kernel names no node" if isinstance(value, int) else value.reason)
        return None

    def _pci_id(self, f: Function, file: File) -> int | None:
        value = self.tree.number(file, device=f.pci) if f.pci is not None else None
        return value if isinstance(value, int) and 0 <= value <= 0xFFFF else None

    def _fw_version(self, f: Function, figures: _Figures) -> str | None:
        for name in f.rdma:
            text = _known(self.tree.text(File.IB_FW_VER, name=name))
            if text is not None:
                return text
        figures.lacks("fw_version", "the function has no RDMA device that tells it")
        return None

    def _notes(self, f: Function, pages: Count, device_id: int | None) -> Iterator[str]:
        if device_id in _BLUEFIELD and f.kind == "pf" and pages == 0:
            yield _DPU
        if f.kind is None:
            yield "no device of this name is bound to mlx5_core: it is being removed, or the copy lacks a part of sysfs"


def _rest(pages: Count, types: Mapping[str, Count], figures: _Figures) -> Count:
    """The total without the types that are counted apart."""
    known = [c for c in types.values() if c is not None]
    rest = pages - sum(known) if pages is not None and known else None
    if rest is None:
        figures.lacks("rest", "it needs the total and the counts by type")
    elif rest < 0:
        figures.lacks("rest", "the counts by type exceed the total: they changed while they were read")
        return None
    return rest


def _share(pages: Count, of: NodeMemory | None) -> float | None:
    if pages is None or of is None or not of.total:
        return None
    return pages * PAGE_BYTES / of.total


def _asked(functions: list[FunctionCounters]) -> Iterator[FunctionCounters]:
    """The functions, each with the answer of its firmware."""
    handles = [f"{'auxiliary' if f.kind == 'sf' else 'pci'}/{f.device}" for f in functions]
    for f, answer in zip(functions, ASKER.ask(handles), strict=True):
        yield msgspec.structs.replace(f, firmware=answer)


# -- what is missing ----------------------------------------------------------------------------------------------

_COMMAND_FOR: Mapping[str, str] = MappingProxyType(
    {Reason.DENIED: "sudo fwpages top --once", Reason.NO_DEBUGFS: "mount -t debugfs none /sys/kernel/debug"}
)


def _missing(tree: Tree, functions: list[FunctionCounters], reason: Reason | None) -> Iterator[Missing]:
    if not functions:
        yield _nothing(tree, reason)
    reasons: dict[str, list[str]] = {}
    for f in functions:
        if f.pages is None:
            reasons.setdefault(f.not_known["pages"], []).append(f.device)
    for why, names in reasons.items():
        command = next((c for r, c in _COMMAND_FOR.items() if why.startswith(r)), "")
        yield Missing(what=f"the pages of {_few(names)}: {why}", command=command if tree.live else "")


_COMMAND_TO_ASK: Mapping[str, str] = MappingProxyType(
    {
        Untold.NO_LIBRARY: "pip install 'fwpages[devlink]'",
        Untold.DENIED: "sudo fwpages top --once --ask-firmware",
        Untold.NO_HEALTH: "devlink health",
        Untold.UNHEALTHY: "devlink health",
    }
)


def _untold(functions: list[FunctionCounters]) -> Iterator[Missing]:
    """The answers of firmware that were asked for and did not come, by reason."""
    reasons: dict[str, list[str]] = {}
    for f in functions:
        if f.firmware is not None and f.firmware.pages is None:
            reasons.setdefault(f.firmware.not_known, []).append(f.device)
    for why, names in reasons.items():
        yield Missing(what=f"what firmware says of {_few(names)}: {why}", command=_COMMAND_TO_ASK.get(why, ""))


def _nothing(tree: Tree, reason: Reason | None) -> Missing:
    if reason is Reason.DENIED and not tree.there("sys/bus"):
        return Missing(
            what="the functions: this process may not read sysfs and debugfs", command="sudo fwpages top --once"
        )
    return Missing(what="a function that mlx5_core drives: there is none here", command="lspci -nnk -d 15b3:")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
