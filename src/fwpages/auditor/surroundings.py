"""Lines of other parts of the kernel, and what they change in the findings of a session.

``Surroundings`` keeps the lines as they come. When a session is over it gets those that belong to it: lines that name
its function, or its card; and beside trouble of its own also those that name the port above, or nothing at all, if they
are near in time. By themselves such lines make no session. They set the cause of what the driver complained of: behind
a link that is lost the device is not to blame for an answer that did not come, nor behind an IOMMU that blocks it, nor
where its interrupt went nowhere.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.incidents import MAX_BESIDE, Incident
from fwpages.auditor.session import AuditedSession
from fwpages.custody.findings import Cause, Causes, FindingName
from fwpages.readers.observations import CommandNotDone, CommandTimedOut, Place, PlatformEvent, PlatformLine

#: lines of an input that are remembered; a broken link prints some hundreds
MAX_LINES: Final = 4096
#: seconds from such a line to the driver's: a driver waits 60 s and more for an answer, twice where it tries again
BEFORE: Final = 130.0
AFTER: Final = 60.0
#: the same where the input has no seconds, in lines
LINES: Final = 1000

_ADDRESS = re.compile(r"(?:(?P<domain>[0-9a-f]+):)?(?P<bus>[0-9a-f]{2}):(?P<device>[0-9a-f]{2})\.(?P<function>[0-7])$")

#: events that need no complaint of the driver's beside them where they name its function
_OF_ITSELF = frozenset({PlatformEvent.DMA_FAULT, PlatformEvent.REMOVED, PlatformEvent.UNREACHABLE})
_UNANSWERED = frozenset(
    {
        FindingName.COMMAND_UNANSWERED,
        FindingName.GIVE_UNANSWERED,
        FindingName.TAKE_UNANSWERED,
        FindingName.CANT_GIVE_UNANSWERED,
    }
)
_BY_LINK: Mapping[Causes, Causes] = MappingProxyType(
    {
        Cause.COMMAND_UNANSWERED: Cause.COMMAND_UNANSWERED_LINK,
        Cause.GIVE_UNANSWERED: Cause.GIVE_UNANSWERED_LINK,
        Cause.TAKE_UNANSWERED: Cause.TAKE_UNANSWERED_LINK,
        Cause.CANT_GIVE_UNANSWERED: Cause.CANT_GIVE_UNANSWERED_LINK,
    }
)
_BY_IOMMU: Mapping[Causes, Causes] = MappingProxyType(
    {
        Cause.COMMAND_UNANSWERED: Cause.COMMAND_UNANSWERED_PATH,
        Cause.GIVE_UNANSWERED: Cause.GIVE_UNANSWERED_PATH,
        Cause.TAKE_UNANSWERED: Cause.TAKE_UNANSWERED_PATH,
        Cause.CANT_GIVE_UNANSWERED: Cause.CANT_GIVE_UNANSWERED_PATH,
    }
)
_BY_INTERRUPT: Mapping[Causes, Causes] = MappingProxyType({**_BY_IOMMU, Cause.COMMAND_UNANSWERED: Cause.INTERRUPT_LOST})


class Surroundings:
    """The lines of one input, in its order; the oldest are forgotten."""

    def __init__(self) -> None:
        self._lines: deque[PlatformLine] = deque()
        #: the first line about a link that was forgotten: sessions of any function may need it
        self._forgotten: PlatformLine | None = None

    def see(self, v: PlatformLine) -> None:
        """Take a line."""
        self._lines.append(v)
        if len(self._lines) > MAX_LINES:
            oldest = self._lines.popleft()
            if self._forgotten is None and oldest.event.of_link:
                self._forgotten = oldest

    def attach(self, s: AuditedSession, begun: Place) -> None:
        """Give a session that is over, and began at ``begun``, the lines that belong to it."""
        if not self._lines:
            return
        trouble = _trouble(s)
        if self._forgotten is not None and self._forgotten.place.line <= _end(s):
            s.complain(f"{self._forgotten.text} (and so many lines like it that not all are remembered)")
        for v in self._lines:
            if _belongs(v, s, begun, trouble):
                _take(s.incident_at(trouble or v.place), v)
            elif v.event.of_link and _about(v, s, begun):
                s.complain(v.text)


def _trouble(s: AuditedSession) -> Place | None:
    """The place of the first complaint of the driver's that the surroundings can explain; None without one."""
    places = [f.place for f in s.findings.of(_UNANSWERED)]
    places += [p.place for p in s.overdue.values()]
    if isinstance(s.driver.open, CommandTimedOut | CommandNotDone):
        places.append(s.driver.open.place)
    if s.incident is not None:
        places.append(s.incident.place)
    return min(places, key=lambda p: p.line, default=None)


