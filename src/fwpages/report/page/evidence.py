"""The lines of an input that findings rest on, and the page path around them: the input is read a second time.

Only the lines near a finding are kept, and only those are read as messages: a window of them begins in the middle, so
that its first dump may be cut, which concerns lines that are not shown.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from fwpages.pages.words import many
from fwpages.prm.identity import Mode, named
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import decode_answer, decode_command
from fwpages.prm.opcodes import ManagePages, Opcode, op_mod_suffix, opcode_name
from fwpages.prm.status import status_words
from fwpages.readers.inputs import Input, InputError, Source, is_trace, open_source
from fwpages.readers.kernel_log import KernelLog
from fwpages.readers.log_lines import unrolled
from fwpages.readers.observations import (
    CommandCompleted,
    CommandSubmitted,
    CommandUnanswered,
    DriverMessage,
    LinkChange,
    Observation,
    PagesRequested,
)
from fwpages.readers.trace import TraceReader
from fwpages.report.page.content import Evidence, LogLine, Message

#: findings of one input whose lines are shown
MAX_SHOWN = 64
#: lines shown before and after the one that a finding rests on, and characters of a line
BEFORE, AFTER, MAX_CHARACTERS = 4, 3, 400
#: lines read as messages before and after it, and bytes of them: a dump of a large GIVE has thousands of lines
READ_BEFORE, READ_AFTER, MAX_BYTES = 600, 160, 1 << 20
#: messages of the page path before and after it
PATH_BEFORE, PATH_AFTER = 8, 4

#: commands that belong to the page path, or begin and end what it serves
_PATH = frozenset(
    {
        Opcode.MANAGE_PAGES,
        Opcode.QUERY_PAGES,
        Opcode.ENABLE_HCA,
        Opcode.DISABLE_HCA,
        Opcode.INIT_HCA,
        Opcode.TEARDOWN_HCA,
        Opcode.SET_HCA_CAP,
    }
)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A command that is not answered yet, and its words."""

    opcode: int
    op_mod: int
    words: str


def evidence(path: Input, asked: Sequence[tuple[int, str, str | None]]) -> list[Evidence]:
    """The evidence for each of these (line, device, mode) of an input that can be read again, in their order.

    An input that cannot be read any more has none. At most ``MAX_SHOWN`` have lines.
    """
    wanted = sorted({line for line, _, _ in asked[:MAX_SHOWN]})
    try:
        with closing(open_source(path)) as source:
            trace = is_trace(source)
            head, windows = _windows(source, wanted)
    except (InputError, OSError):
        return [Evidence() for _ in asked]
    name = source.name
    return [
        _evidence(name, head if trace else None, windows[about[0]], about) if about[0] in windows else Evidence()
        for about in asked
    ]


@dataclass(slots=True)
class _Window:
    """The lines around one that is wanted, with their numbers, and their bytes."""

    line: int
    rows: deque[tuple[int, bytes]] = field(default_factory=deque)
    room: int = 0

    def take(self, first: int, lines: Sequence[bytes]) -> None:
        """Keep the lines of a batch that are near; the first of all go while they have too many bytes."""
        end = min(first + len(lines), self.line + READ_AFTER + 1)
        for number in range(max(first, self.line - READ_BEFORE), end):
            raw = lines[number - first]
            self.rows.append((number, raw))
            self.room += len(raw)
            while self.room > MAX_BYTES and self.rows[0][0] < self.line:
                self.room -= len(self.rows.popleft()[1])


def _windows(source: Source, wanted: Sequence[int]) -> tuple[bytes, Mapping[int, Sequence[tuple[int, bytes]]]]:
    """The first line of the input, and the lines around each of those that are wanted; no other line is looked at."""
    found = [_Window(line) for line in wanted]
    head = b""
    json = source.peek().lstrip().startswith(b"{")
    for first, lines in unrolled(source.batches()) if json else source.batches():
        head = head or lines[0]
        for window in found:
            window.take(first, lines)
        if wanted and first > wanted[-1] + READ_AFTER:
            break
    return head, {window.line: list(window.rows) for window in found if window.rows}


def _evidence(
    name: str, head: bytes | None, rows: Sequence[tuple[int, bytes]], about: tuple[int, str, str | None]
) -> Evidence:
    line = about[0]
    near = [(number, raw) for number, raw in rows if line - BEFORE <= number <= line + AFTER]
    shown = tuple(LogLine(number, _text(raw), number == line) for number, raw in near)
    return Evidence(shown, tuple(_path(name, head, rows, about)))


