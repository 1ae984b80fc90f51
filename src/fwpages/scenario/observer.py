"""The observer of a served device: it keeps the sessions of the driver, the pages of each function, and the offences.

It reads what passes the device's end of the queue, and what the firmware holds after it. It blames the driver only for
what the driver did: an offence that an injected fault caused is kept apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, TypeAlias

from fwpages.custody.judgements import reset_is_right
from fwpages.custody.reach import Judged, LetGo, LettingsGo, Reach, Use
from fwpages.custody.reach import Moment as LettingMoment
from fwpages.custody.requests_asked import RequestsAsked
from fwpages.custody.series import Point, Recorder
from fwpages.device import (
    Completed,
    Executed,
    FaultyFirmware,
    Firmware,
    Notified,
    Offence,
    Phase,
    Raised,
    ResetDone,
    Submitted,
    Triggered,
)
from fwpages.host import Proof
from fwpages.link.faults.consequences import Excused, cause_of
from fwpages.link.queue.device import DeviceEvent
from fwpages.link.queue.offences import WireOffence, WireOffenceName
from fwpages.link.tap import DeviceTap
from fwpages.link.vfio_user.memory_events import BusMaster, Mapped, MemoryEvent, Unmapped
from fwpages.pages.words import in_mib, many
from fwpages.prm.event import EventType
from fwpages.prm.identity import FunctionType, Mode, named
from fwpages.prm.message import Answer, Command, PageArray
from fwpages.prm.opcodes import ManagePages, Opcode, Teardown
from fwpages.scenario.event_lines import EventLines, OnEvent
from fwpages.scenario.fault_syntax import EVERY_FAULT
from fwpages.scenario.interpreter import Moment, MomentKind

#: how a session ended: DISABLE_HCA, a reset by the driver, or the client gone with the device open
End: TypeAlias = Literal["open", "closed", "reset", "gone"]
#: a fatal state was reported, or the link was lost
Trouble: TypeAlias = Literal["health", "lost"]
#: offences that are kept, the first of them: more would only repeat themselves
MOST_OFFENCES = 1000
#: commands without an answer that are remembered, the latest: a queue has 32 slots, a reset cuts off what is in them
MOST_IN_FLIGHT = 1024
#: the commands that enable and disable a function: the moment that has come then, and the driver's act in words
_SWITCHES: Mapping[int, tuple[MomentKind, str]] = MappingProxyType(
    {
        Opcode.ENABLE_HCA: (MomentKind.ENABLE, "enables"),
        Opcode.DISABLE_HCA: (MomentKind.DISABLE, "disables"),
        Opcode.ALLOC_SF: (MomentKind.ENABLE, "allocates"),
        Opcode.DEALLOC_SF: (MomentKind.DISABLE, "deallocates"),
    }
)


#: the moment of a session by firmware's phase
_MOMENTS: Mapping[Phase, LettingMoment] = MappingProxyType(
    {
        Phase.OFF: LettingMoment.OFF,
        Phase.STARTING: LettingMoment.STARTING,
        Phase.WORKING: LettingMoment.WORKING,
        Phase.CLOSING: LettingMoment.CLOSING,
    }
)


@dataclass(slots=True)
class Strike:
    """An injected fault that took effect: when it did first, in which session (0 before the first), and how often."""

    fault: str
    words: str
    first: float
    session: int
    times: int = 0

    def __str__(self) -> str:
        return f"{self.fault}: {self.words}"


@dataclass(slots=True)
class FunctionPages:
    """Pages of one function in one session (4 KiB each)."""

    given: int = 0
    returned: int = 0
    released: int = 0
    held: int = 0
    peak: int = 0


@dataclass(slots=True)
class ServedSession:
    """One open of the device, from ENABLE_HCA on. Times are seconds since the server's start."""

    number: int
    begun: float
    mode: Mode = Mode.FUNC_ID
    end: End = "open"
    ended: float | None = None
    commands: int = 0
    requests: int = 0
    refused: int = 0
    functions: dict[str, FunctionPages] = field(default_factory=dict)
    #: pages over time, by the name of the function; when the driver switched to VHCA_ID mode, if it did
    recorder: Recorder = field(default_factory=Recorder)
    switched: float | None = None
    #: when the driver had its queue for page requests (seconds since ``begun``)
    up: float | None = None
    #: the step of the scenario that concerned the whole device: a reset is the right answer then
    trouble: Trouble | None = None
    #: memory that the driver let go while firmware held it, and whether none would be proof of it
    let_go: LettingsGo = field(default_factory=LettingsGo)
    judged: Judged = Judged.NO_MAPS
    #: the profile of the TEARDOWN_HCA that was done
    torn: int | None = None

    def total(self, what: Literal["given", "returned", "released", "held", "peak"]) -> int:
        """The figure over all functions."""
        return sum(int(getattr(f, what)) for f in self.functions.values())

    @property
    def clean(self) -> bool:
        """The driver closed it and left nothing; or its pages went with a reset that is right."""
        return self.dropped or (self.end == "closed" and not self.total("held"))

    @property
    def dropped(self) -> bool:
        """The pages held at the end went with a reset that is right."""
        if self.end not in ("reset", "gone"):
            return False
        torn, forced = self.torn is not None, self.torn in (Teardown.FORCE, Teardown.PREPARE_FAST)
        return reset_is_right(torn=torn, forced=forced, gone=self.end == "gone", trouble=self.trouble is not None)


