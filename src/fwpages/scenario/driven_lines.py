"""The lines of a run that drives a device, while it goes on: one for each page command, page request and event."""

from __future__ import annotations

from fwpages.custody.findings import Finding
from fwpages.device import Raised
from fwpages.host import Done, Host
from fwpages.host.io import OperationKind
from fwpages.link.tap import EswitchTap
from fwpages.pages.words import in_mib
from fwpages.prm.event import EswitchEvent, EventType, PageRequestEvent
from fwpages.prm.identity import Identity, Mode, Names, by_identity, named
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.scenario.event_lines import EventLines, OnEvent

#: events of the link in words, by the name that a trace has for them
_LINK = {
    "reset": "a reset is asked for",
    "fenced": "fenced",
    "lost": "the link is lost",
    "health": "the device reports a fatal state",
    "aborted": "a command came back without an answer",
    "garbled": "an answer is none to its command",
    "given-up": "a command is not answered",
}


class DrivenLines:
    """An ``EswitchTap`` that says what it is shown, and passes it on to ``inner``. ``names`` are the scenario's."""

    def __init__(self, host: Host, names: Names, on_event: OnEvent | None, inner: EswitchTap | None) -> None:
        self._host = host
        self._called = by_identity(names)
        self._lines = EventLines(on_event)
        self._inner = inner
        self._in_flight: dict[int, Command] = {}
        self._now = 0.0

    def learn(self, names: Names) -> None:
        """Take the functions' names from here on."""
        self._called = by_identity(names)

    def say(self, t: float, words: str, kind: str = "") -> None:
        """Say a line of the run's own."""
        self._lines.say(t, words, kind)

    def note(self, e: Done | Finding | Raised) -> None:
        """Say the end of an operation, and a finding."""
        if isinstance(e, Finding):
            self.say(self._now, f"FINDING {e.name}: {e.detail}", e.name)
        elif isinstance(e, Done) and not e.ok:
            self.say(self._now, f"{e.operation} failed: {e.detail}")
        elif isinstance(e, Done):
            self._done(e)

    def _done(self, e: Done) -> None:
        match e.operation.kind:
            case OperationKind.OPEN:
                mode = "VHCA_ID" if self._host.session.mode is Mode.VHCA_ID else "FUNC_ID"
                self.say(self._now, f"session {e.session} is open, in {mode} mode; {self._held()}")
            case OperationKind.CLOSE:
                self.say(self._now, f"session {e.session} is over: {e.detail}; {self._held()}")
            case OperationKind.FUNCTIONS:
                pass  # the run lists them
            case _:
                self.say(self._now, f"{e.operation}: done")

    def submit(self, t: float, session: int, id: int, slot: int, command: Command) -> None:  # noqa: A002
        """As ``EswitchTap``."""
        self._now = t
        self._in_flight[id] = command
        if self._inner is not None:
            self._inner.submit(t, session, id, slot, command)

    def complete(self, t: float, session: int, id: int, answer: Answer, reply_length: int) -> None:  # noqa: A002
        """As ``EswitchTap``; called before the host has taken the answer."""
        self._now = t
        command = self._in_flight.pop(id, None)
        if command is not None and command.opcode == Opcode.MANAGE_PAGES:
            self._pages(t, command, answer)
        if self._inner is not None:
            self._inner.complete(t, session, id, answer, reply_length)

    def event(self, t: float, session: int, eqn: int, event: PageRequestEvent) -> None:
        """As ``EswitchTap``."""
        self._now = t
        mode = self._host.session.mode or Mode.FUNC_ID
        who, n = self._name(named(mode, event.number, event.ec)), event.num_pages
        if event.release_all:
            self.say(t, f"firmware lets go of all pages of {who}")
        else:
            self.say(t, f"firmware {f'asks for {in_mib(n)} for' if n > 0 else f'gives back {in_mib(-n)} of'} {who}")
        if self._inner is not None:
            self._inner.event(t, session, eqn, event)

    def notified(self, t: float, session: int, eqn: int, event: EswitchEvent) -> None:
        """As ``EswitchTap``."""
        self._now = t
        if event.type is EventType.ESW_FUNCTIONS_CHANGED:
            self.say(t, "the device says that its functions have changed")
        if self._inner is not None:
            self._inner.notified(t, session, eqn, event)

    def link(self, t: float, session: int, what: str, detail: str = "", id: int | None = None) -> None:  # noqa: A002
        """As ``EswitchTap``."""
        self._now = t
        command = "" if id is None else str(self._in_flight.get(id, ""))
        words = ": ".join(part for part in (_LINK.get(what, what), command, detail) if part)
        self.say(t, words, what)
        if self._inner is not None:
            self._inner.link(t, session, what, detail, id)

    def _pages(self, t: float, c: Command, a: Answer) -> None:
        who = self._name(self._identity(c))
        if not a.ok:
            self.say(t, f"{ManagePages(c.op_mod).name} for {who} is refused: {a}", "refused")
        elif c.op_mod == ManagePages.GIVE:
            self.say(t, f"gave {in_mib(c.pas.size)} for {who}")
        elif c.op_mod == ManagePages.TAKE:
            self.say(t, f"took {in_mib(a['output_num_entries'])} back from {who}")
        else:
            self.say(t, f"said that nothing can be given for {who}")

    def _identity(self, c: Command) -> Identity:
        return named(self._host.session.mode or Mode.FUNC_ID, c["function_id"], c["embedded_cpu_function"])

    def _name(self, who: Identity) -> str:
        if who == self._host.session.own:
            return f"the {'ECPF' if self._host.config.supplier.ecpf else 'PF'} ({who})"
        called = self._called.get(who)
        return f"{called} ({who})" if called else str(who)

    def _held(self) -> str:
        out = self._host.left()
        return f"{in_mib(out)} held" if out else "no pages held"
