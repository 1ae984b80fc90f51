"""Small worlds for tests, and paths to a point of them."""

from __future__ import annotations

import random
from functools import cache

from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import Outcome, Path, search
from fwpages.explore.model.driver import Driver
from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World
from fwpages.scenario import load
from fwpages.scenario.format import Switch

DESIGNS = ("posted", "merged", "fwpages")

HEAD = """
[device]
profile = "connectx7"
boot_pages = 1
init_pages = 1
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
pages = 1
"""


def steps(*deeds: str) -> str:
    """Steps in short: ``enable vf0``, ``request vf0 -1``; ``after open`` behind a comma."""
    out = []
    for deed in deeds:
        does, _, after = deed.partition(", after ")
        do, *rest = does.split()
        lines = [f'do = "{do}"', *([f'after = "{after}"'] if after else [])]
        lines += [f'function = "{rest[0]}"'] if rest else []
        lines += [f"pages = {rest[1]}"] if len(rest) > 1 else []
        out.append("\n".join(["[[step]]", *lines]))
    return "\n".join(out) + "\n"


SESSION = ("open", "enable vf0, after open", "disable vf0", "close, after disable vf0")
POINTS = '[expect]\nsometimes = ["open", "enabled", "disabled", "given", "taken", "closed"]\n'

#: worlds by name: a function comes and goes; it is left enabled; it asks by itself; a fault; a time-out; 64 KiB pages
WORLDS = {
    "session": HEAD + steps(*SESSION) + POINTS,
    "left": HEAD + steps("open", "enable vf0", "close") + '[expect]\nsometimes = ["closed"]\n',
    "asks": HEAD
    + steps("open", "request vf0 2, after enable vf0", "enable vf0", "request vf0 -1", "close, after enable vf0")
    + '[expect]\nnever = ["uncounted", "wrong-type"]\neventually = ["operations-end", "agree-again"]\n',
    "unanswered": HEAD
    + steps("open", "enable vf0", "close, after enable vf0")
    + '[[fault]]\nname = "give-aborted-done"\n[expect]\nnever = ["silent-leak", "lost"]\nsometimes = ["fault"]\n',
    "timeout": HEAD + steps("open", "close") + '[bounds]\ntimeouts = 1\n[expect]\neventually = ["operations-end"]\n',
    "unmapped": HEAD
    + steps("open", "close")
    + '[[fault]]\nname = "map-fails"\n[expect]\nnever = ["silent-leak"]\nsometimes = ["fault"]\n',
    "large": HEAD + steps(*SESSION) + "[assume]\nhost_pages_4k = false\n" + POINTS,
}

#: a session in which much is open at a time, so that levels have many states
WIDE = (
    HEAD
    + '[[function]]\nname = "vf1"\ntype = "vf"\nindex = 1\nvhca_id = 0x32\npages = 1\n'
    + steps(*SESSION, "request vf0 1, after open", "enable vf1, after open")
    + '[bounds]\nstates = 400\n[expect]\nnever = ["uncounted"]\neventually = ["agree-again"]\nsometimes = ["given"]\n'
)


def made(text: str, design: str = "fwpages", *, eager: bool = True, name: str = "small", **assume: bool) -> Spec:
    """A spec of a world's text."""
    known: dict[str, Switch] = {k: k for k in Switch.__args__}  # type: ignore[attr-defined]  # a Literal's
    return Spec(name, load(name, text), design, {known[k]: v for k, v in assume.items()}, eager)


def small(name: str, design: str = "fwpages", *, eager: bool = True) -> Spec:
    """One of these worlds."""
    return made(WORLDS[name], design, eager=eager, name=name)


@cache
def found(name: str, design: str = "fwpages") -> Outcome:
    """All that there is to find in a small world."""
    return search(small(name, design))


def path_to(name: str, point: str, design: str = "fwpages") -> Path:
    """A shortest path to a point of a small world."""
    return found(name, design).reached[point]


def at(name: str, point: str, design: str = "fwpages", *, before: int = 0) -> World:
    """The world where that point is reached, or some steps before it."""
    spec, path = small(name, design), path_to(name, point, design)
    path = path[: len(path) - before]
    return [spec.build(), *(x.after for x in walk(spec, path))][-1]


def random_path(spec: Spec, seed: int, most: int) -> tuple[Path, World]:
    """A random path, and the world at its end."""
    dice, path, w = random.Random(seed), list[int](), spec.build()
    while len(path) < most:
        found = [(n, after) for n, act in enumerate(moves(w)) if (after := take(w, act)) is not None]
        if not found:
            break
        n, w = dice.choice(found)
        path.append(n)
    return tuple(path), w


class OverriddenDriver:
    """A driver that says something else of itself in places."""

    def __init__(self, driver: Driver, **answers: object) -> None:
        self._driver, self._answers = driver, answers

    def __getattr__(self, name: str) -> object:
        if name in self._answers:
            return self._answers[name]
        return getattr(self._driver, name)
