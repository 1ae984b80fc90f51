"""Make the manual pages anew from the commands' help: ``python docs/make_man.py``, or ``make man``.

The pages are in ``man/``, and a wheel installs them under ``share/man/man1``. Their date is that of the newest entry
of the changelog that has one, so that equal commands give equal pages.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from click_man.core import write_man_pages

import fwpages
from fwpages.cli import HIDDEN, cli

ROOT = Path(__file__).parents[1]
MAN = ROOT / "man"


def write(folder: Path) -> None:
    """Write a page for the program, and one for each command that ``--help`` lists."""
    context = click.Context(cli, info_name="fwpages")
    commands = {name: cli.get_command(context, name) for name in cli.list_commands(context) if name not in HIDDEN}
    whole = click.Group("fwpages", params=cli.params, help=cli.help, short_help=cli.help)
    for name, command in commands.items():
        if command is not None:
            whole.add_command(command, name)
    folder.mkdir(exist_ok=True)
    write_man_pages("fwpages", whole, version=fwpages.__version__, target_dir=str(folder), date=_date())


def _date() -> str:
    """The date of the newest release in the changelog; "unreleased" before the first."""
    found = re.search(r"^## \[[^]]+\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    return found[1] if found else "unreleased"


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else MAN)