def _text(raw: bytes) -> str:
    """The line as text, cut where it is longer than anybody reads: a GIVE of a trace has all of its addresses."""
    text = raw[: 4 * MAX_CHARACTERS].decode("utf-8", "replace").rstrip("\r\n")
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def _path(
    name: str, head: bytes | None, rows: Sequence[tuple[int, bytes]], about: tuple[int, str, str | None]
) -> list[Message]:
    """The messages of the page path around the line, the last before it and the first after."""
    line, device, mode = about
    lines = [raw for _, raw in rows]
    first = rows[0][0]
    if head is not None and first > 1 and b'"header"' in head:
        lines, first = [head, *lines], first - 1
    source = Source(name, io.BytesIO(b"\n".join(lines) + b"\n"))
    reader = KernelLog(source) if head is None else TraceReader(source)
    before: deque[Message] = deque(maxlen=PATH_BEFORE)
    after: list[Message] = []
    try:
        for m in _messages(reader.read(), device, mode, first - 1, line):
            if m.line <= line:
                before.append(m)
            elif len(after) < PATH_AFTER:
                after.append(m)
    except (InputError, LayoutError):
        pass  # a window that begins in the middle may be none of a log by itself
    return sorted([*before, *after], key=lambda m: m.line)


def _messages(
    stream: Iterable[Observation], device: str, mode: str | None, offset: int, line: int
) -> Iterator[Message]:
    sent: dict[object, _Sent] = {}
    for v in stream:
        if v.device not in (device, ""):
            continue
        number = v.place.line + offset
        said = _said(v, mode, sent)
        if said is not None:
            origin, text, bad = said
            time = "" if v.place.time is None else str(v.place.time)
            yield Message(number, time, origin, text, number == line, bad)


def _said(v: Observation, mode: str | None, sent: dict[object, _Sent]) -> tuple[str, str, bool] | None:
    """The sender, the words, and True for what did not go well; None for what is not of the page path."""
    match v:
        case CommandSubmitted():
            return _submitted(v, mode, sent)
        case CommandCompleted():
            c = sent.pop(v.key, None)
            return None if c is None else _answer(c, v.message)
        case CommandUnanswered():
            c = sent.pop(v.key, None)
            return None if c is None else ("driver", f"{c.words}: no answer", True)
        case PagesRequested():
            return "device", _request(v, mode), False
        case LinkChange():
            return "driver", f"{v.what}{f': {v.detail}' if v.detail else ''}", True
        case DriverMessage():
            return "driver", v.text, False
    return None


def _submitted(v: CommandSubmitted, mode: str | None, sent: dict[object, _Sent]) -> tuple[str, str, bool] | None:
    """The words of a command, which ``sent`` keeps until its answer comes; None for one not of the page path."""
    opcode = int.from_bytes(v.message[:2], "big")
    if opcode not in _PATH:
        return None
    words = _command(opcode, v.message, mode)
    sent[v.key] = _Sent(opcode, int.from_bytes(v.message[6:8], "big"), words)
    return "host", words, False


def _command(opcode: int, message: bytes, mode: str | None) -> str:
    op_mod = int.from_bytes(message[6:8], "big")
    name = opcode_name(opcode) + op_mod_suffix(opcode, op_mod)
    if opcode != Opcode.MANAGE_PAGES:
        return name
    try:
        c = decode_command(message)
    except LayoutError:
        return name
    who = _who(c["function_id"], c["embedded_cpu_function"], mode)
    n = c["input_num_entries"]
    return f"{name} {who}" if op_mod == ManagePages.CANT_GIVE else f"{name} {who}, {many(n)}"


def _answer(c: _Sent, message: bytes) -> tuple[str, str, bool]:
    try:
        a = decode_answer(c.opcode, message)
    except LayoutError:
        return "device", f"{c.words}: an answer that is too short", True
    if not a.ok:
        return "device", f"{status_words(a.status)}, syndrome {a.syndrome:#x}", True
    if c.opcode == Opcode.MANAGE_PAGES and c.op_mod == ManagePages.TAKE:
        return "device", f"OK, {many(a['output_num_entries'])} back", False
    return "device", "OK", False


def _request(v: PagesRequested, mode: str | None) -> str:
    r = v.request
    who = _who(r.number, r.ec, mode)
    if r.release_all:
        return f"page request: all pages of {who} are released"
    return (
        f"page request: {many(r.num_pages)} for {who}"
        if r.num_pages >= 0
        else (f"page request: {many(-r.num_pages)} of {who} to be taken back")
    )


def _who(number: int, ec: int | bool, mode: str | None) -> str:
    """The function in the session's mode; its bare number where the mode is not known."""
    return f"function {number:#x}" if mode is None else str(named(Mode(mode), number, ec))