class Observer:
    """The books of a served device. ``moments`` are those that have come since the client did."""

    def __init__(self, firmware: Firmware | FaultyFirmware, tap: DeviceTap | None, on_event: OnEvent | None) -> None:
        self.firmware = firmware
        self.tap = tap
        self.lines = EventLines(on_event)
        self.sessions: list[ServedSession] = []
        self._offences: list[tuple[int, Offence | WireOffence]] = []
        self.reach = Reach()
        #: offences that an injected fault caused: they are not blamed on the driver
        self.excused: list[Excused] = []
        self.moments: set[Moment] = set()
        self.commands = 0
        #: the commands by their opcode
        self.opcodes = Counter[int]()
        #: the time of the latest
        self.last_command = 0.0
        #: injected faults that took effect, by name
        self.strikes: dict[str, Strike] = {}
        self._asked = RequestsAsked[str]()
        self._in_flight: dict[int, tuple[int, Command, int]] = {}
        #: commands that were carried out and not answered so far
        self._executed: set[int] = set()

    @property
    def inner(self) -> Firmware:
        """The sound firmware as it is now: a fault may replace it."""
        return self.firmware.inner if isinstance(self.firmware, FaultyFirmware) else self.firmware

    @property
    def offences(self) -> list[tuple[int, Offence | WireOffence]]:
        """The rules that the driver broke, with their sessions (0 before the first); memory that was let go last."""
        let_go = [(s.number, row.detail) for s in self.sessions for row in s.let_go.rows]
        return [*self._offences, *((n, WireOffence(WireOffenceName.MEMORY_LET_GO, detail)) for n, detail in let_go)]

    @property
    def commands_out(self) -> int:
        """The number of commands that have no answer so far."""
        return len(self._in_flight)

    @property
    def session(self) -> ServedSession | None:
        """The session that is open."""
        return self.sessions[-1] if self.sessions and self.sessions[-1].end == "open" else None

    @property
    def open(self) -> bool:
        """The driver has opened the device and takes page requests."""
        return self.inner.phase is Phase.WORKING and self.inner.pages_eqn is not None

    def say(self, t: float, words: str, kind: str = "") -> None:
        """Report an event as a line; many of one ``kind`` in a row are summed up."""
        self.lines.say(t, words, kind)

    def watch(self, t: float, x: DeviceEvent, slot: int = 0, memory: PageArray | None = None) -> None:
        """Note a report of the device's end of the queue; of a command also its slot and the memory that it lies in."""
        match x:
            case Submitted():
                self._submitted(t, x, slot, memory)
            case Executed():
                self._executed_only(t, x)
            case Triggered():
                self._triggered(t, x)
            case Completed():
                self._completed(t, x)
            case Raised():
                self._raised(t, x)
            case Notified():
                self._notified(t, x)
            case Offence() | WireOffence():
                self._offended(t, x)
            case ResetDone():
                self.over(t, "reset", "the device is reset")

    def _notified(self, t: float, x: Notified) -> None:
        """Note an event about the e-switch, which no session counts."""
        if self.tap is not None:
            self.tap.notified(t, self.sessions[-1].number if self.sessions else 0, x.eqn, x.event)
        if x.event.type is EventType.ESW_FUNCTIONS_CHANGED:
            self.say(t, f"the host has {many(self.inner.host_vfs[0], 'VF')} on: the driver is told to ask")
        else:
            key = (FunctionType.SF, x.event.function)
            sf = next((f.name for f in self.inner.specs if (f.type, f.function_id) == key), "an SF")
            self.say(t, f"the state of {sf} has changed: the driver is told to ask")

    def _offended(self, t: float, x: Offence | WireOffence) -> None:
        number = self.sessions[-1].number if self.sessions else 0
        took = self.firmware.took if isinstance(self.firmware, FaultyFirmware) else ()
        fault = cause_of(x, took)
        if fault is not None:
            if len(self.excused) < MOST_OFFENCES:
                self.excused.append(Excused(number, x, fault))
            self.say(t, f"because of {fault}, not the driver's fault: {x.name}: {x.detail}", f"{fault} {x.name}")
            return
        if len(self._offences) < MOST_OFFENCES:
            self._offences.append((number, x))
        self.say(t, f"OFFENCE {x.name}: {x.detail}", x.name)

    def _triggered(self, t: float, x: Triggered) -> None:
        """Note what the device did on purpose."""
        number = self.sessions[-1].number if self.sessions else 0
        known = self.strikes.setdefault(x.fault, Strike(x.fault, EVERY_FAULT[x.fault].words, t, number))
        known.times += 1
        if self.tap is not None and self.session is not None:
            self.tap.injected(t, number, x.fault, known.words)
        self.say(t, f"on purpose, {known}", x.fault)

    def reached(self, t: float, x: MemoryEvent, in_use: Callable[[PageArray], PageArray]) -> None:
        """Note an event of the client's memory; ``in_use`` returns the pages that commands without an answer lie in."""
        number = self.sessions[-1].number if self.sessions else 0
        match x:
            case Mapped():
                if self.tap is not None:
                    self.tap.map(t, number, x.iova, x.size)
                self.reach.map(x.iova, x.size)
            case Unmapped():
                if self.tap is not None:
                    self.tap.unmap(t, number, x.iova, x.size)
                pages = self.reach.unmap(x.iova, x.size)
                self._judge()
                if pages.size and self.sessions:
                    self._unmapped(t, self.sessions[-1], pages, in_use(pages))
            case BusMaster():
                if self.tap is not None:
                    self.tap.bus_master(t, number, on=x.on)
                self.reach.master = x.on

    def unreachable(self, t: float) -> None:
        """Note that the client's memory is gone, which is nobody's doing."""
        if self.tap is not None and self.reach.mapped:
            self.tap.unmap(t, self.sessions[-1].number if self.sessions else 0, 0, 0)
        self.reach = Reach()

    def _unmapped(self, t: float, s: ServedSession, pages: PageArray, of_commands: PageArray) -> None:
        """Compare memory that the driver let go with what firmware holds."""
        moment = self._moment(s)
        held = [
            (who, Use.QUEUE if queues else Use.EARLIER if who is None else Use.LENT, part)
            for who, part, queues in self.inner.users(pages)
        ]
        for who, use, part in [*held, *([(None, Use.COMMAND, of_commands)] if of_commands.size else [])]:
            s.let_go.add(who, use, moment, part)
            name = WireOffenceName.MEMORY_LET_GO
            self.say(t, f"OFFENCE {name}: {LetGo.of(who, use, moment, part).detail}", f"{name} {use} {who}")

    def _moment(self, s: ServedSession) -> LettingMoment:
        if s.end == "open" and s.trouble is not None:
            return LettingMoment.LOST if s.trouble == "lost" else LettingMoment.FATAL
        return _MOMENTS[self.inner.phase]

    def over(self, t: float, end: End, words: str) -> None:
        """End the open session, if there is one, otherwise than by DISABLE_HCA: the device dropped its pages."""
        s = self.session
        if s is None:
            return
        self._unanswered(t, s)
        s.end, s.ended = end, t
        self.reach.end()
        if self.tap is not None:
            if end == "gone":
                self.tap.link(t, s.number, "gone", words)
            self.tap.link(t, s.number, "fenced", Proof.FUNCTION_LEVEL_RESET)
        self.say(t, f"session {s.number} is over: {words}, {in_mib(s.total('held'))} dropped")

    def _unanswered(self, t: float, s: ServedSession) -> None:
        """The session ends: page requests that the driver has not answered are offences, unless the device was gone."""
        for x in self._asked.end(t):
            if s.trouble is None:
                detail = f"{self._shown(x.function)}: {x.words}"
                self._offended(t, WireOffence(WireOffenceName.REQUEST_UNANSWERED, detail))

    def troubled(self, t: float, what: Trouble, reason: str) -> None:
        """Note a step of the scenario that concerns the whole device of the open session."""
        s = self.session
        if s is None:
            return
        s.trouble = what
        if self.tap is not None:
            self.tap.link(t, s.number, what, reason)
        words = "firmware reports a fatal state" if what == "health" else "the link is lost"
        self.say(t, f"{words} ({reason}); {self._held(s)}")

    def back(self, t: float) -> None:
        """Note that the lost link is there again."""
        if self.tap is not None and self.sessions:
            self.tap.link(t, self.sessions[-1].number, "back")
        self.say(t, "the link is back")

    def _name(self, number: int, ec: int | bool) -> str:
        known = self.inner.known_as(number, ec=bool(ec))
        return known[-1].name if known else f"{number:#x}"

    def _called(self, number: int, ec: int | bool) -> str:
        """A function as a line names it: by the scenario's name, the own one by its kind, and by its identity."""
        who = named(self.inner.mode, number, ec)
        known = self.inner.known_as(number, ec=bool(ec))
        return f"{self._shown(known[-1].name)} ({who})" if known else str(who)

    def _shown(self, name: str) -> str:
        own = self.inner.specs[0]
        return name if name != own.name else "the ECPF" if own.ec else "the PF"

    def _submitted(self, t: float, x: Submitted, slot: int, memory: PageArray | None) -> None:
        self.commands += 1
        self.opcodes[x.command.opcode] += 1
        self.last_command = t
        if self._begins(x.command):
            self.sessions.append(ServedSession(len(self.sessions) + 1, t))
            self.reach.begin()
            self.say(t, f"session {len(self.sessions)}: the driver opens the device")
        number = self.sessions[-1].number if self.sessions else 0
        if self.session is not None:
            self.session.commands += 1
        if len(self._in_flight) >= MOST_IN_FLIGHT:
            del self._in_flight[next(iter(self._in_flight))]
        self._in_flight[x.id] = (number, x.command, x.reply_length)
        if self.tap is not None:
            self.tap.submit(t, number, x.id, slot, x.command, memory)
        if x.command.opcode == Opcode.MANAGE_PAGES:
            self.reach.page_command()
            self._judge()
            self._answers(x.command)
        elif x.command.opcode == Opcode.TEARDOWN_HCA and self.session is not None:
            self._asked.closing(t)

    def _begins(self, c: Command) -> bool:
        """Tell whether this is ENABLE_HCA for the device itself, while it is off."""
        off = self.inner.phase is Phase.OFF
        return off and c.opcode == Opcode.ENABLE_HCA and self.inner.eswitch_function(c) is self.inner.specs[0]

    def _answers(self, c: Command) -> None:
        """A page command answers what firmware asked for."""
        name = self._name(c["function_id"], c["embedded_cpu_function"])
        match c.op_mod:
            case ManagePages.GIVE:
                self._asked.given(name, c.given.size)
            case ManagePages.CANT_GIVE:
                self._asked.declined(name)

    def _judge(self) -> None:
        if self.session is not None:
            self.session.judged = self.reach.judged

    def _executed_only(self, t: float, x: Executed) -> None:
        """Firmware carried a command out and keeps the answer back: what it changed is changed all the same."""
        number, c, _ = self._in_flight[x.id]
        if len(self._executed) >= MOST_IN_FLIGHT:
            self._executed.clear()
        if self.tap is not None:
            self.tap.executed(t, number, x.id, x.answer)
        s = self.session
        if x.answer.ok and s is not None:
            self._executed.add(x.id)
            self._done(t, s, c, x.answer)

    def _completed(self, t: float, x: Completed) -> None:
        number, c, reply_length = self._in_flight.pop(x.id, (0, None, 0))
        if c is None:
            return
        if self.tap is not None:
            self.tap.complete(t, number, x.id, x.answer, reply_length)
        s = self.session
        if s is None or x.id in self._executed:
            self._executed.discard(x.id)
            return
        if x.answer.ok:
            self._done(t, s, c, x.answer)
        elif s.number == number and self._begins(c):
            self.sessions.pop()
            self.say(t, f"session {number} did not begin: ENABLE_HCA was refused")
        else:
            s.refused += 1

    def _done(self, t: float, s: ServedSession, c: Command, a: Answer) -> None:
        """Note a command that succeeded."""
        match c.opcode:
            case Opcode.MANAGE_PAGES:
                self._pages(t, s, c, a)
            case Opcode.SET_HCA_CAP if self.inner.mode is not s.mode:
                s.mode, s.switched = self.inner.mode, t if self.inner.mode is Mode.VHCA_ID else None
                self.say(t, f"functions are named by {s.mode} from here on")
            case Opcode.CREATE_EQ if s.up is None and self.open:
                s.up = t - s.begun
                self.moments.add(Moment(MomentKind.OPEN))
                self.say(t, f"the driver takes page requests, {s.up:.3f} s after it began; {self._held(s)}")
            case opcode if opcode in _SWITCHES and self.inner.phase is Phase.WORKING:
                self._switched(t, c)
            case Opcode.TEARDOWN_HCA if not a["state"]:
                s.torn = c["profile"]
            case Opcode.DISABLE_HCA if self.inner.phase is Phase.OFF:
                self._unanswered(t, s)
                s.end, s.ended = "closed", t
                self.reach.end()
                self.moments.add(Moment(MomentKind.CLOSE))
                self.say(t, f"session {s.number} is closed, {in_mib(s.total('held'))} left")

    def switch(self, c: Command) -> Moment | None:
        """Return the moment that comes with this command where it succeeds; None where it is not of the e-switch."""
        if c.opcode not in _SWITCHES or self.inner.phase is not Phase.WORKING:
            return None
        spec = self.inner.eswitch_function(c)
        return None if spec is None else Moment(_SWITCHES[c.opcode][0], spec.name)

    def _switched(self, t: float, c: Command) -> None:
        """Note that the driver's e-switch has enabled or disabled a function."""
        spec = self.inner.eswitch_function(c)
        assert spec is not None, "firmware carried the command out, so it knows the function"
        kind, words = _SWITCHES[c.opcode]
        self.moments.add(Moment(kind, spec.name))
        self.say(t, f"the driver {words} {spec.name}")

    def _held(self, s: ServedSession) -> str:
        parts = [f"{self._shown(name)} {f.held:,}" for name, f in s.functions.items() if f.held]
        return f"{in_mib(s.total('held'))} held: {', '.join(parts)}" if parts else "no pages held"

    def _pages(self, t: float, s: ServedSession, c: Command, a: Answer) -> None:
        # an answer may claim more pages than it names
        taken = min(a["output_num_entries"], int(a.pas.size))
        number, ec = c["function_id"], c["embedded_cpu_function"]
        name, called = self._name(number, ec), self._called(number, ec)
        f = s.functions.setdefault(name, FunctionPages())
        n, words = 0, f"the driver cannot give pages for {called}"
        match c.op_mod:
            case ManagePages.GIVE:
                n, words = c.given.size, f"for {called}"
                f.given += n
                self.reach.given(c.given)
            case ManagePages.TAKE:
                n, words = taken, f"back from {called}"
                f.returned += taken - self._earlier(s, c, taken)
                self.reach.returned(a.pas)
        self.look(t, s)
        self._judge()
        if c.op_mod == ManagePages.CANT_GIVE:
            self.say(t, f"{words}; {self._held(s)}", words)
        else:
            held = self._held(s)
            self.lines.move(t, words, n, lambda pages, times: _moved(pages, times, words, held), f"{n} {words}")

    def _earlier(self, s: ServedSession, c: Command, taken: int) -> int:
        """The number of returned pages that are of functions that had the vhca_id before, by what they hold now."""
        left = taken
        for spec in self.inner.known_as(c["function_id"], ec=bool(c["embedded_cpu_function"]))[:-1]:
            f = s.functions.get(spec.name)
            if f is not None:
                back = min(left, max(0, f.held - self.inner.held(spec.name)))
                f.returned += back
                left -= back
        return taken - left

    def look(self, t: float, s: ServedSession) -> None:
        """Set the pages of each function to what the firmware has; those neither held nor returned were released."""
        for spec in self.inner.specs:
            held = self.inner.held(spec.name)
            f = s.functions.get(spec.name)
            if f is not None:
                if f.held != held:
                    s.recorder.note(spec.name, held, Point(t, 0))
                f.held, f.peak = held, max(f.peak, held)
                # firmware that reports a wrong number of returned pages has not released any
                f.released = max(0, f.given - f.returned - held)

    def _raised(self, t: float, x: Raised) -> None:
        name = self._name(x.event.number, x.event.ec)
        called = self._called(x.event.number, x.event.ec)
        self.moments.add(Moment(MomentKind.REQUEST, name))
        s = self.session
        if s is not None:
            s.requests += 1
            self.look(t, s)
        if self.tap is not None:
            self.tap.event(t, s.number if s is not None else 0, x.eqn, x.event)
        n = x.event.num_pages
        if x.event.release_all:
            self._asked.declined(name)
        else:
            self._asked.raised(t, name, n)
        asks = f"asks for {in_mib(n)} for" if n > 0 else f"gives back {in_mib(-n)} of"
        self.say(t, f"firmware {'lets go of all pages of' if x.event.release_all else asks} {called}")


def _moved(pages: int, commands: int, words: str, held: str) -> str:
    """A line about pages that moved, and what is held now."""
    return f"{in_mib(pages)} {words}{f' in {commands:,} commands' if commands > 1 else ''}; {held}"
