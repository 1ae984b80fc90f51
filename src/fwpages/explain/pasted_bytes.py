"""Bytes as people paste them: hex in any spelling, or dump lines of a kernel log with or without their headline."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from fwpages.explain import explanation as explain
from fwpages.explain.explanation import ExplainError, Message
from fwpages.explain.pasted_lines import explain_lines, explain_opcode
from fwpages.pages.words import either, nearest
from fwpages.prm.event import EQE_SIZE, EventType
from fwpages.prm.opcodes import Opcode
from fwpages.prm.queue import ENTRY_SIZE, ENTRY_TYPE, MAILBOX_SIZE

#: bytes of one paste
MAX_BYTES = 16 << 20

_LINE = re.compile(r"(?:^|[\s\]:])([0-9a-fA-F]{3,8}):((?:\s+[0-9a-fA-F]{8}){1,4})\s*$")
_HEADLINE = re.compile(r"dump command (data )?.*\((0x[0-9a-fA-F]+)\) (INPUT|OUTPUT)")
_NOISE = re.compile(r"0[xX]|[\s,:;_|-]+")
#: a number alone, too short for bytes: the opcode of a command
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,4}|[0-9a-fA-F]{3}|0[0-9a-fA-F]{3}")
#: a word that may be meant as a command's name
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,}")


def explain_text(text: str, *, opcode: int | None = None, is_event: bool = False) -> list[Message]:
    """Explain a paste. ``opcode``: it is an answer to this command; ``is_event``: an event queue entry.

    Raises ExplainError where it is neither hex nor lines of mlx5_core's nor a command's name, or has too few bytes.
    """
    dumps = _dumps(text)
    if dumps:
        return [m for dump in dumps for m in _explain_dump(*dump, opcode=opcode, is_event=is_event)]
    if opcode is None and not is_event and (lines := explain_lines(text)):
        return lines
    if (name := text.strip().upper()) in Opcode.__members__:
        return [explain_opcode(Opcode[name])]
    if opcode is None and not is_event and _NUMBER.fullmatch(text.strip()) and int(text, 16) in tuple(Opcode):
        return [explain_opcode(Opcode(int(text, 16)))]
    messages = _explain(to_bytes(text), opcode, is_event=is_event)
    if len(messages) == 1 and messages[0].kind == "command" and _each_a_command(text.split("\n")):
        hint = "all lines are taken as one message, though each begins like a command: give one message a call"
        return [msgspec.structs.replace(messages[0], notes=[*messages[0].notes, hint])]
    return messages


def _each_a_command(lines: list[str]) -> bool:
    """There are several lines, and each could be a command by itself: an opcode that is known, and an op_mod."""
    heads = [_NOISE.sub("", line) for line in lines if line.strip()]
    return len(heads) > 1 and all(len(h) >= 16 and int(h[:4], 16) in tuple(Opcode) for h in heads)


def to_bytes(text: str) -> bytes:
    """The bytes of hex digits, blanks, line ends, commas, colons and 0x left out; ExplainError for other text."""
    digits = _NOISE.sub("", text.strip())
    if not digits:
        raise ExplainError("there are no bytes to explain; give them as hex")
    wrong = re.search(r"[^0-9a-fA-F]", digits)
    if wrong:
        expected = "bytes as hex, the lines of a dump, a line of mlx5_core's, or a command's name"
        near = nearest(text.strip(), Opcode.__members__) if _NAME.fullmatch(text.strip()) else []
        hint = f"; did you mean {either(near)}?" if near else ""
        raise ExplainError(f"{wrong[0]!r} is no hex digit; expected {expected}{hint}")
    if len(digits) % 2:
        hint = "; --status, --syndrome and --errno explain a number" if _NUMBER.fullmatch(text.strip()) else ""
        raise ExplainError(f"{len(digits)} hex digits are no whole number of bytes{hint}")
    if len(digits) > 2 * MAX_BYTES:
        raise ExplainError(f"more than {MAX_BYTES} bytes")
    return bytes.fromhex(digits)


def parse_opcode(text: str) -> int:
    """The opcode of a command by name or number; ExplainError for other text."""
    name = text.strip().upper()
    if name in Opcode.__members__:
        return int(Opcode[name])
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= 0xFFFF:
        near = nearest(name, Opcode.__members__)
        hint = (
            f"did you mean {either(near)}?" if near else "give a name such as MANAGE_PAGES, or a number such as 0x108"
        )
        raise ExplainError(f"{text!r} is no opcode; {hint}")
    return number


def _explain(buf: bytes, opcode: int | None, *, is_event: bool) -> list[Message]:
    if is_event:
        return [explain.event(buf)]
    if opcode is not None:
        return [explain.answer(opcode, buf)]
    if _is_entry(buf):
        return explain.entry(buf)
    known = int.from_bytes(buf[:2], "big") in tuple(Opcode)
    if len(buf) == EQE_SIZE and not known and buf[0] == 0 and buf[1] in tuple(EventType):
        return [explain.event(buf)]
    return [explain.command(buf)]


def _is_entry(buf: bytes) -> bool:
    return (
        len(buf) >= ENTRY_SIZE
        and buf[:4] == bytes((ENTRY_TYPE, 0, 0, 0))
        and (len(buf) - ENTRY_SIZE) % MAILBOX_SIZE == 0
    )


class _Headline(NamedTuple):
    data_only: bool
    opcode: int
    is_answer: bool


def _dumps(text: str) -> list[tuple[_Headline | None, bytes]]:
    """The dumps in a paste: each with its headline, where one was pasted with it."""
    found: list[tuple[_Headline | None, bytearray]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if h := _HEADLINE.search(line):
            found.append((_Headline(h[1] is not None, int(h[2], 16), h[3] == "OUTPUT"), bytearray()))
        elif m := _LINE.search(line):
            offset = int(m[1], 16)
            if not found or (offset == 0 and found[-1][1]):
                found.append((None, bytearray()))
            _append(found[-1][1], number, offset, bytes.fromhex(m[2]))
    return [(h, bytes(buf)) for h, buf in found if buf]


def _append(dump: bytearray, number: int, offset: int, data: bytes) -> None:
    if offset != len(dump):
        raise ExplainError(f"line {number} is at offset {offset:#x}, expected {len(dump):#x}: lines are missing")
    dump += data


def _explain_dump(headline: _Headline | None, buf: bytes, *, opcode: int | None, is_event: bool) -> list[Message]:
    if headline is None or is_event or opcode is not None:
        return _explain(buf, opcode, is_event=is_event)
    if not headline.data_only:
        return explain.entry(buf)
    return [explain.answer(headline.opcode, buf) if headline.is_answer else explain.command(buf)]
