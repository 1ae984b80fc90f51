"""Plays of rows on an unmodified kernel: what each shows of the driver, of the device and of the machine."""

from __future__ import annotations

import gzip
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from fwpages.prm.identity import Mode
from fwpages.trial.archives import cpio, member
from fwpages.trial.effects import NotJudged
from fwpages.trial.initramfs import initramfs
from fwpages.trial.kernel import Kernel
from fwpages.trial.play import PlayOptions, play
from fwpages.trial.rows import Row, Supplier
from fwpages.trial.seen import Halt, Instruments, Outcome, Seen, Stage

#: a stage that hangs is given up soon
SOON = PlayOptions(stage_seconds=15.0)


def outcomes(seen: Seen) -> dict[Stage, Outcome]:
    return {s.stage: s.outcome for s in seen.stages}


@pytest.mark.parametrize(
    ("supplier", "mode"), [(Supplier.PF, Mode.VHCA_ID), (Supplier.ECPF, Mode.FUNC_ID)], ids=["pf", "ecpf"]
)
def test_a_play_without_a_fault_goes_to_its_end(new: Kernel, tmp_path: Path, supplier: Supplier, mode: Mode) -> None:
    """Both sides count the same at rest, at every stage, and nothing is left after an unload."""
    seen = play(Row(None, mode, supplier), new, tmp_path / "row")
    assert pickle.loads(pickle.dumps(seen)) == seen
    assert seen.stopped is None, seen.why
    assert set(outcomes(seen).values()) == {Outcome.DONE}, seen.stages
    assert seen.halt is Halt.OFF
    assert seen.lost == 0
    assert "mlx5_core" in seen.console
    assert seen.kernel.startswith("Linux version ")
    assert seen.instruments == Instruments(
        slub_debug=True, kasan=False, lockdep=False, kmemleak=False, dma_debug=False, hung_task=True, strict_iommu=True
    )
    assert seen.served is not None
    assert seen.served.verdict.clean, seen.served.summary
    assert [(s.mode, s.end, s.memory) for s in seen.served.sessions] == [(mode.value, "closed", "judged")] * 2
    for r in seen.readings:
        assert sum(r.held.values()) == r.counters.get("fw_pages_total", 0), r
        assert (not r.held) == (r.after in (Stage.UNLOAD, Stage.UNLOAD_AGAIN))
        assert r.mem_free > 100_000
    assert {r.after for r in seen.readings} == set(outcomes(seen)) - {Stage.BOOT}


def test_a_kernel_that_does_not_boot_is_no_verdict_on_its_driver(new: Kernel, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(cpio([]))
    seen = play(Row(None), replace(new, initrd=tmp_path / "empty"), tmp_path / "row", SOON)
    assert seen.stopped is NotJudged.NOT_BOOTED
    assert "Kernel panic - not syncing: VFS: Unable to mount root fs" in seen.why
    assert seen.halt is Halt.PANIC
    assert outcomes(seen)[Stage.BOOT] is Outcome.NOT_ENDED
    assert outcomes(seen)[Stage.LOAD] is Outcome.NOT_REACHED


def test_a_driver_that_is_not_in_the_initramfs_is_no_verdict(new: Kernel, tmp_path: Path) -> None:
    busybox = member(new.initrd, "bin/busybox")
    assert busybox is not None
    (tmp_path / "small").write_bytes(gzip.compress(initramfs(busybox, []), 1))
    seen = play(Row(None), replace(new, initrd=tmp_path / "small"), tmp_path / "row", SOON)
    assert (seen.stopped, seen.halt) == (NotJudged.NO_MODULE, Halt.OFF), seen.why
    assert outcomes(seen)[Stage.BOOT] is Outcome.DONE
