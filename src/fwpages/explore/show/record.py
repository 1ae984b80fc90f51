"""A walk as a trace, as a link would have written it: what the driver handed over, and what reached it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

from fwpages.device import Raised
from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import Path
from fwpages.explore.model.driver import NotQueued
from fwpages.explore.model.spec import Spec
from fwpages.explore.model.world import World
from fwpages.host import Aborted, Answered, Fenced, HealthFatal, LinkLost, PageRequest, Reset, Send, Tick
from fwpages.link.inprocess import LATENCY
from fwpages.link.tap import Tap
from fwpages.readers.trace import TraceWriter

#: the event queue that requests come by where the device has not named one yet; no request does
_NO_EQ = 0


def record(spec: Spec, path: Path, stream: TextIO) -> None:
    """Write the steps of a path as a version 1 trace. ScenarioError where a step is not possible."""
    rules = spec.rules()
    writer = TraceWriter(stream, device=rules.profile.name, supplier=rules.profile.supplier)
    recorder = _Recorder(writer, rules.config.bounds.command)
    for step in walk(spec, path):
        for who, what in step.after.log:
            recorder.see(step.after, who, what)
        if step.after.gone:
            recorder.gone(step.after)
    writer.end()


class _Recorder:
    """Tells a tap what a driver's link sees. A command's time is counted as drivers do: ``patience`` from its sending.

    A world's time stands still but for time-outs, so each line comes a little later than the one before it.
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

    def see(self, w: World, who: str, what: object) -> None:
        """An entry of a step's log."""
        if who == "driver<":
            self._heard(w, what)
        elif who == "driver>":
            self._did(w, what)
        elif isinstance(what, Raised):
            self.eqn = what.eqn

    def _did(self, w: World, what: object) -> None:
        if isinstance(what, Send):
            self.session, key = what.session, (what.session, what.id)
            self._given_up(w, lambda e, _: e.slot == what.slot or e.session != what.session, "nobody waits any longer")
            self.known[key], self.sent[key] = what, (what, w.now)
            self.tap.submit(self._now(w), what.session, what.id, what.slot, what.command)
        elif isinstance(what, Reset):
            self._note(w, "reset", what.reason)

    def _heard(self, w: World, what: object) -> None:
        match what:
            case Answered():
                self._answered(w, what)
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
        """The device is gone, and no reset was asked for that would say what becomes of its commands."""
        if not w.resets:
            self._given_up(w, lambda *_: True, "the device is gone")

    def _given_up(self, w: World, who: Callable[[Send, float], bool], why: str) -> None:
        """Commands that the driver does not wait for any longer."""
        for key, (send, since) in list(self.sent.items()):
            if who(send, since):
                del self.sent[key]
                self.tap.link(self._now(w), send.session, "given-up", why, send.id)

    def _note(self, w: World, what: str, detail: str) -> None:
        self.tap.link(self._now(w), self.session, what, detail)
