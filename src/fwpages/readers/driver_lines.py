"""The parts of a line of mlx5_core's: the device, the driver's function that printed it, the process, the message.

Drivers name their device in several ways, and so do the kernels around them. Dynamic debug may put
``mlx5_core:function:`` in front, so that the last name in a line is the device's.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: an address; whoever hides one writes x and y for its digits
_PCI: Final = r"(?:[0-9a-fA-FxXyY]{4,}:)?[0-9a-fA-FxXyY]{2}:[0-9a-fA-FxXyY]{2}\.[0-7xXyYzZ]"
_AUXILIARY: Final = r"mlx5_core\.\w+\.\d+"
_ORIGIN: Final = rf"(?:{_PCI}:)?(?P<function>\w+):\d+:\(pid (?P<pid>\d+)\): ?"

#: `mlx5_core 0000:03:00.0 ens1f0np0: give_pages:467:(pid 100): the message`, as dev_dbg, dev_warn and dev_info do;
#: `mlx5_core.sf mlx5_core.sf.4: ` of an auxiliary device, and FreeBSD's `mlx5_core0: WARN: `
_NAMED = re.compile(
    r"(?P<prefix>.*)(?<!\w)mlx5_core"
    rf"(?:(?:\.\w+)? (?P<device>{_PCI}|{_AUXILIARY})(?: [^\s:]+)?(?: \(\w+\))?: ?|(?P<unit>\d+): (?:[A-Z]+: )?)"
    rf"(?:{_ORIGIN})?(?P<message>.*)",
    re.DOTALL,
)
#: the same from kernels that name the device themselves: `0000:03:00.0:give_pages:300:(pid 1): the message`
_BARE = re.compile(
    rf"(?P<prefix>.*?)(?P<device>{_PCI}):(?P<function>\w+):\d+:\(pid (?P<pid>\d+)\): (?P<message>.*)", re.DOTALL
)
#: the health lines of FreeBSD 11, which name no device: `mlx5_core: INFO: synd 0x8: unrecoverable hardware error`
_OLD = re.compile(r"(?P<prefix>.*)(?<!\w)mlx5_core: (?:INFO|WARN|ERR): (?P<message>.*)", re.DOTALL)
#: a driver's function in front of a message, retyped or cut: without its line or process, or with blanks between
_RETYPED = re.compile(rf"(?:{_PCI}:)?(?P<function>[a-z]\w*):(?:\d+ ?:)? ?(?:\(pid \w+\) ?:)? ?(?:\.\.\. ?)?(?=\S)")
#: the kernel's own line about a driver that did not take a device: `mlx5_core: probe of 0000:61:00.0 failed with ...`
_PROBE = re.compile(
    rf"(?P<prefix>.*)(?<!\w)mlx5_core(?:\.\w+)?: "
    rf"(?P<message>probe of (?P<device>{_PCI}|{_AUXILIARY}) failed with error .*)",
    re.DOTALL,
)

#: drivers of the same maker's other devices and systems, none of which has the messages that are read here
_OTHERS = re.compile(
    rb"(?<![A-Za-z0-9_.])(nmlx[45]_\w+|mlx4_(?:core|en|ib)|mlxsw_\w+|mlxbf_\w+|mlx5_core)(?![A-Za-z0-9])"
)


class NamedLine(NamedTuple):
    """A line that names a device. ``function`` and ``pid`` are None where the line does not have them."""

    prefix: str
    device: str
    function: str | None
    pid: str | None
    message: str


def named_line(line: str) -> NamedLine | None:
    """The parts of a line; None where it names no device."""
    if (m := _NAMED.match(line)) is not None:
        prefix, device, unit, function, pid, message = m.groups()
        return NamedLine(prefix, device or f"mlx5_core{unit}", function, pid, message.rstrip())
    if ":(pid " in line and (m := _BARE.match(line)) is not None:
        prefix, device, function, pid, message = m.groups()
        return NamedLine(prefix, device, function, pid, message.rstrip())
    if (m := _OLD.match(line)) is not None:
        return NamedLine(m["prefix"], "mlx5_core", None, None, m["message"].rstrip())
    if "probe of " in line and (m := _PROBE.match(line)) is not None:
        return NamedLine(m["prefix"], m["device"], None, None, m["message"].rstrip())
    return None


def retyped(message: str) -> tuple[str, str] | None:
    """The driver's function in front of a message, and the message without it, where it was not left as printed."""
    m = _RETYPED.match(message)
    return (m["function"], message[m.end() :]) if m is not None else None


def driver_named(line: bytes) -> str | None:
    """mlx5_core, or another driver of the same maker, that a line names; None where it names none of them."""
    m = _OTHERS.search(line)
    return m[1].decode() if m else None
