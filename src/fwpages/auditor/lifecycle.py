"""The commands of start-up, close and e-switch: mode, names, types, the session's beginning and end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from fwpages.auditor import waits
from fwpages.auditor.evidence import Loss, Start
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.identities import back_to_function_ids, learn_own, switch_to_vhca_ids
from fwpages.auditor.losses import enabled
from fwpages.auditor.naming import Proof
from fwpages.auditor.requests import carries_page_requests, closing
from fwpages.auditor.requests import unanswered as unanswered_requests
from fwpages.auditor.session import AuditedSession, Close, Link, Negotiated, Pending
from fwpages.custody.findings import Cause
from fwpages.prm.capability import GENERAL, TEARDOWN_NEEDS
from fwpages.prm.esw_functions import other_functions
from fwpages.prm.identity import FunctionType, Identity, Mode, func_id, vhca_id
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, CapType, Opcode, Teardown
from fwpages.readers.observations import CommandCompleted, Holes, Place

#: the commands that are handled here
COMMANDS = frozenset(
    {
        Opcode.ENABLE_HCA,
        Opcode.DISABLE_HCA,
        Opcode.TEARDOWN_HCA,
        Opcode.SET_HCA_CAP,
        Opcode.QUERY_HCA_CAP,
        Opcode.ALLOC_SF,
        Opcode.DEALLOC_SF,
        Opcode.CREATE_ESW_VPORT,
        Opcode.QUERY_ESW_FUNCTIONS,
    }
)
#: those by which functions and the session come and go: what the device carried out is so, answered or not
COME_AND_GO = frozenset(
    {Opcode.ENABLE_HCA, Opcode.DISABLE_HCA, Opcode.TEARDOWN_HCA, Opcode.ALLOC_SF, Opcode.DEALLOC_SF}
)
#: those that event queues come and go by: not looked at in kernel logs, whose events came by some queue for certain
QUEUES = frozenset({Opcode.CREATE_EQ, Opcode.DESTROY_EQ})
#: the fields of a general capability page are all before this byte of a message
CAPS_READ = 16 + (GENERAL.by_name["sf_base_id"].end + 7) // 8


# -- commands that are sent, or not answered


def sent(s: AuditedSession, p: Pending) -> None:
    """A command goes to the device."""
    if p.opcode in (Opcode.DESTROY_EQ, Opcode.TEARDOWN_HCA):
        s.close = Close.UNDER_WAY
    elif s.close is Close.PERHAPS:
        s.close = Close.DISABLING  # the session goes on: the DISABLE_HCA was not its own
    if p.opcode == Opcode.TEARDOWN_HCA:
        closing(s, p.place)
    own = p.opcode == Opcode.DISABLE_HCA and p.command is not None and s.naming.is_own_hca(p.command)
    if own and s.close is Close.NOT_BEGUN:
        s.close = Close.DISABLING


def unanswered(s: AuditedSession, p: Pending) -> None:
    """It is not known whether the device carried it out: a function may be there now, or may be gone."""
    c = p.command
    if c is None:
        return
    if p.opcode == Opcode.ENABLE_HCA and not c["function_id_type"] and not s.naming.is_own_hca(c):
        s.naming.enable(s.naming.vport_name(c), None)
    elif p.opcode == Opcode.DISABLE_HCA and not s.naming.is_own_hca(c):
        s.naming.perhaps_gone(s.naming.vport_name(c))
    elif p.opcode == Opcode.DEALLOC_SF:
        s.naming.perhaps_gone(s.naming.sf_name(c["function_id"]))
    elif p.opcode == Opcode.SET_HCA_CAP:
        s.evidence.lose(Loss.MODE, "SET_HCA_CAP was not answered")
    elif p.opcode == Opcode.ALLOC_SF:
        s.naming.enable(s.naming.sf_name(c["function_id"]), FunctionType.SF)


def refused(s: AuditedSession, p: Pending) -> None:
    """The device refused it."""
    if p.opcode == Opcode.SET_HCA_CAP:
        # which mode the driver goes by, its next command shows
        s.evidence.lose(Loss.MODE, "SET_HCA_CAP was refused")
    own = p.opcode == Opcode.ENABLE_HCA and p.command is not None and s.naming.is_own_hca(p.command)
    if own and s.evidence.start is Start.SEEN:
        s.evidence.start = Start.REFUSED


def initialized(s: AuditedSession) -> None:
    """INIT_HCA was answered OK."""
    s.evidence.advance(Start.INITIALIZED)


# -- commands that were answered OK: functions that come and go


def answered(s: AuditedSession, p: Pending, c: Command, a: Answer, v: CommandCompleted) -> Found:
    """The device carried it out."""
    handler = _ANSWERED.get(p.opcode)
    if handler is not None:
        yield from handler(s, p, c, a, v)


def _enabled(s: AuditedSession, _p: Pending, c: Command, _a: Answer, _v: CommandCompleted) -> Found:
    number, ec, naming = c["function_id"], bool(c["embedded_cpu_function"]), s.naming
    if naming.is_own_hca(c):
        enabled(s)
    elif c["function_id_type"]:
        s.books.of(vhca_id(number)).fresh = True
        _retype(s, number, naming.enable_vhca(number))
    elif number == 0:
        _announce(s, func_id(0), FunctionType.HOST_PF)
    elif naming.enabled.get(naming.sf_name(number)) is not FunctionType.SF:
        # (else it was allocated, and begins to work.) On an ECPF, a number without the ec bit can be the vport of
        # another physical function
        plain = FunctionType.SPF if naming.further(number) else None if naming.ecpf else FunctionType.VF
        _announce(s, func_id(number, ec=ec), FunctionType.EC_VF if ec else plain)
    yield from ()


def _announce(s: AuditedSession, who: Identity, kind: FunctionType | None) -> None:
    s.naming.enable(who, kind)
    s.books.of(who).fresh = True
    if who in s.ledger.records.current and s.naming.mode is Mode.FUNC_ID:
        s.ledger.records.announce(who, s.naming.type_of(who))


def _disabled(s: AuditedSession, _p: Pending, c: Command, _a: Answer, v: CommandCompleted) -> Found:
    if s.naming.is_own_hca(c):
        # without a TEARDOWN_HCA before it, in a session not seen from its beginning, it may be an ECPF's host PF
        own = s.evidence.from_start or s.naming.ecpf is not None or s.close is Close.UNDER_WAY
        s.close = Close.DONE if own else Close.PERHAPS
        yield from unanswered_requests(s, v.place)
    else:
        _gone(s, s.naming.vport_name(c), v.place)


def _gone(s: AuditedSession, who: Identity, place: Place) -> None:
    """A function is disabled, under its FUNC_ID name or its vhca_id: its pages should come back."""
    naming = s.naming
    kind = naming.type_of_number(who)
    present = naming.gone_vhca(who.number) if who.mode is Mode.VHCA_ID else naming.gone(who)
    if present.mode is naming.mode:
        s.ledger.records.retire(present)
    if all(naming.type_of_number(other) is not kind for other in naming.enabled):
        waits.begin(s, kind, place)


def _sf_allocated(s: AuditedSession, _p: Pending, c: Command, _a: Answer, _v: CommandCompleted) -> Found:
    _announce(s, s.naming.sf_name(c["function_id"]), FunctionType.SF)
    yield from ()


def _sf_gone(s: AuditedSession, _p: Pending, c: Command, _a: Answer, v: CommandCompleted) -> Found:
    _gone(s, s.naming.sf_name(c["function_id"]), v.place)
    yield from ()


def _vport_created(s: AuditedSession, _p: Pending, c: Command, a: Answer, _v: CommandCompleted) -> Found:
    s.naming.create(a["vport_num"], c["managed_vhca_id"])
    _retype(s, c["managed_vhca_id"], FunctionType.SPF)
    yield from ()


def _host_told(s: AuditedSession, _p: Pending, c: Command, a: Answer, v: CommandCompleted) -> Found:
    if v.holes or not s.naming.ecpf:
        return
    try:
        told = other_functions(c.op_mod, a["net_function_num"], a.data)
    except LayoutError:
        return  # a recording keeps the first bytes alone
    s.naming.host_vfs = told.total_vfs
    # no command disables these: from here on another function may have the vhca_id
    for who in s.naming.of_host_above(told.vfs):
        s.ledger.records.retire(s.naming.gone(who))
    yield from ()


def _queue_created(s: AuditedSession, _p: Pending, c: Command, a: Answer, _v: CommandCompleted) -> Found:
    s.queues[a["eq_number"]] = by_this = carries_page_requests(c)
    if by_this:
        s.evidence.advance(Start.WORKING)
    yield from ()


def _queue_destroyed(s: AuditedSession, _p: Pending, c: Command, _a: Answer, _v: CommandCompleted) -> Found:
    s.queues.pop(c["eq_number"], None)
    yield from ()


def _torn_down(s: AuditedSession, p: Pending, c: Command, a: Answer, v: CommandCompleted) -> Found:
    if a["state"]:
        asked, offered = c["profile"], s.teardowns
        alien = offered is not None and asked in TEARDOWN_NEEDS and asked not in offered
        cause = Cause.TEARDOWN_NOT_OFFERED if alien else Cause.TEARDOWN_STATE
        yield Finding(cause, v.place, detail=f"{p}, profile {asked}: state 1, not done")
        return
    s.link |= Link.TORN
    if c["profile"] in (Teardown.FORCE, Teardown.PREPARE_FAST):
        s.link |= Link.FORCED


# -- capabilities


def _caps_set(s: AuditedSession, _p: Pending, c: Command, _a: Answer, _v: CommandCompleted) -> Found:
    if c.op_mod >> 1 == CapType.GENERAL and not c["other_function"]:
        caps = GENERAL.unpack(c.data) if len(c.data) >= GENERAL.least else {}
        vhca_mode = bool(caps.get("icm_mng_function_id_mode"))
        s.teardowns = _teardowns(caps)
        s.negotiated = Negotiated(vhca_mode, bool(caps.get("release_all_pages")))
        s.naming.show_mode()
        if vhca_mode:
            switch_to_vhca_ids(s)
    yield from ()


def _teardowns(caps: Mapping[str, int]) -> frozenset[int]:
    return frozenset(profile for profile, name in TEARDOWN_NEEDS.items() if caps.get(name))


def _caps_read(s: AuditedSession, p: Pending, c: Command, a: Answer, v: CommandCompleted) -> Found:
    if c.op_mod >> 1 != CapType.GENERAL or len(a.data) < GENERAL.least or holed(v.holes, 16, CAPS_READ):
        return
    caps, naming = GENERAL.unpack(a.data), s.naming
    if c["other_function"]:
        yield from _other_caps(s, c, caps["vhca_id"], v.place)
        return
    if naming.vhca not in (None, caps["vhca_id"]):
        detail = f"{p} says vhca_id {caps['vhca_id']:#x}, the function has said {naming.vhca:#x}"
        yield Finding(Cause.CAPABILITY_DISAGREEMENT, v.place, s.books.of(naming.own), detail=detail)
        if naming.mode is Mode.FUNC_ID:
            naming.vhca = None  # no command has used it: the host goes by what the device says last
    learn_own(s, caps["vhca_id"])
    if not c.op_mod & CAP_CURRENT:
        return
    naming.sf_base = caps["sf_base_id"] if caps["sf"] else 0
    s.teardowns = _teardowns(caps)
    naming.show_mode()
    yield from _compare_release_all(s, p, v.place, now=bool(caps["release_all_pages"]))
    yield from _compare_mode(s, p, v.place, now=bool(caps["icm_mng_function_id_mode"]))


def _compare_release_all(s: AuditedSession, p: Pending, place: Place, *, now: bool) -> Found:
    """The device's last word is believed: release_all frees pages only where it was set and is in force."""
    if s.negotiated is not None and s.negotiated.release_all is not now:
        detail = f"SET_HCA_CAP set release_all_pages to {int(not now)}, {p} says {int(now)}"
        yield Finding(Cause.CAPABILITY_DISAGREEMENT, place, s.books.of(s.naming.own), detail=detail)
        s.negotiated = replace(s.negotiated, release_all=now)


