"""A design joined to a firmware: what each side hands back is carried out at once, in order, on virtual time."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
from msgspec.structs import replace

from fwpages.device import Completed, Firmware, FunctionSpec, Offence, Raised, ResetDone, Submitted, profile
from fwpages.device import Input as DeviceInput
from fwpages.device import Reset as DeviceReset
from fwpages.explore.designs import DESIGNS
from fwpages.explore.model.driver import Driver, DriverConfig, Input, Run
from fwpages.host import (
    Aborted,
    Answered,
    Bounds,
    Done,
    Fenced,
    Finding,
    Map,
    Mapped,
    PageRequest,
    Proof,
    Reset,
    Send,
    Tick,
    Unmap,
    VportInfo,
)
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Mode
from fwpages.prm.message import Answer, Command

T = FunctionType

#: an answer instead of the firmware's; "silent": carried out, no answer; "lost": neither; "aborted"
Fate: TypeAlias = Answer | str | None

BOUNDS = Bounds(
    pages_per_command=50, command=2.0, reclaim_progress=1.0, reclaim_retry=0.25, wait_progress=3.0, fence=1.0
)


def functions(*, ecpf: bool) -> tuple[FunctionSpec, ...]:
    """Two VFs and an SF; on an ECPF the host's PF, an EC VF and an SPF too. vhca_ids 0x31 and on, three pages each."""
    rows = [("vf0", T.VF, 1, 1, False), ("vf1", T.VF, 2, 2, False), ("sf0", T.SF, 0x200, 0x200, ecpf)]
    if ecpf:
        rows += [("pf", T.HOST_PF, 0, 0, False), ("ecvf0", T.EC_VF, 0x1000, 1, True), ("spf", T.SPF, 0x2000, 9, False)]
    return tuple(FunctionSpec(*row, 0x31 + n, 3) for n, row in enumerate(rows))


