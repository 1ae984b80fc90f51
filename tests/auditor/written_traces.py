"""Short traces written line by line: a session with whatever went wrong in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fwpages.prm.capability import general
from fwpages.prm.event import EventType, PageRequestEvent, encode_page_request
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command, encode_answer, encode_command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages

OWN_VHCA = 0x2A


def pages(first: int, n: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """``n`` page addresses from page number ``first`` on."""
    return (np.arange(first, first + n, dtype=np.uint64)) << np.uint64(12)


class WrittenTrace:
    """A trace of version 1 being written; commands are answered OK unless a status is given."""

    def __init__(self, supplier: Supplier | None = None, *, ecpf: bool = False) -> None:
        self.lines: list[dict[str, Any]] = []
        self.t = 0.0
        self.id = 0
        self.session = 1
        self.ec = int(ecpf)
        self.release_all = True
        head: dict[str, Any] = {"kind": "header", "format": "fwpages-trace", "version": 1, "device": "dut"}
        if supplier is not None:
            head["supplier"] = {
                "ecpf": supplier.ecpf,
                "max_vfs": supplier.max_vfs,
                "max_ec_vfs": supplier.max_ec_vfs,
            }
        self.lines.append(head)

    def _put(self, kind: str, **rest: Any) -> None:
        self.t += 0.001
        self.lines.append({"t": round(self.t, 6), "kind": kind, "session": self.session, **rest})

    def submit(self, c: Command, slot: int = 0) -> int:
        self.id += 1
        self._put("submit", id=self.id, slot=slot, **{"in": encode_command(c).hex()}, reply=c.reply_length)
        return self.id

    def complete(self, id_: int, a: Answer) -> None:
        self._put("complete", id=id_, out=encode_answer(a).hex())

    def cmd(self, c: Command, a: Answer | None = None, slot: int = 0) -> None:
        self.complete(self.submit(c, slot), a or Answer(c.opcode))

    def plain(self, opcode: Opcode, status: int = 0, op_mod: int = 0, **fields: int) -> None:
        self.cmd(Command(opcode, op_mod, fields), Answer(opcode, status))

    def event(self, number: int, n: int, *, ec: bool = False, release_all: bool = False) -> None:
        self._put("event", eqn=3, eqe=encode_page_request(PageRequestEvent(number, n, ec, release_all)).hex())

    def link(self, what: str, detail: str = "", **rest: Any) -> None:
        self._put("link", what=what, detail=detail, **rest)

    # -- a session

    def enable(self) -> WrittenTrace:
        self.plain(Opcode.ENABLE_HCA, embedded_cpu_function=self.ec)
        return self

    def query(self, op_mod: QueryPages, n: int, number: int = 0, answered: int | None = None) -> None:
        c = Command(Opcode.QUERY_PAGES, op_mod, {"function_id": number, "embedded_cpu_function": self.ec})
        fields = {"function_id": number if answered is None else answered, "num_pages": n}
        self.cmd(c, Answer(Opcode.QUERY_PAGES, fields=fields))

    def give_command(self, number: int, pas: Any, *, count: int | None = None, ec: int = 0) -> Command:
        n = len(pas) if count is None else count
        fields = {"function_id": number, "embedded_cpu_function": ec, "input_num_entries": n}
        return Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields, pas)

    def give(self, number: int, pas: Any, status: int = 0, **rest: Any) -> None:
        self.cmd(self.give_command(number, pas, **rest), Answer(Opcode.MANAGE_PAGES, status), slot=31)

    def take_command(self, number: int, asked: int, ec: int = 0) -> Command:
        fields = {"function_id": number, "embedded_cpu_function": ec, "input_num_entries": asked}
        return Command(Opcode.MANAGE_PAGES, ManagePages.TAKE, fields)

    def took(self, pas: Any, count: int | None = None) -> Answer:
        n = len(pas) if count is None else count
        return Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": n}, pas=pas)

    def take(self, number: int, pas: Any, *, asked: int | None = None, count: int | None = None, ec: int = 0) -> None:
        wanted = len(pas) if asked is None else asked
        self.cmd(self.take_command(number, wanted, ec), self.took(pas, count), slot=31)

    def caps(self, values: Mapping[str, int], *, current: bool = True, **fields: int) -> None:
        c = Command(Opcode.QUERY_HCA_CAP, int(current), fields)
        self.cmd(c, Answer(Opcode.QUERY_HCA_CAP, data=general(values)))

    def negotiate(self, *, vhca: bool = True, back: bool | None = None, status: int = 0) -> None:
        self.caps({"vhca_id": OWN_VHCA})
        values = {
            "vhca_id": OWN_VHCA,
            "release_all_pages": int(self.release_all),
            "icm_mng_function_id_mode": int(vhca),
        }
        self.cmd(Command(Opcode.SET_HCA_CAP, data=general(values)), Answer(Opcode.SET_HCA_CAP, status))
        self.caps({**values, "icm_mng_function_id_mode": int(vhca if back is None else back)})

    def opened(self, *, vhca: bool = True, init: int = 20) -> WrittenTrace:
        """Boot 10 pages from 0x100, init 20 from 0x200; returns itself."""
        self.enable()
        self.query(QueryPages.BOOT, 10)
        self.give(0, pages(0x100, 10), ec=self.ec)
        self.negotiate(vhca=vhca)
        own = OWN_VHCA if vhca else 0
        ec, self.ec = self.ec, 0 if vhca else self.ec
        self.query(QueryPages.INIT, init, own)
        self.give(own, pages(0x200, init), ec=self.ec)
        self.ec = ec
        self.create_eq()
        return self

    def create_eq(self) -> None:
        """The event queue for page requests."""
        c = Command(Opcode.CREATE_EQ, fields={"event_bitmask_0": 1 << EventType.PAGE_REQUEST}, pas=pages(0x90, 1))
        self.cmd(c, Answer(Opcode.CREATE_EQ, fields={"eq_number": 3}))

    def closed(self, back: Sequence[Any] = (), *, own: int = OWN_VHCA, status: int = 0) -> WrittenTrace:
        """Teardown, TAKEs for the own function, DISABLE_HCA."""
        self.plain(Opcode.TEARDOWN_HCA)
        for pas in back or [np.concatenate([pages(0x100, 10), pages(0x200, 20)])]:
            self.take(own, pas, asked=768)
        self.plain(Opcode.DISABLE_HCA, status, embedded_cpu_function=self.ec)
        return self
