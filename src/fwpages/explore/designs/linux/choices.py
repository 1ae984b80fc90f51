"""The variants of Linux that the explorer compares: one value of ``Choices`` each.

To add a variant, write its value below and put it into ``VARIANTS``; ``fwpages.explore.designs.DESIGNS`` takes it from
there. A difference that no field stands for yet is a new field, with the place in Linux's code that it is read from.

``posted`` is the patch as first posted (Message-ID 20260501044156.260875-4-tariqt@nvidia.com, the hunks that the review
quotes), on top of the code of that time, of which the patch's own context lines are known. ``merged`` is Linux 7.2.13.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Choices:
    """One variant. Where no field makes a difference, the code cites the function of Linux 7.2 that all follow."""

    name: str
    #: one line for lists
    words: str
    #: a page keeps the type that its function had when its memory was allocated (merged: pagealloc.c:alloc_system_page,
    #: insert_page, ``fw_page.func_type``); else the type is looked up at each count (posted: hunks of give_pages,
    #: reclaim_pages and release_all_pages)
    cached: bool
    #: pages are counted one by one as they are taken from a system page and put back (merged: pagealloc.c:alloc_4k,
    #: free_4k); else by the number in the command, after its answer, found or not (posted: give_pages, reclaim_pages)
    by_page: bool
    #: in VHCA_ID mode a type is found by walking the vports under the e-switch's ``state_lock`` (posted: the eswitch.c
    #: hunk); else in a map of its own without a lock (merged: eswitch.c:mlx5_esw_vhca_id_to_func_type,
    #: ``vhca_type_map``)
    walks: bool
    #: a satellite PF has a type of its own (merged: eswitch.c:esw_vport_to_func_type); else it falls through to EC VF
    #: (posted: ``enum mlx5_func_type`` has no SPF; that the code of the time had such vports at all is a guess)
    spf: bool
    #: the pages of a moving tree get its new key before the old key is erased (merged: pagealloc.c:
    #: mlx5_pagealloc_migrate_pf_to_vhca_id); else after (posted: the same function)
    rename_first: bool
    #: the checks of the per-type counters at the end are left out in VHCA_ID mode without an e-switch (posted:
    #: mlx5_reclaim_startup_pages); merged has no such guard
    guard: bool


POSTED = Choices(
    "posted",
    "the patch that brings VHCA_ID mode to Linux, as first posted; a model",
    cached=False,
    by_page=False,
    walks=True,
    spf=False,
    rename_first=False,
    guard=True,
)
MERGED = Choices(
    "merged",
    "Linux 7.2 as released; a model",
    cached=True,
    by_page=True,
    walks=False,
    spf=True,
    rename_first=True,
    guard=False,
)

VARIANTS = (POSTED, MERGED)
