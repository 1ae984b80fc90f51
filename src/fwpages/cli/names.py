"""Arguments and options that take a name: a wrong one is answered with those near it, and a shell completes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from fwpages.pages.words import meant


class OneOf(click.Choice[str]):
    """One of these names; another is answered with those near it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name; BadParameter for one that is not there."""
        if value in self.choices:
            return str(value)
        raise click.BadParameter(f"there is no {str(value)!r}; {meant(str(value), self.choices)}", ctx, param)


class Name(click.ParamType[str]):
    """A text that a shell completes from ``names``, which are asked for only then; with files where ``files`` is set.

    The command itself judges the text.
    """

    name = "text"

    def __init__(self, names: Callable[[], Iterable[str]], *, files: bool = False) -> None:
        self._names = names
        self._files = files

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin like this, and then the shell's own completion of files."""
        found = [CompletionItem(name) for name in self._names() if name.startswith(incomplete)]
        return [*found, CompletionItem(incomplete, type="file")] if self._files else found


def scenarios() -> list[str]:
    """The scenarios of the package."""
    from fwpages.scenario import names

    return names()


def worlds() -> list[str]:
    """The worlds of the package."""
    from fwpages.explore.model.library import names

    return names()


def faults() -> list[str]:
    """Every fault."""
    from fwpages.scenario.fault_syntax import EVERY_FAULT

    return list(EVERY_FAULT)


def bounds() -> list[str]:
    """The keys of ``--bound``, each with its equals sign."""
    from fwpages.explore.model.bounds import KEYS

    return [f"{key}=" for key in KEYS]


def opcodes() -> list[str]:
    """The names of the commands that are known."""
    from fwpages.prm.opcodes import Opcode

    return list(Opcode.__members__)


def questions() -> list[str]:
    """The ids of the review's questions."""
    from fwpages.explore.review.questions import QUESTIONS

    return [q.id for q in QUESTIONS]


def cases() -> list[str]:
    """The cases of ``bench``."""
    from fwpages.bench.cases import CASES

    return [c.name for c in CASES]
