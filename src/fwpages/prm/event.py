"""Event queue entries (``struct mlx5_eqe``, 64 bytes) and the page request in them (``struct mlx5_eqe_page_req``)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import msgspec

from fwpages.prm.identity import Identity, Mode, named
from fwpages.prm.layout import Field, Layout, LayoutError

EQE_SIZE = 64


class EventType(IntEnum):
    """Event types that the page protocol and its transport use; the rest pass by number."""

    COMPLETION = 0x00
    COMMAND = 0x0A
    PAGE_REQUEST = 0x0B
    NIC_VPORT_CHANGE = 0x0D
    ESW_FUNCTIONS_CHANGED = 0x0E
    VHCA_STATE_CHANGE = 0x0F


_HEAD = (Field("type", 0x8, 8), Field("sub_type", 0x18, 8))
_OWNER = Field("owner", 63 * 8 + 7, 1)

EQE = Layout("eqe", EQE_SIZE, (*_HEAD, _OWNER))
PAGE_REQUEST_EQE = Layout(
    "eqe_page_req",
    EQE_SIZE,
    (
        *_HEAD,
        Field("ec_function", 32 * 8, 1),
        Field("release_all", 32 * 8 + 1, 1),
        Field("func_id", 34 * 8, 16),
        Field("num_pages", 36 * 8, 32, signed=True),
        _OWNER,
    ),
)
VHCA_STATE_EQE = Layout("eqe_vhca_state", EQE_SIZE, (*_HEAD, Field("func_id", 34 * 8, 16), _OWNER))
COMMAND_EQE = Layout("eqe_cmd", EQE_SIZE, (*_HEAD, Field("vector", 32 * 8, 32), _OWNER))


class PageRequestEvent(msgspec.Struct, frozen=True):
    """Firmware asks for pages (positive), wants some taken back (negative), or has released all (``release_all``).

    ``number`` and ``ec`` are as they lie in the entry; what they name depends on the session's mode.
    """

    number: int
    num_pages: int
    ec: bool = False
    release_all: bool = False

    def function(self, mode: Mode) -> Identity:
        """Return the function that the event names in ``mode``."""
        return named(mode, self.number, self.ec)


@dataclass(frozen=True, slots=True)
class EswitchEvent:
    """Something has changed that the driver of an e-switch asks about, by the event's ``type``.

    ESW_FUNCTIONS_CHANGED: the functions that QUERY_ESW_FUNCTIONS answers. VHCA_STATE_CHANGE: the state of ``function``,
    which QUERY_VHCA_STATE answers.
    """

    type: EventType
    function: int = 0


def encode_eswitch(ev: EswitchEvent, owner: int = 0) -> bytes:
    """The 64 bytes of an entry about the e-switch."""
    if ev.type == EventType.VHCA_STATE_CHANGE:
        return VHCA_STATE_EQE.pack({"type": ev.type, "func_id": ev.function, "owner": owner})
    return EQE.pack({"type": ev.type, "owner": owner})


def decode_eswitch(buf: bytes | memoryview) -> EswitchEvent | None:
    """The event about the e-switch in this entry, None for one of another type; LayoutError unless it has 64 bytes."""
    kind = EQE.unpack(buf)["type"]
    if kind == EventType.VHCA_STATE_CHANGE:
        return EswitchEvent(EventType.VHCA_STATE_CHANGE, VHCA_STATE_EQE.unpack(buf)["func_id"])
    return EswitchEvent(EventType.ESW_FUNCTIONS_CHANGED) if kind == EventType.ESW_FUNCTIONS_CHANGED else None


def encode_page_request(ev: PageRequestEvent, owner: int = 0) -> bytes:
    """The 64 bytes of a PAGE_REQUEST entry; LayoutError for a count beyond 32 bits signed."""
    return PAGE_REQUEST_EQE.pack(
        {
            "type": EventType.PAGE_REQUEST,
            "ec_function": int(ev.ec),
            "release_all": int(ev.release_all),
            "func_id": ev.number,
            "num_pages": ev.num_pages,
            "owner": owner,
        }
    )


_LAYOUTS: dict[int, Layout] = {
    EventType.PAGE_REQUEST: PAGE_REQUEST_EQE,
    EventType.COMMAND: COMMAND_EQE,
    EventType.VHCA_STATE_CHANGE: VHCA_STATE_EQE,
}


def event_layout(event_type: int) -> Layout:
    """The layout of an entry of this type; the bare head where nothing more is known."""
    return _LAYOUTS.get(event_type, EQE)


def decode_page_request(buf: bytes | memoryview) -> PageRequestEvent | None:
    """The page request in this entry, None for an event of another type; LayoutError unless it has 64 bytes."""
    if len(buf) != EQE_SIZE:
        raise LayoutError(f"an event queue entry has {EQE_SIZE} bytes, this has {len(buf)}")
    v = PAGE_REQUEST_EQE.unpack(buf)
    if v["type"] != EventType.PAGE_REQUEST:
        return None
    return PageRequestEvent(v["func_id"], v["num_pages"], bool(v["ec_function"]), bool(v["release_all"]))
