"""VFs that the guest itself switches on: the e-switch's commands come from Linux, the page requests from firmware."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.lab import PF, agree, clean, complaints, scenario

START = 37 + 2000
VFS = PF.replace("vhca_id = 0x31", "vhca_id = 0x31\npages = 700").replace(
    "vhca_id = 0x32", "vhca_id = 0x32\npages = 50"
)


def vfs(g: Guest, n: int) -> None:
    g.ok(f"echo {n} > /sys/bus/pci/devices/$(address)/sriov_numvfs")


def load(g: Guest) -> None:
    g.ok("load")
    assert g.ok("cat /sys/bus/pci/devices/$(address)/sriov_totalvfs").strip() == "2"
    g.ok("echo 0 > /sys/bus/pci/devices/$(address)/sriov_drivers_autoprobe")


@pytest.mark.parametrize("offered", [True, False])
def test_switched_on_and_off(either: Kernel, tmp_path: Path, offered: bool) -> None:
    """Disabling the VFs, Linux waits until their pages are back: it knows them for VFs' in either mode."""
    with Lab(scenario(VFS, offered=offered), tmp_path, sriov=True) as lab, lab.guest(either) as g:
        load(g)
        lab.until({"self": START})
        for _ in range(2):
            vfs(g, 2)
            lab.until({"self": START, "vf0": 700, "vf1": 50})
            agree(lab, g)
            assert g.pages()["fw_pages_vfs"] == 750
            lab.want(vf1=1000, sf0=10)
            lab.until({"self": START, "vf0": 700, "vf1": 1050, "sf0": 10})
            agree(lab, g)
            assert g.pages()["fw_pages_vfs"] == 1750
            vfs(g, 0)
            assert lab.held() == {"self": START, "sf0": 10}
            assert g.pages()["fw_pages_vfs"] == 0
            lab.reset("sf0")
            lab.until({"self": START})
        assert lab.events.count("the driver enables vf1") == lab.events.count("the driver disables vf0") == 2
        g.ok("unload")
        clean(lab, g)
        g.off()


def order(lab: Lab, function: int) -> list[str]:
    """Opcodes of the commands about a function of the e-switch, one of a row, in the order in which they came."""
    names = {0x100: "query", 0x104: "enable", 0x105: "disable"}
    found: list[str] = []
    for row in map(json.loads, lab.trace().splitlines()):
        if row["kind"] == "submit":
            data = bytes.fromhex(row["in"])
            name = names.get(int.from_bytes(data[:2], "big"))
            if name is not None and int.from_bytes(data[10:12], "big") == function and found[-1:] != [name]:
                found.append(name)
    return found


def test_driver_unloaded_with_vfs(new: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(VFS), tmp_path, sriov=True) as lab, lab.guest(new) as g:
        load(g)
        vfs(g, 1)
        lab.until({"self": START, "vf0": 700})
        g.ok("unload")
        lab.wait(lambda: lab.session.end != "open")
        assert lab.session.clean
        assert order(lab, 1) == ["query", "enable", "disable"], "its vhca_id is asked for first"
        assert lab.offences == []
        assert complaints(g.console()) == []
        g.off()
