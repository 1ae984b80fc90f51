"""Lines of mlx5_core's as people paste them, opcodes by name, and the numbers of such lines: in words.

A line is read field by field, as far as it has them: an opcode with its name, op_mod, status, syndrome, errno, a
time-out, the words of a health buffer. Syndromes of commands are numbers of firmware's own: only the vendor knows them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from fwpages.explain.driver_words import MEANINGS, notes_of, read_line, values_of
from fwpages.explain.explanation import ExplainError, Message, Value
from fwpages.prm.commands import Shape, form_of
from fwpages.prm.errnos import errno_words
from fwpages.prm.health import health_words, sensor_words
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages, op_mod_suffix
from fwpages.prm.status import status_words
from fwpages.readers.observations import Place, PlatformLine
from fwpages.readers.pasted import Mended, layout_of
from fwpages.readers.platform_messages import read_platform

#: of one paste
MAX_LINES = 1000

TICKET = (
    "the syndrome of a command's answer is a number of firmware's own, which only the vendor knows: give it with the "
    "command, its op_mod and status, the firmware version and board id (`devlink dev info pci/ADDRESS`)"
)

CUT = "the line is cut, or none that an audit reads: paste it whole, with its status and syndrome"

BESIDE = "an audit takes it for the cause of what mlx5_core prints beside it, where it is about the same function"

_OPCODE = re.compile(r"\b(?P<name>[A-Z][A-Z0-9_]+)\(0x(?P<opcode>[0-9a-fA-F]{1,4})\)")
_HEX = {
    "op_mod": re.compile(r"op_mod\(0x([0-9a-f]{1,8})\)"),
    "status": re.compile(r"status [^()]*\(0x([0-9a-f]{1,8})\)"),
    "syndrome": re.compile(r"syndrome \(0x([0-9a-f]{1,8})\)"),
    "synd": re.compile(r"\bsynd 0x([0-9a-f]{1,8})"),
    "ext_synd": re.compile(r"ext_syn[dc] 0x([0-9a-f]{1,8})"),
}
_ERR = re.compile(r"(?:\berr(?:or(?: code)?)?:?[ (=]+\(?|fail(?:ed)? )(-\d{1,5})\b")
_SENSOR = re.compile(r"Fatal error (\d{1,3}) detected")
_EVENTS = (
    ("timeout while waiting for command semaphore", "the command got no slot in the queue in time, and was not sent"),
    ("waiting for a slot in the command queue", "the command got no slot in the queue in time, and was not sent"),
    ("canceled on out of queue timeout", "the command got no slot in the queue in time, and was not sent"),
    ("recovered after timeout", "the answer was there, only its event was not: an interrupt was lost"),
    ("No done completion", "no completion came in time; the driver looks into the queue entry itself"),
    (
        "timeout. Will cause a leak",
        "the driver stops waiting; the command keeps its slot until it is answered",
    ),
    ("arrived after timeout", "the answer came after the driver had stopped waiting: the slot is free again"),
    ("the limit:", "the function's limit of pages, which an administrator set, is reached"),
    (
        "FW did not return all pages",
        "firmware returned no page for seconds: the driver stops asking",
    ),
    ("wasn't destroyed, refcount", "the driver keeps the object, as something uses it; firmware keeps its pages"),
    ("page notify failed", "the driver could not tell firmware that it gives no pages (CANT_GIVE)"),
    (
        "mode failed",
        "firmware did not carry out a forced or fast TEARDOWN_HCA; the driver then unloads in the ordinary manner",
    ),
    ("health compromised", "firmware's health counter stands still"),
)


def explain_lines(text: str) -> list[Message]:
    """The lines of a paste that an audit reads; none where it is something else."""
    return [m for line in _whole(text.splitlines()[:MAX_LINES]) if (m := _line(line)) is not None]


def _whole(pieces: list[str]) -> Iterator[str]:
    """The lines of a paste without quotes, folded ones joined: those of a log as an audit does it, then a command's.

    The end of a command's line that was folded says nothing by itself, has no time and no driver's name.
    """
    raw = [line.encode() for line in pieces]
    layout = layout_of(b"\n".join(raw))
    line = ""
    for _, batch in Mended(layout).batches([(1, raw)]):
        for piece in filter(None, (b.decode("utf-8", "replace").strip() for b in batch)):
            if line and _cut(line) and not layout.begins(piece.encode()) and _line(piece) is None:
                line = f"{line} {piece}"
                continue
            if line:
                yield line
            line = piece
    if line:
        yield line


def _cut(line: str) -> bool:
    """A command's line that is no whole line of the driver's."""
    return _OPCODE.search(line) is not None and read_line(line) is None and not any(said in line for said, _ in _EVENTS)


def explain_opcode(opcode: Opcode) -> Message:
    """A command by its name: its op_mods, and the fields of command and answer with their places."""
    form = form_of(opcode)
    notes = [f"the command has {_fields(form.request)}", f"the answer has {_fields(form.reply)}"]
    op_mods = {Opcode.MANAGE_PAGES: ManagePages, Opcode.QUERY_PAGES: QueryPages}.get(opcode)
    if op_mods is not None:
        notes.insert(0, "op_mod: " + ", ".join(f"{int(m)} {m.name}" for m in op_mods))
    fields = [Value(name="opcode", at="0x0:16", value=int(opcode), meaning=opcode.name)]
    return Message(kind="opcode", title=f"{opcode.name} ({int(opcode):#x})", length=0, fields=fields, notes=notes)


def explain_number(kind: str, text: str) -> Message:
    """A status, a syndrome or an errno by its number; ExplainError where it is none."""
    try:
        number = int(text.strip(), 0)
    except ValueError:
        raise ExplainError(f"{text!r} is no number; give one such as 0x8 or -22") from None
    meaning, notes = _NUMBERS[kind](number)
    value = Value(name=kind, at="", value=number, meaning=meaning)
    return Message(kind=kind, title=f"{kind} {meaning}", length=0, fields=[value], notes=notes)


def _status(number: int) -> tuple[str, list[str]]:
    return status_words(number), []


def _syndrome(number: int) -> tuple[str, list[str]]:
    named = health_words(number)
    return f"{number:#x}: {named} (of a health buffer)", [TICKET]


def _errno(number: int) -> tuple[str, list[str]]:
    return errno_words(number), []


_NUMBERS: dict[str, Callable[[int], tuple[str, list[str]]]] = {
    "status": _status,
    "syndrome": _syndrome,
    "errno": _errno,
}


# -- one line


#: numbers that only the vendor can explain
_OF_THE_VENDOR = {
    "syndrome": TICKET,
    "ext_synd": "an ext_synd is a number of firmware's own: the vendor's ticket needs it",
}


def _line(line: str) -> Message | None:
    beside = read_platform(Place("", 0), line)
    if beside is not None:
        return _of_platform(line, beside)
    command = _OPCODE.search(line)
    opcode = None if command is None else int(command["opcode"], 16)
    values = list(_values(line, opcode, command["name"] if command else ""))
    notes = [words for said, words in _EVENTS if said in line]
    if command is None and not notes and not any(v.name in ("synd", "ext_synd", "sensor") for v in values):
        return _of_driver(line)
    if not notes and _cut(line) and not any(v.name == "status" for v in values):
        notes = [CUT]
    notes += [note for name, note in _OF_THE_VENDOR.items() if any(v.name == name for v in values)]
    title = f"{command['name']}: {_outcome(values, notes)}" if command else _outcome(values, notes)
    return Message(kind="line", title=title, length=len(line.encode()), fields=values, notes=notes)


def _of_driver(line: str) -> Message | None:
    """A line of the driver's about no command, as an audit reads it; None where it is no such line."""
    found = read_line(line)
    if found is None:
        return None
    fields, notes = list(values_of(found)), notes_of(found)
    return Message(kind="line", title=MEANINGS[type(found)], length=len(line.encode()), fields=fields, notes=notes)


