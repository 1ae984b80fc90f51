"""A session's books: a frozen view of its records, counters and findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fwpages.custody.accounts import End
from fwpages.custody.findings import Finding
from fwpages.custody.ledger import Ledger, State
from fwpages.custody.records import Records
from fwpages.custody.verdicts import Facts, Judgement, judge
from fwpages.host.io import End as EndOfSession
from fwpages.host.session import Session
from fwpages.prm.identity import FunctionType, Identity, Mode


@dataclass(frozen=True, slots=True)
class Account:
    """One record of a session, in 4 KiB pages. ``held`` and ``doubtful`` are what the owner array says."""

    identity: Identity
    generation: int
    type: FunctionType
    given: int
    returned: int
    released: int
    discarded: int
    held: int
    doubtful: int
    peak: int


@dataclass(frozen=True, slots=True)
class Books:
    """A session's accounts as they stand. ``end`` is ``open`` while it is; ``peak`` is the most that was out at once,
    ``peaks`` the same for the functions of each type together.

    The three counters are those of Linux's debugfs: fw_pages_alloc_failed, _give_dropped, _reclaim_discard.
    """

    session: int
    mode: Mode
    end: EndOfSession
    functions: tuple[Account, ...]
    peak: int
    peaks: Mapping[FunctionType, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    alloc_failed: int
    give_dropped: int
    reclaim_discard: int

    @property
    def outstanding(self) -> int:
        """Pages that firmware has or may have."""
        return sum(f.held + f.doubtful for f in self.functions)

    def judged(self, *, wrong: bool = False) -> Judgement:
        """The verdict on the session; ``wrong``: the other side found something. Of a host's own books all is known."""
        given = any(f.given for f in self.functions)
        wrong = wrong or bool(self.findings) or (self.end == "closed" and self.outstanding > 0)
        return judge(Facts(end=End(self.end), wrong=wrong, pages=given, left=self.outstanding))

    @property
    def clean(self) -> bool | None:
        """True: nothing went wrong and nothing is left; False: something is wrong; None: not known, or still open."""
        return self.judged().verdict.clean


class Accountable(Protocol):
    """Whatever has a session, its records and their ledger: a host."""

    session: Session
    records: Records
    ledger: Ledger


def _end(s: Session) -> EndOfSession:
    """The session's end; an open that did not succeed has failed, whatever followed."""
    if s.phase != "ended":
        return "open"
    return "failed" if s.failure else s.end


def books(h: Accountable) -> Books:
    """The accounts of the session that is open or was last."""
    s, counts = h.session, h.ledger.counts()
    return Books(
        s.number,
        s.mode or Mode.FUNC_ID,
        _end(s),
        tuple(
            Account(
                r.identity,
                r.generation,
                r.type,
                r.given,
                r.returned,
                r.released,
                r.discarded,
                counts.get((r.number, State.HELD), 0),
                counts.get((r.number, State.DOUBTFUL), 0),
                r.peak,
            )
            for r in h.records.of_session(s.number)
        ),
        h.records.peak,
        {kind: peak for kind, (_, peak) in h.records.by_type.items()},
        tuple(s.findings.values()),
        s.notes,
        s.alloc_failed,
        s.give_dropped,
        s.reclaim_discard,
    )
