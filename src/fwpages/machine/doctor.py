"""The things to look with on a machine, and what each command can say with them: ``examine``. Schema ``doctor/1``.

It looks whether files are there and may be read, and reads the few that are settings. It opens neither ``/proc/kcore``
nor a file of the driver's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

import msgspec

from fwpages.custody.accounts import Verdict
from fwpages.custody.verdicts import PAGE_LINES
from fwpages.machine.calls.tracefs import CLEANUP, leftovers
from fwpages.machine.functions import Function, find
from fwpages.machine.tree import DEBUGFS, MLX5, PCI_DEVICES, File, Reason, Tree, Unread
from fwpages.pages.words import many

KCORE, KALLSYMS, TRACEFS = "proc/kcore", "proc/kallsyms", "sys/kernel/tracing"
BTF = "sys/kernel/btf/"
CONTROL, OLD_CONTROL = "proc/dynamic_debug/control", f"{DEBUGFS}/dynamic_debug/control"
MOUNT_DEBUGFS = "mount -t debugfs none /sys/kernel/debug"
DRIVERS = "lspci -nnk -d 15b3:"
AS_ROOT = "sudo fwpages doctor"
_MELLANOX = 0x15B3
#: the first Linux whose /proc/kcore checks that memory is there
_KCORE = (5, 14)
#: more names than these are counted
_FEW = 4


class State(StrEnum):
    """The state of a thing to look with, or of a command."""

    YES = "yes"
    PART = "in part"
    NO = "no"
    NOT_KNOWN = "not known"


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to look with: its state, what was found, and a command that changes it or says more."""

    name: str
    state: State
    detail: str = ""
    command: str = ""