def _of_platform(line: str, v: PlatformLine) -> Message:
    """A line of another part of the kernel: what happened, and to which function."""
    about = f"about the function {v.function}" if v.function else f"about what is below the port {v.port}"
    notes = ([about] if v.function or v.port else []) + [BESIDE]
    return Message(kind="line", title=v.event.value, length=len(line.encode()), fields=[], notes=notes)


def _values(line: str, opcode: int | None, name: str) -> Iterator[Value]:
    if opcode is not None:
        yield Value(name="opcode", at="", value=opcode, meaning=name)
    for field, pattern in _HEX.items():
        if (m := pattern.search(line)) is not None:
            number = int(m[1], 16)
            yield Value(name=field, at="", value=number, meaning=_meaning(field, number, opcode or 0))
    if (m := _SENSOR.search(line)) is not None:
        yield Value(name="sensor", at="", value=int(m[1]), meaning=sensor_words(int(m[1])))
    if (m := _ERR.search(line)) is not None:
        yield Value(name="err", at="", value=int(m[1]), meaning=errno_words(int(m[1])))


def _meaning(field: str, number: int, opcode: int) -> str:
    match field:
        case "op_mod":
            return op_mod_suffix(opcode, number).strip("()")
        case "status":
            return status_words(number)
        case "synd":
            return health_words(number)
        case _:
            return ""


def _outcome(values: list[Value], notes: list[str]) -> str:
    """The line in a few words: the status that the device answered, else the error, else what happened."""
    for field in ("status", "synd", "sensor"):
        found = next((v.meaning for v in values if v.name == field), None)
        if found is not None:
            return f"refused, {found}" if field == "status" else found
    return notes[0] if notes else "of firmware's health"


def _fields(shape: Shape) -> str:
    names = [f"{f.name} {f.bit:#x}:{f.width}" for f in shape.fixed if f.name not in ("opcode", "op_mod")]
    tail = {"pas": ", and page addresses behind them", "data": ", and data behind them"}.get(shape.tail or "", "")
    return (", ".join(names) or "no field of its own") + tail
