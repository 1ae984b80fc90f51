"""A function is taken to vfio-pci, and given back: what it was is written down before anything changes.

The record lies in /run/fwpages, so that giving back needs nothing of the process that took the function.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fwpages.link.driving.pci_device import DeviceError
from fwpages.link.vfio.functions import PCI, VFIO, Function, function, users

#: where the records lie
RECORDS = "run/fwpages"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function's state before: its driver and its ``driver_override``, each empty for none."""

    address: str
    driver: str
    override: str


@dataclass(frozen=True, slots=True)
class Restored:
    """A function that was given back to the driver that it had ("" for none)."""

    address: str
    driver: str


def bind(f: Function, root: Path) -> None:
    """Take the function to vfio-pci. DeviceError where it cannot be, with how far it came."""
    if f.driver == VFIO:
        return
    _write_record(root, Record(f.address, f.driver, f.override))
    folder = root / PCI / "devices" / f.address
    _write(folder / "driver_override", VFIO)
    if f.driver:
        _write(folder / "driver" / "unbind", f.address)
    _write(root / PCI / "drivers_probe", f.address)
    now = function(f.address, root)
    if now is None or now.driver != VFIO:
        raise DeviceError(
            f"{f.address}: {VFIO} does not take it (the kernel's log says why); fwpages drive --restore {f.address}"
        )


def restore(address: str, root: Path) -> Restored:
    """Give the function back to what the record says. DeviceError without a record, and where it is in use."""
    record = _record(root, address)
    f = function(address, root)
    if f is None:
        _path(root, address).unlink()
        raise DeviceError(f"{address}: the function is gone; its record is removed")
    if f.driver == VFIO:
        busy = [] if f.group is None else users(root, f.group)
        if busy:
            raise DeviceError(f"{address}: process {', '.join(map(str, busy))} drives it still: end it first")
    folder = root / PCI / "devices" / address
    _write(folder / "driver_override", record.override or "\n")
    if f.driver == VFIO:
        _write(folder / "driver" / "unbind", address)
        f = function(address, root)
    if record.driver and f is not None and not f.driver:
        _write(root / PCI / "drivers_probe", address)
    _path(root, address).unlink()
    return Restored(address, record.driver)


def recorded(root: Path) -> list[str]:
    """Return the addresses of the functions that were taken and not given back."""
    return sorted(p.stem for p in (root / RECORDS).glob("*.json"))


def _path(root: Path, address: str) -> Path:
    return root / RECORDS / f"{address}.json"


def _record(root: Path, address: str) -> Record:
    path = _path(root, address)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Record)
    except FileNotFoundError:
        raise DeviceError(f"{address}: it was not taken by `fwpages drive --bind`: there is no {path}") from None
    except (OSError, msgspec.MsgspecError) as e:
        raise DeviceError(f"{path}: it cannot be read: {e}") from None


def _write_record(root: Path, record: Record) -> None:
    """Write the record whole and to the disk; one that is there already is of an earlier taking, and stays."""
    path = _path(root, record.address)
    if path.exists():
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as stream:
            stream.write(msgspec.json.encode(record))
            stream.flush()
            os.fsync(stream.fileno())
        part.rename(path)
    except OSError as e:
        raise DeviceError(f"{path}: it cannot be written, so nothing was changed: {e.strerror or e}") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as e:
        raise DeviceError(f"{path}: {e.strerror or e}; it takes root") from None
