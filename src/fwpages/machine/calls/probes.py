"""The events that a record is made of: each a probe at a function of mlx5_core, with what it reads and its filter.

``cmd_exec`` carries out every command. At its entry the command is in memory, at its return the answer. From Linux 6.9
on a probe at a return can read by the arguments of the entry. Before that it has the return value alone, and the answer
is read at ``mlx5_cmd_check``, which the driver calls with it next, unless firmware refuses what it has asked for by a
page request. ``mlx5_cmd_comp_handler`` runs when the device has completed a command, before the task that sent it.
``req_pages_handler`` gets the entry of the event queue that a page request came in, in an interrupt, where a probe may
be skipped; ``pages_work_handler`` works the request off, in a task. ``free_4k`` takes one page that came back.

Probes read registers, by the calling convention, as a probe at a module that is not loaded yet cannot name arguments.
Memory is read in words of the processor's byte order. Nothing is read but messages: of a command its first 16 bytes,
which have no addresses, and of those about capabilities and event queues 256 more.

Syntax: Linux, Documentation/trace/kprobetrace.rst. Functions: drivers/net/ethernet/mellanox/mlx5/core/cmd.c,
pagealloc.c.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, unique

from fwpages.machine.structures.btf import Btf
from fwpages.prm.opcodes import PAGE_SLOT, Opcode

MODULE = "mlx5_core"
#: words of a message that every event about it has: opcode, op_mod, function, count, or status, syndrome, count
HEAD = 4
#: words after these where the capabilities are wanted, or the events of an event queue; the most that one field takes
BODY = 64
#: words of an entry of an event queue
ENTRY = 16
#: bytes of a ``work_struct`` of a kernel without lock debugging
WORK_SIZE = 32
#: calls of one function that may be under way at once: a thread each. More miss their return, which is said
_MOST_CALLS = 512

#: the registers of the first five arguments, by the machine's name
_REGISTERS: Mapping[str, Sequence[str]] = {
    "x86_64": ("di", "si", "dx", "cx", "r8"),
    "aarch64": ("x0", "x1", "x2", "x3", "x4"),
}
#: machines on which a record can be made
MACHINES = tuple(_REGISTERS)

_SHORT = (
    Opcode.MANAGE_PAGES,
    Opcode.QUERY_PAGES,
    Opcode.ENABLE_HCA,
    Opcode.DISABLE_HCA,
    Opcode.INIT_HCA,
    Opcode.TEARDOWN_HCA,
    Opcode.ALLOC_SF,
    Opcode.DEALLOC_SF,
    Opcode.CREATE_ESW_VPORT,
    Opcode.DESTROY_EQ,
)
_LONG_COMMANDS = (Opcode.SET_HCA_CAP, Opcode.CREATE_EQ)
_LONG_ANSWERS = (Opcode.QUERY_HCA_CAP,)
#: the commands that a record has
RECORDED = (*_SHORT, *_LONG_COMMANDS, *_LONG_ANSWERS)


@unique
class Point(Enum):
    """A function of the driver that is probed, by the name in its source."""

    COMMAND = "cmd_exec"
    CHECK = "mlx5_cmd_check"
    REQUEST = "req_pages_handler"
    WORK = "pages_work_handler"
    FREE = "free_4k"
    COMPLETION = "mlx5_cmd_comp_handler"


@unique
class Event(Enum):
    """An event of a record; its value is its name in the kernel."""

    COMMAND = "command"
    LONG_COMMAND = "long_command"
    ANSWER = "answer"
    LONG_ANSWER = "long_answer"
    REQUEST = "request"
    WORKED_OFF = "worked_off"
    FREED = "freed"
    COMPLETED = "completed"


#: events of interrupts, of which the kernel skips some: one that is missing is told by what follows in a task
IN_INTERRUPTS = frozenset({Event.REQUEST, Event.COMPLETED})


@dataclass(frozen=True, slots=True)
class Probe:
    """An event: where it is, what it reads, and the condition under which the kernel writes it."""

    event: Event
    point: Point
    reads: tuple[str, ...]
    condition: str = ""
    at_return: bool = False

    def definition(self, group: str, place: str) -> str:
        """The line that defines it in ``kprobe_events``; ``place`` is the symbol, with its module."""
        kind = f"r{_MOST_CALLS}" if self.at_return else "p"
        return f"{kind}:{group}/{name(self.event, group)} {place} {' '.join(self.reads)}"


def name(event: Event, group: str) -> str:
    """The name of the event in the kernel: of one's own, as the kernel counts missed events by this name alone."""
    return f"{group}_{event.value}"


@dataclass(frozen=True, slots=True)
class Offsets:
    """Places in the kernel's structures by which a device's name is found, in bytes.

    ``device`` is the distance from a ``mlx5_core_dev`` back to its devlink's pointer to the device, ``label`` the place
    of the name in a device; ``notifier`` is the place of the notifier of page requests in a ``mlx5_core_dev``, None
    where the driver's types are not known; ``work`` is the size of a ``work_struct``.
    """

    device: int
    label: int
    notifier: int | None = None
    work: int = WORK_SIZE


