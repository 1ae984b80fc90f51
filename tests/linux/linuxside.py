"""Linux's allocator, and a firmware of ours under it. What the rest of a driver does, this does in its place."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fwpages.device import Completed, Effect, Firmware, Input, Raised, ResetFunction, Submitted, Want
from fwpages.pages.space import Addresses
from fwpages.prm.capability import GENERAL, read_general
from fwpages.prm.event import EventType, PageRequestEvent, encode_page_request
from fwpages.prm.identity import FunctionType, Identity, Mode, func_id, named, vhca_id
from fwpages.prm.message import Answer, Command, decode_command, encode_answer, encode_command
from fwpages.prm.opcodes import CAP_CURRENT, ManagePages, Opcode
from fwpages.prm.status import Status
from tests.linux.devices import Machine
from tests.linux.peer import LIBRARY, TYPES, Peer, tracked
from tests.linux.peer import device as oracle_of

MODE_BIT = "icm_mng_function_id_mode"
ARENA = 1 << 15

#: a page command as both sides are compared by it: op_mod (that of a query is negative), count; by its function
Said = tuple[int, int]
#: stands between Linux and its firmware; None lets a command pass
Hook = Callable[[Command], int | Answer | None]


class Refusing(Firmware):
    """A firmware that can be reply to refuse the n-th GIVE or TAKE that comes."""

    refuse: tuple[ManagePages, int, Status] | None = None

    def feed(self, now: float, x: Input) -> list[Effect]:
        if self.refuse is not None and isinstance(x, Submitted) and x.command.opcode == Opcode.MANAGE_PAGES:
            kind, left, status = self.refuse
            if x.command.op_mod == kind:
                self.refuse = (kind, left - 1, status) if left else None
                if not left:
                    return [Completed(x.id, Answer(x.command.opcode, status))]
        return super().feed(now, x)


def firmware(m: Machine) -> Refusing:
    """A firmware of this machine."""
    return Refusing(m.profile, m.functions, offer_vhca_id=m.mode is Mode.VHCA_ID)


def said(c: Command, mode: Mode) -> tuple[Identity, Said]:
    """The function that a page command is about, and what it says; the ec bit counts in both modes."""
    who = named(mode, c["function_id"], c["embedded_cpu_function"])
    if mode is Mode.VHCA_ID and c["embedded_cpu_function"]:
        who = func_id(c["function_id"], ec=True)
    if c.opcode == Opcode.QUERY_PAGES:
        return who, (-c.op_mod, 0)
    return who, (c.op_mod, c["input_num_entries"])


@dataclass(frozen=True)
class Look:
    """One side's own state; pages out by function and by type, and the three counters."""

    by_function: dict[Identity, int]
    by_type: dict[FunctionType, int]
    alloc_failed: int
    give_dropped: int
    reclaim_discard: int


