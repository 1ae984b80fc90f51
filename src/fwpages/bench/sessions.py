"""Rounds through more than the ledger: the host's page path, and whole runs of a scenario with host and firmware."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import numpy as np

from fwpages.bench.shape import Round, Shape
from fwpages.device import Firmware, profile
from fwpages.host import Answered, Config, Host, Map, Mapped, Open, PageRequest, Send
from fwpages.link.inprocess import InProcess
from fwpages.pages.space import Addresses
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.message import NO_PAGES, Answer
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.scenario import ScenarioRun, load
from fwpages.scenario.format import RequestStep

#: a function that the e-switch has not announced
NUMBER = 0x55
SCENARIO = "connectx5-heavy"


def _opened() -> Host:
    """A host in an open session, in VHCA_ID mode; who was its firmware for the start is no longer asked."""
    device = profile("connectx7")
    link = InProcess(Host(Config(device.supplier)), Firmware(device))
    link.feed(Open())
    link.run_until_idle()
    return link.host


class _Firmware:
    """The least that can answer a host's page commands: it takes what comes and returns it in random order."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.given: list[Addresses] = []
        self.held = NO_PAGES
        self.returned = 0

    def request(self, pages: int) -> None:
        """One page request, and all that follows from it."""
        session = self.host.session.number
        effects: Sequence[object] = self.host.feed(0.0, PageRequest(session, PageRequestEvent(NUMBER, pages)))
        while effects:
            (effect,) = effects
            match effect:
                case Map():
                    effects = self.host.feed(0.0, Mapped(effect.iova, effect.pages, effect.iova))
                case Send():
                    effects = self.host.feed(0.0, Answered(session, effect.id, self._answer(effect)))
                case _:
                    raise AssertionError(f"a page request led to {effect}")

    def _answer(self, e: Send) -> Answer:
        c = e.command
        if c.op_mod == ManagePages.GIVE:
            self.given.append(c.pas)
            return Answer(Opcode.MANAGE_PAGES)
        asked = c["input_num_entries"]
        pages = self.held[self.returned : self.returned + asked]
        self.returned += asked
        return Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": pages.size}, pas=pages)

    def shuffle(self) -> None:
        """Draw the order in which it returns its pages."""
        self.held = np.random.default_rng(1).permutation(np.concatenate(self.given))


def page_path(shape: Shape) -> Round:
    """From page request to answer, on the host's side alone: events in, commands out, custody of every page."""
    host = _opened()
    firmware = _Firmware(host)
    start = time.perf_counter()
    for _, pages in shape.turns():
        firmware.request(pages)
    give = time.perf_counter() - start
    firmware.shuffle()
    start = time.perf_counter()
    for _, pages in shape.turns():
        firmware.request(-pages)
    take = time.perf_counter() - start
    host.check()
    if firmware.returned != shape.pages:
        raise AssertionError(f"{firmware.returned} pages came back of {shape.pages}")
    return {"give": give, "take": take, "both": give + take}


def whole_run(shape: Shape) -> Round:
    """Time a whole run of the scenario ``connectx5-heavy``, both sides, with so many pages asked for and returned."""
    scenario = load(SCENARIO)
    steps = tuple(
        msgspec.structs.replace(s, pages=shape.pages if s.pages > 0 else -shape.pages)
        if isinstance(s, RequestStep) and s.function == "self"
        else s
        for s in scenario.step
    )
    whole = ScenarioRun(msgspec.structs.replace(scenario, step=steps))
    start = time.perf_counter()
    result = whole.run()
    seconds = time.perf_counter() - start
    if not result.clean:
        raise AssertionError(f"a run with {shape.pages} pages did not end clean")
    return {"life": seconds}
