"""The kernel's reports in its log: kind, title, function, module and stack, on lines that kernels printed."""

from __future__ import annotations

import pytest

from fwpages.trial.effects import Effect
from fwpages.trial.kernel_signs import MOST_FRAMES, MOST_REPORTS, read_signs
from fwpages.trial.sign_table import SIGN_WORDINGS, SignWording
from tests.trial.made import log


@pytest.mark.parametrize("wording", SIGN_WORDINGS, ids=lambda w: w.title)
def test_each_example_is_read_by_its_own_row(wording: SignWording) -> None:
    [sign] = read_signs(f"[   17.264149] {wording.example}\n")
    assert sign.effect is wording.effect
    assert sign.title.startswith(wording.title.split("{")[0].strip())
    assert sign.headline == wording.example
    assert not any(c in sign.title for c in "{}")


@pytest.mark.parametrize(
    ("name", "effect", "title", "module"),
    [
        ("slub-redzone", Effect.CORRUPTED, "BUG kmalloc-8: Right Redzone overwritten in give_pages", "mlx5_core"),
        ("page-fault", Effect.CRASHED, "BUG: unable to handle page fault in copy_process", ""),
        ("warning", Effect.WARNED, "WARNING in mlx5_reclaim_startup_pages", "mlx5_core"),
        ("warning-6.12", Effect.WARNED, "WARNING in mlx5_reclaim_startup_pages", "mlx5_core"),
        ("hung-task", Effect.HUNG, "INFO: task hung in cmd_work_handler", "mlx5_core"),
        (
            "kasan",
            Effect.CORRUPTED,
            "KASAN: slab-use-after-free Read in mlx5e_rep_neigh_entry_release",
            "mlx5_core",
        ),
        (
            "dma-api",
            Effect.WARNED,
            "DMA-API: tries to free DMA memory it has not allocated in mlx5_free_priv_descs",
            "mlx5_ib",
        ),
        ("odebug", Effect.WARNED, "ODEBUG: free active in i915_active_fini", "i915"),
        ("kmemleak", Effect.LEAKED, "memory leak in ice_repr_create", "ice"),
        ("lockdep", Effect.WARNED, "possible deadlock in rtw_ops_config", "rtw88_core"),
    ],
)
def test_a_report_of_linux_is_one_sign(name: str, effect: Effect, title: str, module: str) -> None:
    """The WARN of a checker, and the Oops after its cause, are no signs of their own.

    The instruments' reports are parts of other drivers' logs that were published with the correction of what they show.
    """
    first = read_signs(log(name))[0]
    assert (first.effect, first.title, first.module) == (effect, title, module)
    assert len(read_signs(log(name))) == (2 if name == "hung-task" else 1)
    # the part of lockdep's report ends before its stack
    assert name == "lockdep" or 0 < len(first.frames) <= MOST_FRAMES


def test_what_instruments_say_when_they_begin_is_no_report() -> None:
    assert not read_signs(
        "[    0.0][    T0] kasan: KernelAddressSanitizer initialized (generic)\n"
        "[    0.0][    T0] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar\n"
        "[    0.9][    T1] kmemleak: Kernel memory leak detector initialized (mem pool available: 15688)\n"
        "[    0.9][    T1] DMA-API: preallocated 65536 debug entries\n"
        "[    0.9][    T1] DMA-API: debugging enabled by kernel config\n"
        "[   30.9][  T106] DMA-API: dma_debug_entry pool grown to 131072 (200%)\n"
    )


def test_a_leak_of_a_module_that_is_gone_is_told_as_such() -> None:
    [sign] = read_signs(
        "unreferenced object 0xff472821443ee5c0 (size 96):\n"
        "  backtrace (crc 9e1f5a3c):\n"
        "    __kmalloc_cache_noprof+0x26a/0x3c0\n"
        "    0xffffffffc0401234\n"
        "    local_pci_probe+0x42/0x90\n"
    )
    assert sign.title == "memory leak in a module that was unloaded"
    assert [f.text for f in sign.frames][1:] == ["0xffffffffc0401234", "local_pci_probe+0x42/0x90"]


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected", "possible deadlock"),
        ("WARNING: rmmod/131 still has locks held!", "still has locks held"),
        ("WARNING: Nested lock was not taken", "Nested lock was not taken"),
        ("unreferenced object (phys) 0xff472821443ee5c0 (size 96):", "memory leak"),
        (
            "DMA-API: mlx5_core 0000:01:00.0: device driver failed to check map error[device address=0x1]",
            "DMA-API: failed to check map error",
        ),
    ],
)
def test_more_of_the_wordings_of_linux_7_2(line: str, title: str) -> None:
    assert [s.title for s in read_signs(f"[    1.0][    T1] {line}\n")] == [title]


