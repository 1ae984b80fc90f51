"""The mlx5 functions of a machine: PCI functions and sub-functions that mlx5_core drives, and their place.

Read from Linux's sysfs: the links below a driver's folder name its devices, ``physfn`` names a VF's PF, and an
auxiliary device lies below the PCI function that it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fwpages.machine.tree import INFINIBAND, MLX5, PCI_DEVICES, PCI_DRIVER, SF_DEVICES, SF_DRIVER, Tree

Kind = Literal["pf", "vf", "sf"]


@dataclass(frozen=True, slots=True)
class Function:
    """A function by its name in sysfs and debugfs: a PCI address, or ``mlx5_core.sf.N``.

    ``kind`` is None where sysfs does not show it; ``parent`` is the PF of a VF and the PCI function of an SF; ``pci``
    is the PCI function itself or the parent; ``rdma`` and ``net`` are its RDMA and network devices, ``masters`` the
    bonds that these are in.
    """

    name: str
    kind: Kind | None
    parent: str | None
    pci: str | None
    rdma: tuple[str, ...]
    net: tuple[str, ...]
    masters: tuple[str, ...]


def find(tree: Tree) -> list[Function]:
    """The functions that mlx5_core drives, in the order of their names; none where the driver is not loaded.

    A function of which only debugfs or an RDMA device is left, as while it is removed, is one of them.
    """
    rdma = _rdma(tree)
    pci_devices, sf_devices = set(tree.listed(PCI_DEVICES)), set(tree.listed(SF_DEVICES))
    pci = [n for n in tree.listed(PCI_DRIVER) if n in pci_devices]
    sfs = [n for n in tree.listed(SF_DRIVER) if n in sf_devices]
    known = [*pci, *sfs]
    left = (set(tree.listed(MLX5)) | rdma.keys()) - set(known)
    found = [_of_pci(tree, n, rdma) for n in pci] + [_of_sf(tree, n, rdma) for n in sfs]
    found += [Function(n, None, None, n if n in pci_devices else None, rdma.get(n, ()), (), ()) for n in left]
    return sorted(found, key=lambda f: f.name)


def _rdma(tree: Tree) -> dict[str, tuple[str, ...]]:
    """The RDMA devices that have mlx5's count of pages, by the function that they lie below."""
    found: dict[str, tuple[str, ...]] = {}
    for name in tree.listed(INFINIBAND):
        if not tree.there(f"{INFINIBAND}/{name}/fw_pages"):
            continue
        below = tree.link(f"{INFINIBAND}/{name}/device")
        if below is None:  # a copy may have the link of the class alone: …/FUNCTION/infiniband/NAME
            parts = (tree.target(f"{INFINIBAND}/{name}") or "").split("/")
            below = parts[-3] if len(parts) > 2 else None
        if below is not None:
            found[below] = (*found.get(below, ()), name)
    return found


def folder(f: Function) -> str:
    """The function's folder in sysfs."""
    return f"{SF_DEVICES if f.kind == 'sf' else PCI_DEVICES}/{f.name}"


def started(tree: Tree, f: Function) -> bool:
    """True if the start-up is over: the driver has made network or auxiliary devices on the function.

    The auxiliary devices below a function, other than its SFs, are those that mlx5_core makes at the end of a start-up.
    """
    auxiliary = set(tree.listed(SF_DEVICES))
    below = folder(f)
    own = (n for n in tree.listed(below) if n in auxiliary and not tree.there(f"{below}/{n}/sfnum"))
    return bool(tree.listed(f"{below}/net")) or any(own)


def _of_pci(tree: Tree, name: str, rdma: dict[str, tuple[str, ...]]) -> Function:
    below = f"{PCI_DEVICES}/{name}"
    physfn = tree.link(f"{below}/physfn")
    net, masters = _net(tree, below)
    return Function(name, "vf" if physfn else "pf", physfn, name, rdma.get(name, ()), net, masters)


def _of_sf(tree: Tree, name: str, rdma: dict[str, tuple[str, ...]]) -> Function:
    below = f"{SF_DEVICES}/{name}"
    parts = (tree.target(below) or "").split("/")
    parent = parts[-2] if len(parts) > 1 else None
    net, masters = _net(tree, below)
    return Function(name, "sf", parent, parent, rdma.get(name, ()), net, masters)


def _net(tree: Tree, below: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The network devices of a function, and the bonds that they are in."""
    net = tuple(tree.listed(f"{below}/net"))
    return net, tuple(m for n in net if (m := tree.link(f"{below}/net/{n}/master")) is not None)
