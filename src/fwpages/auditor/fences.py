"""What happens to the link and to the device as a whole, and how a session thereby ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from fwpages.custody.accounts import End
from fwpages.custody.findings import Cause
from fwpages.pages.words import many
from fwpages.readers.observations import LinkChange, Place

if TYPE_CHECKING:
    from fwpages.auditor.session import AuditedSession

#: what came after a session's last line: another session, a new start of the machine, the end of the input
Why = Literal["next", "restart", "eof"]


class Fences:
    """Resets, fences and losses of one session."""

    #: what became of a session when nothing more of it is to come
    ENDS: ClassVar[dict[Why, End]] = {"next": "reset", "restart": "open", "eof": "open"}

    def __init__(self, session: AuditedSession) -> None:
        self.s = session
        #: a forced or fast TEARDOWN_HCA was done
        self.forced = False
        self.fenced = False
        self._lost = False
        self._health = False
        #: how the first reset ended the session
        self._end: End | None = None
        #: the reset that was asked for and is not proven yet
        self.asked: Place | None = None

    def happened(self, v: LinkChange) -> None:
        """One thing."""
        s, words = self.s, f": {v.detail}" if v.detail else ""
        s.last = v.place
        match v.what:
            case "reset":
                self._reset(v, words)
            case "fenced":
                self._fence(v, words)
            case "lost":
                self._lose(v, words)
            case "back":
                self._lost = False
                s.note(f"the link came back{words}")
            case "health":
                self._health = True
                s.note(f"the device reported a fatal state{words}")
            case "garbled":
                p = s.pending.get(v.key)
                detail = f"{p or 'a command'} was answered as another command would be{words}"
                s.fault(Cause.ANSWER_MISDELIVERED, v.place, p.who if p else None, detail=detail)
            case _:
                s.note(f"link: {v.what}{words}")

    def _lose(self, v: LinkChange, words: str) -> None:
        if self.asked is not None or self.s.closed:
            return  # nothing is done over the link any more but to reset the device
        self._lost = True
        out = self.s.custody.records.out
        self.s.fault(Cause.LINK_LOST, v.place, pages=out, detail=f"{many(out)} out{words}")

    def _reset(self, v: LinkChange, words: str) -> None:
        """The host asks for a reset: whatever is out has no answer any more that could be waited for."""
        s = self.s
        s.note(f"the link was reset{words}")
        if self.asked is not None:
            self._not_fenced(self.asked)
        self.asked = v.place
        if self._end is None:
            self._end = self._ended_by_reset(v.place)
            self._not_returned(v.place)
        s.waits.over()
        s.abandon(v.place)

    def _ended_by_reset(self, place: Place) -> End | None:
        """Forced where the host had to: after a command that failed, or to get what a close did not bring back."""
        s = self.s
        if self._lost:
            return "lost"
        if s.closed and not (s.custody.records.out or s.overdue or s.life.queues):
            return None
        failed = s.overdue or s.refusing or s.life.closing or any(p.overdue_at(place) for p in s.pending.values())
        return "reset" if self._health or not failed else "forced"

    def _not_returned(self, place: Place) -> None:
        """The host had closed and resets the device because of pages that did not come back."""
        s = self.s
        if not s.closed or s.blind:
            return
        for who in s.custody.records.owing():
            if who not in s.unsure and not s.pages.last_take.get(who, 1):
                n = s.custody.records.outstanding(who)
                detail = f"{many(n)} did not come back: the last TAKE of the close was refused or brought nothing"
                s.fault(Cause.PAGES_NOT_RETURNED, place, who, n, detail)

    def _not_fenced(self, place: Place) -> None:
        out = self.s.custody.records.out
        self.s.fault(Cause.NOT_FENCED, place, pages=out, detail=f"a reset was asked for; {many(out)} out")

    def _fence(self, v: LinkChange, words: str) -> None:
        s = self.s
        s.abandon(v.place)
        s.answers.done(s.overdue)
        s.overdue.clear()
        s.life.queues.clear()
        self.fenced, self.asked = True, None
        n = s.custody.discard()
        s.note(f"fenced{words}; {many(n)} discarded")

    def settle(self, why: Why) -> None:
        """Nothing more comes of this session: a reset that nothing has proven was none."""
        s = self.s
        if self.asked is None:
            return
        if why != "eof" or (s.numbered and not s.holey):
            self._not_fenced(self.asked)
        else:
            s.note("the input ends before the reset was proven")

    def end(self, why: Why) -> End:
        """How the session ended."""
        s = self.s
        if self.forced:
            return "forced"
        if self._end is not None:
            return self._end
        s.complaints.settle()
        if s.complaints.seized is not None and not s.closed:
            return "lost"
        if s.closed or s.maybe_closed or s.complaints.closed(why) or (s.denied and not s.enabled):
            return "closed"
        if self._lost:
            return "lost"
        return "reset" if self.fenced else self.ENDS[why]
