"""The rules that a driver can break, each with a name, and the status that a command breaking it is answered with."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from fwpages.prm.status import Status

_TABLE: dict[str, tuple[Status, str]] = {
    "unknown-command": (Status.BAD_OP, "sent an opcode that this firmware does not execute"),
    "wrong-state": (Status.BAD_SYS_STATE, "sent a command at a point of the session's life where it is not allowed"),
    "pages-missing": (Status.BAD_SYS_STATE, "sent INIT_HCA before all boot and init pages were given"),
    "reply-too-small": (Status.BAD_OUTP_LEN, "set aside fewer bytes for the answer than the command asks for"),
    "bad-length": (Status.BAD_INP_LEN, "sent data of another length than the command has, or pages where none belong"),
    "count-mismatch": (Status.BAD_INP_LEN, "named another number of page addresses than the command's fields say"),
    "bad-op-mod": (Status.BAD_PARAM, "used an op_mod that the command does not have"),
    "bad-parameter": (Status.BAD_PARAM, "set a field to a value that the command does not have"),
    "identity-mode": (Status.BAD_PARAM, "named a function in the way of the other identity mode"),
    "unknown-function": (Status.BAD_PARAM, "named a function that this device does not have"),
    "empty-give": (Status.BAD_PARAM, "sent a GIVE of no pages"),
    "unrequested-give": (Status.LIM_ERR, "gave a function more pages than firmware wants for it"),
    "bad-address": (Status.BAD_PARAM, "named address 0, or one that is not a multiple of 4 KiB"),
    "repeated-page": (Status.BAD_PARAM, "named a page more than once in one command"),
    "given-twice": (Status.BAD_RES_STATE, "gave a page that firmware has already"),
    "memory-in-use": (
        Status.BAD_RES_STATE,
        "used memory for two things at once: lent as a page and for an event queue, or for two event queues",
    ),
    "too-scattered": (Status.NO_RES_ERR, "gave pages spread over more address space than firmware can map"),
    "capability-not-offered": (Status.BAD_PARAM, "set a capability beyond what the maximum capabilities offer"),
    "mode-back": (Status.BAD_PARAM, "tried to leave VHCA_ID mode within a session"),
    "issi-not-supported": (Status.BAD_PARAM, "chose an ISSI that QUERY_ISSI does not offer"),
    "vhca-id-in-use": (Status.RES_BUSY, "enabled a function whose vhca_id belongs to another that is enabled"),
    "already-enabled": (Status.BAD_RES_STATE, "enabled a function that is enabled"),
    "not-enabled": (Status.BAD_RES_STATE, "disabled a function that is not enabled"),
    "not-an-sf": (Status.BAD_PARAM, "used ALLOC_SF or DEALLOC_SF on a function that is no SF"),
    "sf-allocated": (Status.BAD_RES_STATE, "allocated an SF that is allocated"),
    "sf-not-allocated": (Status.BAD_RES_STATE, "used an SF that is not allocated"),
    "unknown-resource": (Status.BAD_RES, "named a UAR or an EQ that does not exist"),
    "resource-in-use": (Status.RES_BUSY, "released a UAR that an EQ uses"),
    "too-many-resources": (Status.NO_RES_ERR, "allocated more UARs or EQs than there are"),
    "second-pages-eq": (Status.BAD_RES_STATE, "created a second EQ for page requests"),
    "disabled-with-pages": (
        Status.OK,
        "sent DISABLE_HCA while firmware held pages, which it then keeps until the device is reset; only recorded",
    ),
}

#: name of each offence → what the driver did
OFFENCES: Mapping[str, str] = MappingProxyType({name: words for name, (_, words) in _TABLE.items()})

#: name of each offence → the status of the command's answer; OK for one that is only recorded
STATUS: Mapping[str, Status] = MappingProxyType({name: status for name, (status, _) in _TABLE.items()})


class RefusedError(Exception):
    """A command is refused, and nothing was changed; ``name`` is one of ``OFFENCES``. Never leaves ``Firmware``."""

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name
        self.detail = detail

    @property
    def status(self) -> Status:
        """What the command is answered with."""
        return STATUS[self.name]
