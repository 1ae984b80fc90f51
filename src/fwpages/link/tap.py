"""The interface of a watcher of a link: it is shown every command, answer and event, and events of the link itself."""

from __future__ import annotations

from typing import Protocol

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


class DeviceTap(Tap, Protocol):
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

    def notified(self, t: float, session: int, eqn: int, event: EswitchEvent) -> None:
        """An event about the e-switch went to event queue ``eqn``."""

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
