"""Standard error: what a command prints beside its result."""

from __future__ import annotations

import sys

import click

from fwpages.report.width import fold, width_of


def complain(text: str) -> None:
    """Print an error on standard error; on a terminal its lines end between words."""
    click.echo(fold(text, width_of(sys.stderr)), err=True)
