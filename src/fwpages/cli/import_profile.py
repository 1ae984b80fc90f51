"""``fwpages import-profile``: a device profile from a real driver's debug log."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import click
import msgspec

from fwpages.cli.files import standard_input, written
from fwpages.device import ProfileError
from fwpages.device.profiles import parse
from fwpages.readers.inputs import InputError
from fwpages.readers.profile_import import profile_of


@click.command("import-profile")
@click.argument("log", metavar="LOG", type=click.Path(allow_dash=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the profile to this file instead of the screen.",
)
@click.option("--name", help="The profile's name.  [default: that of the output file]")
@click.option("--json", "as_json", is_flag=True, help="Print the profile as JSON.")
def command(log: str, output: Path | None, name: str | None, as_json: bool) -> int:
    """LOG: a kernel log of a start with dyndbg="func dump_* +p", or a trace; - is standard input.

    A scenario uses the profile by its path: profile = "FILE.toml".
    """
    if log == "-":
        standard_input()
    try:
        called = name or (output.stem if output is not None else "from-a-log")
        text = profile_of(log, re.sub(r"[^a-z0-9-]", "-", called.lower()))
        parse(text, "from the log")
    except (InputError, ProfileError) as e:
        raise click.UsageError(str(e)) from None
    if output is not None:
        with written("--output", output) as stream:
            stream.write(text)
    if as_json:
        click.echo(msgspec.json.encode({"schema": "profile/1", "profile": tomllib.loads(text)}))
    elif output is None:
        click.echo(text, nl=False)
    return 0
