"""The worlds that come with the package, and a user's own: scenario files that an exploration is made of."""

from __future__ import annotations

from fwpages.scenario import Scenario
from fwpages.scenario.format import Library

_LIBRARY = Library("world", "fwpages.explore", "worlds")


def names() -> list[str]:
    """The worlds that come with the package."""
    return _LIBRARY.names()


def load(name_or_path: str, text: str | None = None) -> Scenario:
    """A world of the package by name, or a file (anything with a dot or a slash in it); ScenarioError otherwise.

    ``text`` is the file's content where it was read already (from standard input).
    """
    return _LIBRARY.load(name_or_path, text)
