"""A world with other bounds or assumptions than its file's: ``faults=2``, ``host_pages_4k=off``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import get_args

import msgspec

from fwpages.explore.model.spec import Spec
from fwpages.pages.words import meant
from fwpages.scenario import ScenarioError
from fwpages.scenario.format import BoundsTable, Switch
from fwpages.scenario.format_errors import misfit

_SWITCHES: dict[str, Switch] = {name: name for name in get_args(Switch)}
_KEYS = tuple(f.name for f in msgspec.structs.fields(BoundsTable))
#: all that ``--bound`` takes
KEYS = (*_KEYS, *_SWITCHES)
_STANDS = {"on": True, "off": False}


def bounded(spec: Spec, settings: Iterable[str]) -> Spec:
    """The spec with these settings, each ``KEY=VALUE``; raises ScenarioError, which names the key, for a bad one.

    A key of ``[bounds]`` takes what it takes in a file, an assumption ``on`` or ``off``. Of two for one key the last
    counts.
    """
    bounds = {name: getattr(spec.scenario.bounds, name) for name in _KEYS}
    overrides = dict(spec.overrides)
    for setting in settings:
        key, equals, value = (part.strip() for part in setting.partition("="))
        if not (key and equals and value):
            raise ScenarioError(f"bound {setting!r}: expected KEY=VALUE, as in faults=2 or host_pages_4k=off")
        if key in _SWITCHES:
            if value not in _STANDS:
                raise ScenarioError(f"bound {key}: {value!r} is neither on nor off")
            overrides[_SWITCHES[key]] = _STANDS[value]
        elif key in bounds:
            bounds[key] = _fits(key, value)
        else:
            near = meant(key, KEYS)
            raise ScenarioError(f"bound {key}: there is no such bound or assumption; {near}")
    scenario = msgspec.structs.replace(spec.scenario, bounds=BoundsTable(**bounds))
    return replace(spec, scenario=scenario, overrides=overrides)


def _fits(key: str, value: str) -> object:
    """The value as the file's table takes it."""
    number: object = value
    for kind in (int, float):
        try:
            number = kind(value)
            break
        except ValueError:
            continue
    try:
        return getattr(msgspec.convert({key: number}, BoundsTable), key)
    except msgspec.ValidationError as e:
        raise ScenarioError(f"bound {misfit(e, {key: number}, BoundsTable)}") from None
