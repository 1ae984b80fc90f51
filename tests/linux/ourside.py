"""Our host on the direct link, beside the same firmware."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fwpages.device import ResetFunction, Want, faulty
from fwpages.host import (
    Bounds,
    Close,
    Config,
    CustodyError,
    DisableVport,
    EnableVport,
    Finding,
    FunctionsChanged,
    Host,
    Map,
    Open,
    Phase,
)
from fwpages.link.faults.injector import LinkInjector
from fwpages.link.inprocess import InProcess
from fwpages.pages.space import Addresses
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, Mode
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from fwpages.scenario.fault_syntax import fault, split
from tests.linux.devices import Machine
from tests.linux.linuxside import Look, Refusing, Said, firmware, said

#: as many pages a command as Linux takes at teardown
LINUX_BATCH = 768
#: more steps than any operation here needs
STEPS = 20_000


class NoMemory(LinkInjector):
    """A link that has no memory to map, when reply so."""

    deny = False

    def mapped_at(self, m: Map) -> int | None:
        return None if self.deny else super().mapped_at(m)


class Ear:
    """A tap that hears page commands."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.said: list[tuple[Identity, Said]] = []

    def submit(self, t: float, session: int, id: int, slot: int, command: Command) -> None:  # noqa: A002
        if command.opcode in (Opcode.QUERY_PAGES, Opcode.MANAGE_PAGES):
            self.said.append(said(command, self.host.session.mode or Mode.FUNC_ID))

    def complete(self, t: float, session: int, id: int, answer: Answer, reply_length: int) -> None:  # noqa: A002
        """Not of interest."""

    def event(self, t: float, session: int, eqn: int, event: PageRequestEvent) -> None:
        """Not of interest."""

    def link(self, t: float, session: int, what: str, detail: str = "", id: int | None = None) -> None:  # noqa: A002
        """Not of interest."""


class Ours:
    """One device under our host. Each method leaves it at rest."""

    def __init__(
        self,
        m: Machine,
        device: Callable[[Machine], Refusing] = firmware,
        *,
        bounds: Bounds | None = None,
        faults: Sequence[str] = (),
    ) -> None:
        self.machine = m
        self.firmware = device(m)
        of_device, of_link = split([fault(text) for text in faults])
        self.memory = NoMemory(of_link)
        self.host = Host(Config(m.profile.supplier, bounds=bounds or Bounds(pages_per_command=LINUX_BATCH)))
        self.ear = Ear(self.host)
        self.link = InProcess(
            self.host,
            faulty(self.firmware, of_device) if of_device else self.firmware,
            faults=self.memory,
            tap=self.ear,
            checked=bool(faults),
        )
        self.link.feed(FunctionsChanged(m.vports))

    # what happens

    def rest(self) -> None:
        """Until nothing is in flight or waited for."""
        self.link.run_until_idle(STEPS)

    def open(self) -> bool:
        self.link.feed(Open())
        self.rest()
        return self.host.session.phase == Phase.OPEN

    def close(self) -> None:
        self.link.feed(Close())
        self.rest()

    def enable(self, name: str) -> None:
        self.link.feed(EnableVport(self.machine.spec(name).vport))
        self.rest()

    def disable(self, name: str) -> None:
        self.link.feed(DisableVport(self.machine.spec(name).vport))
        self.rest()

    def stir(self, *changes: Want | ResetFunction) -> None:
        for x in changes:
            self.link.stir(x)
        self.rest()

    def without_memory(self, x: Want) -> None:
        """Firmware wants pages while there is no memory at all: not in store either."""
        pool = self.host.pool
        spare = pool.take(pool.free)
        self.memory.deny = True
        self.stir(x)
        self.memory.deny = False
        pool.put(spare)

    # looking

    @property
    def holds(self) -> dict[Identity, Addresses]:
        """The pages that firmware really holds."""
        return self.link.firmware.holds()

    @property
    def findings(self) -> dict[str, Finding]:
        """The session's findings by name."""
        return {f.name: f for f in self.host.session.findings.values()}

    @property
    def commands(self) -> list[Said]:
        """Every page command so far but queries, whomever it was about."""
        return [what for _, what in self.ear.said if what[0] >= 0]

    def agree(self) -> None:
        """Host and firmware name the same pages, and the host's books add up."""
        try:
            self.host.check()
            self.link.agree()
        except CustodyError as e:
            raise AssertionError(str(e)) from None

    def look(self) -> Look:
        """The session's figures in the host's records."""
        s = self.host.session
        by_function: dict[Identity, int] = {}
        by_type: dict[FunctionType, int] = {}
        for r in self.host.records.of_session(s.number):
            if r.outstanding:
                by_function[r.identity] = by_function.get(r.identity, 0) + r.outstanding
                by_type[r.type] = by_type.get(r.type, 0) + r.outstanding
        return Look(by_function, by_type, s.alloc_failed, s.give_dropped, s.reclaim_discard)

    def page_commands(self) -> list[tuple[Identity, Said]]:
        """The page commands since the last time."""
        out, self.ear.said = self.ear.said, []
        return out
