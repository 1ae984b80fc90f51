"""Deliberate slips in our host: each is put in place by a function that gets pytest's monkeypatch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from msgspec import structs

from fwpages.custody.ledger import Ledger
from fwpages.custody.records import Record, Records
from fwpages.host import Host, page_answers, vports
from fwpages.host import page_path as pagepath
from fwpages.host.page_queue import Origin
from fwpages.host.state import HostState
from fwpages.pages.space import Indices
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode

Patch = pytest.MonkeyPatch


def _sent(patch: Patch, change: Callable[[Host, Command], dict[str, int]], *kinds: ManagePages) -> None:
    """Fields of MANAGE_PAGES commands of these kinds are changed before they are sent."""
    send = Host.send

    def wrong(self: Host, command: Command, slot: int) -> None:
        if command.opcode == Opcode.MANAGE_PAGES and command.op_mod in kinds:
            command = structs.replace(command, fields={**command.fields, **change(self, command)})
        send(self, command, slot)

    patch.setattr(Host, "send", wrong)


def take_from_another(patch: Patch) -> None:
    """TAKE names the supplier, whoever it is about."""
    _sent(patch, lambda h, _: h.session.own.fields, ManagePages.TAKE)


def give_to_another(patch: Patch) -> None:
    """GIVE names the next function."""
    _sent(patch, lambda _, c: {"function_id": (c["function_id"] + 1) & 0xFFFF}, ManagePages.GIVE)


def ec_bit_left_out(patch: Patch) -> None:
    """No page command has the ec bit."""
    _sent(patch, lambda *_: {"embedded_cpu_function": 0}, *ManagePages)


def ec_bit_in_vhca_mode(patch: Patch) -> None:
    """An embedded-CPU function's page commands have the ec bit in VHCA_ID mode too."""

    def bit(h: Host, c: Command) -> dict[str, int]:
        vhca = h.session.mode is Mode.VHCA_ID
        return {"embedded_cpu_function": int(h.config.supplier.ecpf) if vhca else c["embedded_cpu_function"]}

    _sent(patch, bit, *ManagePages)


def take_one_less(patch: Patch) -> None:
    """TAKE asks for a page less than firmware asked to have taken."""
    _sent(patch, lambda _, c: {"input_num_entries": c["input_num_entries"] - 1}, ManagePages.TAKE)


def cannot_give_names_the_supplier(patch: Patch) -> None:
    """CANT_GIVE names the supplier."""
    _sent(patch, lambda h, _: h.session.own.fields, ManagePages.CANT_GIVE)


def cannot_give_not_sent(patch: Patch) -> None:
    """Firmware gets no CANT_GIVE."""
    real = pagepath.cannot_give

    def silent(h: HostState, why: str) -> None:
        real(h, why)
        h.path.cannot.clear()

    patch.setattr(pagepath, "cannot_give", silent)


def type_never_learnt(patch: Patch) -> None:
    """The e-switch keeps to itself what a function is."""
    patch.setattr(vports, "publish", lambda h, vport, _: vports.maybe_enabled(h, vport))


def type_of_the_first(patch: Patch) -> None:
    """Every function that the e-switch announces becomes a VF."""
    real = Records.announce
    patch.setattr(Records, "announce", lambda self, who, _: real(self, who, FunctionType.VF))


def type_kept_when_disabled(patch: Patch) -> None:
    """A function that was disabled keeps its type for what it is given later."""
    patch.setattr(Records, "retire", lambda *_: None)


def vfs_up_to_max_vfs(patch: Patch) -> None:
    """In FUNC_ID mode an EC VF above max_vfs is taken for an SF."""
    real = Supplier.type_by_number
    patch.setattr(Supplier, "type_by_number", lambda self, who: real(replace(self, max_ec_vfs=0), who))


def host_pf_is_the_supplier(patch: Patch) -> None:
    """On an embedded CPU, function 0 without the ec bit is taken for the supplier."""
    by_number, announce = Supplier.type_by_number, Records.announce

    def taken_for(kind: FunctionType) -> FunctionType:
        return FunctionType.SELF if kind is FunctionType.HOST_PF else kind

    patch.setattr(Supplier, "type_by_number", lambda self, who: taken_for(by_number(self, who)))
    patch.setattr(Records, "announce", lambda self, who, kind: announce(self, who, taken_for(kind)))


