"""Commands and answers as values, and their bytes.

A ``Command`` is what a driver hands to the device, an ``Answer`` what it gets back; both know nothing of how they
travel. Page addresses are one ``uint64`` array from end to end. Both are Structs, which are made in a third of a
dataclass's time: one of each for a page command.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from fwpages.pages.words import many
from fwpages.prm.commands import CAP_PAGE, ESW_FUNCTIONS, MOST_NET_FUNCTIONS, NET_FUNCTION, Shape, form_of
from fwpages.prm.layout import LayoutError
from fwpages.prm.opcodes import EswFunctions, ManagePages, Opcode, op_mod_suffix, opcode_name
from fwpages.prm.status import Status, status_words

#: addresses of 4 KiB pages: shape (n,), dtype uint64, host byte order
PageArray: TypeAlias = npt.NDArray[np.uint64]

NO_PAGES: PageArray = np.zeros(0, np.uint64)
NO_PAGES.setflags(write=False)


def _same(a: Command | Answer, b: Command | Answer) -> bool:
    return a.fields == b.fields and a.data == b.data and np.array_equal(a.pas, b.pas)


class Command(msgspec.Struct, frozen=True, eq=False):
    """One command: opcode, op_mod, the declared fields by name, and its page addresses or raw data.

    ``fields`` leaves out opcode, uid and op_mod; a field not named is 0. ``pas`` holds every entry of the buffer, and
    may disagree with the count field. Source: ``*_in_bits``.
    """

    opcode: int
    op_mod: int = 0
    fields: Mapping[str, int] = msgspec.field(default_factory=dict)
    pas: PageArray = NO_PAGES
    data: bytes = b""
    uid: int = 0

    __hash__ = None  # type: ignore[assignment]  # it holds an array: never a key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Command):
            return NotImplemented
        mine, theirs = (self.opcode, self.op_mod, self.uid), (other.opcode, other.op_mod, other.uid)
        return mine == theirs and _same(self, other)

    def __getitem__(self, name: str) -> int:
        value = self.fields.get(name)
        if value is not None:
            return value
        if name not in form_of(self.opcode).request.fixed.by_name:
            raise KeyError(f"{opcode_name(self.opcode)} has no field {name}")
        return 0

    def __str__(self) -> str:
        words = [f"{k}={v:#x}" for k, v in self.fields.items() if v]
        if self.pas.size:
            words.append(many(self.pas.size))
        return " ".join([opcode_name(self.opcode) + op_mod_suffix(self.opcode, self.op_mod), *words])

    @property
    def given(self) -> PageArray:
        """The pages that a GIVE names: as many as it counts, fewer where the buffer has not so many.

        Entries behind them are none: drivers in use send a longer buffer (Snabb: ``HCA:alloc_pages``).
        """
        return self.pas[: self["input_num_entries"]]

    @property
    def reply_length(self) -> int:
        """Bytes that the caller sets aside for the answer: the fixed part and what this command asks for."""
        shape = form_of(self.opcode).reply
        if self.opcode == Opcode.MANAGE_PAGES and self.op_mod == ManagePages.TAKE:
            return shape.fixed.size + 8 * self["input_num_entries"]
        if self.opcode == Opcode.QUERY_HCA_CAP:
            return shape.fixed.size + CAP_PAGE
        if self.opcode == Opcode.QUERY_ADAPTER:
            return shape.fixed.size + 256
        if self.opcode == Opcode.QUERY_ESW_FUNCTIONS and self.op_mod == EswFunctions.NETWORK_FUNCTIONS:
            return shape.fixed.size + NET_FUNCTION * MOST_NET_FUNCTIONS
        if self.opcode == Opcode.QUERY_ESW_FUNCTIONS:
            return shape.fixed.size + ESW_FUNCTIONS
        if self.opcode == Opcode.ACCESS_REG:
            return shape.fixed.size + len(self.data)
        return shape.fixed.size

    @property
    def least_reply(self) -> int:
        """Bytes that a device needs for its answer; a caller may have room for more functions than it has."""
        if self.opcode == Opcode.QUERY_ESW_FUNCTIONS:
            return form_of(self.opcode).reply.fixed.size + ESW_FUNCTIONS
        return self.reply_length


class Answer(msgspec.Struct, frozen=True, eq=False):
    """The device's answer: status, syndrome, declared fields, page addresses or raw data. Source: ``*_out_bits``.

    ``pas`` holds every entry of the buffer; how many of them count is the count field's to say.
    """

    opcode: int
    status: int = Status.OK
    syndrome: int = 0
    fields: Mapping[str, int] = msgspec.field(default_factory=dict)
    pas: PageArray = NO_PAGES
    data: bytes = b""

    __hash__ = None  # type: ignore[assignment]  # it holds an array: never a key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Answer):
            return NotImplemented
        mine, theirs = (self.opcode, self.status, self.syndrome), (other.opcode, other.status, other.syndrome)
        return mine == theirs and _same(self, other)

    def __getitem__(self, name: str) -> int:
        value = self.fields.get(name)
        if value is not None:
            return value
        if name not in form_of(self.opcode).reply.fixed.by_name:
            raise KeyError(f"an answer to {opcode_name(self.opcode)} has no field {name}")
        return 0

    def __str__(self) -> str:
        words = [f"{k}={v:#x}" for k, v in self.fields.items() if v]
        return " ".join([opcode_name(self.opcode), "->", status_words(self.status), *words])

    @property
    def ok(self) -> bool:
        """The device says that it did it."""
        return self.status == Status.OK


def encode_command(cmd: Command, length: int | None = None) -> bytes:
    """The command's bytes; padded with zeros to ``length`` where it is set. LayoutError where it does not fit."""
    head = {"opcode": cmd.opcode, "uid": cmd.uid, "op_mod": cmd.op_mod}
    return _encode(form_of(cmd.opcode).request, {**head, **cmd.fields}, cmd.pas, cmd.data, length)


