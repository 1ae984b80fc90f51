"""Parts of a saved mail that are in base64: the mail's text, or a log that is attached to it.

``decoded`` puts the lines of such a part in the place of its encoding. The lines are then numbered as in the decoded
mail. Parts that are no text are left out.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator
from typing import Final

#: a line that has no end after so many bytes is no line of a log
MAX_LINE: Final = 1 << 16

_HEADER = re.compile(rb"^Content-Transfer-Encoding:[ \t]*base64[ \t\r]*$", re.IGNORECASE | re.MULTILINE)
_ENCODED = re.compile(rb"[A-Za-z0-9+/]+={0,2}[ \t\r]*$")


def is_encoded(sample: bytes) -> bool:
    """A part of the mail that the sample is of is in base64."""
    return _HEADER.search(sample) is not None


def decoded_sample(sample: bytes) -> bytes:
    """The sample as it is read later."""
    return b"\n".join(line for _, lines in decoded([(1, sample.split(b"\n"))]) for line in lines)


def decoded(batches: Iterable[tuple[int, list[bytes]]]) -> Iterator[tuple[int, list[bytes]]]:
    """The same batches of lines with the parts in base64 decoded; each with the number of its first line."""
    part, number = _Part(), 1
    for _, lines in batches:
        out = [line for raw in lines for line in part.lines(raw)]
        yield number, out
        number += len(out)
    if (rest := part.end()) is not None:
        yield number, [rest]


class _Part:
    """The part of the mail that is being read."""

    def __init__(self) -> None:
        self._announced = False
        self._within = False
        self._begun = False
        self._text = True
        self._code = b""
        self._rest = b""

    def lines(self, raw: bytes) -> list[bytes]:
        """The text that a line of the mail stands for."""
        if not self._within:
            self._header(raw)
            return [raw]
        if _ENCODED.match(raw):
            self._begun = True
            return self._decode(raw.strip())
        if not raw.strip() and not self._begun:
            return []
        last = self.end()
        self._within = False
        return [raw] if last is None else [last, raw]

    def end(self) -> bytes | None:
        """The last line of the part, if it has no end of its own."""
        rest, self._rest, self._code = self._rest, b"", b""
        return rest if rest and self._text else None

    def _header(self, raw: bytes) -> None:
        if _HEADER.match(raw):
            self._announced = True
        elif not raw.strip() and self._announced:
            self._announced, self._within, self._begun, self._text = False, True, False, True

    def _decode(self, code: bytes) -> list[bytes]:
        """The lines that end in a line of the encoding; four characters stand for three bytes."""
        code = self._code + code
        whole = len(code) - len(code) % 4
        self._code = code[whole:]
        try:
            text = binascii.a2b_base64(code[:whole])
        except binascii.Error:
            text = b"\0"
        self._text = self._text and b"\0" not in text
        if not self._text:
            self._rest = b""
            return []
        *lines, self._rest = (self._rest + text).split(b"\n")
        if len(self._rest) > MAX_LINE:
            self._rest = b""
        return lines
