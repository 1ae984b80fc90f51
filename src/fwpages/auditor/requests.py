"""What firmware asks for, by event or when it is queried: pages to give, to take back, or let go of at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fwpages.auditor.waits import BOUNDS
from fwpages.custody.findings import Cause, FindingName
from fwpages.pages.words import many
from fwpages.prm.identity import Identity, Mode, func_id, vhca_id
from fwpages.prm.opcodes import ManagePages
from fwpages.readers.observations import PagesRequested, Place

if TYPE_CHECKING:
    from fwpages.auditor.session import AuditedSession, Pending

#: requests to take pages back that are remembered for each function
MAX_OWED = 256


class Requests:
    """The requests of one session."""

    def __init__(self, session: AuditedSession) -> None:
        self.s = session
        #: releases that an event line told, and how many pages they were about, for the driver's line to confirm
        self.released: dict[Identity, int] = {}
        #: functions whose last request was absurd: that nothing is given for it is no fault of the host's
        self._absurd: set[Identity] = set()
        #: what firmware wants taken back and has not got rid of, request by request
        self._owed: dict[Identity, list[int]] = {}
        #: functions of which more was asked than is remembered, or less came back than was asked
        self._muddled: set[Identity] = set()
        #: what it wants given and no GIVE has answered
        self._wanted: dict[Identity, list[int]] = {}

    # -- by event

    def happened(self, v: PagesRequested) -> None:
        """A page request."""
        s, r = self.s, v.request
        s.last, s.used = v.place, True
        if s.closed:
            detail = f"a page request of {many(r.num_pages)} came after the close"
            s.fault(Cause.STALE_PAGE_REQUEST, v.place, detail=detail)
            return
        if s.fences.asked is not None:
            return  # whatever it says, the reset makes it void
        if s.began and not s.log and not s.lossy and not s.life.listening:
            if s.numbered or not s.faults.has(FindingName.REQUEST_WITHOUT_EQ):
                detail = (
                    f"a page request for function {r.number:#x}, {many(r.num_pages)}: no event queue could carry it"
                )
                s.fault(Cause.REQUEST_WITHOUT_EQ, v.place, detail=detail)
            if s.numbered:
                return  # our own hosts do not follow it; others took notice of it, or it would not be here
        s.pages.named_by_device.add((r.number, r.ec))
        odd = s.pages.suspicious(r.number, r.ec, v.place)
        who = s.naming.name(r.number, r.ec) if v.ec_known else self._by_number(r.number)
        if who is None:
            return
        if not r.release_all:
            # a line without the ec bit names nobody for certain on an ECPF, nor does a name that is none of this mode
            sure = v.ec_known or who.mode is Mode.VHCA_ID or s.naming.ecpf is False
            if sure and not odd:
                self._asked(who, r.num_pages, v.place)
        elif self._may_release(who, v.place) or s.log:
            self.released[who] = self.release(who)

    def _asked(self, who: Identity, pages: int, place: Place) -> None:
        if pages > BOUNDS.memory:
            self._absurd.add(who)
            detail = f"firmware asks for {many(pages)}, more than the {BOUNDS.memory} that are lent in all"
            self.s.fault(Cause.ABSURD_REQUEST, place, who, pages, detail)
        elif pages < 0:
            self._back(who, -pages, "a page request", place)
        else:
            self._want(who, pages)

    def _want(self, who: Identity, pages: int) -> None:
        wanted = self._wanted.setdefault(who, [])
        if len(wanted) >= MAX_OWED:
            self._muddled.add(who)
        elif pages:
            wanted.append(pages)

    def dropped(self, who: Identity, pages: int) -> None:
        """A GIVE was refused: it may be tried again."""
        self._want(who, pages)

    def meant(self, p: Pending, who: Identity) -> Identity | None:
        """Whom a GIVE or TAKE is for that names ``who``, of whom firmware wants nothing: the only other function of
        which it wants just so many. None where it may be ``who``.
        """
        s = self.s
        give = p.op_mod == ManagePages.GIVE
        asked = self._wanted if give else self._owed
        mine = asked.get(who)
        if mine:
            if give:
                _consume(mine, p.asked)
            return None
        if who in self._muddled:
            return None
        others = [other for other, counts in asked.items() if counts and counts[0] == p.asked]
        if len(others) != 1 or not s.began or s.lossy or s.holey or s.life.closing:
            return None
        del asked[others[0]][0]
        return others[0]

    def cannot_give(self, p: Pending, who: Identity) -> None:
        """The host says that nothing comes."""
        del self._wanted.get(who, [])[:1]
        if who in self._absurd:
            self._absurd.discard(who)
        else:
            self.s.fault(Cause.CANNOT_GIVE, p.place, who, detail=f"{p} for {who}")

    def _may_release(self, who: Identity, place: Place) -> bool:
        """release_all was negotiated, and is not about the function that is open."""
        s = self.s
        own = who == s.naming.own
        if not own and s.life.set_release_all is not False:
            return True
        if not s.lossy:
            detail = f"release_all for {who}" + ("" if own else ", which SET_HCA_CAP did not set")
            cause = Cause.RELEASE_ALL_OWN if own else Cause.RELEASE_ALL_NOT_NEGOTIATED
            s.fault(cause, place, who, s.custody.records.outstanding(who), detail)
        return False

    def _by_number(self, number: int) -> Identity | None:
        """The one function with pages that this number can mean, whatever the ec bit; None where there are two."""
        if self.s.naming.mode is Mode.VHCA_ID:
            return vhca_id(number)
        known = [w for w in self.s.custody.records.current if w.number == number and w.mode is Mode.FUNC_ID]
        return known[0] if len(known) == 1 else None if known else func_id(number)

    def release(self, who: Identity) -> int:
        """Firmware has let go of all that it had of this function; a command without an answer is crossed."""
        self.s.pages.misnamed.released(who)
        unsure = [np.zeros(0, np.int64)]
        for p in [*self.s.pending.values(), *self.s.overdue.values()]:
            if p.who == who:
                p.crossed = True
                if p.offer is not None:
                    unsure.append(p.offer.index)
        numbers = self.s.numbers
        if who in numbers.lines:
            numbers.release(who, numbers.lines[who].out or 0)
        self._owed.pop(who, None)
        self._wanted.pop(who, None)
        return self.s.custody.release(who, np.concatenate(unsure))

    # -- at start-up

    def told(self, p: Pending, who: Identity, pages: int, place: Place) -> None:
        """QUERY_PAGES of the start-up was answered: so many pages are wanted for this function."""
        s = self.s
        if pages > BOUNDS.memory:
            detail = f"{p} wants {many(pages)}, {BOUNDS.memory} are lent in all"
            s.fault(Cause.ABSURD_STARTUP, place, who, pages, detail)
        elif pages < 0:
            self._back(who, -pages, str(p), place)
        elif p.command is not None and who.number == p.command["function_id"]:
            self._want(who, pages)

    # -- taking back

    def _back(self, who: Identity, pages: int, what: str, place: Place) -> None:
        """Firmware wants to be rid of so many pages: it can have those that are out, and those of a GIVE under way."""
        s = self.s
        given = [p.offer for p in s.pending.values() if p.who == who and p.offer is not None and p.doubted is None]
        out = (
            s.custody.records.outstanding(who)
            + sum(int(offer.index.size) for offer in given)
            + s.pages.misnamed.meant_for(who)
        )
        known = s.began and (s.commands or not s.log) and not s.lossy
        if known and pages > out:
            detail = f"{what} wants {many(pages)} of {who} taken back, {out} are out"
            s.fault(Cause.ABSURD_TAKE_BACK, place, who, pages, detail)
        self._owe(who, min(pages, out) if known else pages)

    def _owe(self, who: Identity, pages: int) -> None:
        owed = self._owed.setdefault(who, [])
        if pages and len(owed) < MAX_OWED:
            owed.append(pages)

    def no_more(self) -> None:
        """The close takes everything back, whether or not firmware asked for it."""
        self._owed.clear()

    def served(self, p: Pending, who: Identity, named: int, good: int, place: Place) -> None:
        """A TAKE was answered: ``named`` pages, of which ``good`` came back."""
        owed = self._owed.get(who)
        if not owed or p.asked > owed[0]:
            return
        if named < p.asked and not p.crossed and not self.s.lossy:
            detail = f"firmware asked to have {many(p.asked)} taken back and returned {named}"
            self.s.fault(Cause.TAKE_SHORT, place, who, p.asked - named, detail)
        if good != p.asked:
            self._muddled.add(who)
        owed[0] = owed[0] - p.asked if good == p.asked else 0
        if not owed[0]:
            del owed[0]

    def rename(self, old: Identity, new: Identity) -> None:
        """A function is called otherwise from now on."""
        if old in self.released:
            self.released[new] = self.released.pop(old)
        if old in self._muddled:
            self._muddled.add(new)
        for table in (self._owed, self._wanted):
            if old in table:
                table[new] = table.pop(old) + table.get(new, [])


def _consume(wanted: list[int], pages: int) -> None:
    """These pages are on their way: for the request of just so many, else for the oldest ones."""
    if pages in wanted:
        wanted.remove(pages)
        return
    while wanted and pages > 0:
        wanted[0], pages = wanted[0] - pages, pages - wanted[0]
        if wanted[0] <= 0:
            del wanted[0]
