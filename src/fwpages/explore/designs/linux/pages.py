"""Linux's page bookkeeping (pagealloc.c): trees of system pages by function, their blocks, the counters, the types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.types import ENOENT, ENOMEM, FwPage
from fwpages.pages import PAGE_SHIFT
from fwpages.prm.identity import FunctionType, Mode, Vport, named

if TYPE_CHECKING:
    from fwpages.explore.designs.linux.driver import Linux


def key_of(d: Linux, number: int, *, ec: bool) -> int:
    """get_function_key: the mode that is set decides, not the one that the request came in."""
    return number if d.vhca_mode else number | ec << 16


def type_of(d: Linux, number: int, *, ec: bool) -> str | None:
    """func_vhca_id_to_type, as if nobody held a lock; None is MLX5_FUNC_TYPE_NONE."""
    if not d.vhca_mode:
        return d.config.supplier.type_by_number(named(Mode.FUNC_ID, number, ec)).value
    if number == d.caps.get("vhca_id"):
        return FunctionType.SELF.value
    if not d.eswitch:
        return None
    if d.choices.walks:
        for vport in sorted(d.vports):
            if d.vports[vport].vhca_id == number:
                return vport_type(d, vport)
        return None
    return d.types.get(number)


def needs_lock(d: Linux, number: int) -> bool:
    """The type cannot be told without the e-switch's lock (posted: mlx5_esw_vhca_id_to_func_type)."""
    return d.choices.walks and d.vhca_mode and d.eswitch and number != d.caps.get("vhca_id")


def vport_type(d: Linux, vport: int) -> str:
    """eswitch.c:esw_vport_to_func_type: host PF by number, SF and VF by their marks, and who is none of them EC VF.

    An adjacent VF has the mark of a VF (esw/adj_vport.c:mlx5_esw_adj_vport_create); uplink, ECPF and manager have none.
    """
    kind = d.vports[vport].info.type
    if vport == Vport.HOST_PF:
        return FunctionType.HOST_PF.value
    if kind in (FunctionType.SF, FunctionType.VF) or (kind is FunctionType.SPF and d.choices.spf):
        return kind.value
    return FunctionType.EC_VF.value


def count(d: Linux, kind: str | None, n: int) -> None:
    """Add to a type's counter, if there is one for it."""
    if kind is not None:
        d.counters[kind] = d.counters.get(kind, 0) + n


def used(d: Linux, page: FwPage) -> list[int]:
    """The addresses of the blocks that are lent, ascending."""
    return [page.iova + (n << PAGE_SHIFT) for n in range(d.blocks) if not page.bits >> n & 1]


def insert_page(d: Linux, iova: int, function: int, kind: str | None) -> None:
    """insert_page, page_root_per_function: a system page without a lent block, in its function's tree."""
    d.roots[function] = d.roots.get(function, frozenset()) | {iova}
    d.pages[iova] = FwPage(iova, function, kind, (1 << d.blocks) - 1, d.blocks)
    d.free_list = (iova, *d.free_list)


def alloc_4k(d: Linux, function: int) -> int:
    """alloc_4k: the lowest free block of the last page on the free list that is the function's: address, or errno."""
    mine = [iova for iova in d.free_list if d.pages[iova].function == function]
    if not mine:
        return ENOMEM
    p = d.pages[mine[-1]]
    if not p.bits:
        d.find(LinuxCause.ALLOC_4K_BUG, function, detail=f"page {p.iova:#x}: {p.free} free blocks, no bit is set")
        return ENOENT
    n = (p.bits & -p.bits).bit_length() - 1
    d.pages[p.iova] = p._replace(bits=p.bits & ~(1 << n), free=p.free - 1)
    if p.free == 1:
        d.free_list = tuple(i for i in d.free_list if i != p.iova)
    if d.choices.by_page:
        count(d, p.type, 1)
        d.fw_pages += 1
    return p.iova + (n << PAGE_SHIFT)


def free_fwp(d: Linux, p: FwPage, *, listed: bool) -> None:
    """free_fwp: unmapped and freed; if its tree is not found under the key that it carries, it is leaked."""
    root = d.roots.get(p.function)
    if root is None:
        d.find(LinuxCause.WARN_NO_ROOT, p.function, d.blocks, f"page {p.iova:#x} is in no tree: not unmapped, leaked")
        return
    d.roots[p.function] = root - {p.iova}
    del d.pages[p.iova]
    if listed:
        d.free_list = tuple(i for i in d.free_list if i != p.iova)
    d.unmap(p.iova)


def free_4k(d: Linux, address: int, function: int) -> bool:
    """free_4k: whether the system page was found in the function's tree; whether the block was lent is not asked."""
    iova = address >> d.shift << d.shift
    root = d.roots.get(function)
    if root is None:
        d.find(LinuxCause.WARN_NO_ROOT, function, 1, f"no tree of this function, page {address:#x} is looked for")
    if root is None or iova not in root:
        d.find(LinuxCause.PAGE_NOT_FOUND, function, 1, f"page {address:#x} is not in the function's tree")
        return False
    p = d.pages[iova]
    if d.choices.by_page:
        count(d, p.type, -1)
        d.fw_pages -= 1
    n = address >> PAGE_SHIFT & (d.blocks - 1)
    p = d.pages[iova] = p._replace(bits=p.bits | 1 << n, free=p.free + 1)
    if p.free == d.blocks:
        free_fwp(d, p, listed=p.free != 1)
    elif p.free == 1:
        d.free_list = (iova, *d.free_list)
    return True


def release_all(d: Linux, function: int) -> int | None:
    """release_all_pages: the whole tree is freed; how many blocks were lent, None where there is no tree."""
    root = d.roots.get(function)
    if root is None:
        d.find(LinuxCause.WARN_NO_ROOT, function, detail="release_all of a function without a tree")
        return None
    total = 0
    for iova in sorted(root, reverse=True):
        p = d.pages[iova]
        lent = d.blocks - p.free
        total += lent
        if d.choices.by_page:
            count(d, p.type, -lent)
        free_fwp(d, p, listed=bool(p.free))
    if d.choices.by_page:
        d.fw_pages -= total
    return total


def own_pages(d: Linux, function: int, most: int) -> tuple[int, ...]:
    """reclaim_pages_cmd, fwp_fill_manage_pages_out: what firmware would have named. Trees are in descending order."""
    addresses = [a for iova in sorted(d.roots[function], reverse=True) for a in used(d, d.pages[iova])]
    return tuple(addresses[:most])


def drop_root(d: Linux, function: int) -> None:
    """mlx5_reclaim_startup_pages: xa_erase and kfree of a tree. What is in it stays mapped, in no tree, unsaid."""
    del d.roots[function]


def rename(d: Linux, root: frozenset[int], function: int) -> None:
    """The pages of a tree that moves carry its new key."""
    for iova in root:
        d.pages[iova] = d.pages[iova]._replace(function=function)
