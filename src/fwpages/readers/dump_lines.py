"""One line of a command dump: sixteen bytes, their offset in the dump, and the command slot that newer kernels print.

``cmd[31]: 010: 01080000 00000001 00000000 00000006``; older kernels print no slot. Most lines of a debug log are such
lines, so that an audit is as fast as they are read: ``run_of_lines`` reads many at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

#: bytes of a dump on one line
BYTES: Final = 16
#: characters of four words and the blanks between them; before them stands ": "
_WORDS: Final = 35
#: digits of an offset, or of a slot, at most
_DIGITS: Final = 8
#: lines whose offsets have the same number of digits: 256 of them make up 0x1000 bytes
_STRIDE: Final = 256


class DumpLine(NamedTuple):
    """One line; ``head`` is what stands before the words."""

    slot: int | None
    offset: int
    data: bytes
    head: bytes


def parse_dump_line(line: bytes) -> DumpLine | None:
    """The parts of a line; None where it is no dump line."""
    if line[-37:-35] != b": " or line[-9:-8] != b" ":
        return None
    head = line[:-37]
    at = head.rfind(b" ") + 1
    if len(head) - at > _DIGITS:
        # `7,1,5000,-;010:` and `MESSAGE=010:`, where no blank stands before it
        at = max(head.rfind(b";"), head.rfind(b"=")) + 1
    digits = head[at:]
    if len(digits) < 3 or (len(digits) > 3 and digits.startswith(b"0")):
        # the driver writes offsets as %03x: others write more zeros
        return None
    try:
        data, offset = bytes.fromhex(line[-_WORDS:].decode("ascii")), int(digits, 16)
    except ValueError:
        return None
    return DumpLine(_slot(head, at), offset, data, head) if len(data) == BYTES else None


def _slot(head: bytes, end: int) -> int | None:
    """The 31 of ``cmd[31]: `` where that ends here."""
    if head[end - 3 : end] != b"]: ":
        return None
    begin = head.rfind(b"cmd[", 0, end)
    digits = head[begin + 4 : end - 3]
    return int(digits) if begin >= 0 and digits.isdigit() and len(digits) < _DIGITS else None


@lru_cache(maxsize=256)
def _marks(slot: int | None, page: int) -> list[bytes]:
    """The marks before the words on the 256 lines of the dump from this multiple of 0x1000 on.

    Kernels that print no slot have the end of dmesg's time there.
    """
    head = b"] " if slot is None else b"cmd[%d]: " % slot
    return [head + b"%03x: " % ((page * _STRIDE + n) * BYTES) for n in range(_STRIDE)]


def _noticed(block: Sequence[bytes]) -> bool:
    """Some of these lines have a notice of lost lines in front. Lines of one length have one in each, or in none."""
    return b"**" in (block[0] if len(set(map(len, block))) == 1 else b"".join(block))


def run_of_lines(lines: Sequence[bytes], start: int, slot: int | None, offset: int, most: int) -> bytes:
    """The bytes of the lines from ``start`` on that continue the slot's dump at ``offset``: of ``most`` lines at most.

    Empty where the next line is another, or where anything is odd about these: they are then to be read one by one.
    """
    page, first = divmod(offset // BYTES, _STRIDE)
    marks = _marks(slot, page)[first : first + most]
    mark = -_WORDS - len(marks[0])
    if lines[start][mark:-_WORDS] != marks[0]:
        return b""
    block = lines[start : start + len(marks)]
    found = [line[mark:-_WORDS] for line in block]
    if found != marks[: len(block)]:
        block = block[: next(n for n, same in enumerate(map(bytes.__eq__, found, marks)) if not same)]
    words = b" ".join([line[-_WORDS:] for line in block])
    blanks = b" " * len(block)
    if _noticed(block) or not words[8::36] == words[17::36] == words[26::36] == blanks:
        return b""
    try:
        data = bytes.fromhex(words.decode("ascii"))
    except ValueError:
        return b""
    return data if len(data) == BYTES * len(block) else b""
