"""QUERY_PAGES and MANAGE_PAGES of a session: custody, and what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fwpages.auditor.counts import CUT
from fwpages.auditor.ledger import Offer
from fwpages.auditor.misnamed import Misnamed
from fwpages.custody.findings import Blame, Cause, FindingName, refused
from fwpages.pages.space import Addresses
from fwpages.pages.words import many
from fwpages.prm.identity import Identity, Mode, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.prm.status import status_words
from fwpages.readers.observations import CommandCompleted, Holes, Place

if TYPE_CHECKING:
    from fwpages.auditor.session import AuditedSession, Pending

#: names whose judgement waits for the session's end
MAX_DOUBTS = 256

_PAS_FROM = 16
_MISMATCH = {Blame.HOST: Cause.IDENTITY_MISMATCH, Blame.DEVICE: Cause.IDENTITY_MISMATCH_DEVICE}


class PageCommands:
    """The page side of one session."""

    def __init__(self, session: AuditedSession) -> None:
        self.s = session
        #: functions that were enabled within what was seen: nothing was given to them before
        self.fresh: set[Identity] = set()
        #: a page command has named a function by vhca_id
        self.named_by_vhca = False
        #: pages that came back though they were given before the input begins
        self.before: dict[Identity, int] = {}
        #: what the last TAKE of a function brought: pages, or None where it was refused or not answered
        self.last_take: dict[Identity, int | None] = {}
        #: single pages that looked wrong while lines were missing
        self.unjudged = 0
        #: pages that an earlier session left behind, never fenced
        self.leftovers: Addresses = np.zeros(0, np.uint64)
        #: GIVEs answered OK that no one-line message has confirmed yet
        self.unconfirmed: list[tuple[int, int]] = []
        self.mode_unknown = False
        #: names that the device itself has used: a host that repeats one makes no mistake of its own
        self.named_by_device: set[tuple[int, bool]] = set()
        self._doubts: list[tuple[Place, Blame, int]] = []
        self.misnamed = Misnamed(session.custody)
        self._boot_next = False

    # -- QUERY_PAGES

    def asked(self, p: Pending, c: Command) -> None:
        """QUERY_PAGES goes to the device: always about the function itself."""
        s, number, ec = self.s, c["function_id"], bool(c["embedded_cpu_function"])
        if c.op_mod == QueryPages.BOOT and not s.commands:
            s.began = True
        # where the negotiation itself was not seen, the name tells the mode
        unseen = self.mode_unknown or not s.began or s.holey
        if unseen and number and s.naming.mode is Mode.FUNC_ID:
            s.life.switch()
        if s.naming.mode is Mode.VHCA_ID:
            if s.naming.vhca is None:
                s.life.learn_own(number)
            if number != s.naming.vhca or ec:
                self._mismatch(p, number, ec, f"the own vhca_id is {s.naming.vhca:#x}")
            return
        if ec:
            s.naming.ecpf = True
        if number:
            self._mismatch(p, number, ec, "the function itself is 0 in FUNC_ID mode")

    def _mismatch(self, p: Pending, number: int, ec: bool, why: str) -> None:
        p.faulty = True
        detail = f"{p} names {_name(number, ec)} in {self.s.naming.mode.value} mode: {why}"
        self.s.fault(Cause.IDENTITY_MISMATCH, p.place, self.s.naming.name(number, ec), detail=detail)

    def told(self, p: Pending, c: Command, a: Answer, place: Place) -> None:
        """The device says how many pages it wants, and under which name."""
        s, number = self.s, a["function_id"]
        unset = s.life.set_mode is None and s.naming.mode is Mode.FUNC_ID
        if unset and c.op_mod == QueryPages.INIT and number and number == c["function_id"] == s.naming.vhca:
            # both sides go by vhca_ids, whatever was negotiated: that it was not so is said already
            s.life.switch()
        who = s.naming.name(number, c["embedded_cpu_function"])
        wrong = number != c["function_id"] and not p.faulty
        detail = f"{p} asked about {c['function_id']:#x}, the answer is about {number:#x}"
        if c.op_mod not in (QueryPages.BOOT, QueryPages.INIT):
            if wrong and (s.naming.mode is Mode.VHCA_ID or number in (s.naming.vhca, 0)):
                s.fault(Cause.IDENTITY_MISMATCH_DEVICE, place, who, detail=detail)
            return
        self._boot_next = s.naming.mode is Mode.FUNC_ID and s.naming.boot is None
        if self._boot_next:
            s.naming.boot = who
        if wrong:
            s.fault(Cause.STARTUP_IDENTITY, place, who, a["num_pages"], detail)
        s.requests.told(p, who, a["num_pages"], place)

    # -- MANAGE_PAGES

    def submitted(self, p: Pending, c: Command, holes: Holes) -> None:
        """MANAGE_PAGES goes to the device."""
        s, number, ec = self.s, c["function_id"], bool(c["embedded_cpu_function"])
        p.asked = c["input_num_entries"]
        if c.op_mod == ManagePages.GIVE and self._boot_next and s.naming.mode is Mode.FUNC_ID:
            s.naming.boot, self._boot_next = func_id(number, ec=ec), False
        if s.naming.mode is Mode.VHCA_ID:
            self.named_by_vhca = True
        who = p.who = s.naming.name(number, ec)
        if c.op_mod in (ManagePages.GIVE, ManagePages.TAKE):
            p.meant = s.requests.meant(p, who)
        if p.meant is not None:
            p.faulty = True
            detail = f"{p} of {many(p.asked)} names {who}: firmware wants that of {p.meant}, and nothing of {who}"
            s.fault(Cause.IDENTITY_MISMATCH, p.place, who, p.asked, detail)
        elif self.check_name(number, ec, p.place, Blame.HOST):
            p.faulty = True
        if c.op_mod == ManagePages.GIVE:
            self._give(p, c, who, holes)
        elif c.op_mod == ManagePages.TAKE:
            s.complaints.took(who)
        elif c.op_mod == ManagePages.CANT_GIVE:
            s.requests.cannot_give(p, who)
        else:
            p.faulty = True
            s.fault(Cause.COMMAND_MALFORMED, p.place, who, detail=f"MANAGE_PAGES with op_mod {c.op_mod:#x}")

    def _give(self, p: Pending, c: Command, who: Identity, holes: Holes) -> None:
        s, n, pas = self.s, p.asked, c.pas
        if s.log and pas.size == n + 1 and not pas[n]:
            # a data dump fills its last line up with zeros
            pas = pas[:n]
        if pas.size != n and not holes:
            p.faulty = True
            s.fault(Cause.COUNT_MISMATCH, p.place, who, n, f"{p}: count {n}, {pas.size} addresses")
        pas = pas[:n]
        known = _known(pas.size, holes)
        if not known.all() or (holes and pas.size < n):
            pas = pas[known]
            self._incomplete(p, who, "a GIVE's addresses are not all in the log", cut=p.cut)
        if s.lossy:
            waiting = [q.offer.index for q in s.pending.values() if q.offer is not None]
            s.custody.evict(pas, np.concatenate(waiting) if waiting else np.zeros(0, np.int64))
        offer = s.custody.offer(who, s.naming.type_of(who), pas)
        if offer is None:
            s.lose(who, "its addresses are too scattered to be followed")
            return
        p.offer = offer
        if p.meant is not None:
            self.misnamed.given(p.meant, offer.index)
        self._judge_offer(p, who, offer)

    def _judge_offer(self, p: Pending, who: Identity, offer: Offer) -> None:
        s = self.s
        if offer.bad.size and s.log and s.holey:
            # parts of two dumps, taken for one
            self.unjudged += int(offer.bad.size)
            s.lose(who, "a GIVE's addresses are not all in the log")
        elif offer.bad.size:
            p.faulty = True
            detail = f"{p}: {offer.bad.size} addresses, the first {int(offer.bad[0]):#x}"
            s.fault(Cause.BAD_ADDRESS, p.place, who, int(offer.bad.size), detail)
        if offer.twice.size and s.lossy:
            self.unjudged += int(offer.twice.size)
        elif offer.twice.size:
            p.faulty = True
            first = int(offer.twice[0])
            detail = (
                f"{p}: {many(offer.twice.size)}, the first {first:#x}, already with {s.custody.owners_of(offer.twice)}"
            )
            s.fault(Cause.GIVEN_TWICE, p.place, who, int(offer.twice.size), detail)
            self.misnamed.given_twice(who, s.custody.space.index(offer.twice))
        if self.leftovers.size:
            pas = s.custody.space.address(offer.index)
            again = pas[np.isin(pas, self.leftovers)]
            if again.size:
                detail = (
                    f"{p}: {many(again.size)}, the first {int(again[0]):#x}, left with firmware by an earlier session"
                )
                s.fault(Cause.GIVEN_TWICE, p.place, who, int(again.size), detail)
                self.leftovers = np.setdiff1d(self.leftovers, again)

    def _incomplete(self, p: Pending, who: Identity, why: str, *, cut: bool) -> None:
        s = self.s
        if cut:
            s.unsure.setdefault(who, CUT)
            return
        if not s.faults.has(FindingName.LOG_LINES_LOST, who) and not s.faults.has(FindingName.LOG_TRUNCATED):
            s.fault(Cause.LOG_LINES_LOST, p.place, who, detail=f"{p}: {why}")
        s.lose(who, why)

    def answered(self, p: Pending, a: Answer, v: CommandCompleted, *, late: bool) -> None:
        """MANAGE_PAGES was answered."""
        if p.who is None:
            return
        if p.op_mod == ManagePages.GIVE:
            self._gave(p, p.who, a, v.place)
        elif p.op_mod == ManagePages.TAKE:
            self._took(p, p.who, a, v)
            if p.doubted is not None and late and not p.crossed:
                self.s.custody.settle(p.doubted)
        elif not a.ok:
            self._refused(p, a, v.place)

    def _refused(self, p: Pending, a: Answer, place: Place) -> None:
        detail = f"{p}: {status_words(a.status)}, syndrome {a.syndrome:#x}"
        self.s.fault(refused(p.opcode, p.op_mod, valid=not p.faulty), place, p.who, p.asked or None, detail)

    def _gave(self, p: Pending, who: Identity, a: Answer, place: Place) -> None:
        s, offer = self.s, p.offer
        if not a.ok:
            s.give_dropped += p.asked
            s.requests.dropped(who, p.asked)
            self._refused(p, a, place)
            if offer is not None:
                s.custody.withdraw(offer) if p.doubted is not None else s.custody.refuse(offer)
            return
        if s.log:
            self.unconfirmed = [*self.unconfirmed[-63:], (who.number, p.asked)]
            s.numbers.give(who, p.asked)
        if offer is None:
            return
        if p.crossed:
            if p.doubted is not None:
                return  # that nobody knows has been said
            s.custody.doubt(offer)
            if not s.lossy:
                # neither side did wrong: the two crossed on the way
                n = int(offer.index.size)
                detail = f"{p} of {many(n)} was out when release_all came: firmware may or may not have them"
                s.fault(Cause.GIVE_CROSSED_RELEASE, place, who, n, detail)
        elif p.doubted is not None:
            s.custody.settle(p.doubted)
        else:
            s.custody.accept(offer)

    def _took(self, p: Pending, who: Identity, a: Answer, v: CommandCompleted) -> None:
        s = self.s
        if not a.ok:
            s.reclaim_discard += p.asked
            self.last_take[who] = None
            self._refused(p, a, v.place)
            s.requests.served(p, who, p.asked, 0, v.place)
            return
        n, pas = a["output_num_entries"], a.pas
        if not v.holes:
            # what was set aside for the answer and not written is zero, and 0 is no page
            pas = pas[: int(np.flatnonzero(pas[:n]).max(initial=-1)) + 1]
        if n > p.asked or (n > pas.size and not v.holes):
            detail = f"{p} of {many(p.asked)} answered with a count of {n} and {pas.size} addresses"
            s.fault(Cause.COUNT_OVER_ASKED, v.place, who, n, detail)
        pas = pas[: min(n, p.asked)]
        if s.log:
            s.numbers.back(who, min(n, p.asked))
        known = _known(pas.size, v.holes)
        if not known.all() or (v.holes and pas.size < min(n, p.asked)):
            pas = pas[known]
            self._incomplete(p, who, "the addresses that a TAKE returned are not all in the log", cut=v.cut)
        self.last_take[who] = int(pas.size)
        returned = s.custody.check_return(who, pas)
        if returned.unknown.size and self._doubt_waiting(who):
            returned = s.custody.check_return(who, pas)
        returned, excused = self.misnamed.excuse(p, who, returned)
        reasons = (
            (Cause.RETURNED_FOREIGN, "of another function", returned.foreign),
            (
                Cause.RETURNED_TWICE,
                "that it does not have (they came back before, stand there twice, or their GIVE was refused)",
                returned.twice,
            ),
            (Cause.RETURNED_NEVER_GIVEN, "that nobody gave", returned.unknown),
        )
        for cause, words, pages in reasons:
            # a release_all has freed what a TAKE under way names: firmware says the same thing twice
            if pages.size and not (cause is Cause.RETURNED_TWICE and p.crossed):
                self._judge_return(cause, words, pages, p, who, v.place)
        s.requests.served(p, who, n, s.custody.take(returned) + excused, v.place)

    def _judge_return(
        self, cause: Cause, words: str, pages: Addresses, p: Pending, who: Identity, place: Place
    ) -> None:
        s, n = self.s, int(pages.size)
        if s.lossy:
            self.unjudged += n
        elif cause is Cause.RETURNED_NEVER_GIVEN and not s.began:
            # of a life before this one, where it was enabled within what was seen
            self.before[who] = self.before.get(who, 0) + n
            self.fresh.discard(who)
        else:
            owners = f", given to {s.custody.owners_of(pages)}" if cause is Cause.RETURNED_FOREIGN else ""
            detail = f"{p} named {many(n)} {words}, the first {int(pages[0]):#x}{owners}"
            s.fault(cause, place, who, n, detail)

    def _doubt_waiting(self, who: Identity) -> bool:
        """A GIVE without an answer may have been carried out: firmware returns pages that it named."""
        waiting = [q for q in self.s.pending.values() if q.who == who and q.offer is not None and q.doubted is None]
        for q in waiting:
            if q.offer is not None:
                self.s.custody.doubt(q.offer)
                q.doubted = q.offer.index
        return bool(waiting)

    def rename(self, old: Identity, new: Identity) -> None:
        """A function is called otherwise from now on."""
        for table in (self.before, self.last_take):
            if old in table:
                table[new] = table.pop(old)  # type: ignore[assignment]

    def unknown_outcome(self, p: Pending, why: str) -> None:
        """The answer to a command is not in the log."""
        s = self.s
        if p.opcode == Opcode.MANAGE_PAGES and p.who is not None:
            s.lose(p.who, why)
            if p.offer is not None and p.doubted is None:
                s.custody.accept(p.offer)
        elif p.opcode == Opcode.SET_HCA_CAP:
            self.mode_unknown = True
        elif p.opcode in (Opcode.ENABLE_HCA, Opcode.DISABLE_HCA) and p.command is not None and s.life.is_own(p.command):
            s.enabled, s.closed = True, p.opcode == Opcode.DISABLE_HCA

    # -- names

    def check_name(self, number: int, ec: bool, place: Place, blame: Blame) -> bool:
        """Whether this name is one of the mode that holds. What later commands can still explain waits for the end."""
        naming = self.s.naming
        if blame is Blame.HOST and (number, ec) in self.named_by_device:
            return False
        if naming.mode is Mode.VHCA_ID:
            if ec:
                detail = f"{_name(number, ec)} in VHCA_ID mode, which has no ec bit"
                self.s.fault(_MISMATCH[blame], place, vhca_id(number), detail=detail)
                return True
            suspect = number == 0 and naming.vhca not in (None, 0)
        elif ec and naming.ecpf is False:
            detail = f"{_name(number, ec)} on a supplier that is no embedded CPU's function"
            self.s.fault(_MISMATCH[blame], place, func_id(number, ec=True), detail=detail)
            return True
        else:
            suspect = number != 0 and number == naming.vhca and not ec
        if suspect and len(self._doubts) < MAX_DOUBTS:
            self._doubts.append((place, blame, number))
        return False

    def suspicious(self, number: int, ec: bool, place: Place) -> bool:
        """A name that the device used is wrong, or may be: what it asks under it binds nobody."""
        doubts = len(self._doubts)
        return self.check_name(number, ec, place, Blame.DEVICE) or len(self._doubts) > doubts

    def settle_names(self) -> None:
        """The session is over: names that nothing explained are of the wrong mode."""
        s = self.s
        for place, blame, number in self._doubts:
            if s.lossy or self._explained(number):
                continue
            other = "func_id" if number == 0 else "vhca_id"
            who = s.naming.name(number, ec=False)
            detail = f"{number:#x} is the function's {other}, the session is in {s.naming.mode.value} mode"
            s.fault(_MISMATCH[blame], place, who, detail=detail)

    def _explained(self, number: int) -> bool:
        naming = self.s.naming
        if number == 0:
            return naming.mode is not Mode.VHCA_ID or naming.knows(0)
        if naming.mode is not Mode.FUNC_ID or func_id(number) in naming.met:
            return True
        supplier = naming.supplier
        return supplier is not None and number <= max(supplier.max_vfs, supplier.max_ec_vfs)


def _name(number: int, ec: bool) -> str:
    return f"{number:#x}{' with the ec bit' if ec else ''}"


def _known(n: int, holes: Holes) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of ``n`` addresses lie outside the holes of a message."""
    known = np.ones(n, np.bool_)
    for a, b in holes:
        known[max(0, (a - _PAS_FROM) // 8) : max(0, -(-(b - _PAS_FROM) // 8))] = False
    return known
