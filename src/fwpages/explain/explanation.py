"""One command, answer, event or queue entry explained field by field, as ``fwpages explain`` prints it.

The bytes are read by the layouts and forms of ``prm``, leniently: fields that lie within the bytes are shown even where
the message is cut short or a count contradicts it, and a note says so. Page lists are shown as runs of consecutive
pages of 4 KiB.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from fwpages.pages import PAGE_SIZE
from fwpages.pages.words import many
from fwpages.prm.capability import GENERAL
from fwpages.prm.commands import Shape, form_of
from fwpages.prm.event import EQE_SIZE, EventType, event_layout
from fwpages.prm.layout import Field, Layout, LayoutError
from fwpages.prm.message import PageArray
from fwpages.prm.opcodes import CapType, ManagePages, Opcode, Teardown, op_mod_suffix, opcode_name
from fwpages.prm.queue import CMDQ_ENTRY, ENTRY_SIZE, MAILBOX_SIZE, input_message, output_message
from fwpages.prm.status import status_words

#: runs of consecutive pages that are listed; the rest is counted
MAX_RUNS = 12


class ExplainError(ValueError):
    """The bytes cannot be explained as the kind of message that they are given as."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A field: its place as the manual writes it (``0x50:16``), its value, and the meaning of that in words."""

    name: str
    at: str
    value: int
    meaning: str = ""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` consecutive pages, from the address ``first`` on."""

    first: str
    count: int


class Pages(msgspec.Struct, frozen=True, kw_only=True):
    """A list of page addresses: how many, and the first runs of them in the order of the message."""

    count: int
    runs: list[Run]
    more_runs: int = 0


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message explained. ``reserved`` are the places of bits that are set and that no field names."""

    kind: str
    title: str
    length: int
    fields: list[Value]
    reserved: list[str] = []
    pages: Pages | None = None
    capabilities: list[Value] = []
    notes: list[str] = []


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The JSON of ``fwpages explain``."""

    schema_: str = "decode/1"
    messages: list[Message]


def command(buf: bytes) -> Message:
    """A command; ExplainError where it has not even an opcode and an op_mod."""
    if len(buf) < 8:
        raise ExplainError(f"a command has at least 8 bytes, here are {len(buf)}")
    opcode, op_mod = int.from_bytes(buf[:2], "big"), int.from_bytes(buf[6:8], "big")
    title = opcode_name(opcode) + op_mod_suffix(opcode, op_mod)
    return _message("command", title, opcode, form_of(opcode).request, buf)


def answer(opcode: int, buf: bytes) -> Message:
    """The answer to ``opcode``; ExplainError where it has no status and syndrome."""
    if len(buf) < 8:
        raise ExplainError(f"an answer has at least 8 bytes, here are {len(buf)}")
    title = f"answer to {opcode_name(opcode)}: {status_words(buf[0])}"
    return _message("answer", title, opcode, form_of(opcode).reply, buf)


def event(buf: bytes) -> Message:
    """An event queue entry; ExplainError unless it has 64 bytes."""
    if len(buf) != EQE_SIZE:
        raise ExplainError(f"an event queue entry has {EQE_SIZE} bytes, here are {len(buf)}")
    number = buf[1]
    name = EventType(number).name if number in tuple(EventType) else "of a type without a name here"
    layout = event_layout(number)
    fields = _fields(layout, buf, 0)
    notes = []
    if number == EventType.PAGE_REQUEST:
        v = layout.unpack(buf)
        notes.append(_request(v["num_pages"], release_all=bool(v["release_all"]), ec=bool(v["ec_function"])))
    reserved = _reserved(layout, buf) if number in (EventType.PAGE_REQUEST, EventType.COMMAND) else []
    return Message(
        kind="event",
        title=f"event {number:#04x}: {name}",
        length=len(buf),
        fields=fields,
        reserved=reserved,
        notes=notes,
    )


def entry(buf: bytes) -> list[Message]:
    """A command-queue entry with its mailboxes behind it (a full dump): the entry, and the message that it carries."""
    if len(buf) < ENTRY_SIZE:
        raise ExplainError(f"a queue entry has {ENTRY_SIZE} bytes, here are {len(buf)}")
    head, blocks = buf[:ENTRY_SIZE], [buf[i : i + MAILBOX_SIZE] for i in range(ENTRY_SIZE, len(buf), MAILBOX_SIZE)]
    v = CMDQ_ENTRY.unpack(head)
    fields = [f for f in _fields(CMDQ_ENTRY, head, 0) if f.name not in ("input", "output")]
    title = f"queue entry, {'the device has it' if v['ownership'] else 'done'}"
    first = Message(kind="entry", title=title, length=len(buf), fields=fields, reserved=_reserved(CMDQ_ENTRY, head))
    opcode = int.from_bytes(head[16:18], "big")
    messages = [first]
    # the mailboxes of a dump are those of one direction: the input's while the device has the entry
    if v["ownership"]:
        messages.append(_carried("command", opcode, head, blocks))
    else:
        messages.append(command(head[16:32]))
        messages.append(_carried("answer", opcode, head, blocks))
    return messages


def _carried(kind: str, opcode: int, head: bytes, blocks: list[bytes]) -> Message:
    """The message that an entry and its mailboxes carry, or the part of it that the entry has."""
    note = []
    try:
        buf = input_message(head, blocks) if kind == "command" else output_message(head, blocks)
    except LayoutError as e:
        buf, note = head[16:32] if kind == "command" else head[32:48], [f"only the part that the entry itself has: {e}"]
    message = command(buf) if kind == "command" else answer(opcode, buf)
    return msgspec.structs.replace(message, notes=[*note, *message.notes])


def _message(kind: str, title: str, opcode: int, shape: Shape, buf: bytes) -> Message:
    layout = shape.fixed
    fields, tail = _fields(layout, buf, opcode), buf[layout.size :]
    notes = []
    if len(buf) < layout.least:
        notes.append(f"cut short: {layout.name} has {layout.size} bytes, here are {len(buf)}")
    pages = None
    capabilities: list[Value] = []
    if shape.tail == "pas" and tail:
        pages, about = _page_list(kind, opcode, fields, tail)
        notes += about
    elif _is_general(opcode, kind, buf) and len(tail) >= GENERAL.least:
        capabilities = _fields(GENERAL, tail, 0)
    elif tail:
        kind_of = "of data" if shape.tail == "data" else "more than the layout has"
        notes.append(f"{many(len(tail), 'byte')} {kind_of}{'' if any(tail) else ', all zero'}")
    return Message(
        kind=kind,
        title=title,
        length=len(buf),
        fields=fields,
        reserved=_reserved(layout, buf),
        pages=pages,
        capabilities=capabilities,
        notes=notes,
    )


def _page_list(kind: str, opcode: int, fields: list[Value], tail: bytes) -> tuple[Pages, list[str]]:
    """The addresses behind a message's fields, as many as its count says, and notes where the two do not agree."""
    pas = np.frombuffer(tail[: len(tail) // 8 * 8], ">u8").astype(np.uint64)
    count = next((f.value for f in fields if f.name.endswith("put_num_entries")), pas.size)
    notes = _counted(kind, fields, count, pas) if opcode == Opcode.MANAGE_PAGES else []
    if len(tail) % 8:
        notes.append(f"{many(len(tail) % 8, 'byte')} left over at the end: an address has 8")
    return _pages(pas[:count]), notes


def _counted(kind: str, fields: list[Value], count: int, pas: PageArray) -> list[str]:
    op_mod = next((f.value for f in fields if f.name == "op_mod"), None)
    if kind == "command" and op_mod != ManagePages.GIVE:
        return [f"{_addresses(pas.size)}, which only a GIVE has"] if pas.size else []
    notes = []
    if pas.size < count or (kind == "command" and pas.size > count):
        notes.append(f"the count says {many(count)}, here: {_addresses(pas.size)}")
    named = pas[:count]
    if bad := int(np.count_nonzero((named == 0) | (named % np.uint64(PAGE_SIZE) != 0))):
        notes.append(f"{_addresses(bad)} 0 or no multiple of {PAGE_SIZE}")
    if again := int(named.size - np.unique(named).size):
        notes.append(f"{_addresses(again)} named more than once")
    return notes


def _addresses(n: int) -> str:
    return f"{n:,} address{'' if n == 1 else 'es'}"


def _is_general(opcode: int, kind: str, buf: bytes) -> bool:
    """The message carries a general capability page. An answer does not say which page it is: it is taken for one."""
    if kind == "answer":
        return opcode == Opcode.QUERY_HCA_CAP
    return opcode == Opcode.SET_HCA_CAP and int.from_bytes(buf[6:8], "big") >> 1 == CapType.GENERAL


def _pages(pas: PageArray) -> Pages:
    if not pas.size:
        return Pages(count=0, runs=[])
    breaks = np.flatnonzero(pas[1:] != pas[:-1] + np.uint64(PAGE_SIZE)) + 1
    starts = np.concatenate([[0], breaks])
    sizes = np.diff(np.concatenate([starts, [pas.size]]))
    runs = [
        Run(first=f"{int(pas[i]):#x}", count=int(n))
        for i, n in zip(starts[:MAX_RUNS].tolist(), sizes[:MAX_RUNS].tolist(), strict=True)
    ]
    return Pages(count=int(pas.size), runs=runs, more_runs=max(0, int(starts.size) - MAX_RUNS))


def _fields(layout: Layout, buf: bytes, opcode: int) -> list[Value]:
    """Every declared field that lies within the buffer."""
    top = len(buf) * 8
    word = int.from_bytes(buf, "big")
    return [
        Value(
            name=f.name,
            at=f"{f.bit:#x}:{f.width}",
            value=(value := f.decode((word >> (top - f.end)) & f.mask)),
            meaning=_meaning(layout, f, value, opcode),
        )
        for f in layout
        if f.end <= top
    ]


#: words for the values of fields that mean the same in every message
_MEANINGS: dict[str, Callable[[int], str]] = {
    "opcode": opcode_name,
    "status": status_words,
    "num_pages": lambda n: f"{n} to give" if n > 0 else f"{-n} to take back" if n else "none",
    "function_id_type": lambda n: "function_id is a vhca_id" if n else "",
    "icm_mng_function_id_mode": lambda n: "VHCA_ID" if n else "FUNC_ID",
    "ownership": lambda n: "the device's" if n else "software's",
}


def _meaning(layout: Layout, f: Field, value: int, opcode: int) -> str:
    if f.name == "op_mod":
        return op_mod_suffix(opcode, value).strip("()")
    if f.name == "profile" and layout.name == "teardown_hca_in" and value in tuple(Teardown):
        return Teardown(value).name.lower().replace("_", " ")
    words = _MEANINGS.get(f.name)
    return words(value) if words is not None else ""


def _reserved(layout: Layout, buf: bytes) -> list[str]:
    """The places of bits that are set and that no field names, run by run."""
    bits = np.unpackbits(np.frombuffer(layout.reserved(buf), np.uint8))
    at = np.flatnonzero(bits)
    if not at.size:
        return []
    runs = np.split(at, np.flatnonzero(np.diff(at) != 1) + 1)
    return [f"{int(run[0]):#x}:{run.size}" for run in runs]


def _request(pages: int, *, release_all: bool, ec: bool) -> str:
    side = " of the embedded CPU" if ec else ""
    if release_all:
        return f"firmware has released all pages of the function{side}; no command follows"
    if pages < 0:
        return f"firmware asks the host to take back {many(-pages)} of the function{side}"
    return f"firmware asks for {many(pages)} for the function{side}"
