"""Every step has one name, and there is a life that takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fwpages.device import ResetFunction, Want
from fwpages.explore.designs.linux import close as linux_close
from fwpages.explore.designs.linux import eswitch as linux_eswitch
from fwpages.explore.designs.linux import page_work as linux_pagework
from fwpages.explore.designs.linux import startup as linux_startup
from fwpages.explore.designs.linux.steps import STEPS
from fwpages.host import Close, DisableVport, EnableVport, HealthFatal, Open
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode, Teardown
from fwpages.prm.status import Status
from tests.explore.designs.life import Life
from tests.explore.designs.linux.test_pages import opened

TABLES = (linux_pagework, linux_startup, linux_eswitch, linux_close)


def working(name: str) -> Life:
    """Vports come and go, pages too; somebody resets a function; the driver goes."""
    life = opened(name, 1, 2, 0x200)
    life.do(Want("vf0", 2), Want("vf0", -1), ResetFunction("vf1"), DisableVport(2), DisableVport(1))
    life.feed(DisableVport(0x200))
    life.feed(EnableVport(1))
    life.settle()
    life.do(Close())
    return life


def recovered(name: str) -> Life:
    life = opened(name)
    life.do(HealthFatal("synd"))
    return life


def shut_down(name: str) -> Life:
    life = opened(name)
    life.do(Close(Teardown.FORCE))
    return life


def without_memory(name: str) -> Life:
    life = opened(name)
    life.memory = False
    life.do(Want("vf0", 1))
    return life


def refused(name: str, opcode: Opcode) -> Life:
    life = Life(name)
    life.fate = lambda c: Answer(c.opcode, Status.INTERNAL_ERR) if c.opcode == opcode else None
    life.do(Open())
    return life


LIVES: tuple[Callable[[str], Life], ...] = (
    working,
    recovered,
    shut_down,
    without_memory,
    lambda name: refused(name, Opcode.INIT_HCA),
)


def test_no_step_takes_another_s_name() -> None:
    """They are put together from four tables, and a later one would silently win."""
    names = [name for table in TABLES for name in table.STEPS]
    assert len(STEPS) == len(names)
    assert len({id(f) for f in STEPS.values()}) == len(names), "nor is one there under two"


@pytest.mark.parametrize(("design", "never"), [("posted", set()), ("merged", {"count", "counted"})])
def test_every_step_is_taken_by_some_life(design: str, never: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody takes would be a function of Linux's that the model only seems to follow.

    merged counts each block as it goes: it has no count after a command.
    """
    taken: set[str] = set()

    def noted(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            taken.add(name)
            return step(*args)

        return run

    for name, step in [*STEPS.items()]:
        monkeypatch.setitem(STEPS, name, noted(name, step))
    for life in LIVES:
        life(design)
    assert STEPS.keys() - taken == never
