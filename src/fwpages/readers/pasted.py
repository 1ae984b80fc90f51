"""Logs as people paste them: quoted in mails, folded at a mailer's width, between the bars of a table.

How it works. ``layout_of`` looks at a sample of the beginning and finds out what was done to the log; for nearly every
log that is nothing, and its lines are read as they are. Otherwise ``Mended`` undoes it line by line. Quotes, bars and
typographic characters are taken off. A line that a mailer folded is joined again: its pieces after the first have
neither a time nor a driver's name in front, and either the piece before ends in the middle of something (``(pid``, an
open parenthesis, a device without a message), or the next word would not have fitted into the mailer's width. A piece
that follows for neither reason may be part of the line or may be prose: then the log *looks folded*, and what it
says is not known.

Two more things are undone. A page that shows a log as coloured code may put each of its pieces on a line of its own: a
line that begins with ``:``, ``)`` or ``]`` belongs to the one before (*torn*). A text that was filled as prose has many
of the log's lines in one paragraph: it is split where a time stands in the middle (*run together*). Of a mail that was
saved with its headers, the part that repeats the text as HTML is passed over.

Line numbers stay those of the file: a joined line has the number of its first piece, and empty lines stand for the
others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
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
    b"\xe2\x80\x94": b"-",
    b"\xe2\x88\x92": b"-",
    b"\xe2\x80\xa6": b"...",
    b"\xe2\x80\x8b": b"",
    b"\xc3\x97": b"x",
    b"\xe2\x94\x82": b"|",
    b"&gt;": b">",
    b"&lt;": b"<",
    b"&nbsp;": b" ",
    b"&#39;": b"'",
    b"&#x27;": b"'",
    b"&quot;": b'"',
    b"&amp;": b"&",
}
_ODD = re.compile(b"|".join(map(re.escape, _TYPOGRAPHY)))
_ENCODED = re.compile(rb"=([0-9A-F]{2})")
#: marks of a page or a mail around a line's text
_TAG = re.compile(
    rb"</?(?:a|b|blockquote|body|br|code|dd|div|dl|dt|em|font|hr|html|i|li|ol|p|pre|s|small|span|strong|t[dhrt]|table"
    rb"|tbody|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_TYPE = re.compile(rb"Content-Type: *text/(plain|html)", re.IGNORECASE)
#: beginnings of a piece of a line that was torn at the marks of coloured code, and what shows that a log was
_TORN: Final = (b":", b")", b"]")
_DOMAIN = re.compile(rb"mlx5_core [0-9a-fA-F]{4,}$")
#: a line's time where lines were run together, with the host's name in front of it or without; three are no chance
_INNER = re.compile(
    rb"\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ kernel: |(?<!kernel: )\[\s*\d+\.\d{6}\](?=\s|$)"
    rb"|(?<!kernel: )\[\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\]"
)
_MANY_INNER: Final = 3
#: words by which the prefixes of whole lines differ, at most
_WORDS: Final = 2
#: bytes of a paragraph that are looked at together
_MAX_PARAGRAPH: Final = 1 << 18

#: the time in front of a line, after at most four words (a prompt, a node, cells of a table)
_STAMP = re.compile(
    rb"\s*(?:\S+\s+){0,4}?(?:\[?\s*\+?\d+\.\d+\]|\[\]|\[?\w{3} \w{3} [ \d]\d \d\d:\d\d|\[?\w{3} [ \d]\d \d\d:\d\d:"
    rb"|\[\w{3}[ \d]\d \d\d:|\[?\d{4}-\d\d-\d\d[T ]\d\d:)|\s*\d+,\d+,\d+,|\s*<\d+>"
)
#: a driver's name and device, a colon: the beginning of a line that has no time
_DRIVER = re.compile(rb"\s*(?:mlx5_core[\w.]*(?: [\w:.]+)?(?: \w+)?|[A-Za-z][\w.-]*(?: [\w.-]*[\d.:][\w:.-]*)?): ")
_MLX5 = re.compile(rb"\s*mlx5_core(?:(?:\.\w+)? [\w:.]+(?: \w+)?|\d+): ")
#: the end of a piece that cannot be the end of a line
_UNFINISHED = re.compile(
    rb"(?:\(pid|:\(pid \w+\) ?:|kernel:|[\w.]:\d+:|mlx5_core[\w.]*|mlx5_core[\w.]* [\w:.]+:|[\[,=(]|\[\s*\d+\.\d+\]"
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
    in the middle of words, as terminals do; ``timed``: its lines begin with a time; ``torn``: in pieces that begin with
    a colon or a bracket; ``together``: many lines in one paragraph; ``twice``: a mail with its text as HTML, too;
    ``unsafe``: the line in the sample which may or may not be part of the one before, 0 where there is none.
    """

    dressed: bool = False
    equals: bool = False
    encoded: bool = False
    width: int = 0
    hard: bool = False
    timed: bool = False
    torn: bool = False
    together: bool = False
    twice: bool = False
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
            line = _TAG.sub(b"", line) if b"<" in line else line
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
        if self.torn:
            return before.rstrip() + line if line.startswith(_TORN) else None
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
    marked = _ODD.search(sample) is not None or _TAG.search(sample) is not None
    dressed = marked or any(_QUOTE.match(line) for line in raw)
    first = Layout(dressed=dressed, twice=len({kind.lower() for kind in _TYPE.findall(sample)}) > 1)
    lines = [first.cleaned(line) for line in raw]
    if b"mlx5" in sample and (_torn(lines) or _together(lines)):
        return replace(first, torn=_torn(lines), together=_together(lines))
    return _of_lines(first, lines)


