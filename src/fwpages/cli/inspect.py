"""``fwpages inspect``: the pages of every function, from the driver's own lists in the running kernel or in a core."""

from __future__ import annotations

import os
from pathlib import Path

import click
import msgspec
from rich.console import Console

from fwpages.cli.exits import exit_code
from fwpages.machine.holdings_table import show
from fwpages.machine.inspection import MAX_SECONDS, inspect
from fwpages.machine.structures.errors import FileError

_FILE = click.Path(path_type=Path)


@click.command("inspect")
@click.option("--core", type=_FILE, metavar="FILE", help="Read a core or a compressed dump, not the running kernel.")
@click.option(
    "--btf",
    type=_FILE,
    multiple=True,
    metavar="FILE",
    help="Types from this file: BTF, or an ELF file that has it. Can be given twice: for vmlinux and for mlx5_core.",
)
@click.option("--symbols", type=_FILE, metavar="FILE", help="Addresses from this copy of /proc/kallsyms.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(0.1, 3600),
    default=MAX_SECONDS,
    show_default=True,
    help="Read the running kernel again until its lists settle, so long at most.",
)
def command(core: Path | None, btf: tuple[Path, ...], symbols: Path | None, as_json: bool, max_seconds: float) -> int:
    """It reads /proc/kcore, as root, with the kernel's own types (BTF): no debug symbols, no reload of the driver. It
    writes nothing, sends no command to firmware and takes no lock of the kernel. The running kernel needs Linux 5.14.

    Exit code: 0 counters and lists agree, 1 they do not, 2 misuse, 4 not known: the report says what would help. Lists
    that change during every reading are not known.
    """
    if core is None:
        os.nice(19)
    try:
        report = inspect(core, btf=btf, symbols=symbols, max_seconds=max_seconds).report
    except FileError as e:
        raise click.UsageError(str(e)) from None
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        show(report, Console())
    return exit_code(report.verdict)
