"""Linux's page bookkeeping (pagealloc.c): trees of system pages by function, their blocks, the counters, the types.

No function here waits for anything; a lookup that needs a lock says so by ``needs_lock``. A tree's key is that of
get_function_key. A type is the value of a FunctionType, or None for MLX5_FUNC_TYPE_NONE.
"""

from __future__ import annotations

from fwpages.explore.designs.linux.errors import ENOENT, ENOMEM
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.state import FwPage, State
from fwpages.pages import PAGE_SHIFT
from fwpages.prm.identity import FunctionType, Mode, Vport, named


def key_of(state: State, number: int, *, ec: bool) -> int:
    """get_function_key: the mode that is set decides, not the one that the request came in."""
    return number if state.vhca_mode else number | ec << 16


def type_of(state: State, number: int, *, ec: bool) -> str | None:
    """func_vhca_id_to_type, as if the lock were free."""
    if not state.vhca_mode:
        return state.config.supplier.type_by_number(named(Mode.FUNC_ID, number, ec)).value
    if number == state.caps.get("vhca_id"):
        return FunctionType.SELF.value
    if not state.eswitch:
        return None
    if state.choices.walks:
        for vport in sorted(state.vports):
            if state.vports[vport].vhca_id == number:
                return vport_type(state, vport)
        return None
    return state.types.get(number)


def needs_lock(state: State, number: int) -> bool:
    """The lookup takes the e-switch's ``state_lock`` (posted: mlx5_esw_vhca_id_to_func_type)."""
    return state.choices.walks and state.vhca_mode and state.eswitch and number != state.caps.get("vhca_id")


def vport_type(state: State, vport: int) -> str:
    """eswitch.c:esw_vport_to_func_type: the host PF by its number, SF and VF by their marks, any other is an EC VF.

    An adjacent VF has the mark of a VF (esw/adj_vport.c:mlx5_esw_adj_vport_create); uplink, ECPF and manager have none.
    """
    kind = state.vports[vport].info.type
    if vport == Vport.HOST_PF:
        return FunctionType.HOST_PF.value
    if kind in (FunctionType.SF, FunctionType.VF) or (kind is FunctionType.SPF and state.choices.spf):
        return kind.value
    return FunctionType.EC_VF.value


def count(state: State, kind: str | None, n: int) -> None:
    """Add to a type's counter, if there is one for it."""
    if kind is not None:
        state.counters[kind] = state.counters.get(kind, 0) + n


def used(state: State, page: FwPage) -> list[int]:
    """The addresses of the blocks that are lent, ascending."""
    return [page.iova + (n << PAGE_SHIFT) for n in range(state.blocks) if not page.bits >> n & 1]


def insert_page(state: State, iova: int, function: int, kind: str | None) -> None:
    """insert_page, page_root_per_function: a system page without a lent block, in its function's tree."""
    state.roots[function] = state.roots.get(function, frozenset()) | {iova}
    state.pages[iova] = FwPage(iova, function, kind, (1 << state.blocks) - 1, state.blocks)
    state.free_list = (iova, *state.free_list)


def alloc_4k(state: State, function: int) -> int:
    """alloc_4k: the lowest free block of the last page on the free list that is the function's: address, or errno."""
    mine = [iova for iova in state.free_list if state.pages[iova].function == function]
    if not mine:
        return ENOMEM
    p = state.pages[mine[-1]]
    if not p.bits:
        detail = f"page {p.iova:#x}: {p.free} free blocks, no bit is set"
        state.find(LinuxCause.ALLOC_4K_BUG, function, detail=detail)
        return ENOENT
    n = (p.bits & -p.bits).bit_length() - 1
    state.pages[p.iova] = p._replace(bits=p.bits & ~(1 << n), free=p.free - 1)
    if p.free == 1:
        state.free_list = tuple(i for i in state.free_list if i != p.iova)
    if state.choices.by_page:
        count(state, p.type, 1)
        state.fw_pages += 1
    return p.iova + (n << PAGE_SHIFT)


def free_fwp(state: State, page: FwPage, *, listed: bool) -> None:
    """free_fwp: unmap and free; a page whose tree is not found under the key that it carries is leaked."""
    root = state.roots.get(page.function)
    if root is None:
        detail = f"page {page.iova:#x} is in no tree: not unmapped, leaked"
        state.find(LinuxCause.WARN_NO_ROOT, page.function, state.blocks, detail)
        return
    state.roots[page.function] = root - {page.iova}
    del state.pages[page.iova]
    if listed:
        state.free_list = tuple(i for i in state.free_list if i != page.iova)
    state.unmap(page.iova)


def free_4k(state: State, address: int, function: int) -> bool:
    """free_4k: true if the function's tree has the system page. Linux does not look if the block was lent."""
    iova = address >> state.shift << state.shift
    root = state.roots.get(function)
    if root is None:
        detail = f"no tree of this function, page {address:#x} is looked for"
        state.find(LinuxCause.WARN_NO_ROOT, function, 1, detail)
    if root is None or iova not in root:
        state.find(LinuxCause.PAGE_NOT_FOUND, function, 1, f"page {address:#x} is not in the function's tree")
        return False
    p = state.pages[iova]
    if state.choices.by_page:
        count(state, p.type, -1)
        state.fw_pages -= 1
    n = address >> PAGE_SHIFT & (state.blocks - 1)
    p = state.pages[iova] = p._replace(bits=p.bits | 1 << n, free=p.free + 1)
    if p.free == state.blocks:
        free_fwp(state, p, listed=p.free != 1)
    elif p.free == 1:
        state.free_list = (iova, *state.free_list)
    return True


def release_all(state: State, function: int) -> int | None:
    """release_all_pages: free the whole tree. Returns how many blocks were lent, None if there is no tree."""
    root = state.roots.get(function)
    if root is None:
        state.find(LinuxCause.WARN_NO_ROOT, function, detail="release_all of a function without a tree")
        return None
    total = 0
    for iova in sorted(root, reverse=True):
        p = state.pages[iova]
        lent = state.blocks - p.free
        total += lent
        if state.choices.by_page:
            count(state, p.type, -lent)
        free_fwp(state, p, listed=bool(p.free))
    if state.choices.by_page:
        state.fw_pages -= total
    return total


def own_pages(state: State, function: int, most: int) -> tuple[int, ...]:
    """reclaim_pages_cmd, fwp_fill_manage_pages_out: the pages that firmware would name, the highest first."""
    addresses = [a for iova in sorted(state.roots[function], reverse=True) for a in used(state, state.pages[iova])]
    return tuple(addresses[:most])


def drop_root(state: State, function: int) -> None:
    """mlx5_reclaim_startup_pages: xa_erase and kfree of a tree. Its pages stay mapped, without a message."""
    del state.roots[function]


def rename(state: State, root: frozenset[int], function: int) -> None:
    """The pages of a tree that moves carry its new key."""
    for iova in root:
        state.pages[iova] = state.pages[iova]._replace(function=function)
