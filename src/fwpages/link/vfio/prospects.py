"""Reasons against driving a function of this machine: it cannot be done, or should not; each with what to do.

An *obstacle* makes it impossible. A *refusal* protects a function that is in use, or others that depend on it; whoever
names the function on purpose (``--i-know``) overrides it.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from pathlib import Path

from fwpages.link.driving.pci_device import DeviceError
from fwpages.link.vfio.functions import ADDRESS, VENDOR_MELLANOX, VFIO, Function, Interface, function
from fwpages.pages.words import many


def found(address: str, root: Path) -> Function:
    """Return the function; DeviceError for an address that is none, nobody's, or not that of an mlx5 device."""
    if not ADDRESS.fullmatch(address):
        raise DeviceError(f"{address!r} is no PCI address: one is written as 0000:3b:00.1")
    f = function(address, root)
    if f is None:
        raise DeviceError(f"{address}: there is no such PCI function; `lspci -D -d 15b3:` lists those of the vendor")
    if f.vendor != VENDOR_MELLANOX or not f.network:
        raise DeviceError(f"{address}: {f.vendor:04x}:{f.device:04x} is no mlx5 device (15b3, a network controller)")
    return f


def refusals(f: Function) -> list[str]:
    """Return the reasons why this function should be left alone."""
    return [f"{f.address}: {words}" for words in _uses(f)]


def _uses(f: Function) -> Iterator[str]:
    for i in f.interfaces:
        yield from _of_interface(i)
    if f.rdma_users:
        yield f"programs have its RDMA device {f.rdma[0]} open: process {', '.join(map(str, f.rdma_users))}"
    if f.driver not in ("", VFIO) and not f.interfaces:
        yield f"{f.driver} drives it and no interface of it is in sight: another network namespace may use it"
    if f.vfs:
        yield f"it has {many(f.vfs, 'VF')}, which would lose their PF"
    if f.sfs:
        yield f"it has {many(f.sfs, 'SF')}, which would lose their PF"
    if not f.parent:
        yield "it is a physical function: its port, and what else the card does, depends on it"


def _of_interface(i: Interface) -> Iterator[str]:
    if i.up:
        yield f"its interface {i.name} is up"
    if i.addresses:
        yield f"its interface {i.name} has addresses: {', '.join(i.addresses)}"
    if i.uppers:
        yield f"its interface {i.name} is part of {', '.join(i.uppers)}"


def obstacles(f: Function, root: Path, *, bind: bool) -> list[str]:
    """Return the reasons why this function cannot be driven now; ``bind``: it is to be taken to vfio-pci first."""
    return [f"{f.address}: {words}" for words in _obstacles(f, root, bind=bind)]


def _obstacles(f: Function, root: Path, *, bind: bool) -> Iterator[str]:
    if f.group is None:
        yield (
            "it is in no IOMMU group: switch the IOMMU on in the machine's firmware (VT-d, AMD-Vi) and on the kernel's "
            "command line (intel_iommu=on)"
        )
    if not (root / "sys/bus/pci/drivers" / VFIO).is_dir():
        yield f"the kernel has no {VFIO}: modprobe {VFIO}"
    if f.driver != VFIO and not bind:
        yield f"it is bound to {f.driver or 'no driver'}, not to {VFIO}: --bind takes it there"
    others = [m for m in f.members if m.address != f.address and m.driver not in ("", VFIO, "pcieport")]
    if others:
        named = ", ".join(f"{m.address} ({m.driver})" for m in others)
        yield f"its IOMMU group {f.group} is not viable: {named} must be bound to {VFIO} or to no driver, too"


def reset_of(f: Function) -> tuple[str, str]:
    """Return the reset that proves a fence, and where there is none, the reason."""
    if f.resets and f.resets[0] == "flr":
        return "flr", ""
    if f.resets is None:
        return "", "the kernel does not tell how it resets the function (reset_method, Linux 5.15)"
    ways = ", ".join(f.resets) or "none"
    return "", f"the kernel resets it otherwise than by flr ({ways}): that proves nothing for its memory"


def memlock() -> int | None:
    """Return how many bytes this process may lock, None for any number."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return None if soft == resource.RLIM_INFINITY or os.geteuid() == 0 else soft