def _torn(lines: Sequence[bytes]) -> bool:
    """Lines are torn at the colons of the driver's device."""
    return any(_DOMAIN.search(a) is not None and b.startswith(b":") for a, b in pairwise(lines))


def _together(lines: Sequence[bytes]) -> bool:
    """Many lines stand in one paragraph: times stand within the lines of text, after any number of words."""
    times = [[m.start() for m in _INNER.finditer(line)] for line in lines]
    words = [len(line[: at[0]].split()) for line, at in zip(lines, times, strict=True) if at]
    anywhere = max(words, default=0) - min(words, default=0) > _WORDS and 2 * sum(n > 0 for n in words) > len(words)
    return sum(map(len, times)) >= _MANY_INNER and (anywhere or 4 * sum(len(at) > 1 for at in times) >= len(words))


def _of_lines(first: Layout, lines: Sequence[bytes]) -> Layout:
    """The layout of a log whose lines begin where they began, as far as they were not folded."""
    timed = any(b"mlx5" in line and _STAMP.match(line) for line in lines)
    follows = list(_following(lines, Layout(timed=timed)))
    cut = next((n for n, line in enumerate(lines, 1) if _CUT.search(line)), 0)
    if not follows:
        return replace(first, timed=timed, unsafe=cut)
    return _folded(lines, follows, replace(first, timed=timed))


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


def _folded(lines: Sequence[bytes], follows: Sequence[int], plain: Layout) -> Layout:
    """The layout of a log in which some lines of the driver's are followed by others that begin nothing."""
    befores = [lines[n - 1] for n in follows]
    if 2 * sum(line.endswith(b"=") for line in befores) > len(befores):
        encoded = any(b"=3D" in line for line in lines)
        return replace(plain, equals=True, encoded=encoded)
    width = max(map(len, befores))
    if width >= MAIL_WIDTH and len(befores) > 1 and len(set(map(len, befores))) == 1:
        return replace(plain, width=width, hard=True)
    width = max(len(line.rstrip()) for line in [*befores, *(lines[n] for n in follows)])
    layout = replace(plain, width=width)
    if any(unfinished(line) for line in befores) or (
        width <= MAIL_WIDTH and any(layout.joined(lines[n - 1], lines[n - 1], lines[n]) for n in follows)
    ):
        return layout
    return plain


class Mended:
    """The lines of a log as they were printed; ``unsafe`` is the first that may or may not be part of another."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._line: bytes | None = None
        self._piece = b""
        self._blanks = 0
        #: within the part of a mail that repeats its text as HTML
        self._again = False
        self.unsafe = layout.unsafe

    def batches(self, batches: Iterable[tuple[int, list[bytes]]]) -> Iterator[tuple[int, list[bytes]]]:
        """The same batches of lines, joined; each with the number of its first line."""
        if self._layout.together:
            yield from self._paragraphs(batches)
            return
        begin, out = 1, list[bytes]()
        for number, lines in batches:
            for n, raw in enumerate(lines, number):
                self._take(n, self._cleaned(raw), out)
            yield begin, out
            begin, out = begin + len(out), []
        self._end(out)
        if out:
            yield begin, out

    def _cleaned(self, raw: bytes) -> bytes:
        """The line without what was put around it; empty where a mail says it again as HTML."""
        line = self._layout.cleaned(raw)
        if not self._layout.twice:
            return line
        if (kind := _TYPE.search(line)) is not None:
            self._again = kind[1].lower() == b"html"
        elif line.startswith(b"--"):
            self._again = False
        return b"" if self._again else line

    def _paragraphs(self, batches: Iterable[tuple[int, list[bytes]]]) -> Iterator[tuple[int, list[bytes]]]:
        """The lines of each paragraph, split where a time stands; each with the number of the line it begins in."""
        pieces, size = list[tuple[int, bytes]](), 0
        for number, lines in batches:
            for n, raw in enumerate(lines, number):
                line = self._cleaned(raw).strip()
                if line:
                    pieces.append((n, line))
                    size += len(line) + 1
                if not line or size > _MAX_PARAGRAPH:
                    yield from _split(pieces)
                    pieces, size = [], 0
        yield from _split(pieces)

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
        if layout.torn and line.startswith(_TORN):
            self._line = layout.joined(before, self._piece, line) or before
            return True
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


def _split(pieces: Sequence[tuple[int, bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    """The log's lines in a paragraph, which is given as numbered lines of text."""
    text = b" ".join(line for _, line in pieces)
    starts = [0, *(m.start() for m in _INNER.finditer(text) if m.start())]
    at, n = 0, 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        while n + 1 < len(pieces) and at + len(pieces[n][1]) < start:
            at += len(pieces[n][1]) + 1
            n += 1
        if end > start:
            yield pieces[n][0], [text[start:end].rstrip()]
