"""What the commands of start-up, close and e-switch tell: mode, names, types, the session's beginning and end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fwpages.custody.findings import Cause
from fwpages.prm.capability import GENERAL
from fwpages.prm.event import EventType
from fwpages.prm.identity import FunctionType, Identity, Mode, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, CapType, Opcode, Teardown
from fwpages.readers.observations import CommandCompleted, Holes, Place

if TYPE_CHECKING:
    from fwpages.auditor.session import AuditedSession, Pending

#: the commands that are handled here; the fields of a general capability page are all before this byte of a message
COMMANDS = frozenset(
    {
        Opcode.ENABLE_HCA,
        Opcode.DISABLE_HCA,
        Opcode.TEARDOWN_HCA,
        Opcode.SET_HCA_CAP,
        Opcode.QUERY_HCA_CAP,
        Opcode.ALLOC_SF,
        Opcode.DEALLOC_SF,
    }
)
#: those that event queues come and go by: not looked at in kernel logs, whose events came by some queue for certain
QUEUES = frozenset({Opcode.CREATE_EQ, Opcode.DESTROY_EQ})
_CLOSING = frozenset({Opcode.DESTROY_EQ, Opcode.TEARDOWN_HCA})
CAPS_READ = 16 + (GENERAL.by_name["sf_base_id"].end + 7) // 8


class Lifecycle:
    """The answers that are OK, and what they change."""

    def __init__(self, session: AuditedSession) -> None:
        self.s = session
        #: what the session's own SET_HCA_CAP set; None before
        self.set_mode: bool | None = None
        self.set_release_all: bool | None = None
        #: event queues by number, and whether page requests come by them
        self.queues: dict[int, bool] = {}
        #: the close has begun; and not merely by the DISABLE_HCA that ends it
        self.closing = self.ending = False

    @property
    def listening(self) -> bool:
        """A page request has a queue to come by, or may have one already."""
        under_way = (*self.s.pending.values(), *self.s.overdue.values())
        asked = (p.command for p in under_way if p.opcode == Opcode.CREATE_EQ)
        return any(self.queues.values()) or any(c is None or _for_pages(c) for c in asked)

    def submitted(self, p: Pending) -> None:
        """A command goes to the device."""
        own = p.opcode == Opcode.DISABLE_HCA and p.command is not None and self.is_own(p.command)
        self.ending = self.ending or p.opcode in _CLOSING
        if self.ending or own:
            self.closing = True
        if p.opcode == Opcode.TEARDOWN_HCA:
            self.s.requests.no_more()

    def unanswered(self, p: Pending) -> None:
        """Nobody knows whether the device did it: a function may be there now, and a queue still."""
        c = p.command
        if c is None:
            return
        if p.opcode == Opcode.ENABLE_HCA and not c["function_id_type"] and not self.is_own(c):
            self.s.naming.enable(func_id(c["function_id"], ec=bool(c["embedded_cpu_function"])), None)
        elif p.opcode == Opcode.SET_HCA_CAP:
            self.s.pages.mode_unknown = True
        elif p.opcode == Opcode.ALLOC_SF:
            self.s.naming.enable(self.s.naming.sf_name(c["function_id"]), FunctionType.SF)

    def answered(self, p: Pending, c: Command, a: Answer, v: CommandCompleted) -> None:
        """The device did it."""
        match p.opcode:
            case Opcode.ENABLE_HCA:
                self._enabled(c)
            case Opcode.DISABLE_HCA:
                self._disabled(c, v.place)
            case Opcode.TEARDOWN_HCA:
                self._teardown(p, c, a, v.place)
            case Opcode.SET_HCA_CAP:
                self._set_cap(c)
            case Opcode.QUERY_HCA_CAP:
                self._queried_cap(p, c, a, v)
            case Opcode.ALLOC_SF:
                self._announce(self.s.naming.sf_name(c["function_id"]), FunctionType.SF)
            case Opcode.DEALLOC_SF:
                self._gone(self.s.naming.sf_name(c["function_id"]), v.place)
            case Opcode.CREATE_EQ:
                self.queues[a["eq_number"]] = _for_pages(c)
            case Opcode.DESTROY_EQ:
                self.queues.pop(c["eq_number"], None)

    # -- functions that come and go

    def is_own(self, c: Command) -> bool:
        """ENABLE_HCA or DISABLE_HCA of the function itself."""
        return self.s.naming.is_own_hca(c["function_id"], c["embedded_cpu_function"], c["function_id_type"])

    def _enabled(self, c: Command) -> None:
        number, ec = c["function_id"], bool(c["embedded_cpu_function"])
        if self.is_own(c):
            self.s.enabled = True
        elif c["function_id_type"]:
            self.s.pages.fresh.add(vhca_id(number))
            self._typed(number, self.s.naming.enable_vhca(number))
        elif number == 0:
            self._announce(func_id(0), FunctionType.HOST_PF)
        else:
            # on an ECPF, a number without the ec bit can be another physical function's vport
            plain = None if self.s.naming.ecpf else FunctionType.VF
            sf = self.s.naming.sf_name(number)
            if self.s.naming.enabled.get(sf) is FunctionType.SF:
                return  # it was allocated, and begins to work
            self._announce(func_id(number, ec=ec), FunctionType.EC_VF if ec else plain)

    def _announce(self, who: Identity, kind: FunctionType | None) -> None:
        s = self.s
        s.naming.enable(who, kind)
        s.pages.fresh.add(who)
        if who in s.custody.records.current and s.naming.mode is Mode.FUNC_ID:
            s.custody.records.announce(who, s.naming.type_of(who))

    def _disabled(self, c: Command, place: Place) -> None:
        if self.is_own(c):
            # without a TEARDOWN_HCA before it, what was not seen from the beginning may be an ECPF's host PF
            self.s.closed = self.s.began or self.s.naming.ecpf is not None or self.ending
            self.s.maybe_closed = not self.s.closed
            return
        number, ec = c["function_id"], bool(c["embedded_cpu_function"])
        self._gone(vhca_id(number) if c["function_id_type"] else func_id(number, ec=ec), place)

    def _gone(self, who: Identity, place: Place) -> None:
        """A function is disabled, under its FUNC_ID name or its vhca_id: its pages should come back."""
        naming = self.s.naming
        kind = naming.type_of_number(who)
        self._retire(naming.gone_vhca(who.number) if who.mode is Mode.VHCA_ID else naming.gone(who))
        if all(naming.type_of_number(other) is not kind for other in naming.enabled):
            self.s.waits.begin(kind, place)

    def _retire(self, who: Identity) -> None:
        if who.mode is self.s.naming.mode:
            self.s.custody.records.retire(who)

    def _teardown(self, p: Pending, c: Command, a: Answer, place: Place) -> None:
        if a["state"]:
            self.s.fault(Cause.TEARDOWN_STATE, place, detail=f"{p}: state 1, not done")
        elif c["profile"] in (Teardown.FORCE, Teardown.PREPARE_FAST):
            self.s.fences.forced = True

    # -- modes and names

    def _set_cap(self, c: Command) -> None:
        if c.op_mod >> 1 != CapType.GENERAL or c["other_function"]:
            return
        caps = GENERAL.unpack(c.data) if len(c.data) >= GENERAL.least else {}
        self.set_mode = bool(caps.get("icm_mng_function_id_mode"))
        self.s.naming.told = True
        self.set_release_all = bool(caps.get("release_all_pages"))
        if self.set_mode:
            self.switch()

    def switch(self) -> None:
        """VHCA_ID mode from here on: what was given at boot is now the own vhca_id's."""
        self.s.naming.mode, self.s.naming.told = Mode.VHCA_ID, True
        if self.set_mode is None and not self.s.began:
            self._always_so()
        self._rename()

    def _always_so(self) -> None:
        """The mode was negotiated before the input begins: every number seen so far is a vhca_id."""
        s = self.s
        for old in [*s.custody.records.current, *s.tally.lines]:
            if old.mode is Mode.FUNC_ID and not old.ec:
                # 0 was the function itself, before the mode was set
                own = s.naming.vhca if old.number == 0 else None
                new = vhca_id(old.number if own is None else own)
                self._call(old, new, s.naming.type_of(new))

    def _rename(self) -> None:
        """Once mode and own vhca_id are known, the boot record gets its name of this mode."""
        s = self.s
        if s.naming.mode is not Mode.VHCA_ID or s.naming.vhca is None:
            return
        old = s.naming.boot or func_id(0, ec=bool(s.naming.ecpf))
        self._call(old, vhca_id(s.naming.vhca), FunctionType.SELF)

    def _call(self, old: Identity, new: Identity, kind: FunctionType) -> None:
        """A function is called otherwise from now on, wherever it is remembered."""
        s = self.s
        s.custody.records.rename(old, new, kind)
        s.tally.rename(old, new)
        s.numbers.rename(old, new)
        s.faults.rename(old, new)
        if old in s.unsure:
            s.unsure[new] = s.unsure.pop(old)
        s.pages.rename(old, new)
        s.requests.rename(old, new)
        for p in [*s.pending.values(), *s.overdue.values()]:
            p.who = new if p.who == old else p.who

    def learn_own(self, vhca: int) -> None:
        """The own vhca_id is known."""
        s = self.s
        if s.naming.vhca is None:
            s.naming.vhca = vhca
            self._rename()

    def _queried_cap(self, p: Pending, c: Command, a: Answer, v: CommandCompleted) -> None:
        if c.op_mod >> 1 != CapType.GENERAL or len(a.data) < GENERAL.least or holed(v.holes, 16, CAPS_READ):
            return
        s, caps = self.s, GENERAL.unpack(a.data)
        if c["other_function"]:
            self._other_caps(c, caps["vhca_id"], v.place)
            return
        if s.naming.vhca not in (None, caps["vhca_id"]):
            detail = f"{p} says vhca_id {caps['vhca_id']:#x}, the function has said {s.naming.vhca:#x}"
            s.fault(Cause.CAPABILITY_DISAGREEMENT, v.place, s.naming.own, detail=detail)
            if s.naming.mode is Mode.FUNC_ID:
                s.naming.vhca = None  # nobody has used it: what the device says last is what the host goes by
        self.learn_own(caps["vhca_id"])
        if not c.op_mod & CAP_CURRENT:
            return
        s.naming.sf, s.naming.sf_base, s.naming.told = bool(caps["sf"]), caps["sf_base_id"], True
        self._compare_release_all(p, v.place, now=bool(caps["release_all_pages"]))
        now = bool(caps["icm_mng_function_id_mode"])
        if self.set_mode is None:
            # the negotiation was not seen: what holds now is what was negotiated
            if now and (not s.began or s.lossy) and s.naming.mode is Mode.FUNC_ID:
                self.switch()
        elif now is not self.set_mode:
            self._contradicted(p, v.place, now=now)

    def _compare_release_all(self, p: Pending, place: Place, *, now: bool) -> None:
        """What the device says now is believed: release_all frees pages only where it was set and is."""
        s = self.s
        if self.set_release_all is not None and self.set_release_all is not now:
            detail = f"SET_HCA_CAP set release_all_pages to {int(not now)}, {p} says {int(now)}"
            s.fault(Cause.CAPABILITY_DISAGREEMENT, place, s.naming.own, detail=detail)
            self.set_release_all = now

    def _contradicted(self, p: Pending, place: Place, *, now: bool) -> None:
        """The current capability is not what SET_HCA_CAP set and the device accepted."""
        s = self.s
        detail = f"SET_HCA_CAP set icm_mng_function_id_mode to {int(not now)}, {p} says {int(now)}"
        s.fault(Cause.MODE_DISAGREEMENT, place, s.naming.own, detail=detail)
        if not now and not s.pages.named_by_vhca and s.naming.vhca is not None:
            # nobody has used the mode yet: the session goes on in FUNC_ID mode
            self.set_mode = False
            s.naming.mode = Mode.FUNC_ID
            self._call(vhca_id(s.naming.vhca), s.naming.own, FunctionType.SELF)

    def _other_caps(self, c: Command, vhca: int, place: Place) -> None:
        """The capabilities of another function tell its vhca_id, and its number its type."""
        if c["function_id_type"]:
            return
        s, number = self.s, c["function_id"]
        sf = s.naming.sf_name(number)
        who = sf if s.naming.enabled.get(sf) is FunctionType.SF else func_id(number, ec=bool(c["ec_vf_function"]))
        if (user := s.naming.user_of(vhca, who)) is not None:
            detail = f"{who} is said to have {vhca_id(vhca)}, which {user} has"
            s.fault(Cause.VHCA_ID_TWICE, place, vhca_id(vhca), detail=detail)
            return
        kind = s.naming.learn(who, vhca)
        if who in s.pages.fresh:
            s.pages.fresh.add(vhca_id(vhca))
        self._typed(vhca, kind)

    def _typed(self, vhca: int, kind: FunctionType) -> None:
        """The record of this vhca_id, where it has one, moves to its type with all that it counted."""
        records = self.s.custody.records
        number = records.current.get(vhca_id(vhca))
        if number is not None:
            records.retype(records.rows[number], kind)


def _for_pages(c: Command) -> bool:
    """CREATE_EQ for a queue that page requests come by."""
    return bool(c["event_bitmask_0"] >> EventType.PAGE_REQUEST & 1)


def holed(holes: Holes, start: int, end: int) -> bool:
    """Some of these bytes are unknown."""
    return any(a < end and start < b for a, b in holes)
