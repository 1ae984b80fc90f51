"""One session as its commands, answers and events tell it: from ENABLE_HCA to whatever ended it."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable
from dataclasses import dataclass

from fwpages.auditor.answers import Answers
from fwpages.auditor.counts import CUT, Tally
from fwpages.auditor.fences import Fences
from fwpages.auditor.findings import Faults, FoundFault
from fwpages.auditor.ledger import Custody, Offer
from fwpages.auditor.lifecycle import CAPS_READ, COMMANDS, QUEUES, Lifecycle, holed
from fwpages.auditor.messages import Complaints
from fwpages.auditor.naming import Naming
from fwpages.auditor.page_commands import PageCommands
from fwpages.auditor.requests import Requests
from fwpages.auditor.waits import Waits
from fwpages.custody.findings import Cause, FindingName, refused, unanswered
from fwpages.pages.space import Indices
from fwpages.pages.words import many
from fwpages.prm.identity import Identity, Supplier
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command, decode_answer, decode_command
from fwpages.prm.opcodes import HOST_ENDIANNESS, CapType, ManagePages, Opcode, op_mod_suffix, opcode_name
from fwpages.prm.status import Status, status_words
from fwpages.readers.observations import CommandCompleted, CommandSubmitted, CommandUnanswered, MissingInput, Place

#: commands without an answer that a session remembers
MAX_PENDING = 4096
#: notes of one session
MAX_NOTES = 100
#: seconds after which a command is unanswered rather than under way: Linux waits 60 and then 5 more
PATIENCE = 60.0


@dataclass(slots=True, eq=False)
class Pending:
    """A command on its way. ``faulty``: the host did something wrong in it; ``meant``: whom it should have named
    instead of ``who``; ``cut``: its dump leaves addresses out; ``crossed``: release_all came meanwhile.
    """

    key: Hashable
    place: Place
    opcode: int
    op_mod: int
    slot: int | None
    command: Command | None = None
    who: Identity | None = None
    offer: Offer | None = None
    doubted: Indices | None = None
    asked: int = 0
    meant: Identity | None = None
    faulty: bool = False
    cut: bool = False
    crossed: bool = False

    def overdue_at(self, place: Place) -> bool:
        """By then nobody waits for it any longer; False where the input has no seconds."""
        sent, now = self.place.time, place.time
        return isinstance(sent, (int, float)) and isinstance(now, (int, float)) and now - sent >= PATIENCE

    def __str__(self) -> str:
        return opcode_name(self.opcode) + op_mod_suffix(self.opcode, self.op_mod)


def _tries(p: Pending, a: Answer) -> bool:
    """Drivers try what a device may not know: that it says no is no fault."""
    match p.opcode:
        case Opcode.QUERY_ISSI:
            return a.status == Status.BAD_OP  # a device from before there were ISSIs
        case Opcode.QUERY_HCA_CAP:
            return p.op_mod >> 1 != CapType.GENERAL
        case Opcode.ACCESS_REG:
            return p.command is None or p.command["register_id"] != HOST_ENDIANNESS
    return p.opcode not in frozenset(Opcode)


class AuditedSession:
    """The state of one session; ``pages`` handles the page commands, ``complaints`` what a log says beside them."""

    def __init__(
        self,
        device: str,
        place: Place,
        supplier: Supplier | None,
        *,
        log: bool,
        numbered: bool = False,
        number: int | None = None,
    ) -> None:
        self.device = device
        self.place = place
        self.last = place
        self.number = number
        self.log = log
        #: the input tells by itself whether lines are missing, and when a host gives a command up
        self.numbered = numbered
        self.naming = Naming(supplier)
        self.custody = Custody()
        self.tally = Tally(self.naming)
        #: what the commands' own counts add up to
        self.numbers = Tally(self.naming)
        self.faults = Faults()
        self.notes: list[str] = []
        self.pending: dict[Hashable, Pending] = {}
        self.overdue: dict[Hashable, Pending] = {}
        #: functions whose pages cannot be followed, and why; ``blind`` says why none can
        self.unsure: dict[Identity, str] = {}
        self.blind = ""
        #: dumps that could not be told apart: the ledger cannot be followed, lines alone can
        self.ambiguous = ""
        #: the session's beginning was seen; ENABLE_HCA was answered OK, or refused; DISABLE_HCA was answered OK
        self.began = False
        self.enabled = False
        self.denied = False
        self.closed = False
        #: ENABLE_HCA of a function 0 came in a session whose beginning was not seen: perhaps the next one's
        self.maybe_anew = False
        #: DISABLE_HCA of one was the last that came there
        self.maybe_closed = False
        #: the last answer was a refusal
        self.refusing = False
        #: commands, events or lines about pages have been seen
        self.used = False
        #: any command was seen, not only lines about pages
        self.dumped = False
        #: MANAGE_PAGES itself was seen, not only lines about it
        self.commands = False
        self.give_dropped = 0
        self.reclaim_discard = 0
        self.benign: dict[str, int] = {}
        #: commands that a dump shows unanswered, though the driver has not complained
        self._silent: list[tuple[Pending, FoundFault]] = []
        self.life = Lifecycle(self)
        self.pages = PageCommands(self)
        self.requests = Requests(self)
        self.answers = Answers(self)
        self.fences = Fences(self)
        self.waits = Waits(self)
        self.complaints = Complaints(self)

    # -- small things that everybody needs

    def fault(
        self,
        cause: Cause,
        place: Place,
        who: Identity | None = None,
        pages: int | None = None,
        detail: str = "",
    ) -> None:
        """Something is wrong."""
        self.faults.add(FoundFault(cause, place, who, pages, detail))

    def note(self, text: str) -> None:
        """Something is no fault, but ought to be known."""
        if len(self.notes) < MAX_NOTES and text not in self.notes:
            self.notes.append(text)

    @property
    def lossy(self) -> bool:
        """Lines are missing that the accounts need: what single pages seem to tell is not to be trusted."""
        return bool(self.blind or self.unsure or self.ambiguous)

    @property
    def uncounted(self) -> bool:
        """Lines are missing without which not even the counts are known."""
        return bool(self.blind or self.ambiguous or any(why != CUT for why in self.unsure.values()))

    @property
    def holey(self) -> bool:
        """Some lines of the input are missing, whether the accounts need them or not."""
        return self.faults.has(FindingName.LOG_LINES_LOST) or self.faults.has(FindingName.LOG_AMBIGUOUS)

    @property
    def by_lines(self) -> bool:
        """The driver's one-line messages are all there is to count by."""
        return self.tally.used and (not self.commands or bool(self.ambiguous))

    def lose(self, who: Identity | None, why: str) -> None:
        """This function's pages, or with None anybody's, can no longer be followed."""
        if who is None:
            self.blind = self.blind or why
        elif self.unsure.get(who) in (None, CUT):
            self.unsure[who] = why

    # -- what was seen

    def submitted(self, v: CommandSubmitted) -> None:
        """A command was handed over."""
        self.last, self.used, self.dumped = v.place, True, True
        self.maybe_closed = False
        opcode, op_mod = int.from_bytes(v.message[:2], "big"), int.from_bytes(v.message[6:8], "big")
        p = Pending(v.key, v.place, opcode, op_mod, v.slot, cut=v.cut)
        if len(v.message) < 8:
            p.faulty = True
            detail = f"a command of {many(len(v.message), 'byte')}"
            self.fault(Cause.COMMAND_MALFORMED, v.place, detail=detail)
        elif opcode in COMMANDS or opcode in (Opcode.QUERY_PAGES, Opcode.MANAGE_PAGES):
            try:
                p.command = decode_command(v.message)
            except LayoutError as e:
                p.faulty = True
                self.fault(Cause.COMMAND_MALFORMED, v.place, detail=f"{p}: {e}")
        elif not self.log and (opcode in QUEUES or opcode == Opcode.ACCESS_REG):
            with contextlib.suppress(LayoutError):
                p.command = decode_command(v.message)
        self._give_up_slot(v)
        self.pending[v.key] = p
        if len(self.pending) > MAX_PENDING:
            del self.pending[next(iter(self.pending))]
        self.life.submitted(p)
        if p.command is None:
            return
        if opcode == Opcode.MANAGE_PAGES:
            self.commands = True
            self.pages.submitted(p, p.command, v.holes)
        elif opcode == Opcode.QUERY_PAGES:
            self.pages.asked(p, p.command)
        elif opcode == Opcode.SET_HCA_CAP and holed(v.holes, 0, CAPS_READ):
            p.command, self.pages.mode_unknown = None, True

    def _give_up_slot(self, v: CommandSubmitted) -> None:
        """A command in a slot that another still has: nobody waits for that one any longer."""
        if self.log or v.slot is None:
            return
        for old in [p for p in self.pending.values() if p.slot == v.slot]:
            if self.numbered or not old.overdue_at(v.place):
                del self.pending[old.key]
                self.answers.none_to(old)
                continue
            self.unanswered(
                CommandUnanswered(place=v.place, device=v.device, key=old.key, detail="its slot was used anew")
            )

    def completed(self, v: CommandCompleted) -> None:
        """An answer."""
        self.last, self.used = v.place, True
        p = self.pending.pop(v.key, None)
        late = self.overdue.pop(v.key, None) if p is None else None
        p = p or late
        if p is None:
            self.answers.stray(v)
            return
        if late is not None and self.log and not any(v.message):
            # the driver dumps the output buffer also when it gives up: no answer
            self.overdue[v.key] = late
            return
        answer = self._decode(p, v)
        if answer is None:
            return
        self.answers.done([p.key])
        self.refusing = not answer.ok
        if late is not None and self.fences.asked is None:
            self.fault(Cause.LATE_ANSWER, v.place, p.who, detail=f"{p}: {status_words(answer.status)}")
        if p.opcode == Opcode.MANAGE_PAGES and p.command is not None:
            self.pages.answered(p, answer, v, late=late is not None)
        elif not answer.ok:
            self._refused(p, answer, v)
        elif p.command is not None and p.opcode == Opcode.QUERY_PAGES:
            self.pages.told(p, p.command, answer, v.place)
        elif p.command is not None:
            self.life.answered(p, p.command, answer, v)

    def _decode(self, p: Pending, v: CommandCompleted) -> Answer | None:
        if v.delivery:
            detail = f"{p}: delivery status {v.delivery:#x}"
            self.fault(Cause.DELIVERY_ERROR, v.place, p.who, detail=detail)
            return Answer(p.opcode, Status.INTERNAL_ERR)
        status = v.message[0] if v.message else None
        if p.command is None and status == Status.OK:
            return Answer(p.opcode)
        try:
            return decode_answer(p.opcode, v.message)
        except LayoutError as e:
            if status:
                return Answer(p.opcode, status)
            self.fault(Cause.ANSWER_MALFORMED, v.place, p.who, detail=f"{p}: {e}")
            self.pages.mode_unknown = self.pages.mode_unknown or p.opcode == Opcode.SET_HCA_CAP
            self.doubt(p)
            return None

    def unanswered(self, v: CommandUnanswered) -> None:
        """Nobody waits any longer."""
        self.last, self.used = v.place, True
        p = self.pending.get(v.key)
        if p is None:
            return
        pages = self._late(p)
        cause = unanswered(p.opcode, p.op_mod, by_link=v.by_link)
        why = v.detail or ("the link gave it up" if v.by_link else "no answer came")
        fault = FoundFault(cause, p.place, p.who, pages, f"{p}: {why}")
        if self.log and not v.said:
            self._silent.append((p, fault))
        else:
            self.faults.add(fault)

    def confirm(self, opcode: int | None = None) -> None:
        """The driver says that it waited in vain, or nothing more comes: dumps that show no answer are believed.

        At the end, and where lines are missing, they may be parts of two dumps: then nothing is known.
        """
        for p, fault in [x for x in self._silent if opcode in (None, x[0].opcode)]:
            if opcode is None and self.holey:
                self.pages.unknown_outcome(p, "lines are missing: whether it was answered is not known")
            else:
                self.faults.add(fault)
        self._silent = [x for x in self._silent if opcode not in (None, x[0].opcode)]

    def doubt(self, p: Pending) -> int | None:
        """Nobody knows what became of it: returns how many pages are now doubtful."""
        if p.who is not None and self.unsure.get(p.who) == CUT:
            self.lose(p.who, f"{p}: no answer, and the dumps do not tell all of its pages")
        if p.offer is not None and p.doubted is None:
            self.custody.doubt(p.offer)
            p.doubted = p.offer.index
        elif p.op_mod == ManagePages.TAKE and p.opcode == Opcode.MANAGE_PAGES and p.who is not None:
            p.doubted = self.custody.doubt_held(p.who)
        return None if p.doubted is None else int(p.doubted.size)

    def abandon(self, place: Place) -> None:
        """The device is being reset: what is under way gets no answer any more. No fault, unless sent long ago."""
        for p in list(self.pending.values()):
            if p.overdue_at(place) and not self.numbered:
                detail = "the device was reset first"
                self.unanswered(CommandUnanswered(place=place, device=self.device, key=p.key, detail=detail))
                continue
            self.note(f"{p} ({p.place.file}:{p.place.line}) was under way when the device was reset")
            self._late(p)

    def _late(self, p: Pending) -> int | None:
        """Nobody waits for this command any longer: returns how many pages are now doubtful."""
        del self.pending[p.key]
        self.overdue[p.key] = p
        if len(self.overdue) > MAX_PENDING:
            del self.overdue[next(iter(self.overdue))]
        self.life.unanswered(p)
        return self.doubt(p)

    def missing(self, v: MissingInput) -> None:
        """Part of the input is missing."""
        self.last = v.place
        who = None if v.number is None else self.naming.name(v.number, v.ec)
        self.fault(v.cause, v.place, who, detail=v.detail)
        p = self.pending.pop(v.key, None) if v.key is not None else None
        if v.opcode == Opcode.SET_HCA_CAP:
            self.pages.mode_unknown = True
        if v.cause is Cause.LOG_AMBIGUOUS and v.opcode in (None, Opcode.MANAGE_PAGES):
            self.ambiguous = self.ambiguous or v.detail
        elif p is not None:
            self.pages.unknown_outcome(p, v.detail)
        elif not v.harmless and v.opcode in (None, Opcode.MANAGE_PAGES) and not self._complete:
            self.lose(who, v.detail)

    @property
    def _complete(self) -> bool:
        """The session of a trace has closed with nothing out: what is missing after that changes no account."""
        return self.closed and not self.log and not self.custody.records.out

    # -- refusals

    def _refused(self, p: Pending, a: Answer, v: CommandCompleted) -> None:
        detail = f"{p}: {status_words(a.status)}, syndrome {a.syndrome:#x}"
        if p.opcode == Opcode.ENABLE_HCA and p.command is not None and self.life.is_own(p.command):
            self.denied = True
        if _tries(p, a):
            self.benign[str(p)] = self.benign.get(str(p), 0) + 1
            return
        if p.opcode == Opcode.SET_HCA_CAP:
            self.pages.mode_unknown = True  # what the driver takes for agreed on, its next command shows
        self.fault(refused(p.opcode, p.op_mod, valid=not p.faulty), v.place, p.who, detail=detail)
