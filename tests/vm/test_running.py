"""``top``, ``metrics`` and ``inspect`` in the guest, on its running kernel, equal the books of its firmware."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.custody.accounts import Verdict
from tests.vm.guest import Guest, Kernel
from tests.vm.lab import PF, Lab, scenario
from tests.vm.running import (
    Metrics,
    agree_in_counts,
    agree_in_pages,
    inspect,
    inspect_core,
    inspect_pages,
    supplier,
    top,
)

START = 37 + 2000
VFS = PF.replace("vhca_id = 0x31", "vhca_id = 0x31\npages = 700").replace(
    "vhca_id = 0x32", "vhca_id = 0x32\npages = 50"
)


@pytest.fixture(params=[("new", True), ("new", False), ("old", True), ("oldest", True)], ids=lambda p: f"{p[0]}-{p[1]}")
def case(request: pytest.FixtureRequest) -> tuple[Kernel, bool]:
    """A kernel, and if the device offers VHCA_ID mode: only the newest kernel takes it."""
    which, offered = request.param
    return request.getfixturevalue(which), offered


def counters_agree(lab: Lab, g: Guest, metrics: Metrics, *, vfs: int) -> None:
    """``top`` and ``metrics`` have the total that firmware has, and so many pages of VFs."""
    held = lab.agree(g)
    total = sum(held.values())
    pf = supplier(top(g))
    assert (pf.pages, pf.source, pf.give_dropped, pf.alloc_failed, pf.slots_inuse) == (total, "debugfs", 0, 0, 0)
    # what is asked before the vport is enabled has no type in VHCA_ID mode
    assert pf.by_type["vf"] == vfs
    assert sum(n for n in pf.by_type.values() if n is not None) == total
    seen = metrics.scrape()
    assert seen["mlx5_fw_memory_bytes"] == {"": total}
    assert seen["mlx5_scrape_success"] == {"": 1}
    assert seen["mlx5_fw_type_memory_bytes"] == {k: n for k, n in pf.by_type.items() if n is not None}


def test_the_running_kernel_has_the_pages_that_firmware_has(case: tuple[Kernel, bool], tmp_path: Path) -> None:
    """After load, VFs and requests, release_all, VFs off and unload; a core of the machine says the same as it does."""
    kernel, offered = case
    vhca_mode = offered and "7.2" in kernel.name
    one, two = ("vhca:0x31", "vhca:0x32") if vhca_mode else ("func:0x1", "func:0x2")
    with (
        Lab(scenario(VFS, offered=offered), tmp_path, sriov=True) as lab,
        lab.guest(kernel, python=True, dumps=True) as g,
    ):
        g.ok("load")
        lab.until({"self": START})
        g.ok("echo 0 > /sys/bus/pci/devices/$(address)/sriov_drivers_autoprobe")
        metrics = Metrics(g)
        counters_agree(lab, g, metrics, vfs=0)
        device = agree_in_counts(lab, inspect(g))
        assert (device.device, device.mode) == (g.ok("address").strip(), "vhca_id" if vhca_mode else "func_id")
        assert (device.vhca_id, device.notes) == (lab.profile.vhca_id, [])

        g.ok("echo 2 > /sys/bus/pci/devices/$(address)/sriov_numvfs")
        lab.until({"self": START, "vf0": 700, "vf1": 50})
        lab.want(vf0=-300, vf1=1000, sf0=7)
        lab.until({"self": START, "vf0": 400, "vf1": 1050, "sf0": 7})
        counters_agree(lab, g, metrics, vfs=1450)
        listed = inspect_pages(g)
        device = agree_in_pages(lab, listed)
        vports = {f.identity: (f.type, f.vport, f.vport_enabled) for f in device.functions}
        assert (vports[one], vports[two]) == (("vf", 1, True), ("vf", 2, True))
        assert [n.split(",")[0] for n in device.notes] == ["vhca:0x90: 7 pages"] * vhca_mode, "an SF without a vport"
        assert inspect_core(g, tmp_path).report.devices == listed.report.devices

        lab.reset("vf1")  # which asks for its first 50 pages again
        lab.reset("sf0")
        lab.until({"self": START, "vf0": 400, "vf1": 50})
        g.ok("echo 0 > /sys/bus/pci/devices/$(address)/sriov_numvfs")
        lab.until({"self": START})
        counters_agree(lab, g, metrics, vfs=0)
        g.ok("echo 2 > /proc/sys/kernel/kptr_restrict")
        device = agree_in_pages(lab, inspect_pages(g))
        _, *gone = device.functions
        assert [(f.pages, f.vport_enabled) for f in gone if f.identity in (one, two)] == [(0, False)] * 2
        (note,) = device.notes
        assert note.startswith("Lists without pages")
        assert len(gone) == 3
        metrics.end()
        g.ok("unload")
        lab.clean(g)
        gone = top(g, status=4)
        assert (gone.functions, gone.verdict) == ([], Verdict.NOT_KNOWN)
        assert "mlx5_core is not loaded" in inspect(g, status=4).missing[0].what
        g.off()
