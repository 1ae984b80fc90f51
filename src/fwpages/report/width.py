"""Lines that end between words, where somebody reads them on a terminal."""

from __future__ import annotations

import os
from typing import IO

#: narrower than this, a line is not folded: there would be a word a line
_LEAST = 20


def width_of(stream: IO[str]) -> int | None:
    """The columns that lines on this stream may have: COLUMNS where it is set, else those of its terminal.

    None for a file or a pipe: another program reads lines whole.
    """
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else None
    except (OSError, ValueError):
        return None


def fold(text: str, width: int | None, indent: int = 0) -> str:
    """Fold each line of ``text`` between words; lines after the first of each have ``indent`` blanks before them.

    A word that is longer than the width stays whole: it may be a path, or a command to copy.
    """
    if width is None or width < _LEAST + indent:
        return text
    import textwrap  # noqa: PLC0415  # the start-up stays quick

    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent=" " * (indent + len(line) - len(line.lstrip())),
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
            replace_whitespace=False,
        )
        for line in text.split("\n")
    )
