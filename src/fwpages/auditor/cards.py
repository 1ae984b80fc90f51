"""Events of a card: firmware's health, temperature, power of the slot, modules of the ports.

The functions of one card share its firmware, so that each of their drivers prints the same event: some a whole health
buffer, others a line. ``Cards`` joins these lines, whichever sessions they belong to. Lines belong to one event where
they are of one card (one domain, bus and device) and at most ``WINDOW`` seconds apart, name no other syndrome, and are
not of a later session of a function that took part already. A VF whose device number is not the PF's belongs to the
card at device 0 of its bus, if that has an event; a sub-function, whose name has no PCI address, to the event before.

When the input has ended, each event becomes one finding in the session of the function that printed most of it. The
sessions of the other functions have a note that refers to it, and are not clean either. Two kinds of lines are no event
by themselves: a driver that treats its device as failed has a reason that other lines tell, unless it is the only line;
and a device that reads all ones says nothing of firmware, but of the link.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from fwpages.auditor.card_events import Event, Kind, finding_of, kind_of, near
from fwpages.custody.accounts import FindingAccount, HealthAccount, SessionAccount, Verdict
from fwpages.custody.findings import Blame, Cause, FindingName
from fwpages.prm.health import FatalSensor
from fwpages.readers.observations import (
    CardMessage,
    DeviceInError,
    DriverLetGo,
    DriverMessage,
    FatalError,
    Recovery,
    RecoveryLine,
)

#: events of one card and kind; later lines are counted to the last
MAX_EVENTS: Final = 64

_PCI = re.compile(r"(?P<bus>(?:[0-9a-f]+:)?[0-9a-f]{2}):(?P<device>[0-9a-f]{2})\.[0-7]$", re.IGNORECASE)
#: findings of a session that explain a device in error
_REASONS = frozenset({FindingName.LINK_LOST, FindingName.LOAD_FAILED, FindingName.HIGH_TEMPERATURE})
_LINK = frozenset({FatalSensor.PCI_COMMUNICATION, FatalSensor.PCI_ERROR})


class Cards:
    """The events of all cards of one input."""

    def __init__(self) -> None:
        self._events: dict[tuple[str, Kind], list[Event]] = {}
        #: the last event, which a function without a PCI address belongs to
        self._latest: Event | None = None
        #: by session, the first line that shows the link gone, and the first that shows the device in error
        self._off_link: dict[int, DriverMessage] = {}
        self._in_error: dict[int, DriverMessage] = {}
        #: sessions whose driver was shut down, after which it enters its error state on purpose
        self._shut_down: set[int] = set()

    def see(self, v: DriverMessage, slot: int) -> None:
        """Take a line of the driver's; ``slot`` is its session's place in the report."""
        if isinstance(v, DriverLetGo) and v.shutdown:
            self._shut_down.add(slot)
        elif isinstance(v, DeviceInError) or (isinstance(v, RecoveryLine) and v.outcome is Recovery.STARTED):
            if slot not in self._shut_down:
                self._in_error.setdefault(slot, v)
        elif isinstance(v, FatalError) and v.sensor in _LINK:
            self._off_link.setdefault(slot, v)
        elif isinstance(v, CardMessage):
            event = self._latest = self._event(v, slot)
            event.add(v, slot)

    def _event(self, v: CardMessage, slot: int) -> Event:
        """The event that the line belongs to, which may begin with it."""
        kind = kind_of(v)
        card = self._card(v, kind)
        events = self._events.setdefault((card, kind), [])
        if not events or (len(events) < MAX_EVENTS and not events[-1].takes(v, slot)):
            events.append(Event(card, kind, v.place))
        return events[-1]

    def _card(self, v: CardMessage, kind: Kind) -> str:
        m = _PCI.match(v.device)
        if m is not None:
            own, pf = f"{m['bus']}:{m['device']}", f"{m['bus']}:00"
            return pf if (pf, kind) in self._events else own
        before = self._latest
        if before is not None and "." in v.device and before.kind is kind and near(before.last, v.place):
            return before.card
        return v.device

    def settle(self, sessions: Sequence[SessionAccount | None]) -> tuple[list[SessionAccount], list[HealthAccount]]:
        """The sessions with their findings of cards, and the events themselves, now that the input has ended."""
        done = {slot: s for slot, s in enumerate(sessions) if s is not None}
        events = [e for e in self._of_firmware() if e.of_itself or not _behind_a_lost_link(e, done)]
        for e in events:
            _enter(done, e)
        explained = {slot for e in events if e.kind is Kind.HEALTH for slot in e.slots}
        self._unexplained(done, explained)
        return list(done.values()), [e.account() for e in events]

    def _unexplained(self, done: dict[int, SessionAccount], explained: set[int]) -> None:
        """Devices in error whose reason no event tells: the link, or something unknown."""
        for lines, cause in ((self._off_link, Cause.LINK_ALL_ONES), (self._in_error, Cause.DEVICE_ERROR)):
            for slot, v in lines.items():
                if slot not in explained and not any(f.name in _REASONS for f in done[slot].findings):
                    done[slot] = _with_finding(done[slot], finding_of(cause, v.text, v))

    def _of_firmware(self) -> list[Event]:
        """All events in the order of the input, without those in which the device reads all ones."""
        shutdowns = [e for events in self._events.values() for e in events if e.cause is Cause.HIGH_TEMPERATURE]
        for e in shutdowns:
            for warning in self._events.pop((e.card, Kind.TEMPERATURE), []):
                e.absorb(warning)
        every = [e for events in self._events.values() for e in events if not e.most.reads_nothing]
        return sorted(every, key=lambda e: e.first.place.line)


def _behind_a_lost_link(e: Event, done: dict[int, SessionAccount]) -> bool:
    """The driver of a function that printed it lost the link: a counter that stands still is a consequence."""
    return any(f.blame == Blame.LINK.value for slot in e.slots for f in done[slot].findings if f.name in _REASONS)


def _enter(done: dict[int, SessionAccount], e: Event) -> None:
    """Make the event a finding of the session that printed most of it; the card's other sessions refer to it."""
    where = e.most
    note = f"an event of the card {e.card}: {e.words()}; see the session of {where.device}"
    done[where.slot] = _with_finding(done[where.slot], e.finding())
    for slot in e.slots - {where.slot}:
        done[slot] = _with_reference(done[slot], note)


def _with_finding(s: SessionAccount, finding: FindingAccount) -> SessionAccount:
    """The session with one more finding, at its place in the input."""
    line = finding.at["line"]
    at = next((i for i, f in enumerate(s.findings) if f.at.get("line", line) > line), len(s.findings))
    return _wrong(msgspec.structs.replace(s, findings=[*s.findings[:at], finding, *s.findings[at:]]))


def _with_reference(s: SessionAccount, note: str) -> SessionAccount:
    """The session with a note of a finding in another: it is not clean either."""
    return _wrong(msgspec.structs.replace(s, notes=[*s.notes, note]))


def _wrong(s: SessionAccount) -> SessionAccount:
    verdict = Verdict.FINDINGS
    return msgspec.structs.replace(s, verdict=verdict, clean=verdict.clean, missing=[])
