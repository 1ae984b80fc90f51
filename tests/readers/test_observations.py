"""Observations: a place that a finding can show, and kinds of things that any audit takes in any order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fwpages.auditor.audit import Audit
from fwpages.custody.accounts import Report
from fwpages.custody.findings import Cause
from fwpages.prm.event import PageRequestEvent
from fwpages.readers.driver_messages import WORDINGS, Wording, read_message
from fwpages.readers.observations import (
    BusMasterSet,
    CommandCompleted,
    CommandExecuted,
    CommandSubmitted,
    CommandUnanswered,
    CommandUndone,
    Complaint,
    DeviceNamed,
    DriverMessage,
    LinkChange,
    LinkEvent,
    LooksFolded,
    MachineRestart,
    MemoryMapped,
    MemoryUnmapped,
    MissingInput,
    Note,
    Observation,
    PagesRequested,
    Place,
    PlatformEvent,
    PlatformLine,
    TraceHeader,
    UnknownPageReturned,
)

AT = Place("input", 7, 1.5)
KINDS: tuple[Observation, ...] = (
    TraceHeader(place=AT, device="dut"),
    CommandSubmitted(place=AT, device="dut", key=1, message=bytes.fromhex("0108000000000001")),
    CommandCompleted(place=AT, device="dut", key=1, message=bytes(16)),
    CommandUnanswered(place=AT, device="dut", key=1),
    CommandUndone(place=AT, device="dut", key=1, detail="the driver's call returned EIO"),
    CommandExecuted(place=AT, device="dut", key=1, message=bytes(16)),
    MemoryMapped(place=AT, device="dut", iova=0x1000, size=0x1000),
    MemoryUnmapped(place=AT, device="dut", iova=0x1000, size=0x1000),
    BusMasterSet(place=AT, device="dut", on=True),
    PagesRequested(place=AT, device="dut", request=PageRequestEvent(0x31, 7)),
    LinkChange(place=AT, device="dut", what=LinkEvent.LOST),
    UnknownPageReturned(place=AT, device="dut", text="page not found"),
    MissingInput(place=AT, device="dut", cause=Cause.LOG_LINES_LOST, detail="5 lines"),
    MissingInput(place=AT, device="", cause=Cause.LOG_LINES_LOST, detail="5 lines"),
    Complaint(place=AT, device="dut", text="a later kernel failed"),
    DeviceNamed(place=AT, device="dut"),
    Note(place=AT, device="dut", text="the log begins in the middle of a command"),
    LooksFolded(place=AT),
    PlatformLine(place=AT, event=PlatformEvent.FROZEN, text="EEH: Frozen PHB#30-PE#10000 detected"),
    MachineRestart(place=AT),
)


def _audited(*things: Observation, log: bool) -> Report:
    audit = Audit(log=log)
    audit.feed(things)
    return audit.report()


def _below(parent: type[Observation]) -> Iterator[type[Observation]]:
    for child in parent.__subclasses__():
        yield child
        yield from _below(child)


def test_every_kind_is_tried_here() -> None:
    tried = {base.__name__ for x in KINDS for base in type(x).__mro__}
    assert {kind.__name__ for kind in Observation.__subclasses__()} - tried == set()


def test_a_wording_makes_each_kind_of_line() -> None:
    """So that the test of every wording tries every kind, and an audit that has no handler for one fails there."""
    read = [read_message(AT, "dut", next(iter(w.printed_by), None), w.example) for w in WORDINGS]
    parents = {c.__name__ for c in _below(DriverMessage) if c.__subclasses__()}
    kinds = {c.__name__ for c in _below(DriverMessage)} - parents
    assert kinds - {type(v).__name__ for v in read} == set()


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("first", KINDS, ids=lambda x: type(x).__name__)
def test_anything_can_be_the_first_and_the_last_that_is_seen(first: Observation, log: bool) -> None:
    """An input may begin and end wherever it likes."""
    for last in KINDS:
        for s in _audited(first, last, log=log).sessions:
            assert s.device == "dut"
            # nothing is counted that was not seen from its beginning
            assert {f.given for f in s.functions} <= {None}


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda w: w.example)
def test_any_line_of_the_drivers_can_be_the_first(wording: Wording) -> None:
    line = read_message(AT, "dut", next(iter(wording.printed_by), None), wording.example)
    assert line is not None
    (s,) = _audited(line, line, log=True).sessions
    assert s.totals.held in (None, 0)


def test_a_kind_of_line_that_the_audit_does_not_know_is_an_error() -> None:
    for v in (DriverMessage(place=AT, device="dut", text="a new line"), Observation(place=AT, device="dut")):
        with pytest.raises((KeyError, TypeError)):
            _audited(v, log=True)


@pytest.mark.parametrize("time", [1.5, "Nov 21 09:02:53", None])
def test_a_finding_shows_the_place_as_the_input_writes_it(time: float | str | None) -> None:
    line = UnknownPageReturned(place=Place("log.txt", 12, time), device="dut", text="page not found")
    (f,) = _audited(line, log=True).sessions[0].findings
    assert f.at == {"file": "log.txt", "line": 12, "time": time}


def test_a_restart_of_the_machine_concerns_every_device() -> None:
    others = [Note(place=AT, device=name, text="open") for name in ("a", "b")]
    audit = Audit(log=True)
    audit.feed([*others, MachineRestart(place=AT), *others])
    assert [s.device for s in audit.report().sessions] == ["a", "b", "a", "b"]