def _belongs(v: PlatformLine, s: AuditedSession, begun: Place, trouble: Place | None) -> bool:
    near = trouble is not None and _near(v.place, trouble, s.last)
    if v.function and v.event in _OF_ITSELF:
        # about this very function: within the session no complaint of the driver's is needed
        within = begun.line <= v.place.line <= _end(s)
        return (within or near) and _same(v.function, s.device, card=False)
    if v.function:
        return near and _same(v.function, s.device, card=True)
    return near and (not v.port or _below(v.port, s.device))


def _about(v: PlatformLine, s: AuditedSession, begun: Place) -> bool:
    """The line is within the session, and about its card, about a port that its device may be below, or about none."""
    if not begun.line <= v.place.line <= _end(s):
        return False
    return _same(v.function, s.device, card=True) if v.function else not v.port or _below(v.port, s.device)


def _end(s: AuditedSession) -> int:
    """The number of the last line that can belong to it."""
    return s.last.line + LINES


def _take(i: Incident, v: PlatformLine) -> None:
    """A line belongs to this incident."""
    if v.event is PlatformEvent.REMOVED:
        i.gone = i.gone or v.text
        return
    if len(i.beside) < MAX_BESIDE:
        i.beside.append(v)
    if v.event.of_link and (not i.gone or v.place.line < i.place.line):
        # before firmware said anything, or the driver anything else: what they say is a consequence
        i.explained = i.explained and v.place.line > i.place.line
        i.lose_link(v.text, v.place)


# -- near in time, and in the tree of buses


def _near(at: Place, first: Place, last: Place) -> bool:
    """Not long before the first complaint, nor long after the last line of the driver's."""
    times = at.time, first.time, last.time
    if any(not isinstance(t, (int, float)) for t in times):
        return first.line - LINES <= at.line <= last.line + LINES
    now, begin, end = (float(t) for t in times if isinstance(t, (int, float)))
    return begin - BEFORE <= now <= end + AFTER


def _same(address: str, device: str, *, card: bool) -> bool:
    """Both are one function; with ``card``, functions of one card. A domain that is not given may be any."""
    a, b = _ADDRESS.match(address.lower()), _ADDRESS.match(device.lower())
    if a is None or b is None or not _one_domain(a, b):
        return False
    return a.group("bus", "device") == b.group("bus", "device") and (card or a["function"] == b["function"])


def _below(port: str, device: str) -> bool:
    """The device can be below this port: in its domain, on a bus behind it."""
    a, b = _ADDRESS.match(port.lower()), _ADDRESS.match(device.lower())
    return a is not None and b is not None and _one_domain(a, b) and int(b["bus"], 16) > int(a["bus"], 16)


def _one_domain(a: re.Match[str], b: re.Match[str]) -> bool:
    return None in (a["domain"], b["domain"]) or int(a["domain"], 16) == int(b["domain"], 16)


# -- what they change


def settle(s: AuditedSession) -> Found:
    """The session is over, its own lines are judged: some findings have another cause by the lines beside them."""
    i = s.incident
    if i is None:
        return
    if i.unreached is not None and not i.explained and not any(v.event.of_link for v in i.beside):
        s.findings.change(_BY_LINK, i.link, i.unreached.line)
    for event, causes in _rules(i):
        beside = next(v for v in i.beside if v.event is event)
        s.findings.change(causes, beside.text)
    fault = next((v for v in i.beside if v.event is PlatformEvent.DMA_FAULT), None)
    if fault is not None and not i.load_failed:
        yield Finding(Cause.IOMMU_FAULT, fault.place, detail=fault.text, stated=True)


def _rules(i: Incident) -> Iterator[tuple[PlatformEvent, Mapping[Causes, Causes]]]:
    """The causes that change, by the strongest evidence first: a link, the IOMMU, an interrupt."""
    for v in i.beside:
        if v.event.of_link and i.link and not i.explained:
            yield v.event, _BY_LINK
            break
    if i.some(PlatformEvent.DMA_FAULT):
        yield PlatformEvent.DMA_FAULT, _BY_IOMMU
    if i.some(PlatformEvent.INTERRUPT_UNROUTED) and not i.load_failed:
        yield PlatformEvent.INTERRUPT_UNROUTED, _BY_INTERRUPT
