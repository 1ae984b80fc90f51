"""``fwpages diff``: two runs, logs or reports compared."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import click
import msgspec
from rich.console import Console

from fwpages.cli.files import standard_input, written
from fwpages.cli.progress import reading
from fwpages.comparison.differ import read_and_compare
from fwpages.comparison.show import show_diff
from fwpages.comparison.values import Outcome
from fwpages.readers.inputs import InputError
from fwpages.report.html_page import NotInstalledError, check_installed

EXIT_CODES: Mapping[Outcome, int] = MappingProxyType({Outcome.EQUAL: 0, Outcome.DIFFERENT: 1, Outcome.NOT_KNOWN: 4})


@click.command("diff")
@click.argument("a", type=click.Path(allow_dash=True))
@click.argument("b", type=click.Path(allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a page too, with the pages over time of both.",
)
def command(a: str, b: str, as_json: bool, html: Path | None) -> int:
    """A, B: traces, kernel logs, recordings of `top`, or what `run`, `drive`, `serve`, `audit` or `inspect` printed
    with --json; the two may be of different kinds. Files may be packed with gzip; - is standard input.

    Functions are aligned by identity and generation, not by time; between FUNC_ID and VHCA_ID mode by the scenario's
    names, else by type and order. The report says by which.

    Exit code: 0 equal, 1 different, 2 misuse or a file that cannot be read, 4 not known: nothing differs as far as both
    tell, and one of them does not tell a count.
    """
    if "-" in (a, b):
        standard_input()
    with ExitStack() as stack:
        try:
            if html is not None:
                check_installed()
            # opened before the work, which may be long: a file that cannot be written is said at once
            stream = None if html is None else stack.enter_context(written("--html", html))
            with reading([a, b]) as watch:
                found, one, other = read_and_compare(a, b, watch)
        except (InputError, NotInstalledError) as e:
            raise click.UsageError(str(e)) from None
        if stream is not None:
            from fwpages.comparison.page import diff_page

            stream.write(diff_page(found, one, other))
    if as_json:
        click.echo(msgspec.json.encode(found))
    else:
        show_diff(found, Console())
    return EXIT_CODES[found.outcome]
