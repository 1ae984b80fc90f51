"""The things to look with, on trees with and without each, and what the commands could then say."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fwpages.cli import COMMANDS
from fwpages.custody.accounts import Verdict
from fwpages.machine.doctor import Ability, Diagnosis, Probe, State, examine
from fwpages.machine.tree import Tree
from tests.machine.trees import PF, Machine, server


def probe(diagnosis: Diagnosis, name: str) -> Probe:
    return next(p for p in diagnosis.probes if p.name == name)


def ability(diagnosis: Diagnosis, name: str) -> Ability:
    return next(a for a in diagnosis.abilities if a.name == name)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A tree with everything that there is to look with."""
    m = server(tmp_path)
    for path in ("proc/kcore", "proc/dynamic_debug/control", "sys/kernel/btf/vmlinux", "sys/kernel/btf/mlx5_core"):
        m.write(path, "")
    m.write("sys/kernel/tracing/kprobe_events", "")
    (tmp_path / "sys/kernel/tracing/events").mkdir()
    m.write("sys/kernel/security/lockdown", "[none] integrity confidentiality")
    m.write("proc/sys/kernel/kptr_restrict", 0)
    m.write("proc/sys/kernel/printk_ratelimit", 5)
    m.write("proc/sys/kernel/printk_ratelimit_burst", 10)
    m.write("proc/cmdline", "ro log_buf_len=16M")
    return m


def test_everything_that_a_copy_can_show_is_found(machine: Machine) -> None:
    states = {p.name: p.state for p in examine(machine.root).probes}
    assert states.pop("root") is State.NOT_KNOWN, "a copy says nothing of the user"
    assert set(states.values()) == {State.YES}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("sys/kernel/btf/vmlinux", "BTF of the kernel"),
        ("sys/kernel/btf/mlx5_core", "BTF of mlx5_core"),
        ("proc/kcore", "kcore"),
        ("proc/dynamic_debug", "dynamic debug"),
        ("sys/kernel/tracing", "tracefs"),
        ("sys/kernel/debug", "debugfs"),
        ("proc/sys/kernel/osrelease", "kernel"),
        ("sys/bus", "functions"),
    ],
)
def test_what_a_copy_lacks_is_not_known(path: str, name: str, machine: Machine) -> None:
    shutil.rmtree(machine.root / "sys/kernel/debug/mlx5")  # whose folders are functions too
    file = machine.root / path
    if file.is_dir():
        shutil.rmtree(file)
    else:
        file.unlink()
    assert probe(examine(machine.root), name).state is State.NOT_KNOWN


@pytest.mark.parametrize(
    ("path", "text", "name", "state", "said"),
    [
        ("sys/kernel/security/lockdown", "none [integrity] confidentiality", "lockdown", State.YES, "dynamic_debug"),
        ("sys/kernel/security/lockdown", "none integrity [confidentiality]", "lockdown", State.NO, "kcore"),
        ("proc/sys/kernel/kptr_restrict", "2", "kallsyms", State.PART, "hides"),
        ("proc/sys/kernel/osrelease", "5.10.0-28-amd64", "kernel", State.PART, "kcore"),
        ("proc/cmdline", "ro quiet", "log buffer", State.PART, "default"),
        ("sys/module/mlx5_core/version", "23.10-1.1.9", "driver", State.YES, "23.10-1.1.9"),
    ],
)
def test_settings_change_the_state(path: str, text: str, name: str, state: State, said: str, machine: Machine) -> None:
    machine.write(path, text)
    found = probe(examine(machine.root), name)
    assert found.state is state
    assert said in found.detail


def test_functions_are_counted_by_kind_and_those_of_other_drivers_named(machine: Machine) -> None:
    machine.write("sys/devices/pci0000:00/0000:5e:00.0/vendor", "0x15b3")
    machine.link("sys/devices/pci0000:00/0000:5e:00.0/driver", "sys/bus/pci/drivers/vfio-pci")
    machine.link("sys/bus/pci/devices/0000:5e:00.0", "sys/devices/pci0000:00/0000:5e:00.0")
    machine.write("sys/devices/pci0000:00/0000:00:1f.0/vendor", "0x8086")
    machine.link("sys/bus/pci/devices/0000:00:1f.0", "sys/devices/pci0000:00/0000:00:1f.0")
    detail = probe(examine(machine.root), "functions").detail
    assert detail == "1 PF, 1 VF, 1 SF, not driven by mlx5_core: 0000:5e:00.0 (vfio-pci)"


def test_top_can_say_all_with_debugfs_and_a_part_without(machine: Machine) -> None:
    assert ability(examine(machine.root), "fwpages top").state is State.YES
    machine.rdma("mlx5_0", of=PF, pages=1)
    shutil.rmtree(machine.root / "sys/kernel/debug")
    found = ability(examine(machine.root), "fwpages top")
    assert found.state is State.PART
    assert "mount -t debugfs none /sys/kernel/debug" in found.commands


def test_confidentiality_keeps_inspect_from_its_work(machine: Machine) -> None:
    machine.write("sys/kernel/security/lockdown", "none integrity [confidentiality]")
    found = ability(examine(machine.root), "fwpages inspect")
    assert found.state is State.NO
    assert "fwpages inspect" not in found.commands
    assert any("confidentiality" in why for why in found.because)
    for name in ("fwpages top", "fwpages audit"):  # their files are not closed: seen on Debian's 7.2.13
        assert not any("confidentiality" in why for why in ability(examine(machine.root), name).because)


def test_what_may_not_be_looked_up_is_not_said_to_be_missing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tree, "there", lambda self, path: None)
    monkeypatch.setattr(Tree, "live", True)
    found = probe(examine(machine.root), "tracefs")
    assert (found.state, found.detail) == (State.NO, "/sys/kernel/tracing/events: permission denied")


def test_a_tracefs_that_is_not_there_is_not_said_to_have_no_leftovers(tmp_path: Path) -> None:
    leftovers = next(p for p in examine(tmp_path).probes if p.name == "leftovers")
    assert leftovers.state is State.NOT_KNOWN


def test_without_a_driver_nothing_is_said_to_be_possible(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    diagnosis = examine(tmp_path)
    assert diagnosis.verdict is Verdict.NOT_KNOWN
    assert {a.state for a in diagnosis.abilities} == {State.NOT_KNOWN}


def test_an_extra_that_is_not_installed_comes_with_its_line(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fwpages.machine.doctor.find_spec", lambda name: None)
    found = ability(examine(machine.root), "fwpages metrics")
    assert found.state is State.NO
    assert found.commands == ["pip install 'fwpages[metrics]'"]


def test_this_machine_is_examined_without_an_error() -> None:
    diagnosis = examine()
    assert probe(diagnosis, "root").state in (State.YES, State.NO)


def test_every_command_that_it_names_is_there(machine: Machine) -> None:
    lines = [line for a in examine(machine.root).abilities for line in (a.name, *a.commands)]
    assert {line.split()[1] for line in lines if line.startswith("fwpages ")} <= set(COMMANDS)
