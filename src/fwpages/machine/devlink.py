"""Firmware's own count of a function's pages, from the kernel's devlink: ``ask``. It needs ``fwpages[devlink]``.

The driver's health reporter ``vnic`` has ``icm_consumption``, in pages of 4 KiB (Linux 6.15, ``reporter_vnic.c``). For
each question the driver sends QUERY_VNIC_ENV and two ACCESS_REG, while it holds the devlink lock that a recovery
needs. So a function is asked only while its reporters ``fw`` and ``fw_fatal`` say that it is healthy: their state is
the kernel's own, and no command is sent for it.

A request waits in the kernel, where no signal ends it, for as long as somebody else has the lock. So this module is a
program too, which ``asking`` starts and gives up in time: ``python -m fwpages.machine.devlink BUS/DEVICE…``.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import Any

import msgspec
from pyroute2.netlink import NLM_F_REQUEST, genlmsg, nla
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket

from fwpages.machine.snapshot import FirmwareAnswer, Untold

#: reporters that say if firmware is well
_HEALTH = ("fw", "fw_fatal")
_HEALTHY = 0
_REPORTER = "vnic"
_FIGURE = "icm_consumption"
#: a figure of 32 bits
_SIZE = 4


class Cmd(IntEnum):
    """Commands of devlink (Linux, ``include/uapi/linux/devlink.h``)."""

    REPORTER_GET = 52
    REPORTER_DIAGNOSE = 55


def _attributes(base: Any, *rows: tuple[int, str, str], **nested: Any) -> Any:
    """A class of messages or attributes: number, name and type of each, and the classes of those that nest others."""
    return type("devlink", (base,), {"prefix": "", "nla_map": rows, **nested})


#: the attributes that are read, by their numbers in ``include/uapi/linux/devlink.h``
Message = _attributes(
    genlmsg,
    (1, "BUS", "asciiz"),
    (2, "DEVICE", "asciiz"),
    (106, "FMSG", "fmsg"),
    (114, "REPORTER", "reporter"),
    (115, "REPORTER_NAME", "asciiz"),
    fmsg=_attributes(nla, (110, "END", "none"), (111, "NAME", "asciiz"), (113, "DATA", "cdata")),
    reporter=_attributes(nla, (116, "STATE", "uint8")),
)

#: a request to devlink: the command, the bus, the device, the reporter; the messages of the answer
Request = Callable[[Cmd, str, str, str], list[Any]]


def ask(request: Request, bus: str, device: str) -> FirmwareAnswer:
    """Ask one function's firmware, if the function is healthy."""
    for name in _HEALTH:
        try:
            answer = request(Cmd.REPORTER_GET, bus, device, name)
        except NetlinkError as e:
            return FirmwareAnswer(not_known=_reason(e.code, Untold.NO_HEALTH))
        if _state(answer) != _HEALTHY:
            return FirmwareAnswer(not_known=Untold.UNHEALTHY)
    try:
        pages = _figure(request(Cmd.REPORTER_DIAGNOSE, bus, device, _REPORTER))
    except NetlinkError as e:
        return FirmwareAnswer(not_known=_reason(e.code, Untold.ABSENT))
    return FirmwareAnswer(not_known=Untold.ABSENT) if pages is None else FirmwareAnswer(pages=pages)


def _reason(code: int, refused: Untold) -> str:
    """The reason of an error; ``refused`` is that of a reporter that is not there."""
    known = {
        errno.EPERM: Untold.DENIED,
        errno.EACCES: Untold.DENIED,
        errno.ENODEV: Untold.GONE,
        errno.EINVAL: refused,
        errno.EOPNOTSUPP: refused,
    }
    return known.get(code) or f"{Untold.FAILED}: {errno.errorcode.get(code, code)}"


def _state(answer: list[Any]) -> int | None:
    reporter = answer[0].get_attr("REPORTER") if answer else None
    state = None if reporter is None else reporter.get_attr("STATE")
    return state if isinstance(state, int) else None


def _figure(answer: list[Any]) -> int | None:
    """The figure in a formatted message: the value that follows its name."""
    wanted = False
    for name, value in _parts(answer):
        if name == "NAME":
            wanted = value == _FIGURE
        elif name == "END":
            wanted = False
        elif name == "DATA" and wanted:
            data = bytes(value)
            return int.from_bytes(data, sys.byteorder) if len(data) == _SIZE else None
    return None


def _parts(answer: list[Any]) -> Iterator[tuple[str, Any]]:
    """The attributes of a formatted message, which may be cut into several messages."""
    for message in answer:
        nested = message.get_attr("FMSG")
        yield from (tuple(part[:2]) for part in (nested["attrs"] if nested is not None else ()))


def over(socket: Any) -> Request:
    """Requests over an open generic netlink socket that is bound to devlink."""

    def request(command: Cmd, bus: str, device: str, reporter: str) -> list[Any]:
        message: Any = Message()
        message["cmd"], message["version"] = command, 1
        message["attrs"] = [("BUS", bus), ("DEVICE", device), ("REPORTER_NAME", reporter)]
        return list(socket.nlm_request(message, msg_type=socket.prid, msg_flags=NLM_F_REQUEST))

    return request


def main(handles: list[str]) -> None:
    """Print an empty line, ask one function after the other, and print an answer a line as soon as it is there."""
    _say("")
    try:
        with GenericNetlinkSocket() as socket:
            socket.bind("devlink", Message)
            request = over(socket)
            for handle in handles:
                bus, _, device = handle.partition("/")
                _say(_line(ask(request, bus, device)))
    except (NetlinkError, OSError) as e:
        why = Untold.NO_DEVLINK if getattr(e, "code", e.args[0] if e.args else 0) == errno.ENOENT else str(e)
        for _ in handles:
            _say(_line(FirmwareAnswer(not_known=str(why))))


def _line(answer: FirmwareAnswer) -> str:
    return msgspec.json.encode(answer).decode()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