class Linux:
    """One device under Linux. Each method leaves it at rest."""

    def __init__(
        self,
        peer: Peer,
        m: Machine,
        device: Callable[[Machine], Refusing] = firmware,
        *,
        arena: int = ARENA,
        library: str = LIBRARY,
    ) -> None:
        self.machine = m
        self.firmware = device(m)
        self.oracle = oracle_of(peer, arena, library)
        self.said: list[tuple[Identity, Said]] = []
        self.raw: list[tuple[bytes, Command]] = []
        self.hook: Hook | None = None
        self.mode = Mode.FUNC_ID
        self.enabled: list[str] = []
        self._peer = peer
        self._error: BaseException | None = None
        self._id = 0
        self._eqn = 0
        self._before = self._counters()
        p = m.profile
        self.oracle.on_cmd(self._command)
        self.oracle.set_ecpf(int(p.ecpf))
        self.oracle.set_vhca_id(p.vhca_id)
        self.oracle.set_vfs(p.max_vfs, p.max_ec_vfs)
        self.oracle.set_eswitch(1)

    # -- between Linux and its firmware -------------------------------------------------------------------------------

    def _command(self, raw: bytes, out: Sequence[int]) -> int:
        try:
            return self._carry(raw, out)
        except BaseException as e:  # it would be lost in C
            self._error = e
            return -5

    def _carry(self, raw: bytes, out: Sequence[int]) -> int:
        c = decode_command(raw)
        assert encode_command(c) == raw, raw.hex()
        self.said.append(said(c, self.mode))
        self.raw.append((raw, c))
        reply = self.hook(c) if self.hook is not None else None
        if isinstance(reply, int):
            return reply
        if reply is None:
            reply = self.execute(c, len(out))
        buffer = encode_answer(reply)[: len(out)]
        ctypes.memmove(ctypes.addressof(out), buffer, len(buffer))  # type: ignore[arg-type]
        return 0

    def execute(self, c: Command, room: int | None = None) -> Answer:
        """The firmware's answer; its page requests go into Linux as the bytes of an event queue's entry."""
        self._id += 1
        answer = Answer(c.opcode)
        for e in self.firmware.feed(0.0, Submitted(self._id, c, c.reply_length if room is None else room)):
            if isinstance(e, Completed):
                answer = e.answer
            elif isinstance(e, Raised):
                self.deliver(e.event)
        return answer

    def deliver(self, event: PageRequestEvent) -> None:
        """A page request, as 64 bytes."""
        self.oracle.deliver_eqe(encode_page_request(event))

    def tell(self, opcode: Opcode, op_mod: int = 0, data: bytes = b"", **fields: int) -> Answer:
        """A command that another part of a driver sends."""
        answer = self.execute(Command(opcode, op_mod, fields, data=data))
        assert answer.ok, answer
        return answer

    def drain(self) -> None:
        """Carry out what was asked for."""
        self.oracle.run_work(-1)
        self.sound()

    def sound(self) -> None:
        """Raises what went wrong in a callback."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    # -- a session -----------------------------------------------------------------------------------------------------

    def open(self) -> bool:
        """From ENABLE_HCA to the event queue for page requests; False where it fails, and is undone."""
        self.mode, self._before = Mode.FUNC_ID, self._counters()
        ec, offered = int(self.machine.profile.ecpf), int(self.machine.mode is Mode.VHCA_ID)
        self.tell(Opcode.ENABLE_HCA, embedded_cpu_function=ec)
        self.oracle.set_icm_mode(0, offered)
        if self.startup_pages(boot=True):
            self.tell(Opcode.DISABLE_HCA, embedded_cpu_function=ec)
            return False
        self.set_caps()
        if self.startup_pages(boot=False):
            self._reclaim()
            self.tell(Opcode.DISABLE_HCA, embedded_cpu_function=ec)
            return False
        self.tell(Opcode.INIT_HCA)
        self.listen()
        return True

    def startup_pages(self, *, boot: bool) -> int:
        """Linux's own boot or init pages."""
        result = self.oracle.satisfy_startup_pages(int(boot))
        self.sound()
        return result

    def set_caps(self) -> None:
        """The capabilities that Linux switches on of those offered."""
        page = self.tell(Opcode.QUERY_HCA_CAP, CAP_CURRENT).data
        most = read_general(self.tell(Opcode.QUERY_HCA_CAP).data)
        want = {"release_all_pages": most["release_all_pages"], "cmdif_checksum": 0, MODE_BIT: most[MODE_BIT]}
        self.tell(Opcode.SET_HCA_CAP, data=GENERAL.patch(page, want))
        if most[MODE_BIT]:
            self.mode = Mode.VHCA_ID
            self.oracle.set_icm_mode(1, 1)

    def listen(self) -> None:
        """The event queue for page requests, and whatever comes on it."""
        self.oracle.start()
        uar = self.tell(Opcode.ALLOC_UAR)["uar"]
        queue = Command(
            Opcode.CREATE_EQ,
            fields={"uar_page": uar, "event_bitmask_0": 1 << EventType.PAGE_REQUEST},
            pas=np.array([1 << 40], np.uint64),
        )
        answer = self.execute(queue)
        assert answer.ok, answer
        self._eqn = answer["eq_number"]
        self.drain()

    def close(self) -> None:
        """Functions away, the event queue away, TEARDOWN_HCA, pages back, DISABLE_HCA."""
        for name in sorted(self.enabled, key=lambda n: self.machine.spec(n).vport, reverse=True):
            self.disable(name)
        self.deafen()
        self.tell(Opcode.TEARDOWN_HCA)
        self._reclaim()
        self.tell(Opcode.DISABLE_HCA, embedded_cpu_function=int(self.machine.profile.ecpf))

    def deafen(self) -> None:
        """No more page requests."""
        self.tell(Opcode.DESTROY_EQ, eq_number=self._eqn)
        self.oracle.stop()
        self.sound()

    def _reclaim(self) -> None:
        assert self.oracle.reclaim_startup_pages() == 0
        self.sound()

    # -- the e-switch -------------------------------------------------------------------------------------------------

    def learn(self, name: str, *, known: bool = True) -> None:
        """The e-switch learns, or forgets, what the function's vhca_id is."""
        f = self.machine.spec(name)
        if self.mode is Mode.VHCA_ID:
            self.oracle.set_vhca_type(f.vhca_id, TYPES.index(f.type) if known else -1)

    def enable(self, name: str) -> None:
        self.learn(name)
        self._switch(name, Opcode.ENABLE_HCA, Opcode.ALLOC_SF)
        self.enabled.append(name)
        self.drain()

    def disable(self, name: str) -> None:
        self._switch(name, Opcode.DISABLE_HCA, Opcode.DEALLOC_SF)
        self.enabled.remove(name)
        self.drain()
        self.learn(name, known=False)

    def _switch(self, name: str, pci: Opcode, sf: Opcode) -> None:
        f = self.machine.spec(name)
        if f.type is FunctionType.SF:
            self.tell(sf, function_id=f.function_id)
        elif f.type is FunctionType.SPF:
            self.tell(pci, function_id=f.vhca_id, function_id_type=1)
        else:
            self.tell(pci, function_id=f.function_id, embedded_cpu_function=int(f.ec))

    # -- inside the device --------------------------------------------------------------------------------------------

    def stir(self, *changes: Want | ResetFunction) -> None:
        """Something happens inside the device, all of it before Linux gets to work."""
        for x in changes:
            for e in self.firmware.feed(0.0, x):
                assert isinstance(e, Raised)
                self.deliver(e.event)
        self.drain()

    # -- looking ------------------------------------------------------------------------------------------------------

    def _counters(self) -> tuple[int, int, int]:
        return _three(self.oracle.counters())

    def pages(self) -> dict[Identity, Addresses]:
        """The pages that Linux tracks, by function, each array ascending."""
        rows = tracked(self._peer, self.oracle)
        return {self.identity(int(key)): np.sort(rows["addr"][rows["root"] == key]) for key in np.unique(rows["root"])}

    def untyped(self, name: str) -> int:
        """This function's pages that Linux counts for no type."""
        rows = tracked(self._peer, self.oracle)
        mine = rows["function"] == self.machine.spec(name).vhca_id
        return int(np.count_nonzero(mine & (rows["type"] == len(TYPES) - 1))) if self.mode is Mode.VHCA_ID else 0

    def identity(self, key: int) -> Identity:
        """The function that a root of Linux's trees is for."""
        return vhca_id(key) if self.mode is Mode.VHCA_ID else func_id(key & 0xFFFF, ec=bool(key >> 16))

    def agree(self) -> dict[Identity, Addresses]:
        """Linux tracks exactly the pages that its firmware holds: these."""
        mine, theirs = self.pages(), self.firmware.holds()
        assert mine.keys() == theirs.keys(), f"Linux tracks pages of {[*mine]}, its firmware holds some for {[*theirs]}"
        for who, pages in mine.items():
            assert np.array_equal(pages, np.sort(theirs[who])), f"Linux and its firmware differ on the pages of {who}"
        return mine

    def look(self) -> Look:
        """Linux's counters; what it counts for no type is unknown. Linux and its firmware must agree."""
        c = self.oracle.counters()
        by_type = dict(zip(TYPES, c["page_counters"], strict=False))
        by_type[FunctionType.UNKNOWN] = c["fw_pages"] - sum(by_type.values())
        failed, dropped, discard = (a - b for a, b in zip(_three(c), self._before, strict=True))
        by_function = {who: int(pages.size) for who, pages in self.agree().items()}
        return Look(by_function, {k: n for k, n in by_type.items() if n}, failed, dropped, discard)

    def page_commands(self) -> list[tuple[Identity, Said]]:
        """The page commands since the last time."""
        out, self.said = self.said, []
        return out


def _three(c: dict[str, Any]) -> tuple[int, int, int]:
    return c["alloc_failed"], c["give_dropped"], c["reclaim_discard"]
