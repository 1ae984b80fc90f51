"""A function of this machine from looking at it to letting go of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fwpages.link.driving.pci_device import DeviceError, IovaRange
from fwpages.link.vfio.binding import bind, restore
from fwpages.link.vfio.device import Container, VfioDevice
from fwpages.link.vfio.functions import VFIO, Function, isolation
from fwpages.link.vfio.prospects import found, memlock, obstacles, refusals, reset_of

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class Prospect:
    """The conditions that driving a function would meet; nothing was opened that resets it.

    ``ranges`` are the I/O addresses that can be mapped, None where they are not known before it is on vfio-pci;
    ``locked`` the bytes that may be locked, None for any number; ``bridges`` those above it, each with whether it
    isolates what is below. ``against`` are obstacles and refusals.
    """

    function: Function
    reset: str
    no_reset: str
    bridges: tuple[tuple[str, bool | None], ...]
    ranges: tuple[IovaRange, ...] | None
    locked: int | None
    against: tuple[str, ...]


def against(f: Function, *, binding: bool, on_purpose: bool, root: Path = ROOT) -> list[str]:
    """Return what stands against driving the function; refusals do not count where it is named on purpose."""
    return [*obstacles(f, root, bind=binding), *([] if on_purpose else refusals(f))]


def prospect(address: str, *, binding: bool, on_purpose: bool, root: Path = ROOT) -> Prospect:
    """Look at a function without opening its device. DeviceError where there is no mlx5 function at this address."""
    f = found(address, root)
    reset, no_reset = reset_of(f)
    reasons, ranges = against(f, binding=binding, on_purpose=on_purpose, root=root), None
    if f.driver == VFIO and root == ROOT:
        try:
            container = Container(f)
        except DeviceError as e:
            reasons.append(str(e))
        else:
            ranges = tuple(container.ranges)
            container.close()
    if no_reset:
        reasons.append(f"{address}: {no_reset}")
    return Prospect(f, reset, no_reset, tuple(isolation(address, root)), ranges, memlock(), tuple(reasons))


@contextmanager
def taken(address: str, *, binding: bool, on_purpose: bool, on_trouble: Callable[[str], None]) -> Iterator[VfioDevice]:
    """Open the function for a ``with`` block; with ``binding`` it is taken to vfio-pci before and given back after.

    DeviceError where something stands against it. ``on_trouble`` is called where it cannot be given back.
    """
    f = found(address, ROOT)
    reasons = against(f, binding=binding, on_purpose=on_purpose)
    if reasons:
        raise DeviceError("\n".join(reasons))
    takes = binding and f.driver != VFIO
    try:
        if takes:
            bind(f, ROOT)
            f = found(address, ROOT)
        device = VfioDevice(f)
        try:
            yield device
        finally:
            device.close()
    finally:
        if takes:
            try:
                restore(address, ROOT)
            except DeviceError as e:
                on_trouble(str(e))