def offsets(kernel: Btf, driver: Btf | None) -> Offsets:
    """The offsets of this kernel. NoTypeError where its types lack one.

    A ``mlx5_core_dev`` is the private part of a devlink, whose types are the kernel's own: the name is thus known
    before the driver is loaded.
    """
    devlink, device = kernel.structure("devlink"), kernel.structure("device")
    return Offsets(
        devlink.member("priv").offset - devlink.member("dev").offset,
        device.member("kobj.name").offset,
        None if driver is None else notifier(driver),
        kernel.structure("work_struct").size,
    )


def notifier(driver: Btf) -> int:
    """The place of the notifier of page requests in a ``mlx5_core_dev``. NoTypeError where it is not there."""
    return driver.structure("mlx5_core_dev").member("priv.pg_nb").offset


def probes(machine: str, places: Offsets | None, *, arguments: bool, addresses: bool) -> list[Probe]:
    """The events of a record; ``arguments``: the kernel reads by the entry's arguments at a return.

    KeyError for a machine that is none of ``MACHINES``.
    """
    dev, in_, in_size, out, out_size = (f"%{register}" for register in _REGISTERS[machine])
    # mlx5_cmd_check has the device, the error, the command and the answer
    label = _label(places, dev, 0)
    command = (f"dev={dev}:x64", *label, f"op=+0({in_}):x16", f"size={in_size}:u32", f"reply={out_size}:u32")
    heads = f"head=+0({in_}):x32[{HEAD}]"
    found = [
        Probe(Event.COMMAND, Point.COMMAND, (*command, heads), _among(*_SHORT, *_LONG_ANSWERS)),
        Probe(
            Event.LONG_COMMAND,
            Point.COMMAND,
            (*command, heads, f"body=+16({in_}):x32[{BODY}]"),
            _among(*_LONG_COMMANDS),
        ),
    ]
    if arguments:
        found += _answers(Point.COMMAND, "$retval", "$arg2", "$arg4", at_return=True)
    else:
        found += _answers(Point.CHECK, in_, in_size, out, at_return=False)
    found.append(Probe(Event.REQUEST, Point.REQUEST, _request(places, dev, in_size)))
    found.append(Probe(Event.WORKED_OFF, Point.WORK, _work(places, dev)))
    # of a queue of 32 slots, as devices are known to have, the last one is that of page commands
    completed = (f"dev={dev}:x64", f"slots={in_}:x64")
    found.append(Probe(Event.COMPLETED, Point.COMPLETION, completed, f"slots & {1 << PAGE_SLOT:#x}"))
    if addresses:
        found.append(Probe(Event.FREED, Point.FREE, (f"address={in_}:x64",)))
    return found


def _answers(point: Point, ret: str, command: str, answer: str, *, at_return: bool) -> list[Probe]:
    """The call's outcome: 0, or a negative error, and the answer's bytes."""
    reads = (f"ret={ret}:s32", f"op=+0({command}):x16", f"head=+0({answer}):x32[{HEAD}]")
    body = f"body=+16({answer}):x32[{BODY}]"
    return [
        Probe(Event.ANSWER, point, reads, _among(*_SHORT, *_LONG_COMMANDS), at_return=at_return),
        Probe(Event.LONG_ANSWER, point, (*reads, body), _among(*_LONG_ANSWERS), at_return=at_return),
    ]


def _request(places: Offsets | None, notified: str, data: str) -> tuple[str, ...]:
    """The third argument is the entry of the event queue, the first the notifier in the ``mlx5_core_dev``."""
    label = () if places is None or places.notifier is None else _label(places, notified, places.notifier)
    return (f"notified={notified}:x64", *label, f"entry=+0({data}):x32[{ENTRY}]")


def _work(places: Offsets | None, work: str) -> tuple[str, ...]:
    """The argument is the ``work_struct`` in a ``mlx5_pages_req``: the device and the request lie around it.

    Before it the pointer to the device, the function's number, its bit and the count; behind it ``release_all``. So it
    has been from Linux 3.11 on, without the bit and ``release_all`` at first; the pointer shows that it is so.
    """
    label = _label(places, f"-16({work})", 0)
    size = WORK_SIZE if places is None else places.work
    request = (f"number=-8({work}):u16", f"ec=-6({work}):u8", f"pages=-4({work}):s32", f"release=+{size}({work}):u8")
    return (f"dev=-16({work}):x64", *label, *request)


def _label(places: Offsets | None, register: str, inside: int) -> tuple[str, ...]:
    """The name of the device, from an address so far inside of a ``mlx5_core_dev``."""
    if places is None:
        return ()
    return (f"name=+0(+{places.label}(-{places.device + inside}({register}))):string",)


def _among(*opcodes: Opcode) -> str:
    """The event is about one of these commands."""
    return " || ".join(f"op == {as_read(opcode):#x}" for opcode in opcodes)


def as_read(opcode: Opcode) -> int:
    """An opcode as an event has it: it is big-endian in memory, and is read in the processor's order."""
    return int.from_bytes(opcode.to_bytes(2, "big"), sys.byteorder)
