from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fwpages.device import Completed, Firmware, FunctionSpec, Offence, Phase, Profile, Raised, Submitted
from fwpages.device.firmware.io import Input
from fwpages.prm.capability import general, read_general
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, Mode, func_id
from fwpages.prm.message import Answer, Command, PageArray
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.status import Status

BASE = 0x1_0000_0000


class Driver:
    """A driver by hand: sends commands, remembers events and which pages it gave to which function."""

    def __init__(self, profile: Profile, functions: Sequence[FunctionSpec] = ()) -> None:
        self.profile = profile
        self.specs = functions
        self.fw = Firmware(profile, functions)
        self.raised_on: set[int] = set()
        self.events: list[PageRequestEvent] = []
        self.offences: list[Offence] = []
        self.given: dict[Identity, set[int]] = {}
        self.own = func_id(0, ec=profile.ecpf)
        self.eqns: list[int] = []
        self.uar = 0
        self._fresh = BASE
        self._id = 0

    def feed(self, x: Input) -> Answer | None:
        answer = None
        for effect in self.fw.feed(0.0, x):
            match effect:
                case Completed():
                    answer = effect.answer
                case Raised():
                    self.raised_on.add(effect.eqn)
                    self.events.append(effect.event)
                case Offence():
                    self.offences.append(effect)
                case _:
                    pass
        self.fw.check()
        return answer

    def send(self, c: Command, reply_length: int | None = None) -> Answer:
        self._id += 1
        answer = self.feed(Submitted(self._id, c, c.reply_length if reply_length is None else reply_length))
        assert answer is not None
        assert answer.opcode == c.opcode
        return answer

    def ok(self, opcode: int, op_mod: int = 0, data: bytes = b"", /, **fields: int) -> Answer:
        answer = self.send(Command(opcode, op_mod, fields, data=data))
        assert answer.ok, (str(answer), self.offences[-1:])
        return answer

    def in_phase(self, phase: Phase) -> bool:
        return self.fw.phase is phase

    def in_mode(self, mode: Mode) -> bool:
        return self.fw.mode is mode

    def refused(self, name: str, status: Status, c: Command, reply_length: int | None = None) -> Offence:
        """The command is answered with this status and offence, and changes nothing."""
        before, events = self.fw.key(), len(self.events)
        answer = self.send(c, reply_length)
        assert (self.offences[-1].name, answer.status) == (name, status)
        assert self.fw.key() == before
        assert len(self.events) == events
        assert self.fw.offences[-1] == self.offences[-1]
        return self.offences.pop()

    def pages(self, n: int) -> PageArray:
        out = self._fresh + np.arange(n, dtype=np.uint64) * np.uint64(4096)
        self._fresh += n * 4096
        return out

    def give_command(self, who: Identity, n: int) -> Command:
        return Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, {**who.fields, "input_num_entries": n}, self.pages(n))

    def give(self, who: Identity, n: int) -> None:
        c = self.give_command(who, n)
        answer = self.send(c)
        assert answer.ok, (str(answer), self.offences[-1:])
        self.given.setdefault(who, set()).update(c.pas.tolist())

    def take_command(self, who: Identity, n: int) -> Command:
        return Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, {**who.fields, "input_num_entries": n})

    def take(self, who: Identity, n: int) -> int:
        answer = self.send(self.take_command(who, n))
        assert answer.ok
        assert answer["output_num_entries"] == answer.pas.size <= n
        pages = set(answer.pas.tolist())
        assert len(pages) == answer.pas.size
        assert pages <= self.given.get(who, set())
        self.given.get(who, set()).difference_update(pages)
        return len(pages)

    def agree(self) -> None:
        """Driver and firmware name the same pages for each function."""
        mine = {who: pages for who, pages in self.given.items() if pages}
        assert {who: set(a.tolist()) for who, a in self.fw.holds().items()} == mine

    def query(self, kind: QueryPages, who: Identity | None = None) -> int:
        who = self.own if who is None else who
        answer = self.ok(Opcode.QUERY_PAGES, kind, **who.fields)
        assert {k: answer[k] for k in who.fields} == who.fields
        return answer["num_pages"]

    def caps(self, *, current: bool, **fields: int) -> dict[str, int]:
        return read_general(self.ok(Opcode.QUERY_HCA_CAP, int(current), **fields).data)

    def enable(self) -> None:
        self.ok(Opcode.ENABLE_HCA, **self.own.fields)

    def boot(self) -> None:
        self.enable()
        assert self.ok(Opcode.QUERY_ISSI)["supported_issi_dw0"] == 2
        self.ok(Opcode.SET_ISSI, current_issi=1)
        self.give(self.own, self.query(QueryPages.BOOT))
        self.ok(Opcode.ACCESS_REG, 0, bytes(16), register_id=0x7004)

    def negotiate(self, *, by_vhca_id: bool = True, release_all: bool = True) -> None:
        values, most = self.caps(current=True), self.caps(current=False)
        values["release_all_pages"] = int(release_all and most["release_all_pages"])
        values["icm_mng_function_id_mode"] = int(by_vhca_id and most["icm_mng_function_id_mode"])
        self.ok(Opcode.SET_HCA_CAP, 0, general(values))
        if values["icm_mng_function_id_mode"]:
            was, self.own = self.own, Identity(Mode.VHCA_ID, most["vhca_id"])
            self.given[self.own] = self.given.pop(was)
        assert self.fw.mode is self.own.mode

    def initialise(self) -> None:
        self.give(self.own, self.query(QueryPages.INIT))
        self.ok(Opcode.INIT_HCA)
        self.ok(Opcode.SET_DRIVER_VERSION, 0, bytes(64))
        assert len(self.ok(Opcode.QUERY_ADAPTER).data) == 256

    def listen(self) -> None:
        self.uar = self.ok(Opcode.ALLOC_UAR)["uar"]
        self.eqns = [self.create_eq(mask) for mask in (1 << 0x0A, 0x1F02BE, 1 << 0x0B)]

    def eq_command(self, mask: int, pages: int = 4) -> Command:
        fields = {"log_eq_size": 8, "uar_page": self.uar, "event_bitmask_0": mask}
        return Command(Opcode.CREATE_EQ, 0, fields, self.pages(pages))

    def create_eq(self, mask: int) -> int:
        return self.send(self.eq_command(mask))["eq_number"]

    def open(self, *, by_vhca_id: bool = True, release_all: bool = True) -> Driver:
        self.boot()
        self.negotiate(by_vhca_id=by_vhca_id, release_all=release_all)
        self.initialise()
        self.listen()
        return self

    def close(self, batch: int = 768) -> None:
        for eqn in reversed(self.eqns):
            self.ok(Opcode.DESTROY_EQ, eq_number=eqn)
        self.ok(Opcode.DEALLOC_UAR, uar=self.uar)
        assert self.ok(Opcode.TEARDOWN_HCA)["state"] == 0
        for who in list(self.given):
            while self.take(who, batch):
                pass
        self.agree()
        self.ok(Opcode.DISABLE_HCA, **self.fw_own_fields)

    @property
    def fw_own_fields(self) -> dict[str, int]:
        return {"embedded_cpu_function": int(self.profile.ecpf), "function_id": 0}

    def last(self) -> PageRequestEvent:
        return self.events[-1]


