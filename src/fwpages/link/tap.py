"""The interface of a watcher of a link: it is shown every command, answer and event, and events of the link itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from fwpages.host import Aborted, Fenced, HealthFatal, Input, LinkLost, Send, Tick
from fwpages.host.session import Flight
from fwpages.prm.event import EswitchEvent, PageRequestEvent
from fwpages.prm.message import Answer, Command, PageArray


class Tap(Protocol):
    """A watcher of a link. Times are the link's own seconds; sessions and command ids those of the host."""

    def submit(self, t: float, session: int, id: int, slot: int, command: Command) -> None:  # noqa: A002
        """The host handed a command over."""

    def complete(self, t: float, session: int, id: int, answer: Answer, reply_length: int) -> None:  # noqa: A002
        """The device's answer reached the host; ``reply_length`` bytes were set aside for it."""

    def event(self, t: float, session: int, eqn: int, event: PageRequestEvent) -> None:
        """A page request reached the host."""

    def link(self, t: float, session: int, what: str, detail: str = "", id: int | None = None) -> None:  # noqa: A002
        """Something happened to the link.

        ``reset`` asked for, ``fenced``, ``lost``, ``back``, ``health`` (a fatal syndrome). Of command ``id``:
        ``aborted`` by the link, ``garbled`` (its answer was none to it), ``given-up`` (the host waits no longer).
        """


class EswitchTap(Tap, Protocol):
    """A watcher of a link on which events about the e-switch come, too."""

    def notified(self, t: float, session: int, eqn: int, event: EswitchEvent) -> None:
        """An event about the e-switch went to event queue ``eqn``."""


class DeviceTap(EswitchTap, Protocol):
    """A watcher of a device: it is also shown the memory that the device reaches, and what the host does not see."""

    def submit(
        self,
        t: float,
        session: int,
        id: int,  # noqa: A002
        slot: int,
        command: Command,
        memory: PageArray | None = None,
    ) -> None:
        """The host handed a command over; ``memory`` are the pages that its entry and mailboxes lie in, where known."""

    def executed(self, t: float, session: int, id: int, answer: Answer) -> None:  # noqa: A002
        """The device carried a command out and keeps the answer back."""

    def injected(self, t: float, session: int, fault: str, words: str) -> None:
        """The device did this on purpose: the fault of this name took effect."""

    def map(self, t: float, session: int, iova: int, size: int) -> None:
        """The device can reach ``size`` bytes at ``iova`` from now on."""

    def unmap(self, t: float, session: int, iova: int, size: int) -> None:
        """The device cannot reach them any more; a ``size`` of 0 stands for all memory."""

    def bus_master(self, t: float, session: int, *, on: bool) -> None:
        """The driver turned bus mastering on or off."""


def note_input(tap: Tap | None, t: float, session: int, x: Input, waiting: Iterable[Flight]) -> None:
    """Show an input of the host that is an event of the link; ``waiting`` are the commands that were out before it."""
    if tap is None:
        return
    match x:
        case HealthFatal():
            tap.link(t, session, "health", x.reason)
        case LinkLost():
            tap.link(t, session, "lost", x.reason)
        case Fenced():
            tap.link(t, session, "fenced", x.proof)
        case Aborted():
            tap.link(t, x.session, "aborted", x.reason, x.id)
        case Tick():
            for f in waiting:
                if f.deadline <= t:
                    tap.link(t, session, "given-up", "no answer in its time", f.id)


def show_answer(tap: Tap | None, t: float, sent: Send, answer: Answer) -> None:
    """Show the answer to a command that was sent; one that answers another command is garbled."""
    if tap is None:
        return
    if answer.opcode != sent.command.opcode:
        tap.link(t, sent.session, "garbled", str(answer), sent.id)
    else:
        tap.complete(t, sent.session, sent.id, answer, sent.command.reply_length)
