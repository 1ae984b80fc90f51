"""``fwpages doctor``: what there is to look with on this machine."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.console import Console

from fwpages.cli.exits import exit_code
from fwpages.machine.doctor import examine
from fwpages.machine.doctor_table import show


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path("/"),
    metavar="DIR",
    help="Read a copy of a machine's files.",
)
def command(as_json: bool, root: Path) -> int:
    """It looks for the kernel's files and settings that the other commands need, and says what each of them could
    say, and the lines to type. It changes nothing.

    Exit code: 0 every command could say all that it says, 2 misuse, 4 something is missing or not known.
    """
    try:
        diagnosis = examine(root)
    except NotADirectoryError as e:
        raise click.UsageError(f"--root {e}") from None
    if as_json:
        click.echo(msgspec.json.encode(diagnosis))
    else:
        show(diagnosis, Console())
    return exit_code(diagnosis.verdict)