def encode_answer(ans: Answer, length: int | None = None) -> bytes:
    """The answer's bytes; padded with zeros to ``length`` where it is set. LayoutError where it does not fit."""
    head = {"status": ans.status, "syndrome": ans.syndrome}
    return _encode(form_of(ans.opcode).reply, {**head, **ans.fields}, ans.pas, ans.data, length)


def decode_command(buf: bytes | memoryview) -> Command:
    """The command in these bytes, reserved bits dropped; LayoutError where the buffer is too short for its fields."""
    if len(buf) < 8:
        raise LayoutError(f"a command has at least 8 bytes, the buffer has {len(buf)}")
    shape = form_of(int.from_bytes(buf[:2], "big")).request
    fields, pas, data = _decode(shape, buf)
    opcode, uid, op_mod = (fields.pop(n) for n in ("opcode", "uid", "op_mod"))
    return Command(opcode, op_mod, fields, pas, data, uid)


def decode_answer(opcode: int, buf: bytes | memoryview) -> Answer:
    """The answer to ``opcode`` in these bytes; LayoutError where the buffer is too short for its fields."""
    fields, pas, data = _decode(form_of(opcode).reply, buf)
    status, syndrome = fields.pop("status"), fields.pop("syndrome")
    return Answer(opcode, status, syndrome, fields, pas, data)


def _encode(shape: Shape, fields: Mapping[str, int], pas: PageArray, data: bytes, length: int | None) -> bytes:
    fixed = shape.fixed
    tail = b""
    if pas.size:
        if shape.tail != "pas":
            raise LayoutError(f"{fixed.name} carries no page addresses")
        tail = pas.astype(">u8").tobytes()
    if data:
        if shape.tail != "data":
            raise LayoutError(f"{fixed.name} carries no data")
        tail = data
    size = fixed.size if length is None else min(fixed.size, length)
    buf = fixed.pack(fields, size) + tail
    if length is None or len(buf) == length:
        return buf
    if len(buf) > length:
        raise LayoutError(f"{fixed.name} takes {len(buf)} bytes, the buffer has {length}")
    return buf + bytes(length - len(buf))


def _decode(shape: Shape, buf: bytes | memoryview) -> tuple[dict[str, int], PageArray, bytes]:
    fixed = shape.fixed
    fields = fixed.unpack(buf)
    tail = memoryview(buf)[fixed.size :]
    if shape.tail == "pas":
        return fields, np.frombuffer(tail[: len(tail) // 8 * 8], ">u8").astype(np.uint64), b""
    return fields, NO_PAGES, bytes(tail) if shape.tail == "data" else b""
