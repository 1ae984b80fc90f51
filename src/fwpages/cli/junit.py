"""``--junit FILE`` of the commands that judge."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from fwpages.cli.files import written
from fwpages.report.junit import Suite, junit_xml

#: writes the suites of a report; does nothing where no file was asked for
Junit = Callable[[Iterable[Suite]], None]
_PATH = click.Path(dir_okay=False, path_type=Path)


def junit_option(name: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give the command of this name the option; its function gets ``junit``, which writes the suites.

    The file is opened before the command does its work, and has its name when it is whole.
    """

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @click.option(
            "--junit", "junit_path", type=_PATH, metavar="FILE", help="Write the verdicts as JUnit XML, for a CI."
        )
        @functools.wraps(command)
        def wrapped(junit_path: Path | None, **options: Any) -> int:
            with _opened(name, junit_path, options) as junit:
                return command(junit=junit, **options)

        return wrapped

    return decorate


@contextmanager
def _opened(name: str, path: Path | None, options: dict[str, object]) -> Iterator[Junit]:
    """The writer of the file; UsageError for a file that cannot be written, or that another option names too."""
    if path is None:
        yield lambda suites: None
        return
    for parameter in click.get_current_context().command.params:
        other = options.get(parameter.name or "")
        if isinstance(other, Path) and other.resolve() == path.resolve():
            raise click.UsageError(f"{parameter.opts[-1]} and --junit both name {path}")
    with written("--junit", path) as stream:
        yield lambda suites: _write(stream.write, name, suites)


def _write(write: Callable[[str], object], name: str, suites: Iterable[Suite]) -> None:
    write(junit_xml(name, suites))
