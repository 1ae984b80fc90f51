"""What stands against driving a function of a machine, from its files alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fwpages.link.driving.pci_device import DeviceError
from fwpages.link.vfio.functions import function, users
from fwpages.link.vfio.prospects import found, obstacles, refusals, reset_of
from fwpages.link.vfio.taking import prospect
from tests.link.vfio.machine import ADDRESS, Machine


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_free_vf(machine: Machine) -> None:
    p = prospect(ADDRESS, binding=False, on_purpose=False, root=machine.root)
    f = p.function
    assert (f.driver, f.override, f.group, f.parent) == ("vfio-pci", "vfio-pci", 7, "0000:3b:00.0")
    assert (p.reset, p.no_reset, p.ranges, p.against) == ("flr", "", None, ())
    assert p.bridges == (("0000:3a:00.0", None),)


def up(m: Machine) -> None:
    m.interface("eth0", "0x1003")


def addresses(m: Machine) -> None:
    m.interface("eth0")
    (m.root / "proc/net").mkdir(parents=True)
    rows = (
        "fe80000000000000021132fffe000001 02 40 20 80     eth0",
        "20010db8000000000000000000000001 02 40 00 80 eth0",
    )
    (m.root / "proc/net/if_inet6").write_text("\n".join(rows) + "\n")


def verbs(m: Machine) -> None:
    m.write("infiniband/mlx5_1/fw_pages", "1")
    folder = m.root / "sys/class/infiniband_verbs/uverbs1"
    folder.mkdir(parents=True)
    (folder / "ibdev").write_text("mlx5_1\n")
    m.opened(4711, "/dev/infiniband/uverbs1")
    m.opened(4712, "/dev/infiniband/uverbs0")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (up, "its interface eth0 is up"),
        (addresses, "its interface eth0 has addresses: 2001:db8::1"),
        (lambda m: m.interface("eth0", upper="bond0"), "its interface eth0 is part of bond0"),
        (verbs, "programs have its RDMA device mlx5_1 open: process 4711"),
        (lambda m: m.write("sriov_numvfs", "4"), "it has 4 VFs, which would lose their PF"),
        (lambda m: (m.place / "mlx5_core.sf.2").mkdir(), "it has 1 SF, which would lose their PF"),
        (lambda m: (m.place / "physfn").unlink(), "it is a physical function"),
        (lambda m: m.driver("mlx5_core"), "mlx5_core drives it and no interface of it is in sight"),
    ],
)
def test_a_function_in_use_is_refused_unless_it_is_named(
    machine: Machine, change: Callable[[Machine], None], words: str
) -> None:
    change(machine)
    f = found(ADDRESS, machine.root)
    assert len(refusals(f)) == 1
    assert words in refusals(f)[0]
    named = prospect(ADDRESS, binding=True, on_purpose=True, root=machine.root)
    assert named.against == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: (m.place / "iommu_group").unlink(), "it is in no IOMMU group"),
        (lambda m: shutil.rmtree(m.root / "sys/bus/pci/drivers/vfio-pci"), "modprobe vfio-pci"),
        (lambda m: m.driver(""), "it is bound to no driver, not to vfio-pci: --bind takes it there"),
        (lambda m: m.member("0000:3b:00.2", "mlx5_core"), "group 7 is not viable: 0000:3b:00.2 (mlx5_core) must be"),
    ],
)
def test_an_obstacle_stays_one_on_purpose(machine: Machine, change: Callable[[Machine], None], words: str) -> None:
    change(machine)
    f = found(ADDRESS, machine.root)
    assert any(words in row for row in obstacles(f, machine.root, bind=False))


def test_neighbours_without_a_driver_or_on_vfio_do_not_count(machine: Machine) -> None:
    machine.member("0000:3b:00.2")
    machine.member("0000:3b:00.3", "vfio-pci")
    assert obstacles(found(ADDRESS, machine.root), machine.root, bind=False) == []


@pytest.mark.parametrize(
    ("methods", "reset", "words"),
    [("flr", "flr", ""), ("pm flr", "", "otherwise than by flr (pm, flr)"), ("", "", "otherwise than by flr (none)")],
)
def test_only_a_function_level_reset_is_a_proof(machine: Machine, methods: str, reset: str, words: str) -> None:
    machine.write("reset_method", methods)
    method, why = reset_of(found(ADDRESS, machine.root))
    assert method == reset
    assert words in why
    (machine.place / "reset_method").unlink()
    assert "the kernel does not tell" in reset_of(found(ADDRESS, machine.root))[1]


@pytest.mark.parametrize(
    ("address", "words"),
    [("3b:00.1", "no PCI address"), ("../../etc", "no PCI address"), ("0000:3b:00.7", "there is no such PCI function")],
)
def test_an_address_that_names_nothing(machine: Machine, address: str, words: str) -> None:
    with pytest.raises(DeviceError, match=words):
        found(address, machine.root)


def test_another_device_is_never_driven(machine: Machine) -> None:
    machine.write("vendor", "0x8086")
    with pytest.raises(DeviceError, match="8086:101e is no mlx5 device"):
        found(ADDRESS, machine.root)


def test_bridges_tell_their_isolation_to_root(machine: Machine) -> None:
    space = bytearray(4096)
    space[0x100:0x104] = (0x148 << 20 | 1).to_bytes(4, "little")
    space[0x148:0x14C] = (0x000D).to_bytes(4, "little")
    config = machine.place.parent / "config"
    for control, on in ((0x1D, True), (0x01, False)):
        space[0x14E] = control
        config.write_bytes(space)
        assert prospect(ADDRESS, binding=False, on_purpose=True, root=machine.root).bridges == (("0000:3a:00.0", on),)


def test_processes_that_have_a_group_open(machine: Machine) -> None:
    machine.opened(12, "/dev/vfio/7")
    machine.opened(13, "/dev/vfio/8")
    assert users(machine.root, 7) == [12]
    assert function("0000:00:00.0", machine.root) is None
    assert os.path.islink(machine.folder)