def test_frames_are_as_printed_the_unsure_ones_left_out() -> None:
    [sign] = read_signs(log("slub-redzone"))
    assert sign.frames[0].function == "check_bytes_and_report.cold"
    assert all(f.text.startswith(f"{f.function}+0x") for f in sign.frames)
    assert not any(f.text.startswith("?") for f in sign.frames)


def test_kasan_names_the_access_and_the_function() -> None:
    [sign] = read_signs(
        "[   12.1][  T106] ==================================================================\n"
        "[   12.1][  T106] BUG: KASAN: slab-out-of-bounds in give_pages+0x5a3/0x8f0 [mlx5_core]\n"
        "[   12.1][  T106] Write of size 8 at addr ff1acc17c39d1c10 by task insmod/106\n"
        "[   12.1][  T106] Call Trace:\n"
        "[   12.1][  T106]  <TASK>\n"
        "[   12.1][  T106]  dump_stack_lvl+0x5d/0x80\n"
        "[   12.1][  T106]  give_pages+0x5a3/0x8f0 [mlx5_core 0d1e2f]\n"
    )
    assert sign.title == "KASAN: slab-out-of-bounds Write in give_pages"
    assert [f.function for f in sign.frames] == ["dump_stack_lvl", "give_pages"]


def test_a_copy_out_of_bounds_is_its_caller_s() -> None:
    [sign] = read_signs(
        "BUG: KASAN: slab-out-of-bounds in memcpy+0x3a/0x60\n"
        "Write of size 512 at addr ff1acc17c39d1c10 by task insmod/106\n"
        "Call Trace:\n kasan_report+0x10/0x20\n memcpy+0x3a/0x60\n mlx5_copy_to_msg+0x1a/0x60 [mlx5_core]\n"
    )
    assert sign.title == "KASAN: slab-out-of-bounds Write in mlx5_copy_to_msg"


def test_a_panic_that_only_ends_an_oops_is_no_sign_and_one_alone_is() -> None:
    oops = (
        "BUG: kernel NULL pointer dereference, address: 0000000000000008\nRIP: 0010:give_pages+0x5a/0x8f0 [mlx5_core]\n"
    )
    end = "Kernel panic - not syncing: Fatal exception in interrupt\n"
    assert [s.title for s in read_signs(oops + end)] == ["BUG: NULL pointer dereference in give_pages"]
    [alone] = read_signs("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n")
    assert alone.title.startswith("kernel panic: VFS: Unable to mount root fs")


def test_a_refcount_that_went_wrong_has_one_sign() -> None:
    [sign] = read_signs(
        "refcount_t: underflow; use-after-free.\n"
        "WARNING: CPU: 0 PID: 41 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110\n"
        "RIP: 0010:refcount_warn_saturate+0xba/0x110\n"
        "Call Trace:\n mlx5_cmd_put+0x1a/0x60 [mlx5_core]\n"
    )
    assert sign.title == "refcount bug: underflow in mlx5_cmd_put"


def test_an_ordinary_log_has_none() -> None:
    assert read_signs("") == ()
    assert (
        read_signs(
            "[ 1.0] mlx5_core 0000:01:00.0: firmware version: 28.39.1002\n"
            "[ 1.1] mlx5_core 0000:01:00.0: wait_func:1192:(pid 14): MANAGE_PAGES(0x108) timeout. Will cause a leak\n"
            "[ 1.2] Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible\n"
            "[ 1.3] sched_clock: Marking unstable (60076672755, 7067149)<-(98452484843, -38368736644)\n"
            "[ 1.4] rcu: RCU lockdep checking is enabled.\n"
            "[ 1.5] SLUB: HWalign=64, Order=0-3, MinObjects=0, CPUs=1, Nodes=1\n"
        )
        == ()
    )


def test_a_log_without_an_end_is_read_within_bounds() -> None:
    signs = read_signs("INFO: task rmmod:131 blocked for more than 20 seconds.\n" * 100_000)
    assert len(signs) == MOST_REPORTS
    frames = "Call Trace:\n" + " x+0x1/0x2\n" * 10_000
    [sign] = read_signs(f"Oops: 0002 [#1] SMP\n{frames}")
    assert len(sign.frames) <= MOST_FRAMES
    assert read_signs("BUG " + "x" * 1_000_000) == ()
