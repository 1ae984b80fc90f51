"""The kernel's complaints about itself, a row for each wording: its effect, and the title that it gets.

A title is the kind and, where the report tells it, the function, as reports of fuzzers have it: two reports of one
fault have one title, so that no address, count or process is in it. To add a wording is to add a row with an example.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fwpages.trial.effects import Effect

#: a function in a report, with its offset, and its module where it is in one
FUNCTION: Final = r"(?P<function>[\w.]{1,120})\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[(?P<module>\w{1,64})[^\]]{0,80}\])?"


@dataclass(frozen=True, slots=True)
class SignWording:
    """How some kernels word one kind of complaint.

    ``title`` has the pattern's groups in braces. ``place``: the function of the report follows the title.
    """

    effect: Effect
    example: str
    pattern: re.Pattern[str]
    title: str
    place: bool = True


def _row(effect: Effect, example: str, pattern: str, title: str, *, place: bool = True) -> SignWording:
    return SignWording(effect, example, re.compile(pattern), title, place)


#: the title of dma-debug's report of memory that a driver has left mapped
PENDING: Final = "DMA-API: pending DMA allocations at the release of the device"

_E = Effect

#: the first that matches counts: the special ones come before the general ones
SIGN_WORDINGS: Final[tuple[SignWording, ...]] = (
    # -- memory that was overwritten
    _row(
        _E.CORRUPTED,
        "BUG: KASAN: slab-out-of-bounds in give_pages+0x5a3/0x8f0 [mlx5_core]",
        rf"BUG: KASAN: (?P<what>[\w-]{{1,60}}(?: [\w-]{{1,20}}){{0,2}}) in {FUNCTION}",
        "KASAN: {what}",
    ),
    _row(
        _E.CORRUPTED,
        "BUG: KFENCE: out-of-bounds write in give_pages+0x5a3/0x8f0 [mlx5_core]",
        r"BUG: KFENCE: (?P<what>[\w -]{1,60}?)(?: in |$)",
        "KFENCE: {what}",
    ),
    _row(
        _E.CORRUPTED,
        "BUG: KMSAN: uninit-value in give_pages+0x5a3/0x8f0",
        r"BUG: KMSAN: (?P<what>[\w -]{1,60}?) in ",
        "KMSAN: {what}",
    ),
    _row(
        _E.CORRUPTED,
        "BUG kmalloc-8 (Not tainted): Right Redzone overwritten",
        r"BUG (?P<cache>[\w.:-]{1,60}) \((?:Not tainted|Tainted)[^)]{0,80}\): (?P<what>.{1,60}?)\s*$",
        "BUG {cache}: {what}",
    ),
    _row(
        _E.CORRUPTED,
        "BUG: Bad page state in process kworker/u4:1  pfn:0a8c4",
        r"BUG: Bad (?P<what>page state|page map|rss-counter state|swap file entry)",
        "BUG: Bad {what}",
    ),
    _row(
        _E.CORRUPTED,
        "list_add corruption. next->prev should be prev (ff1acc17), but was ff1acc18. (next=ff1acc19).",
        r"\blist_(?P<what>add|del) (?:double add|corruption)",
        "list_{what} corruption",
    ),
    _row(
        _E.CORRUPTED,
        "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: give_pages+0x8ea/0x8f0",
        r"stack-protector: Kernel stack is corrupted in",
        "kernel stack is corrupted",
    ),
    # -- the end of a task, or of all
    _row(
        _E.CRASHED,
        "traps: PANIC: double fault, error_code: 0x0",
        r"PANIC: double fault|Oops: double fault",
        "PANIC: double fault",
    ),
    _row(
        _E.CRASHED,
        "Oops: general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP NOPTI",
        r"general protection fault(?:, | \[| ?:)",
        "general protection fault",
    ),
    _row(
        _E.CRASHED,
        "BUG: TASK stack guard page was hit at 0000000051b2a1c2 (stack is 00000000c2d0c7d2..00000000f0ddb0a5)",
        r"BUG: (?:TASK |IRQ |DF )?stack guard page was hit|kernel stack overflow",
        "BUG: stack guard page was hit",
    ),
    _row(
        _E.CRASHED,
        "BUG: kernel NULL pointer dereference, address: 0000000000000008",
        r"kernel NULL pointer dereference",
        "BUG: NULL pointer dereference",
    ),
    _row(
        _E.CRASHED,
        "BUG: unable to handle page fault for address: ff35f52b43ca0000",
        r"[Uu]nable to handle (?:kernel )?(?:page fault|paging request)",
        "BUG: unable to handle page fault",
    ),
    _row(_E.CRASHED, "kernel BUG at lib/list_debug.c:29!", r"kernel BUG at ", "kernel BUG"),
    _row(
        _E.EXHAUSTED,
        "Kernel panic - not syncing: System is deadlocked on memory",
        r"Kernel panic - not syncing: (?:System is deadlocked on memory|Out of memory)",
        "kernel panic: out of memory",
        place=False,
    ),
    _row(
        _E.CRASHED,
        "Kernel panic - not syncing: Fatal exception in interrupt",
        r"Kernel panic - not syncing: (?P<what>.{1,60}?)(?: in: .*|[:.]? 0x.*)?\s*$",
        "kernel panic: {what}",
        place=False,
    ),
    _row(_E.CRASHED, "Oops: invalid opcode: 0000 [#1] SMP NOPTI", r"\bOops: (?P<what>[a-z ]{4,40}): ", "Oops: {what}"),
    _row(_E.CRASHED, "Oops: 0002 [#1] SMP", r"\bOops(?: - [\w ]+)?: ", "Oops"),
    # -- what does not go on
    _row(
        _E.HUNG,
        "INFO: task rmmod:131 blocked for more than 20 seconds.",
        r"INFO: task \S{1,64}:\d+(?: <reader>)? (?:blocked for more than|blocked in I/O wait)",
        "INFO: task hung",
    ),
    _row(
        _E.HUNG,
        "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [rmmod:131]",
        r"BUG: soft lockup",
        "BUG: soft lockup",
    ),
    _row(_E.HUNG, "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 0", r"hard LOCKUP", "hard lockup"),
    _row(
        _E.HUNG,
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        r"INFO: rcu\w{0,20} (?:self-)?detected (?:expedited )?stall",
        "INFO: rcu detected stall",
    ),
    _row(
        _E.HUNG,
        "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 33s!",
        r"BUG: workqueue lockup",
        "BUG: workqueue lockup",
        place=False,
    ),
    # -- what is lost, or used up
    _row(
        _E.EXHAUSTED,
        "insmod invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0, oom_score_adj=0",
        r"invoked oom-killer|Out of memory: Killed process|Memory cgroup out of memory",
        "out of memory",
    ),
    _row(
        _E.LEAKED,
        "kmemleak: 37 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        r"kmemleak: \d+ new suspected memory leaks",
        "memory leak",
        place=False,
    ),
    _row(
        _E.LEAKED,
        "unreferenced object 0xff472821443ee5c0 (size 96):",
        r"unreferenced object(?: \((?:phys|percpu)\))? 0x[0-9a-f]+ \(size \d+\)",
        "memory leak",
    ),
    _row(
        _E.LEAKED,
        "DMA-API: mlx5_core 0000:01:00.0: device driver has pending DMA allocations while released [count=37]",
        r"DMA-API: .{0,80}device driver has pending DMA allocations",
        PENDING,
        place=False,
    ),
    # -- the kernel's own checks
    _row(
        _E.WARNED,
        "DMA-API: mlx5_core 0000:01:00.0: device driver tries to free DMA memory it has not allocated [size=1]",
        # all of its errors name a driver and a device; its other lines are no errors
        r"DMA-API: \S+ \S+: (?:device driver )?(?P<what>[a-zA-Z ,']{4,80}?)\s*(?:\[|$)",
        "DMA-API: {what}",
    ),
    _row(
        _E.WARNED,
        "WARNING: possible circular locking dependency detected",
        r"possible (?:circular locking|recursive locking|irq lock inversion|interrupt unsafe locking)"
        r"|-unsafe lock order detected",
        "possible deadlock",
    ),
    _row(
        _E.WARNED,
        "WARNING: inconsistent lock state",
        r"(?P<what>inconsistent lock state|bad unlock balance detected|suspicious RCU usage|Invalid wait context"
        r"|lock held when returning to user space|held lock freed|trying to register non-static key"
        r"|still has locks held|Nested lock was not taken|bad contention detected|assuming non migratable context"
        r"|sleeping function called from invalid context|scheduling while atomic|workqueue leaked (?:atomic|lock))",
        "{what}",
    ),
    _row(
        _E.WARNED,
        "ODEBUG: free active (active state 0) object: ff1acc17c39d1c10 object type: work_struct hint: 0x0",
        r"ODEBUG: (?P<what>[a-z ]{4,60}?) \(active state \d+\)",
        "ODEBUG: {what}",
    ),
    _row(
        _E.WARNED,
        "refcount_t: underflow; use-after-free.",
        r"refcount_t: (?P<what>[\w -]{1,60})",
        "refcount bug: {what}",
    ),
    _row(
        _E.WARNED,
        "UBSAN: array-index-out-of-bounds in drivers/net/ethernet/mellanox/mlx5/core/pagealloc.c:462:17",
        r"UBSAN: (?P<what>[\w -]{1,60}?) in ",
        "UBSAN: {what}",
    ),
    _row(
        _E.WARNED,
        "kworker/u4:1: page allocation failure: order:10, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO)",
        r"page allocation failure: order:|vmalloc error: |vmap allocation for size",
        "page allocation failure",
    ),
    _row(
        _E.WARNED,
        "WARNING: CPU: 0 PID: 106 at drivers/net/ethernet/mellanox/mlx5/core/pagealloc.c:744 give_pages+0x1f/0x20",
        r"WARNING: CPU: \d+ PID: \d+ at ",
        "WARNING",
    ),
    _row(
        _E.WARNED,
        "WARNING: drivers/net/ethernet/mellanox/mlx5/core/pagealloc.c:744 at give_pages+0x1f3/0x202, CPU#0",
        r"WARNING: \S{1,200}:\d+ at ",
        "WARNING",
    ),
)

#: functions that report, allocate, free, copy, wait and schedule: a fault shows in them and is of their caller
PLUMBING: Final = re.compile(
    r"(?:__?)*(?:dump_stack|show_|print_|report_|warn_|kasan|asan_|kfence|kmsan|ubsan|check_|object_err|slab|free_debug"
    r"|alloc_debug|free_to_partial|get_from_partial|get_partial|k[vmz]?alloc|kmem_cache|kfree|kvfree|kv?m?alloc|do_kmalloc"
    r"|alloc_pages?|alloc_frozen|get_page_from|get_free|free_(?:pages?|unref|frozen|pcppages)|prep_|post_alloc|bad_page"
    r"|clear_(?:highpage|page)|copy_(?:page|user|to|from)|mem(?:cpy|set|move|cmp)|str(?:cpy|len|cmp)|list_(?:add|del)"
    r"|refcount|kref_|exc_|asm_|entry_|do_(?:trap|error|syscall|page_fault)|handle_|die|oops|page_fault|bad_area|no_context"
    r"|kernelmode_fixup|panic|oom_|out_of_memory|schedule|context_switch|wait_for|wait_on|io_schedule|down|up_|mutex_|rwsem_"
    r"|rt_mutex|flush_|cancel_(?:delayed_)?work|usleep|msleep|lockdep|lock_|validate_chain|mark_lock|debug_|dma_debug"
    r"|dma_(?:map|unmap|alloc|free)|pcpu_alloc|kmemleak_|rcu_|trace_|srso|native_|delay_|vmalloc|vmap|kvasprintf|scsi_|sysvec|irq)[\w.]*"
    r"|__x64_sys_\w+|ret_from_fork\w*|_*kthread\w*|worker_thread|process_one_work"
)
