"""A walk as a trace, as a link would have written it: the commands that the driver sent, and what it was fed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from fwpages.device import Raised
from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import Path
from fwpages.explore.model.driver import Input as DriverInput
from fwpages.explore.model.driver import NotQueued
from fwpages.explore.model.log import FromDevice, FromDriver, LogEntry, ToDriver
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import Reach, World
from fwpages.host import Aborted, Answered, Fenced, HealthFatal, LinkLost, PageRequest, Reset, Send, Tick
from fwpages.link.inprocess import LATENCY
from fwpages.link.tap import Tap
from fwpages.readers.trace_writer import TraceWriter
from fwpages.scenario.topology import names_of

#: the event queue before the device has named one; no request comes on it
_NO_EQ = 0


def record(spec: Spec, path: Path, stream: TextIO) -> None:
    """Write the steps of a path as a version 1 trace. ScenarioError where a step is not possible."""
    rules = spec.rules()
    writer = TraceWriter(
        stream, device=rules.profile.name, supplier=rules.profile.supplier, names=names_of(rules.pairs)
    )
    recorder = _Recorder(writer, rules.config.bounds.command)
    for step in walk(spec, path):
        for entry in step.after.log:
            recorder.see(step.after, entry)
        if step.after.reach is not Reach.REACHABLE:
            recorder.gone(step.after)
    writer.end()


class _Recorder:
    """Writes to a tap what a driver's link sees. A command is given up ``patience`` seconds after it was sent.

    The time of a world stands still but for time-outs, so each line is dated a little later than the one before it.
    """

    def __init__(self, tap: Tap, patience: float) -> None:
        self.tap, self.patience = tap, patience
        self.lines, self.eqn, self.session = 0, _NO_EQ, 0
        #: commands that are waited for, by session and id, with the world's time when they were sent
        self.sent: dict[tuple[int, int], tuple[Send, float]] = {}
        #: every command, for answers that come late or twice
        self.known: dict[tuple[int, int], Send] = {}

    def _now(self, w: World) -> float:
        self.lines += 1
        return w.now + self.lines * LATENCY

    def see(self, w: World, entry: LogEntry) -> None:
        """An entry of a step's log."""
        match entry:
            case ToDriver(input=x):
                self._input(w, x)
            case FromDriver(effect=Send() as e):
                self._sent(w, e)
            case FromDriver(effect=Reset(reason=reason)):
                self._note(w, "reset", reason)
            case FromDevice(effect=Raised(eqn=eqn)):
                self.eqn = eqn
            case _:
                pass

    def _sent(self, w: World, e: Send) -> None:
        self.session, key = e.session, (e.session, e.id)
        self._given_up(w, lambda old, _: old.slot == e.slot or old.session != e.session, "no host waits any longer")
        self.known[key], self.sent[key] = e, (e, w.now)
        self.tap.submit(self._now(w), e.session, e.id, e.slot, e.command)

    def _input(self, w: World, x: DriverInput) -> None:
        match x:
            case Answered():
                self._answered(w, x)
            case PageRequest(session=session, event=event) | NotQueued(request=PageRequest(session, event)):
                self.tap.event(self._now(w), session, self.eqn, event)
            case Aborted(session=session, id=n, reason=reason):
                self.sent.pop((session, n), None)
                self.tap.link(self._now(w), session, "aborted", reason, n)
            case Fenced(proof=proof):
                self.sent.clear()
                self._note(w, "fenced", proof)
            case HealthFatal(reason=reason):
                self._note(w, "health", reason)
            case LinkLost(reason=reason):
                self._note(w, "lost", reason)
            case Tick():
                late = "no answer in its time"
                self._given_up(w, lambda _, since: w.now - since >= self.patience, late)
            case _:
                pass

    def _answered(self, w: World, x: Answered) -> None:
        key = x.session, x.id
        if key not in self.known:
            return
        command = self.known[key].command
        if x.answer.opcode != command.opcode:
            self.tap.link(self._now(w), x.session, "garbled", str(x.answer), x.id)
            return
        self.sent.pop(key, None)
        self.tap.complete(self._now(w), x.session, x.id, x.answer, command.reply_length)

    def gone(self, w: World) -> None:
        """The device is out of reach, and no reset is pending that would end its commands."""
        if not w.resets:
            self._given_up(w, lambda *_: True, "the device is gone")

    def _given_up(self, w: World, which: Callable[[Send, float], bool], why: str) -> None:
        """Commands that the driver no longer waits for."""
        for key, (send, since) in list(self.sent.items()):
            if which(send, since):
                del self.sent[key]
                self.tap.link(self._now(w), send.session, "given-up", why, send.id)

    def _note(self, w: World, what: str, detail: str) -> None:
        self.tap.link(self._now(w), self.session, what, detail)
