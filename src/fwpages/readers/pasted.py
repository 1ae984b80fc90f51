"""Logs as people paste them: quoted in mails, folded at a mailer's width, between the bars of a table.

How it works. ``layout_of`` looks at a sample of the beginning and finds out what was done to the log; for nearly every
log that is nothing, and its lines are read as they are. Otherwise ``Mended`` undoes it line by line. Quotes, bars and
typographic characters are taken off. A line that a mailer folded is joined again: its pieces after the first have
neither a time nor a driver's name in front, and either the piece before ends in the middle of something (``(pid``, an
open parenthesis, a device without a message), or the next word would not have fitted into the mailer's width. A piece
that follows for neither reason may be part of the line or may be prose: then the log *looks folded*, and what it
says is not known.

Line numbers stay those of the file: a joined line has the number of its first piece, and empty lines stand for the
others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

#: a line that was joined is as long as this at most: the kernel prints at most 1,024 characters, and their surroundings
MAX_JOINED: Final = 4096
#: a mailer folds at 80 columns at most, a terminal does not fold at less than that
MAIL_WIDTH: Final = 80
#: columns below the widest line at which a word may have been put on the next line
SLACK: Final = 10
#: blanks in front of a continuation that a program wrote itself
_INDENT: Final = b" " * 8

_QUOTE = re.compile(rb"(?:[ \t]*(?:[A-Z]{2,3}>|[>|]))+[ \t]?")
_BARS_AT_END = re.compile(rb"(?:[ \t]+\|)+[ \t]*$")
#: characters that mailers, forums and word processors put in the place of plain ones
_TYPOGRAPHY: Final = {
    b"\xc2\xa0": b" ",
    b"\xe2\x80\xaf": b" ",
    b"\xe2\x80\x98": b"'",
    b"\xe2\x80\x99": b"'",
    b"\xe2\x80\x9c": b'"',
    b"\xe2\x80\x9d": b'"',
    b"\xe2\x80\x93": b"-",
    b"\xe2\x94\x82": b"|",
    b"&gt;": b">",
    b"&lt;": b"<",
    b"&nbsp;": b" ",
    b"&#39;": b"'",
    b"&quot;": b'"',
    b"&amp;": b"&",
}
_ODD = re.compile(b"|".join(map(re.escape, _TYPOGRAPHY)))
_ENCODED = re.compile(rb"=([0-9A-F]{2})")

#: the time in front of a line, after at most four words (a prompt, a node, cells of a table)
_STAMP = re.compile(
    rb"(?:\S+\s+){0,4}?(?:\[\s*\+?\d+\.\d+\]|\[?\w{3} \w{3} [ \d]\d \d\d:\d\d|\[?\w{3} [ \d]\d \d\d:\d\d:"
    rb"|\[\w{3}[ \d]\d \d\d:|\[?\d{4}-\d\d-\d\d[T ]\d\d:)|\s*\d+,\d+,\d+,|\s*<\d+>"
)
#: a driver's name and device, a colon: the beginning of a line that has no time
_DRIVER = re.compile(rb"\s*(?:mlx5_core[\w.]*(?: [\w:.]+)?(?: \w+)?|[A-Za-z][\w.-]*(?: [\w.-]*[\d.:][\w:.-]*)?): ")
_MLX5 = re.compile(rb"\s*mlx5_core(?:(?:\.\w+)? [\w:.]+(?: \w+)?|\d+): ")
#: the end of a piece that cannot be the end of a line
_UNFINISHED = re.compile(
    rb"(?:\(pid|:\(pid \d+\):|kernel:|[\w.]:\d+:|mlx5_core[\w.]*|mlx5_core[\w.]* [\w:.]+:|[\[,=(]|\[\s*\d+\.\d+\]"
    rb"|probe with driver|with error|error code|failed with|command resource of)\s*$"
)
#: the same in a log cut off at a column; a message that is empty has a blank before it
_CUT = re.compile(rb"mlx5_core.*(?:\(pid(?: \d+)?|:\(pid \d+\):)$")
#: what follows a line without being part of it: /dev/kmsg's fields, a signature, a boot
_APART = re.compile(rb"\s*$| [A-Z]+=|--")


@dataclass(frozen=True, slots=True)
class Layout:
    """The things that were done to a log after it was printed.

    ``dressed``: quotes, bars or typographic characters; ``equals``: lines that go on end in ``=``, and ``encoded``:
    other characters are written as ``=3D``; ``width``: columns at which it was folded, 0 where it was not; ``hard``:
    in the middle of words, as terminals do; ``timed``: its lines begin with a time; ``unsafe``: the line in the sample
    which may or may not be part of the one before, 0 where there is none.
    """

    dressed: bool = False
    equals: bool = False
    encoded: bool = False
    width: int = 0
    hard: bool = False
    timed: bool = False
    unsafe: int = 0

    @property
    def plain(self) -> bool:
        """Nothing was done to it."""
        return self == Layout(timed=self.timed)

    def cleaned(self, line: bytes) -> bytes:
        """The line without quotes, bars and typographic characters."""
        if self.encoded:
            line = _ENCODED.sub(lambda m: bytes([int(m[1], 16)]), line)
        if self.dressed:
            line = _ODD.sub(lambda m: _TYPOGRAPHY[m[0]], line)
            if (quote := _QUOTE.match(line)) is not None:
                line = _BARS_AT_END.sub(b"", line[quote.end() :])
        return line.rstrip(b"\r")

    def begins(self, line: bytes) -> bool:
        """A line of the log begins here."""
        if self.timed:
            return _STAMP.match(line) is not None or _MLX5.match(line) is not None
        return _DRIVER.match(line) is not None

    def joined(self, before: bytes, piece: bytes, line: bytes) -> bytes | None:
        """The line so far with its next piece; None where the piece is none. ``piece`` is the last one so far."""
        if len(before) + len(line) > MAX_JOINED:
            return None
        if self.equals:
            return before[:-1] + line if piece.endswith(b"=") else None
        if self.hard:
            return before + line if len(piece) == self.width else None
        before, word = before.rstrip(), line.split(None, 1)[0]
        if self.width and (unfinished(before) or len(piece.rstrip()) + 1 + len(word) > self.width - SLACK):
            return before + b" " + line.lstrip()
        return None


def unfinished(line: bytes) -> bool:
    """The line ends where no line of the kernel's ends."""
    return line.count(b"(") > line.count(b")") or _UNFINISHED.search(line[-100:]) is not None


