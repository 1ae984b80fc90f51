"""The driver's own lists in the memory of a machine have the pages that the firmware has, address by address."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

import fwpages as fw
from fwpages.custody.accounts import Verdict
from fwpages.machine.holdings import Holdings
from fwpages.machine.inspection import Inspection
from tests.vm.guest import Guest, Kernel
from tests.vm.lab import PF, Lab, scenario

START = 37 + 2000


@pytest.fixture(params=[("new", True), ("new", False), ("old", True), ("oldest", True)], ids=lambda p: f"{p[0]}-{p[1]}")
def case(request: pytest.FixtureRequest) -> tuple[Kernel, bool]:
    """A kernel, and if the device offers VHCA_ID mode: only the newest kernel takes it."""
    which, offered = request.param
    return request.getfixturevalue(which), offered


def dumped(g: Guest, folder: Path) -> Inspection:
    """The report of a core of the machine, which has its types and symbols in its memory."""
    core = g.dump(folder / "core")
    try:
        return fw.machine.inspect(core)
    finally:
        core.unlink()


def agree(lab: Lab, i: Inspection) -> None:
    """The driver's lists and the firmware's books name the same pages for each function."""
    assert i.report.verdict is Verdict.CONSISTENT, i.report
    (device,) = i.report.devices
    holds = lab.call(lab.serving.observer.inner.holds)
    assert {f.identity: f.pages for f in device.functions if f.pages} == {str(w): len(a) for w, a in holds.items()}
    for who, addresses in holds.items():
        assert np.array_equal(i.addresses(device.device, str(who)), np.sort(addresses))
    assert device.pages == device.fw_pages == lab.call(lambda: lab.serving.observer.inner.total)
    assert sum(device.by_node.values()) == device.by_node["0"] == device.pages


def live(g: Guest, *options: str, status: int = 0) -> Holdings:
    """The report of the running kernel, by fwpages in the machine."""
    ran = g.fwpages(["inspect", "--json", *options])
    assert ran.status == status, ran
    return msgspec.json.decode(ran.stdout, type=Holdings)


def test_the_running_kernel_has_the_pages_that_firmware_has(case: tuple[Kernel, bool], tmp_path: Path) -> None:
    """By its own files, and where it hides its addresses by the table of symbols in its memory."""
    kernel, offered = case
    with Lab(scenario(PF, offered=offered), tmp_path) as lab, lab.guest(kernel, python=True) as g:
        assert "mlx5_core is not loaded" in live(g, status=4).missing[0].what
        g.ok("load")
        lab.want(vf0=600, sf0=7)
        lab.until({"self": START, "vf0": 600, "sf0": 7})
        lab.agree(g)
        for hidden in (False, True):
            if hidden:
                g.ok("echo 2 > /proc/sys/kernel/kptr_restrict")
            (device,) = live(g).devices
            holds = lab.call(lab.serving.observer.inner.holds)
            assert {f.identity: f.pages for f in device.functions} == {str(w): len(a) for w, a in holds.items()}
            assert device.verdict is Verdict.CONSISTENT
        g.ok("unload")
        lab.clean(g)
        g.off()


def test_a_core_has_the_pages_that_firmware_has(case: tuple[Kernel, bool], tmp_path: Path) -> None:
    """After the load, after requests for several functions, and after a function let go of all its pages."""
    kernel, offered = case
    with Lab(scenario(PF, offered=offered), tmp_path) as lab, lab.guest(kernel, dumps=True) as g:
        g.ok("insmod /more/qemu_fw_cfg.ko")
        g.ok("load")
        lab.until({"self": START})
        lab.agree(g)
        agree(lab, dumped(g, tmp_path))
        lab.want(vf0=600, vf1=50, sf0=7)
        lab.until({"self": START, "vf0": 600, "vf1": 50, "sf0": 7})
        lab.want(vf0=-300)
        lab.until({"self": START, "vf0": 300, "vf1": 50, "sf0": 7})
        lab.agree(g)
        i = dumped(g, tmp_path)
        agree(lab, i)
        assert i.report.kernel == kernel.name
        (device,) = i.report.devices
        assert device.device == g.ok("address").strip()
        assert device.mode == ("vhca_id" if offered and "7.2" in kernel.name else "func_id")
        lab.reset("vf0")
        lab.until({"self": START, "vf1": 50, "sf0": 7})
        lab.agree(g)
        agree(lab, dumped(g, tmp_path))
        g.ok("unload")
        lab.clean(g)
        g.off()
