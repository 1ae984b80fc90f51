"""Taking a function and giving it back, with a kernel that is a tree of files: a test plays its part."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.link.driving.pci_device import DeviceError
from fwpages.link.vfio import binding
from fwpages.link.vfio.binding import Restored, bind, recorded, restore
from fwpages.link.vfio.prospects import found
from tests.link.vfio.machine import ADDRESS, Machine


class Kernel:
    """Writes go to files, and a probe or an unbind takes effect as in a kernel."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.written: list[tuple[str, str]] = []

    def write(self, path: Path, text: str) -> None:
        m = self.machine
        self.written.append((path.name, text))
        if path.name == "driver_override":
            m.write("driver_override", text.strip() or "(null)")
        elif path.name == "unbind":
            m.driver("")
        elif path.name == "drivers_probe":
            override = (m.place / "driver_override").read_text().strip()
            m.driver("mlx5_core" if override == "(null)" else override)


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    machine = Machine(tmp_path)
    machine.driver("mlx5_core")
    machine.write("driver_override", "(null)")
    kernel = Kernel(machine)
    monkeypatch.setattr(binding, "_write", kernel.write)
    return kernel


def test_taken_and_given_back_by_another_process(kernel: Kernel) -> None:
    root = kernel.machine.root
    bind(found(ADDRESS, root), root)
    assert kernel.written == [("driver_override", "vfio-pci"), ("unbind", ADDRESS), ("drivers_probe", ADDRESS)]
    assert found(ADDRESS, root).driver == "vfio-pci"
    assert recorded(root) == [ADDRESS]
    assert restore(ADDRESS, root) == Restored(ADDRESS, "mlx5_core")
    f = found(ADDRESS, root)
    assert (f.driver, f.override, recorded(root)) == ("mlx5_core", "", [])


def test_what_it_was_is_written_before_anything_changes(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies at any write can be helped."""
    root = kernel.machine.root
    for most in range(3):
        writes = 0

        def dies(path: Path, text: str, most: int = most) -> None:
            nonlocal writes
            writes += 1
            if writes > most:
                raise KeyboardInterrupt
            kernel.write(path, text)

        monkeypatch.setattr(binding, "_write", dies)
        with pytest.raises(KeyboardInterrupt):
            bind(found(ADDRESS, root), root)
        monkeypatch.setattr(binding, "_write", kernel.write)
        restore(ADDRESS, root)
        f = found(ADDRESS, root)
        assert (f.driver, f.override) == ("mlx5_core", "")


def test_a_record_of_an_earlier_taking_stays(kernel: Kernel) -> None:
    """What the function was at first is what it is given back to."""
    root = kernel.machine.root
    bind(found(ADDRESS, root), root)
    kernel.machine.driver("")
    bind(found(ADDRESS, root), root)
    assert restore(ADDRESS, root).driver == "mlx5_core"


def test_a_function_that_vfio_does_not_take(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "_write", lambda path, text: None)
    with pytest.raises(DeviceError, match="vfio-pci does not take it"):
        bind(found(ADDRESS, kernel.machine.root), kernel.machine.root)


def test_nothing_to_give_back(kernel: Kernel) -> None:
    root = kernel.machine.root
    with pytest.raises(DeviceError, match="it was not taken by `fwpages drive --bind`"):
        restore(ADDRESS, root)
    folder = root / binding.RECORDS
    folder.mkdir(parents=True)
    (folder / f"{ADDRESS}.json").write_text("{}")
    with pytest.raises(DeviceError, match="it cannot be read"):
        restore(ADDRESS, root)


def test_a_function_that_is_driven_is_not_taken_away(kernel: Kernel) -> None:
    root = kernel.machine.root
    bind(found(ADDRESS, root), root)
    kernel.machine.opened(12, "/dev/vfio/7")
    with pytest.raises(DeviceError, match="process 12 drives it still"):
        restore(ADDRESS, root)


def test_a_function_that_is_gone(kernel: Kernel) -> None:
    root = kernel.machine.root
    bind(found(ADDRESS, root), root)
    kernel.machine.folder.unlink()
    with pytest.raises(DeviceError, match="the function is gone; its record is removed"):
        restore(ADDRESS, root)
    assert recorded(root) == []


def test_writes_that_fail_say_what_it_takes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.driver("")
    (machine.place / "driver_override").unlink()
    (machine.place / "driver_override").mkdir()
    with pytest.raises(DeviceError, match="driver_override: Is a directory; it takes root"):
        bind(found(ADDRESS, tmp_path), tmp_path)