def layout_of(sample: bytes) -> Layout:
    """Tell from a sample of its beginning how a log was changed when it was pasted."""
    raw = sample.split(b"\n")[:-1] if len(sample) >= 1 << 16 else sample.split(b"\n")
    dressed = _ODD.search(sample) is not None or any(_QUOTE.match(line) for line in raw)
    first = Layout(dressed=dressed)
    lines = [first.cleaned(line) for line in raw]
    timed = any(b"mlx5" in line and _STAMP.match(line) for line in lines)
    follows = list(_following(lines, Layout(timed=timed)))
    cut = next((n for n, line in enumerate(lines, 1) if _CUT.search(line)), 0)
    if not follows:
        return Layout(dressed=dressed, timed=timed, unsafe=cut)
    return _folded(lines, follows, dressed=dressed, timed=timed)


def _following(lines: Sequence[bytes], layout: Layout) -> Iterator[int]:
    """The lines that begin nothing, and follow a line of the driver's without a blank line in between."""
    driver = False
    for n, line in enumerate(lines):
        if _APART.match(line) or line.startswith(_INDENT):
            driver = False
        elif layout.begins(line):
            driver = b"mlx5" in line
        elif driver:
            yield n


def _folded(lines: Sequence[bytes], follows: Sequence[int], *, dressed: bool, timed: bool) -> Layout:
    """The layout of a log in which some lines of the driver's are followed by others that begin nothing."""
    befores = [lines[n - 1] for n in follows]
    if 2 * sum(line.endswith(b"=") for line in befores) > len(befores):
        encoded = any(b"=3D" in line for line in lines)
        return Layout(dressed=dressed, timed=timed, equals=True, encoded=encoded)
    width = max(map(len, befores))
    if width >= MAIL_WIDTH and len(befores) > 1 and len(set(map(len, befores))) == 1:
        return Layout(dressed=dressed, timed=timed, width=width, hard=True)
    width = max(len(line.rstrip()) for line in [*befores, *(lines[n] for n in follows)])
    layout = Layout(dressed=dressed, timed=timed, width=width)
    if any(unfinished(line) for line in befores) or (
        width <= MAIL_WIDTH and any(layout.joined(lines[n - 1], lines[n - 1], lines[n]) for n in follows)
    ):
        return layout
    return Layout(dressed=dressed, timed=timed)


class Mended:
    """The lines of a log as they were printed; ``unsafe`` is the first that may or may not be part of another."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._line: bytes | None = None
        self._piece = b""
        self._blanks = 0
        self.unsafe = layout.unsafe

    def batches(self, batches: Iterable[tuple[int, list[bytes]]]) -> Iterator[tuple[int, list[bytes]]]:
        """The same batches of lines, joined; each with the number of its first line."""
        begin, out = 1, list[bytes]()
        for number, lines in batches:
            for n, raw in enumerate(lines, number):
                self._take(n, self._layout.cleaned(raw), out)
            yield begin, out
            begin, out = begin + len(out), []
        self._end(out)
        if out:
            yield begin, out

    def _take(self, number: int, line: bytes, out: list[bytes]) -> None:
        """One line: a piece of the line before, or the beginning of another."""
        if self._line is not None and self._continues(number, line):
            self._blanks += 1
            self._piece = line
            return
        self._end(out)
        self._line = self._piece = line

    def _continues(self, number: int, line: bytes) -> bool:
        layout, before = self._layout, self._line or b""
        if _APART.match(line) or line.startswith(_INDENT) or layout.begins(line):
            return False
        joined = layout.joined(before, self._piece, line)
        if joined is not None:
            self._line = joined
        elif layout.width and b"mlx5_core" in before and not self.unsafe:
            self.unsafe = number
        return joined is not None

    def _end(self, out: list[bytes]) -> None:
        """The line is whole."""
        if self._line is not None:
            out.append(self._line)
            out.extend([b""] * self._blanks)
        self._line, self._blanks = None, 0