def _compare_mode(s: AuditedSession, p: Pending, place: Place, *, now: bool) -> Found:
    """The mode read back is compared with the one that was set; where that was not seen, it was negotiated before."""
    negotiated = s.negotiated
    if negotiated is None:
        if now and not s.evidence.judges_pages and s.naming.mode is Mode.FUNC_ID:
            switch_to_vhca_ids(s)
    elif now is not negotiated.vhca_mode:
        detail = f"SET_HCA_CAP set icm_mng_function_id_mode to {int(not now)}, {p} says {int(now)}"
        yield Finding(Cause.MODE_DISAGREEMENT, place, s.books.of(s.naming.own), detail=detail)
        if not now and s.naming.proof is not Proof.USED and s.naming.vhca is not None:
            back_to_function_ids(s, replace(negotiated, vhca_mode=False))


def _other_caps(s: AuditedSession, c: Command, vhca: int, place: Place) -> Found:
    """The capabilities of another function hold its vhca_id; its number shows its type."""
    naming = s.naming
    if c["function_id_type"]:
        kind = naming.remember(c["function_id"])
        if kind is not FunctionType.UNKNOWN:
            _retype(s, c["function_id"], kind)
        return
    who = naming.function_asked(c["function_id"], ec_vf=bool(c["ec_vf_function"]))
    # a command that disabled the other one may be among the lines that are missing
    user = None if s.evidence.incomplete else naming.user_of(vhca, who)
    if user is not None:
        detail = f"{who} is said to have {vhca_id(vhca)}, which {user} has"
        yield Finding(Cause.VHCA_ID_TWICE, place, s.books.of(vhca_id(vhca)), detail=detail)
        return
    kind = naming.learn(who, vhca)
    if who in s.books.rows and s.books.rows[who].fresh:
        s.books.of(vhca_id(vhca)).fresh = True
    _retype(s, vhca, kind)


