"""Frames and waits: each is reached by some session, and a state's key can tell them apart."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Iterator
from inspect import isabstract

import pytest

from fwpages.device import ResetFunction, Want
from fwpages.explore.designs.linux import errors
from fwpages.explore.designs.linux.page_commands import Counted
from fwpages.explore.designs.linux.startup import Row
from fwpages.explore.designs.linux.threads import Frame, Kernel, Outcome, Part, Reply, ReplyFrame
from fwpages.host import Close, DisableVport, EnableVport, HealthFatal, Open
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import PAGE_SLOT, Opcode, Teardown
from fwpages.prm.status import Status
from tests.conftest import Line
from tests.explore.designs.driver_run import DriverRun
from tests.explore.designs.linux.test_pages import opened


def parts(kind: type[Part] = Part) -> Iterator[type[Part]]:
    """Every class whose values stand on a thread; a class with slots was made twice, and its module has the second."""
    for sub in kind.__subclasses__():
        if getattr(sys.modules[sub.__module__], sub.__name__) is sub:
            yield from parts(sub)
            if not isabstract(sub) and sub is not Row:
                yield sub


def test_no_two_classes_have_the_same_name() -> None:
    """A state's key knows them by it."""
    found = list(parts())
    assert len({part.__name__ for part in found}) == len(found)


def working(name: str) -> None:
    """Vports are enabled and disabled, pages given and taken, a function is reset, the device is closed."""
    run = opened(name, 1, 2, 0x200)
    run.do(Want("vf0", 2), Want("vf0", -1), ResetFunction("vf1"), DisableVport(2), DisableVport(1))
    run.feed(DisableVport(0x200))
    run.feed(EnableVport(1))
    run.settle()
    run.do(Close())


def recovered(name: str) -> None:
    opened(name).do(HealthFatal("synd"))


def shut_down(name: str) -> None:
    opened(name).do(Close(Teardown.FORCE))


def without_memory(name: str) -> None:
    run = opened(name)
    run.memory = False
    run.do(Want("vf0", 1))


def refused(name: str, opcode: Opcode) -> None:
    run = DriverRun(name)
    run.fate = lambda c: Answer(c.opcode, Status.INTERNAL_ERR) if c.opcode == opcode else None
    run.do(Open())


SESSIONS: tuple[Callable[[str], None], ...] = (
    working,
    recovered,
    shut_down,
    without_memory,
    lambda name: refused(name, Opcode.INIT_HCA),
)


@pytest.mark.parametrize(("design", "never"), [("posted", set[type[Part]]()), ("merged", {Counted})])
def test_every_frame_is_resumed_in_some_session(
    design: str, never: set[type[Part]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frame without a session would be a function of Linux's that the model only seems to follow.

    merged counts each block as it goes: it counts nothing after a command.
    """
    resumed: set[type[Part]] = set()

    def noting(
        resume: Callable[[Part, Kernel, int | Reply], Outcome],
    ) -> Callable[[Part, Kernel, int | Reply], Outcome]:
        def note(self: Part, kernel: Kernel, value: int | Reply) -> Outcome:
            resumed.add(type(self))
            return resume(self, kernel, value)

        return note

    frames = {*parts(Frame), *parts(ReplyFrame)}
    for frame in (*frames, Row):
        if "resume" in vars(frame):
            monkeypatch.setattr(frame, "resume", noting(vars(frame)["resume"]))
    for session in SESSIONS:
        session(design)
    assert frames - resumed == never


@pytest.mark.parametrize("name", [n for n in vars(errors) if n.startswith("E")])
def test_an_error_is_the_kernel_s_number_below_zero(name: str) -> None:
    assert getattr(errors, name) == -getattr(errno, name)


def test_page_commands_go_where_an_unmodified_linux_put_them(trace: list[Line]) -> None:
    """On a slot of their own, which no other command was seen to take."""
    slots = {(int.from_bytes(x.sent[:2], "big") == Opcode.MANAGE_PAGES, x.slot) for x in trace if x.sent}
    assert {slot for pages, slot in slots if pages} == {PAGE_SLOT}
    assert PAGE_SLOT not in {slot for pages, slot in slots if not pages}