VF = FunctionSpec("vf1", FunctionType.VF, 1, 1, ec=False, vhca_id=0x31, pages=5)
VF2 = FunctionSpec("vf2", FunctionType.VF, 2, 2, ec=False, vhca_id=0x32, pages=7)
SF = FunctionSpec("sf", FunctionType.SF, 0x100, 0x100, ec=False, vhca_id=0x40, pages=3)
SPF = FunctionSpec("spf", FunctionType.SPF, 0x200, 0, ec=False, vhca_id=0x50, pages=4)


@pytest.fixture(scope="session")
def driver_class() -> type[Driver]:
    return Driver


@pytest.fixture(scope="session")
def small() -> Profile:
    """Few pages, everything offered: a firmware that can be looked through."""
    caps = {"release_all_pages": 1, "icm_mng_function_id_mode": 1, "force_teardown": 1, "log_uar_page_sz": 16}
    return Profile(
        name="small",
        description="for tests",
        boot_pages=3,
        init_pages=10,
        vhca_id=0x2A,
        max_vfs=4,
        max=caps,
        current={"force_teardown": 1},
    )


@pytest.fixture(scope="session")
def specs() -> list[FunctionSpec]:
    """Two VFs, an SF and an SPF."""
    return [VF, VF2, SF, SPF]


@pytest.fixture
def driver(small: Profile, specs: list[FunctionSpec]) -> Driver:
    """A driver of a small device with these functions; not opened."""
    return Driver(small, specs)


@pytest.fixture(params=[False, True], ids=["func_id", "vhca_id"])
def opened(driver: Driver, request: pytest.FixtureRequest) -> Driver:
    """The same driver at work, in either mode."""
    return driver.open(by_vhca_id=request.param)