def _retype(s: AuditedSession, vhca: int, kind: FunctionType) -> None:
    """The record of this vhca_id, where it has one, moves to its type with all that it counted."""
    records = s.ledger.records
    number = records.current.get(vhca_id(vhca))
    if number is not None:
        records.retype(records.rows[number], kind)


def holed(holes: Holes, start: int, end: int) -> bool:
    """Some of these bytes are unknown."""
    return any(a < end and start < b for a, b in holes)


_Handler: TypeAlias = Callable[[AuditedSession, Pending, Command, Answer, CommandCompleted], Found]
_ANSWERED: Mapping[int, _Handler] = MappingProxyType(
    {
        Opcode.ENABLE_HCA: _enabled,
        Opcode.DISABLE_HCA: _disabled,
        Opcode.TEARDOWN_HCA: _torn_down,
        Opcode.SET_HCA_CAP: _caps_set,
        Opcode.QUERY_HCA_CAP: _caps_read,
        Opcode.ALLOC_SF: _sf_allocated,
        Opcode.DEALLOC_SF: _sf_gone,
        Opcode.CREATE_ESW_VPORT: _vport_created,
        Opcode.QUERY_ESW_FUNCTIONS: _host_told,
        Opcode.CREATE_EQ: _queue_created,
        Opcode.DESTROY_EQ: _queue_destroyed,
    }
)