def boot_pages_not_renamed(patch: Patch) -> None:
    """Boot pages stay under function 0 when the mode changes."""
    patch.setattr(Records, "rename", lambda *_: None)


def release_all_ignored(patch: Patch) -> None:
    """Firmware let go of a function's pages, and the host keeps them."""
    patch.setattr(pagepath, "release_all", lambda *_: None)


def release_all_of_another(patch: Patch) -> None:
    """Another function's pages are taken for released."""
    real = pagepath.release_all

    def wrong(h: HostState, who: Identity) -> None:
        others = [r.identity for r in h.records if r.outstanding and r.identity not in (who, h.session.own)]
        real(h, others[0] if others else who)

    patch.setattr(pagepath, "release_all", wrong)


def requests_out_of_order(patch: Patch) -> None:
    """A function's requests are served last come, first served."""
    real = pagepath.enqueue

    def front(h: HostState, who: Identity, pages: int, origin: Origin) -> None:
        real(h, who, pages, origin)
        queue = h.path.queues.get(who, ())
        if h.path.op is None or h.path.op.identity != who:
            h.path.queues[who] = (*queue[-1:], *queue[:-1])
        else:
            h.path.queues[who] = (*queue[:1], *queue[-1:], *queue[1:-1])

    patch.setattr(pagepath, "enqueue", front)


def request_back_ignored(patch: Patch) -> None:
    """Pages that firmware wants to have taken back stay where they are."""
    real = pagepath.page_request

    def ignore(h: HostState, event: PageRequestEvent) -> None:
        if event.num_pages >= 0:
            real(h, event)

    patch.setattr(pagepath, "page_request", ignore)


def take_not_credited(patch: Patch) -> None:
    """Pages that come back are not counted as returned."""
    real = Records.came_back
    patch.setattr(Records, "came_back", lambda self, row, how, n: real(self, row, how, 0 if how == "returned" else n))


def give_counted_twice(patch: Patch) -> None:
    """Pages that are given are counted twice."""
    real = Records.gave
    patch.setattr(Records, "gave", lambda self, row, n: real(self, row, 2 * n))


def refused_pages_kept(patch: Patch) -> None:
    """A refused GIVE counts as one that was accepted."""

    def accepted(self: Ledger, record: Record, index: Indices) -> Indices:
        self.accept(record, index)
        return index[:0]

    patch.setattr(Ledger, "refuse", accepted)


def close_asks_once(patch: Patch) -> None:
    """The close sends each function one TAKE, and is done with it."""
    patch.setattr(page_answers, "reclaimed", lambda h, who, *_, **__: _forget(h, who))


def _forget(h: HostState, who: Identity) -> None:
    h.session.stubborn = (*h.session.stubborn, who)
    h.session.reclaim = None


def failures_not_counted(patch: Patch) -> None:
    """fw_pages_alloc_failed stays 0."""
    real = pagepath.cannot_give

    def uncounted(h: HostState, why: str) -> None:
        before = h.session.alloc_failed
        real(h, why)
        h.session.alloc_failed = before

    patch.setattr(pagepath, "cannot_give", uncounted)


_ALL = (
    take_from_another,
    give_to_another,
    ec_bit_left_out,
    ec_bit_in_vhca_mode,
    take_one_less,
    cannot_give_names_the_supplier,
    cannot_give_not_sent,
    type_never_learnt,
    type_of_the_first,
    type_kept_when_disabled,
    vfs_up_to_max_vfs,
    host_pf_is_the_supplier,
    boot_pages_not_renamed,
    release_all_ignored,
    release_all_of_another,
    requests_out_of_order,
    request_back_ignored,
    take_not_credited,
    give_counted_twice,
    refused_pages_kept,
    close_asks_once,
    failures_not_counted,
)

SLIPS: Mapping[str, Callable[[Patch], None]] = {f.__name__: f for f in _ALL}
