"""A path through a world as a short string, and the walk along it, step by step.

``DESIGN:SWITCHES:CHECK:STEPS:MOVES``. SWITCHES are the assumptions that differ from the world's own, a letter each in
the order of their table, upper case for on. CHECK is the world's fingerprint: a string made for another world, or for
this one before it was changed, is refused. MOVES has a character for each choice, and none where there is only one;
``A~T`` stands for nineteen As.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fwpages.explore.check.search import Path
from fwpages.explore.model.moves import Move, moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World
from fwpages.scenario import ScenarioError
from fwpages.scenario.assumptions import ASSUMPTIONS
from fwpages.scenario.format import Switch

_DIGITS = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
_GRAMMAR = re.compile(r"([a-z]+):([a-zA-Z]*):([0-9a-f]{8}):([0-9]{1,6}):([A-Za-z0-9_.~-]*)")
#: a character that comes four to 63 times in a row is written once, with the number
_RUN = re.compile(r"(.)\1{3,62}")
_LETTERS: Mapping[str, Switch] = dict(zip(string.ascii_lowercase, ASSUMPTIONS, strict=False))


@dataclass(frozen=True, slots=True)
class Walked:
    """The world before a step, the move, and the world after it."""

    before: World
    move: Move
    after: World


def encode(spec: Spec, path: Path) -> str:
    """The string for a path of a search of this world."""
    switches = "".join(
        letter.upper() if spec.overrides[name] else letter
        for letter, name in _LETTERS.items()
        if name in spec.overrides
    )
    out = []
    for n, walked in zip(path, walk(spec, path), strict=True):
        options = _possible(walked.before)
        if len(options) > 1:
            out.append(_digits(options.index(n)))
    return f"{spec.design}:{switches}:{spec.rules().fingerprint}:{len(path)}:{_short(''.join(out))}"


def decode(spec: Spec, text: str) -> tuple[Spec, Path]:
    """The spec that the string was made for, and its path. Raises ScenarioError where it does not fit this world."""
    m, its = _head(spec, text)
    check = its.rules().fingerprint
    if check != m[3]:
        raise ScenarioError(
            f"replay: the string was made for a world {m[3]}, {spec.name} with {m[1]} is {check}: "
            "another world or version, or other --bound options"
        )
    return its, tuple(_moves(its, int(m[4]), _long(m[5])))


def fits(spec: Spec, text: str) -> bool:
    """The string was made for this world. Raises ScenarioError for a text that is no replay string."""
    m, its = _head(spec, text)
    return its.rules().fingerprint == m[3]


def _head(spec: Spec, text: str) -> tuple[re.Match[str], Spec]:
    """The parts of the string, and the spec under its design and switches."""
    m = _GRAMMAR.fullmatch(text.strip())
    if m is None:
        raise ScenarioError(
            f"replay {text!r}: a replay string is DESIGN:SWITCHES:CHECK:STEPS:MOVES, as `explore` prints it"
        )
    overrides: dict[Switch, bool] = {}
    for letter in m[2]:
        if letter.lower() not in _LETTERS:
            raise ScenarioError(f"replay {text!r}: there is no switch {letter!r}")
        overrides[_LETTERS[letter.lower()]] = letter.isupper()
    return m, replace(spec, design=m[1], overrides=overrides)


def _moves(spec: Spec, steps: int, text: str) -> Iterator[int]:
    """The moves that the characters choose; where there is only one move it is filled in."""
    w, at = spec.build(), 0
    for _ in range(steps):
        options = _possible(w)
        n = 0 if options else -1
        if len(options) > 1:
            width = 3 if text[at : at + 1] == "." else 1
            digits = [_DIGITS.find(c) for c in text[at : at + width].removeprefix(".")] or [-1]
            n = digits[0] * 64 + digits[-1] if width == 3 else digits[0]
            at += width
        if not 0 <= n < len(options):
            raise ScenarioError(f"replay: choice {at} of the string is not possible there; the string is damaged")
        yield options[n]
        w = _go(w, options[n])
    if at != len(text):
        raise ScenarioError(f"replay: {len(text) - at} characters too many; the string is damaged")


def _short(text: str) -> str:
    return _RUN.sub(lambda m: f"{m[1]}~{_DIGITS[len(m[0])]}", text)


def _long(text: str) -> str:
    return re.sub(r"(.)~(.)", lambda m: m[1] * _DIGITS.find(m[2]), text)


def _digits(n: int) -> str:
    return _DIGITS[n] if n < 64 else f".{_DIGITS[n // 64]}{_DIGITS[n % 64]}"


def _possible(w: World) -> list[int]:
    """The moves that can be made, by their places in ``moves``."""
    return [n for n, act in enumerate(moves(w)) if take(w, act) is not None]


def _go(w: World, n: int) -> World:
    after = take(w, moves(w)[n])
    if after is None:  # it was asked a moment ago, and worlds are the same each time
        raise RuntimeError(f"move {n} was possible and is not any more: the driver or the firmware depends on chance")
    return after


def walk(spec: Spec, path: Path) -> Iterator[Walked]:
    """The steps of a path. Raises ScenarioError where one is not possible."""
    w = spec.build()
    for depth, n in enumerate(path):
        options = moves(w)
        after = take(w, options[n]) if n < len(options) else None
        if after is None:
            raise ScenarioError(f"step {depth + 1} of this path is not possible in {spec.name}")
        yield Walked(w, options[n], after)
        w = after