class DriverRun:
    """A driver, a firmware and what is between them. ``fate`` decides on a command before firmware sees it."""

    def __init__(
        self,
        design: str,
        *,
        ecpf: bool = False,
        offered: bool = True,
        shift: int = 12,
        bounds: Bounds = BOUNDS,
        driver: Driver | None = None,
        seed: int | None = None,
        software_reset: bool = True,
    ) -> None:
        base = profile("bluefield3" if ecpf else "connectx7")
        small = msgspec.structs.replace(base, name="small", boot_pages=2, init_pages=3, max_vfs=4, max_ec_vfs=4)
        self.specs = functions(ecpf=ecpf)
        self.firmware = Firmware(small, self.specs, offer_vhca_id=offered)
        config = DriverConfig(small.supplier, bounds, page_shift=shift, software_reset=software_reset)
        self.driver = driver or DESIGNS[design](config)
        self.now = 0.0
        self.to_device: deque[DeviceInput] = deque()
        self.to_driver: deque[Input] = deque()
        self.session = 0
        self.sent: list[Command] = []
        self.ids: list[Send] = []
        self.done: list[tuple[str, bool]] = []
        self.findings: list[Finding] = []
        self.offences: list[Offence] = []
        self.mapped: set[int] = set()
        self.memory = True
        self.fate: Callable[[Command], Fate] = lambda c: None
        #: threads that are not given a turn, and inputs that are not carried over yet
        self.stopped: set[str] = set()
        self.random = random.Random(seed) if seed is not None else None

    def feed(self, x: Input) -> None:
        for e in self.driver.feed(self.now, x):
            match e:
                case Send():
                    self.session = e.session
                    self.sent.append(e.command)
                    self.ids.append(e)
                    self._carry(e)
                case Map():
                    if self.memory:
                        assert e.iova not in self.mapped
                        self.mapped |= {e.iova}
                    self.to_driver.append(Mapped(e.iova, e.pages, e.iova if self.memory else None))
                case Unmap():
                    self.mapped -= set(range(e.iova, e.iova + (e.pages << 12), 1 << 12))
                case Reset():
                    self.to_device.append(DeviceReset())
                case Done():
                    self.done.append((str(e.operation), e.ok))
                case Finding():
                    self.findings.append(e)
        self.driver.check()
        assert self.driver.clone().key() == self.driver.key()

    def _carry(self, e: Send) -> None:
        fate = self.fate(e.command)
        if fate in (None, "silent"):
            self.to_device.append(Submitted(e.id, e.command, -1 if fate else e.command.reply_length))
        elif isinstance(fate, Answer):
            self.to_driver.append(Answered(e.session, e.id, fate))
        elif fate == "aborted":
            self.to_driver.append(Aborted(e.session, e.id, "given up"))

    def device(self, x: DeviceInput) -> None:
        silent = isinstance(x, Submitted) and x.reply_length < 0
        if isinstance(x, Submitted) and silent:
            x = replace(x, reply_length=x.command.reply_length)
        for e in self.firmware.feed(self.now, x):
            match e:
                case Completed() if not silent:
                    self.to_driver.append(Answered(self.session, e.id, e.answer))
                case Raised():
                    self.to_driver.append(PageRequest(self.session, e.event))
                case ResetDone():
                    self.to_driver.append(Fenced(Proof.FUNCTION_LEVEL_RESET))
                case Offence():
                    self.offences.append(e)

    def execute(self, c: Command) -> Answer:
        """The firmware's answer, which does not come to the driver by itself; its page requests do."""
        answer = Answer(c.opcode)
        for e in self.firmware.feed(self.now, Submitted(10**6, c, c.reply_length)):
            match e:
                case Completed():
                    answer = e.answer
                case Raised():
                    self.to_driver.append(PageRequest(self.session, e.event))
        return answer

    def step(self) -> bool:
        """One thing that is due, in order or by chance; False when only time can go on."""
        ready = [n for n in self.driver.threads() if n not in self.stopped]
        choices = [bool(self.to_driver), bool(self.to_device), *([True] * len(ready))]
        picks = [n for n, there in enumerate(choices) if there]
        if not picks:
            return False
        n = picks[0] if self.random is None else self.random.choice(picks)
        if n == 0:
            self.feed(self.to_driver.popleft())
        elif n == 1:
            self.device(self.to_device.popleft())
        else:
            self.feed(Run(ready[n - 2]))
        return True

    def settle(self, until: float | None = None, limit: int = 5000) -> None:
        """Go on until nothing is left to do before ``until``; without it, time goes on as far as it has to."""
        for _ in range(limit):
            if self.step():
                continue
            due = self.driver.deadline
            if due is None or (until is not None and due > until):
                return
            self.now = max(self.now, due)
            self.feed(Tick())
        raise AssertionError(f"not at rest: {self.driver.view()}")

    def do(self, *xs: Input | DeviceInput | object, until: float | None = None) -> None:
        """Inputs of the driver or the device, one after the other, each to its end."""
        for x in xs:
            if type(x).__module__ == "fwpages.device.firmware.io":
                self.device(x)  # type: ignore[arg-type]
            else:
                self.feed(x)  # type: ignore[arg-type]
            self.settle(until)

    def request(self, number: int, pages: int, *, ec: bool = False, release_all: bool = False) -> PageRequest:
        return PageRequest(self.session, PageRequestEvent(number, pages, ec, release_all))

    @property
    def vports(self) -> tuple[VportInfo, ...]:
        own = self.driver.view().mode
        spf = own is Mode.VHCA_ID
        return tuple(
            VportInfo(f.vport, f.type, f.function_id, f.ec, f.vhca_id if f.type is T.SPF else None)
            for f in self.specs
            if f.type is not T.SPF or spf
        )

    def names(self) -> list[str]:
        return [f.name for f in self.findings]

    def agree(self) -> None:
        """Both sides name the same pages for each function, none of them is free, and the counters say as many."""
        mine, theirs = self.driver.held(), self.firmware.holds()
        assert mine is not None
        assert mine.keys() == theirs.keys(), (mine.keys(), theirs.keys())
        for who, pages in mine.items():
            assert np.array_equal(np.sort(pages), np.sort(theirs[who])), who
        self.safe()
        assert self.driver.view().counters["total"] == sum(p.size for p in theirs.values())

    def safe(self) -> None:
        for pages in self.firmware.holds().values():
            assert not self.driver.is_free(pages).any()

    def counts(self) -> dict[str, int]:
        return {k: n for k, n in self.driver.view().counters.items() if n}


def held(run: DriverRun) -> Sequence[int]:
    """All pages that firmware holds, as numbers."""
    return sorted(int(a) for pages in run.firmware.holds().values() for a in pages)
