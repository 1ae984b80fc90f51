"""Standard error: what a command prints beside its result."""

from __future__ import annotations

import sys

import click

from fwpages.report.width import fold, width_of


def complain(text: str) -> None:
    """Print an error on standard error; on a terminal its lines end between words.

    A line that begins with four blanks is a command to copy, and stays whole.
    """
    width = width_of(sys.stderr)
    lines = [line if line.startswith("    ") else fold(line, width) for line in text.split("\n")]
    click.echo("\n".join(lines), err=True)
