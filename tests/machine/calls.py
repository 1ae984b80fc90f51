"""A trace of one device as the kernel's tracing would print the driver's calls: lines of ``trace_pipe``."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

from fwpages.machine.calls.journal import Journal
from fwpages.machine.calls.lines import parse
from fwpages.machine.calls.order import Order
from fwpages.machine.calls.probes import BODY, HEAD, RECORDED, Event, name
from fwpages.prm.event import PageRequestEvent, decode_page_request
from fwpages.prm.opcodes import Opcode
from fwpages.readers.trace_writer import RecordWriter

GROUP = "fwpages_7"
DEVICE = "0000:01:00.0"
#: the address of the device's structure, and the place of the notifier in it
ADDRESS, NOTIFIER = 0xFF11_2233_4455_6000, 0x7D8
#: a name that a task may have, which looks like the end of a line's beginning
_TASK = "kworker/u4: [0]-1"


def printed(event: Event, task: int, time: float, fields: str) -> str:
    """One line, as the kernel prints it."""
    place = "(cmd_exec+0x4/0x50 [mlx5_core])"
    return f"{_TASK:>16}-{task:<7} [001] d.h2. {time:12.6f}: {name(event, GROUP)}: {place} {fields}"


def op(message: bytes) -> str:
    """The opcode of a command, as an event has it."""
    return f"{int.from_bytes(message[:2], sys.byteorder):#x}"


def words(data: bytes, count: int) -> str:
    """So many words of memory, in the processor's order."""
    padded = data[: 4 * count].ljust(4 * count, b"\0")
    numbers = [int.from_bytes(padded[i : i + 4], sys.byteorder) for i in range(0, 4 * count, 4)]
    return "{" + ",".join(f"{n:#x}" for n in numbers) + "}"


def sent(task: int, time: float, message: bytes, reply: int, *, address: int = ADDRESS, label: str = DEVICE) -> str:
    """A command's call."""
    long = int.from_bytes(message[:2], "big") in (Opcode.SET_HCA_CAP, Opcode.CREATE_EQ)
    body = f" body={words(message[16:], BODY)}" if long else ""
    sizes = f"op={op(message)} size={len(message)} reply={reply}"
    head = f'dev={address:#x} name="{label}" {sizes} head={words(message, HEAD)}{body}'
    return printed(Event.LONG_COMMAND if long else Event.COMMAND, task, time, head)


def returned(task: int, time: float, opcode: int, message: bytes, ret: int = 0) -> str:
    """The return of a command's call."""
    long = opcode == Opcode.QUERY_HCA_CAP
    body = f" body={words(message[16:], BODY)}" if long else ""
    head = f"ret={ret} op={op(opcode.to_bytes(2, 'big'))} head={words(message, HEAD)}"
    return printed(Event.LONG_ANSWER if long else Event.ANSWER, task, time, head + body)


def requested(time: float, entry: bytes, *, address: int = ADDRESS) -> str:
    """A page request, in the interrupt of some task."""
    return printed(Event.REQUEST, 1, time, f"notified={address + NOTIFIER:#x} entry={words(entry, 16)}")


def worked_off(time: float, request: PageRequestEvent, *, address: int = ADDRESS, label: str = DEVICE) -> str:
    """The driver works a page request off, in a task."""
    fields = f"number={request.number} ec={request.ec:d} pages={request.num_pages} release={request.release_all:d}"
    return printed(Event.WORKED_OFF, 2, time, f'dev={address:#x} name="{label}" {fields}')


def completed(time: float, *, address: int = ADDRESS) -> str:
    """The device completed a command in the slot of page commands, in the interrupt of some task."""
    return printed(Event.COMPLETED, 1, time, f"dev={address:#x} slots=0x80000000")


def freed(task: int, time: float, address: int) -> str:
    """A page that the driver takes back."""
    return printed(Event.FREED, task, time, f"address={address:#x}")


def of_trace(path: Path) -> Iterator[str]:
    """The calls of a version 1 trace, a task for each slot: the host's side of it as a kernel would print it."""
    tasks: dict[int, tuple[int, int]] = {}
    for row in path.read_text("utf-8").splitlines():
        line: dict[str, Any] = json.loads(row)
        t = 100 + float(line.get("t", 0))
        match line["kind"]:
            case "submit":
                message = bytes.fromhex(line["in"])
                opcode, task = int.from_bytes(message[:2], "big"), 50 + int(line["slot"])
                tasks[line["id"]] = task, opcode
                if opcode in RECORDED:
                    yield sent(task, t, message, line["reply"])
            case "complete":
                task, opcode = tasks.get(line["id"], (0, 0))
                if opcode in RECORDED:
                    yield returned(task, t, opcode, bytes.fromhex(line["out"]))
            case "event":
                entry = bytes.fromhex(line["eqe"])
                request = decode_page_request(entry)
                assert request is not None
                yield requested(t, entry)
                yield worked_off(t, request)
            case "link" if line["what"] == "given-up":
                task, opcode = tasks.pop(line["id"])
                if opcode in RECORDED:
                    yield returned(task, t, opcode, b"", -errno.ETIMEDOUT)


def record(lines: Iterator[str] | list[str], *, addresses: bool = False, whole: bool = True) -> tuple[str, Journal]:
    """The record that these lines give, and the journal that wrote it."""
    stream = StringIO()
    writer = RecordWriter(stream, kernel="7.2.13")
    journal = Journal(writer, notifier=None, fresh=True, addresses=addresses)
    order = Order()
    for line in lines:
        event = parse(line, GROUP)
        if event is not None:
            order.add(event)
    for event in order.ready(None):
        journal.see(event)
    journal.end()
    if whole:
        writer.end()
    return stream.getvalue(), journal