class Ability(msgspec.Struct, frozen=True, kw_only=True):
    """One command: what it says, and its state here; ``because`` has what it lacks, ``commands`` the lines to type."""

    name: str
    says: str
    state: State
    because: list[str] = []
    commands: list[str] = []


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The report of ``fwpages doctor``. ``verdict`` is *not known* if a command could not say all that it says."""

    schema_: str = "doctor/1"
    verdict: Verdict
    probes: list[Probe]
    abilities: list[Ability]


def examine(root: str | Path = "/") -> Diagnosis:
    """Examine the machine below ``root``: this one, or a copy of another's files.

    Of a copy, a file that is not in it is not known. NotADirectoryError if ``root`` is no directory.
    """
    tree = Tree(Path(root))
    if not tree.root.is_dir():
        raise NotADirectoryError(f"{root}: not a directory")
    patient = _Patient(tree, find(tree))
    probes = {p.name: p for p in (probe(patient) for probe in _PROBES)}
    abilities = [_ability(row, probes) for row in _ABILITIES]
    able = all(a.state is State.YES for a in abilities)
    return Diagnosis(
        verdict=Verdict.CONSISTENT if able else Verdict.NOT_KNOWN, probes=list(probes.values()), abilities=abilities
    )


@dataclass(frozen=True, slots=True)
class _Patient:
    tree: Tree
    functions: list[Function]

    @property
    def absent(self) -> State:
        """The state of something that is not there: a copy may just lack it."""
        return State.NO if self.tree.live else State.NOT_KNOWN

    def setting(self, file: File) -> str | None:
        """The text of a setting; None where it is not there."""
        text = self.tree.text(file)
        return None if isinstance(text, Unread) else text

    def file(self, name: str, path: str, without: str, command: str = "") -> Probe:
        """A file that has to be there and to be readable; ``without`` says what it means that it is not there."""
        there = self.tree.there(path)
        if there is False:
            detail = f"/{path} is not there: {without}" if self.tree.live else f"/{path} is not in the copy"
            return Probe(name=name, state=self.absent, detail=detail, command=command)
        if there is None or not self.tree.readable(path):
            return Probe(name=name, state=State.NO, detail=f"/{path}: permission denied", command=AS_ROOT)
        return Probe(name=name, state=State.YES, detail=f"/{path}")


# -- what there is to look with -----------------------------------------------------------------------------------


def _kernel(p: _Patient) -> Probe:
    release = p.setting(File.RELEASE)
    if release is None:
        return Probe(name="kernel", state=State.NOT_KNOWN, detail="its release is not known")
    number = re.match(r"(\d+)\.(\d+)", release)
    old = number is None or (int(number[1]), int(number[2])) < _KCORE
    note = ": its /proc/kcore does not check that memory is there; inspect reads a core" if old else ""
    return Probe(name="kernel", state=State.PART if old else State.YES, detail=f"Linux {release}{note}")


def _driver(p: _Patient) -> Probe:
    version, taint = p.setting(File.DRIVER_VERSION), p.setting(File.DRIVER_TAINT)
    if not p.functions and version is None and taint is None:
        return Probe(name="driver", state=p.absent, detail="mlx5_core is not loaded", command="modprobe mlx5_core")
    foreign = f"built outside of Linux's tree, version {version}" if version else "built outside of Linux's tree"
    own = version is None and "O" not in (taint or "")
    return Probe(name="driver", state=State.YES, detail=f"mlx5_core, {'of Linux itself' if own else foreign}")


def _functions(p: _Patient) -> Probe:
    kinds = [f.kind for f in p.functions]
    parts = [
        many(kinds.count(kind), word) for kind, word in (("pf", "PF"), ("vf", "VF"), ("sf", "SF")) if kind in kinds
    ]
    others = list(_elsewhere(p))
    if others:
        shown = ", ".join(others[:_FEW]) + (f" and {len(others) - _FEW} more" if len(others) > _FEW else "")
        parts.append(f"not driven by mlx5_core: {shown}")
    detail = ", ".join(parts) or "mlx5_core drives no function here"
    return Probe(name="functions", state=State.YES if p.functions else p.absent, detail=detail, command=DRIVERS)


def _elsewhere(p: _Patient) -> Iterator[str]:
    """PCI functions of the vendor that another driver has, or none."""
    ours = {f.name for f in p.functions}
    for name in p.tree.listed(PCI_DEVICES):
        if name not in ours and p.tree.number(File.VENDOR, device=name) == _MELLANOX:
            yield f"{name} ({p.tree.link(f'{PCI_DEVICES}/{name}/driver') or 'no driver'})"


def _debugfs(p: _Patient) -> Probe:
    names = p.tree.names(MLX5)
    if not isinstance(names, Unread):
        return Probe(name="debugfs", state=State.YES, detail=f"/{MLX5}: {many(len(names), 'function')}")
    above = p.tree.names(DEBUGFS)
    if Reason.DENIED in {n.reason for n in (names, above) if isinstance(n, Unread)}:
        detail = f"/{DEBUGFS}: permission denied"
        return Probe(name="debugfs", state=State.NO, detail=detail, command=AS_ROOT)
    if isinstance(above, Unread) or not above:
        return Probe(name="debugfs", state=p.absent, detail="it is not mounted", command=MOUNT_DEBUGFS)
    return Probe(name="debugfs", state=p.absent, detail=f"/{MLX5} is not there: no function is loaded")


def _dynamic_debug(p: _Patient) -> Probe:
    there = p.tree.there(CONTROL)
    path = CONTROL if there or not p.tree.there(OLD_CONTROL) else OLD_CONTROL
    return p.file(
        "dynamic debug", path, "the kernel has no CONFIG_DYNAMIC_DEBUG, and cannot print the driver's messages"
    )


def _log(p: _Patient) -> Probe:
    line = p.setting(File.COMMAND_LINE)
    if line is None:
        return Probe(name="log buffer", state=State.NOT_KNOWN, detail="the kernel's command line is not known")
    size = re.search(r"\blog_buf_len=(\S+)", line)
    if size is not None:
        return Probe(name="log buffer", state=State.YES, detail=f"log_buf_len={size[1]}")
    detail = "of the kernel's default size: a busy device's messages can push each other out"
    return Probe(name="log buffer", state=State.PART, detail=detail, command="dmesg --follow > dmesg.txt")


def _rate(p: _Patient) -> Probe:
    seconds, burst = p.setting(File.PRINTK_RATELIMIT), p.setting(File.PRINTK_RATELIMIT_BURST)
    if seconds is None or burst is None:
        return Probe(name="rate limit", state=State.NOT_KNOWN, detail="the settings of printk are not known")
    detail = f"{burst} lines in {seconds} s for messages that are limited; those about pages are not"
    return Probe(name="rate limit", state=State.YES, detail=detail)


def _btf(p: _Patient) -> Probe:
    return p.file("BTF of the kernel", f"{BTF}vmlinux", "the kernel has no CONFIG_DEBUG_INFO_BTF")


def _btf_driver(p: _Patient) -> Probe:
    built_in = "the driver is not loaded, is part of the kernel, or was built without"
    return p.file("BTF of mlx5_core", f"{BTF}mlx5_core", built_in, "fwpages inspect --btf FILE")


def _kcore(p: _Patient) -> Probe:
    return p.file("kcore", KCORE, "the kernel has no CONFIG_PROC_KCORE")


def _symbols(p: _Patient) -> Probe:
    value = p.setting(File.KPTR_RESTRICT)
    if value is None:
        return Probe(name="kallsyms", state=State.NOT_KNOWN, detail="kptr_restrict is not known")
    if value == "2":
        detail = "kptr_restrict=2 hides its addresses from root too; inspect then takes the kernel's own table"
        return Probe(name="kallsyms", state=State.PART, detail=detail)
    return Probe(name="kallsyms", state=State.YES, detail=f"kptr_restrict={value}: root sees addresses")


def _tracefs(p: _Patient) -> Probe:
    mount = "mount -t tracefs none /sys/kernel/tracing"
    found = p.file("tracefs", f"{TRACEFS}/events", "it is not mounted, or the kernel has no CONFIG_FTRACE", mount)
    if found.state is not State.YES:
        return found
    if not p.tree.there(f"{TRACEFS}/kprobe_events"):
        detail = f"/{TRACEFS}, without events of one's own: the kernel has no CONFIG_KPROBE_EVENTS"
        return Probe(name="tracefs", state=p.absent, detail=detail)
    return Probe(name="tracefs", state=State.YES, detail=f"/{TRACEFS}, with events of one's own")


def _leftovers(p: _Patient) -> Probe:
    """The leftovers of records that were killed; of a copy, they may be of records that are running."""
    left_behind = leftovers(p.tree.root)
    if left_behind is None:
        return Probe(name="leftovers", state=State.NOT_KNOWN, detail="tracefs cannot be read")
    names = [left.name for left in left_behind]
    if not names:
        return Probe(name="leftovers", state=State.YES, detail="no events of a record that was killed")
    shown = ", ".join(names[:_FEW]) + (f" and {len(names) - _FEW} more" if len(names) > _FEW else "")
    return Probe(name="leftovers", state=State.PART, detail=f"events of fwpages record: {shown}", command=CLEANUP)


def _lockdown(p: _Patient) -> Probe:
    text = p.setting(File.LOCKDOWN)
    found = re.search(r"\[(\w+)\]", text or "")
    if found is None:
        detail = "the kernel has no lockdown" if p.tree.live else "/sys/kernel/security/lockdown is not in the copy"
        return Probe(name="lockdown", state=State.YES if p.tree.live else State.NOT_KNOWN, detail=detail)
    closed = found[1] == "confidentiality"
    detail = {
        "none": "none",
        "integrity": f"integrity: debugfs's own dynamic_debug cannot be written; use /{CONTROL}",
        "confidentiality": "confidentiality: kcore and tracefs cannot be read; the driver's counters in debugfs can",
    }.get(found[1], found[1])
    return Probe(name="lockdown", state=State.NO if closed else State.YES, detail=detail)


def _root(p: _Patient) -> Probe:
    if not p.tree.live:
        return Probe(name="root", state=State.NOT_KNOWN, detail="this is a copy of another machine's files")
    if os.geteuid() == 0:
        return Probe(name="root", state=State.YES, detail="this process is root's")
    return Probe(name="root", state=State.NO, detail="this process is not root's", command=AS_ROOT)


def _live_view(_: _Patient) -> Probe:
    return _extra("live view", "textual", "top")


def _metrics(_: _Patient) -> Probe:
    return _extra("metrics", "prometheus_client", "metrics")


def _devlink(_: _Patient) -> Probe:
    return _extra("devlink", "pyroute2", "devlink")


def _extra(name: str, module: str, extra: str) -> Probe:
    if find_spec(module) is not None:
        return Probe(name=name, state=State.YES, detail=f"{module} is installed")
    command = f"pip install 'fwpages[{extra}]'"
    return Probe(name=name, state=State.NO, detail=f"{module} is not installed", command=command)


_PROBES: tuple[Callable[[_Patient], Probe], ...] = (
    _kernel,
    _driver,
    _functions,
    _root,
    _lockdown,
    _debugfs,
    _dynamic_debug,
    _log,
    _rate,
    _btf,
    _btf_driver,
    _kcore,
    _symbols,
    _tracefs,
    _leftovers,
    _live_view,
    _metrics,
    _devlink,
)


# -- what each command could say ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Needs:
    """A row: a command, what it says, the probes that it cannot do without, and those without which it says less.

    Lockdown closes none of the files that ``top`` and ``audit`` need: the driver's counters in debugfs may only be
    read, by root alone, and ``/proc/dynamic_debug/control`` is not debugfs's.
    """

    name: str
    says: str
    needs: tuple[str, ...]
    better_with: tuple[str, ...]
    commands: tuple[str, ...]


_ABILITIES = (
    _Needs(
        "fwpages top",
        "how many pages each function has, and how fast that grows",
        ("functions",),
        ("debugfs", "live view"),
        ("fwpages top",),
    ),
    _Needs(
        "fwpages top --ask-firmware",
        "the same, and how many pages the firmware of each function says that it uses",
        ("functions", "root", "devlink"),
        ("debugfs",),
        ("fwpages top --ask-firmware",),
    ),
    _Needs(
        "fwpages metrics",
        "the same to Prometheus",
        ("functions", "metrics"),
        ("debugfs",),
        ("fwpages metrics",),
    ),
    _Needs(
        "fwpages inspect",
        "which pages each function has, on which node, and whether the driver's counters agree",
        ("functions", "root", "lockdown", "kernel", "BTF of the kernel", "kcore"),
        ("BTF of mlx5_core",),
        ("fwpages inspect",),
    ),
    _Needs(
        "fwpages record",
        "each page request and page command from now on, without the driver's messages",
        ("root", "lockdown", "tracefs"),
        ("driver", "BTF of the kernel", "leftovers"),
        ("fwpages record -o FILE", "fwpages audit FILE"),
    ),
    _Needs(
        "fwpages audit",
        "each page request and page command from now on, by the driver's messages",
        ("driver", "dynamic debug", "root"),
        ("log buffer",),
        (PAGE_LINES, "dmesg | fwpages audit -"),
    ),
)


def _ability(row: _Needs, probes: dict[str, Probe]) -> Ability:
    """The command's state: the worst of what it needs; what it is better with makes it *in part* at worst."""
    needed, wished = _lacking(row.needs, probes), _lacking(row.better_with, probes)
    state = _state(needed, wished)
    lacks = [*needed, *wished]
    lines = [p.command for p in lacks if p.command] + ([] if state is State.NO else list(row.commands))
    return Ability(
        name=row.name,
        says=row.says,
        state=state,
        because=[f"{p.name}: {p.detail}" for p in lacks],
        commands=list(dict.fromkeys(lines)),
    )


def _lacking(names: tuple[str, ...], probes: dict[str, Probe]) -> list[Probe]:
    return [probes[name] for name in names if probes[name].state is not State.YES]


def _state(needed: list[Probe], wished: list[Probe]) -> State:
    if any(p.state is not State.NOT_KNOWN for p in needed):
        return State.NO
    if needed:
        return State.NOT_KNOWN
    return State.PART if wished else State.YES
