"""A device that was lost or in error, and how its recovery went, as the driver's lines tell of it.

``Incident`` gathers the lines. What firmware says of itself is an event of its card (``cards.py``); here stands what
only the session tells: that the link is gone, that a recovery failed, and that the driver has left.
"""

from __future__ import annotations

from fwpages.auditor.card_events import near
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.incidents import Health, Incident
from fwpages.auditor.session import AuditedSession
from fwpages.custody.accounts import End
from fwpages.custody.findings import Cause, FindingName
from fwpages.prm.health import FatalSensor, sensor_words
from fwpages.readers.observations import (
    CommandRefused,
    DeviceInError,
    DriverLetGo,
    DriverMessage,
    FatalError,
    HealthCode,
    HealthCompromised,
    ObjectKept,
    Place,
    Recovery,
    RecoveryLine,
)

#: lines about kept objects that a finding shows
MAX_OBJECTS = 4
#: a syndrome that is read from a device that is not there
_ALL_ONES = 0xFF
_LINK = (FatalSensor.PCI_COMMUNICATION, FatalSensor.PCI_ERROR)


def in_error(s: AuditedSession, v: DeviceInError | HealthCompromised | FatalError) -> Found:
    """The driver asks nothing of the device from now on."""
    i = s.incident_at(v.place)
    if i.health is Health.FINE:
        i.health = Health.IN_ERROR
    if (isinstance(v, DeviceInError) and v.link) or (isinstance(v, FatalError) and v.sensor in _LINK):
        i.lose_link(_in_words(v), v.place)
    yield from ()


def syndrome(s: AuditedSession, v: HealthCode) -> Found:
    """Firmware says what is wrong: what follows is its doing, and not the link's."""
    if v.synd not in (0, _ALL_ONES):
        i = s.incident_at(v.place)
        i.explained = i.explained or not i.link
    yield from ()


def recovering(s: AuditedSession, v: RecoveryLine) -> Found:
    """The driver recovers the device. Success is said in the session that follows, which has no incident."""
    if s.incident is None and v.outcome is Recovery.SUCCEEDED:
        s.note(f"{v.text}: the session before ended with the recovery")
        return
    i = s.incident_at(v.place)
    i.recovery = v.outcome
    if v.link:
        i.lose_link(v.text, v.place)
    if i.health is Health.FINE and v.outcome is not Recovery.SUCCEEDED:
        i.health = Health.IN_ERROR
    s.note(f"recovery: {v.text}")
    yield from ()


def let_go(s: AuditedSession, v: DriverLetGo) -> Found:
    """The driver leaves the function."""
    i = s.incident_at(v.place)
    i.gone = i.gone or v.text
    yield from ()


def kept(s: AuditedSession, v: ObjectKept) -> Found:
    """The driver keeps an object, and firmware the pages that it lives in."""
    _keep(s, v)
    yield from ()


def not_destroyed(s: AuditedSession, v: CommandRefused) -> None:
    """Firmware says of an object that something still uses it, or that the driver has it wrong."""
    _keep(s, v)


def _keep(s: AuditedSession, v: ObjectKept | CommandRefused) -> None:
    """The last ones count: those of the unload come last."""
    objects = s.incident_at(v.place).objects
    objects.append(v)
    del objects[:-MAX_OBJECTS]


def living_objects(s: AuditedSession, place: Place) -> list[str]:
    """The lines by which objects of the driver's lived when, by the line at ``place``, pages were left.

    A refusal counts where it is near: the driver may have tried again, and succeeded, after an earlier one.
    """
    objects = s.incident.objects if s.incident is not None else []
    return [v.text for v in objects if isinstance(v, ObjectKept) or near(v.place, place)]


def end(s: AuditedSession) -> End | None:
    """How the session ended by these lines; None where they do not tell."""
    i = s.incident
    if i is None or s.closed:
        return None
    if i.recovery in (Recovery.SUCCEEDED, Recovery.RESET):
        return End.RESET
    if i.link and i.recovery is not Recovery.STARTED:
        return End.LOST
    return None


def finish(s: AuditedSession) -> Found:
    """The findings of an incident that no single line makes, and no event of the card."""
    i = s.incident
    if i is None or (i.load_failed and not i.lost_before_load):
        return
    kept = [v.text for v in i.objects if isinstance(v, ObjectKept)]
    if kept and not s.findings.has(FindingName.PAGES_LEFT):
        yield Finding(Cause.OBJECTS_KEPT, i.place, detail="; ".join(kept), stated=True)
    if i.link and not i.explained and not s.findings.has(FindingName.LINK_LOST):
        yield Finding(Cause.LINK_ALL_ONES, i.place, detail=_words(i, i.link), stated=True)
    elif i.recovery in (Recovery.FAILED, Recovery.ABORTED) and not i.explained:
        # where firmware said what is wrong, that is the finding, and its remedy the one that helps
        yield Finding(Cause.RECOVERY_FAILED, i.place, detail=_words(i, ""), stated=True)


def _in_words(v: DriverMessage) -> str:
    """The line, and what the number in it means."""
    return f"{v.text}: {sensor_words(v.sensor)}" if isinstance(v, FatalError) else v.text


def _words(i: Incident, first: str) -> str:
    outcome = f"recovery {i.recovery.value}" if i.recovery is not None else ""
    return "; ".join(dict.fromkeys(word for word in (first, outcome, *(v.text for v in i.beside)) if word))
