"""The worlds that come with the package, and a user's own: scenario files that an exploration is made of."""

from __future__ import annotations

import msgspec

from fwpages.pages.words import meant
from fwpages.scenario import Scenario, ScenarioError
from fwpages.scenario.format import Library

_LIBRARY = Library("world", "fwpages.explore", "worlds")


def names() -> list[str]:
    """The worlds that come with the package."""
    return _LIBRARY.names()


def load(name_or_path: str, text: str | None = None) -> Scenario:
    """A world of the package by name, or a file (anything with a dot or a slash in it); else raises ScenarioError.

    ``NAME:FUNCTION`` is a world of the package with only this one of its functions. ``text`` is the file's content
    where it was read already (from standard input).
    """
    name, colon, function = name_or_path.partition(":")
    if text is None and colon and name in names():
        return only(_LIBRARY.load(name, None), function)
    return _LIBRARY.load(name_or_path, text)


def only(scenario: Scenario, function: str) -> Scenario:
    """The scenario with one of its functions, and the steps that are about it or about none; ScenarioError for none."""
    kept = tuple(f for f in scenario.function if f.name == function)
    if not kept:
        near = meant(function, [f.name for f in scenario.function])
        raise ScenarioError(f"there is no function {function!r} in this world; {near}")
    steps = tuple(s for s in scenario.step if getattr(s, "function", function) == function)
    return msgspec.structs.replace(scenario, function=kept, step=steps)
