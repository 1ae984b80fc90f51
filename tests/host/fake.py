"""A host fed by hand: a small scripted firmware whose every answer a test may replace, hold back or leave out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from fwpages.host import (
    Aborted,
    Answered,
    Bounds,
    Close,
    Config,
    Done,
    Effect,
    EnableVport,
    Fenced,
    Finding,
    FunctionsChanged,
    Host,
    Input,
    Map,
    Mapped,
    Misuse,
    Open,
    PageRequest,
    Phase,
    Proof,
    Reset,
    Send,
    Tick,
    Unmap,
    VportInfo,
    WantedMode,
)
from fwpages.prm.capability import general, read_general
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier, named
from fwpages.prm.message import Answer, Command, PageArray
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages, op_mod_suffix, opcode_name
from fwpages.prm.status import Status

#: what a test puts in place of an answer: an answer, None for silence, "abort" for a link that gives the command up
Reply = Callable[[Command], Answer | None]

OWN = 0x2A
VHCA = "icm_mng_function_id_mode"
TEARDOWNS = {"fast_teardown": 1, "force_teardown": 1}

VF0 = VportInfo(1, FunctionType.VF, 1)
VF1 = VportInfo(2, FunctionType.VF, 2)
SF0 = VportInfo(0x8000, FunctionType.SF, 0x8000)
SPF0 = VportInfo(0x2000, FunctionType.SPF, 0x2000, vhca_id=0x77)
VHCAS = {1: 0x31, 2: 0x32, 0x8000: 0x90}


def silent(_: Command) -> None:
    """No answer ever comes."""


def refusing(status: int = Status.BAD_PARAM) -> Reply:
    """The device says no."""
    return lambda c: Answer(c.opcode, status, 0xBAD)


def array(addresses: list[int]) -> PageArray:
    return np.array(addresses, np.uint64)


def taken(addresses: list[int], count: int | None = None) -> Answer:
    """An answer to a TAKE that names these pages."""
    n = len(addresses) if count is None else count
    return Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": n}, pas=array(addresses))


def ok(c: Command) -> Answer:
    return Answer(c.opcode)


def name_of(c: Command) -> str:
    return opcode_name(c.opcode) + op_mod_suffix(c.opcode, c.op_mod)


class Fake:
    """A host and its scripted firmware. After every input the host's invariants are looked at, and a clone that was
    fed the same must have done the same."""

    def __init__(
        self,
        *,
        boot: int = 3,
        init: int = 5,
        offer: bool = True,
        release_all: bool = True,
        supplier: Supplier | None = None,
        bounds: Bounds | None = None,
        asks_functions: bool = False,
    ) -> None:
        bounds = bounds or Bounds(pages_per_command=100)
        self.host = Host(Config(supplier or Supplier(max_vfs=8), bounds=bounds, asks_functions=asks_functions))
        self.boot, self.init = boot, init
        #: further capabilities, as they are at power-on
        self.more: dict[str, int] = {}
        self.max = {"vhca_id": OWN, VHCA: int(offer), "release_all_pages": int(release_all), "log_max_eq": 7}
        self.max |= TEARDOWNS
        self.current = {"vhca_id": OWN, "log_max_eq": 7, **TEARDOWNS, **self.more}
        self.now = 0.0
        #: every command that was sent, those not answered yet, and those that the script does not answer
        self.sent: list[Send] = []
        self.waiting: deque[Send] = deque()
        self.unanswered: list[Send] = []
        self.effects: list[Effect] = []
        self.maps: deque[Map] = deque()
        self.hold_maps = False
        self.script: dict[str | int, Reply] = {}
        self.held: dict[Identity, list[int]] = {}
        self.eqs = 0
        #: what the script holds is not what it named to the host
        self.lying = False
        self.mapped: dict[int, int] = {}

    # -- feeding --------------------------------------------------------------------------------------------------

    def feed(self, x: Input) -> list[Effect]:
        twin = self.host.clone()
        assert twin.key() == self.host.key()
        effects = self.host.feed(self.now, x)
        self.host.check()
        assert twin.feed(self.now, x) == effects
        assert twin.key() == self.host.key()
        assert twin.deadline == self.host.deadline
        twin.check()
        for e in effects:
            if isinstance(e, Send):
                self.sent.append(e)
                self.waiting.append(e)
                assert len({f.slot for f in self.host.flights.values()}) == len(self.host.flights), "a slot for each"
            elif isinstance(e, Map):
                self.maps.append(e)
            elif isinstance(e, Unmap):
                self.mapped.pop(e.iova, None)
        self.effects += effects
        return effects

    def misuse(self, x: Input) -> str:
        """The input is refused as misuse and changes nothing; returns the words."""
        before = self.host.key()
        try:
            self.host.feed(self.now, x)
        except Misuse as e:
            assert self.host.key() == before
            self.host.check()
            return str(e)
        raise AssertionError(f"{x} was let through")

    def answer(self, answer: Answer, send: Send | None = None) -> list[Effect]:
        """Answer the oldest waiting command, or the one given (which may have been answered before)."""
        if send is None:
            send = self.waiting.popleft()
        elif send in self.waiting:
            self.waiting.remove(send)
        return self.feed(Answered(send.session, send.id, answer))

    def abort(self, send: Send | None = None) -> list[Effect]:
        send = send or self.waiting.popleft()
        if send in self.waiting:
            self.waiting.remove(send)
        return self.feed(Aborted(send.session, send.id, "the link went down"))

    def step(self) -> bool:
        """Answer the oldest thing that waits as the script says."""
        if self.maps and not self.hold_maps:
            m = self.maps.popleft()
            self.mapped[m.iova] = m.pages
            self.feed(Mapped(m.iova, m.pages, m.iova))
            return True
        if not self.waiting:
            return False
        send = self.waiting.popleft()
        c = send.command
        by = self.script.get(name_of(c)) or self.script.get(c.opcode)
        answer = by(c) if by is not None else self.reply(c)
        if answer is None:
            self.unanswered.append(send)
        else:
            self.feed(Answered(send.session, send.id, answer))
        return True

    def run(self, until: str | None = None) -> None:
        """Answer by the script until nothing waits, or until the command named is the next to be answered."""
        while self.maps or self.waiting:
            if until is not None and self.waiting and name_of(self.waiting[0].command) == until:
                return
            if self.hold_maps and not self.waiting:
                return
            self.step()
        assert until is None, f"{until} never came: {[name_of(s.command) for s in self.sent]}"

    def tick(self) -> list[Effect]:
        """Time goes on to the host's deadline."""
        assert self.host.deadline is not None
        assert self.host.deadline >= self.now
        self.now = self.host.deadline
        return self.feed(Tick())

    def tick_through(self, limit: int = 100_000) -> None:
        """Answer by the script and let time pass until the host waits for nothing: every operation ends."""
        self.run()
        for _ in range(limit):
            if self.host.deadline is None:
                return
            self.tick()
            self.run()
        raise AssertionError(f"still waiting at {self.now} s")

    def open(self, mode: WantedMode = "auto") -> Fake:
        self.feed(Open(mode))
        self.run()
        assert self.phase == Phase.OPEN, self.findings
        return self

    def request(self, number: int, pages: int, *, ec: bool = False, release_all: bool = False) -> list[Effect]:
        event = PageRequestEvent(number, pages, ec, release_all)
        return self.feed(PageRequest(self.host.session.number, event))

    def vports(self, *infos: VportInfo) -> None:
        self.feed(FunctionsChanged(infos))

    def enable(self, *infos: VportInfo) -> None:
        """These vports exist and are enabled."""
        self.vports(*{**self.host.vports, **{i.vport: i for i in infos}}.values())
        for i in infos:
            self.feed(EnableVport(i.vport))
            self.run()

    def fenced(self, proof: Proof = Proof.FUNCTION_LEVEL_RESET) -> list[Effect]:
        self.held.clear()
        self.current = {"vhca_id": OWN, "log_max_eq": 7, **TEARDOWNS, **self.more}
        self.waiting.clear()
        return self.feed(Fenced(proof))

    def close(self) -> None:
        self.feed(Close())
        self.run()

    # -- looking --------------------------------------------------------------------------------------------------

    @property
    def phase(self) -> str:
        return self.host.session.phase.value

    @property
    def findings(self) -> list[str]:
        return [f.name for f in self.host.session.findings.values()]

    def finding(self, name: str) -> Finding:
        found = [f for f in self.host.session.findings.values() if f.name == name]
        assert len(found) == 1, self.findings
        return found[0]

    @property
    def done(self) -> list[tuple[str, bool]]:
        return [(str(e.operation), e.ok) for e in self.effects if isinstance(e, Done)]

    @property
    def resets(self) -> int:
        return sum(isinstance(e, Reset) for e in self.effects)

    @property
    def names(self) -> list[str]:
        return [name_of(s.command) for s in self.sent]

    def page_commands(self) -> list[tuple[str, int, int]]:
        """Kind, function_id and count of every MANAGE_PAGES."""
        manage = [s.command for s in self.sent if s.command.opcode == Opcode.MANAGE_PAGES]
        return [(ManagePages(c.op_mod).name, c["function_id"], c["input_num_entries"]) for c in manage]

    def holding(self, who: Identity) -> int:
        return len(self.held.get(who, ()))

    def agree(self) -> None:
        """Host and script name the same pages for each function."""
        mine = self.host.held()
        assert mine is not None
        theirs = {who: sorted(pages) for who, pages in self.held.items() if pages}
        assert {who: sorted(pages.tolist()) for who, pages in mine.items()} == theirs

    # -- the firmware ---------------------------------------------------------------------------------------------

    @property
    def mode(self) -> Mode:
        return Mode.VHCA_ID if self.current.get(VHCA) else Mode.FUNC_ID

    def function_of(self, c: Command) -> Identity:
        return named(self.mode, c["function_id"], c["embedded_cpu_function"])

    def reply(self, c: Command) -> Answer:
        match c.opcode:
            case Opcode.QUERY_PAGES:
                n = self.boot if c.op_mod == QueryPages.BOOT else self.init
                return Answer(c.opcode, fields={**self.function_of(c).fields, "num_pages": n})
            case Opcode.MANAGE_PAGES:
                return self.manage(c)
            case Opcode.QUERY_HCA_CAP:
                return self.capabilities(c)
            case Opcode.SET_HCA_CAP:
                return self.set_capabilities(c)
            case Opcode.QUERY_ISSI:
                return Answer(c.opcode, fields={"supported_issi_dw0": 2})
            case Opcode.ALLOC_UAR:
                return Answer(c.opcode, fields={"uar": 7})
            case Opcode.CREATE_EQ:
                self.eqs += 1
                return Answer(c.opcode, fields={"eq_number": self.eqs})
            case Opcode.ENABLE_HCA if c["function_id"] == 0 and not self.host.session.initialized:
                self.current = {"vhca_id": OWN, "log_max_eq": 7, **TEARDOWNS, **self.more}
                self.held.clear()
                self.eqs = 0
        return Answer(c.opcode)

    def manage(self, c: Command) -> Answer:
        mine = self.held.setdefault(self.function_of(c), [])
        if c.op_mod == ManagePages.GIVE:
            pages = c.pas.tolist()
            assert len(pages) == c["input_num_entries"] > 0
            everyone = {p for held in self.held.values() for p in held}
            assert self.lying or not everyone & set(pages), "given twice"
            assert all(p % 4096 == 0 and p > 0 for p in pages)
            mine += pages
        elif c.op_mod == ManagePages.TAKE:
            n = min(c["input_num_entries"], len(mine))
            back = [mine.pop() for _ in range(n)]
            return taken(back)
        return Answer(c.opcode)

    def capabilities(self, c: Command) -> Answer:
        if c["other_function"]:
            return Answer(c.opcode, data=general({"vhca_id": VHCAS.get(c["function_id"], 0)}))
        return Answer(c.opcode, data=general(self.current if c.op_mod & 1 else self.max))

    def set_capabilities(self, c: Command) -> Answer:
        before = self.held.pop(self.host.config.supplier.own, [])
        self.current = {k: v for k, v in read_general(c.data).items() if v}
        self.held[named(self.mode, OWN, 0) if self.mode is Mode.VHCA_ID else self.host.config.supplier.own] = before
        return Answer(c.opcode)
