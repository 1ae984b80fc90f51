"""Parts of the input that are missing, and commands of which it is thus not known what became of them."""

from __future__ import annotations

from fwpages.auditor.evidence import Loss, Start
from fwpages.auditor.findings import Finding, Found
from fwpages.auditor.session import AuditedSession, Close, Pending
from fwpages.custody.findings import Cause
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.readers.observations import MissingInput


def input_missing(s: AuditedSession, v: MissingInput) -> Found:
    """Part of the input is missing, or cannot be attributed."""
    if not v.harmless:
        s.timeline.gap(s.last, v.place, v.detail)
    s.last = v.place
    book = None if v.number is None else s.book(v.number, v.ec)
    yield Finding(v.cause, v.place, book, detail=v.detail)
    p = s.pending.pop(v.key, None)
    about_pages = v.opcode in (None, Opcode.MANAGE_PAGES)
    if v.opcode == Opcode.SET_HCA_CAP:
        s.evidence.lose(Loss.MODE, v.detail)
    if about_pages and v.cause is Cause.LOG_AMBIGUOUS:
        s.evidence.lose(Loss.DUMPS, v.detail)
    elif p is not None:
        outcome_unknown(s, p, v.detail)
    elif about_pages and not (v.harmless or _over(s)):
        s.lose(book, v.detail)


def _over(s: AuditedSession) -> bool:
    """The session of a trace has closed with nothing out: what is missing after that changes no account."""
    return s.closed and not s.evidence.log and not any(s.out_of(book) for book in s.books)


def outcome_unknown(s: AuditedSession, p: Pending, why: str) -> None:
    """The answer to a command is not in the input."""
    if p.opcode == Opcode.MANAGE_PAGES and p.book is not None:
        s.timeline.gap(p.place, s.last, why)
        s.lose(p.book, why)
        if p.unsettled is not None:
            s.ledger.accept(p.unsettled)
    elif p.opcode == Opcode.SET_HCA_CAP:
        s.evidence.lose(Loss.MODE, why)
    elif p.command is not None and p.opcode in _OWN_HCA and s.naming.is_own_hca(p.command):
        enabled(s)
        s.close = Close.DONE if p.opcode == Opcode.DISABLE_HCA else s.close


_OWN_HCA = frozenset({Opcode.ENABLE_HCA, Opcode.DISABLE_HCA})


def enabled(s: AuditedSession) -> None:
    """ENABLE_HCA of the function itself was answered OK."""
    if s.evidence.start in (Start.SEEN, Start.REFUSED):
        s.evidence.start = Start.ENABLED


def doubt(s: AuditedSession, p: Pending) -> int | None:
    """A command was not answered: returns how many pages are now doubtful, None where it is about none.

    Where the device carried it out nothing is doubtful; these are the pages that it moved.
    """
    if p.executed is not None:
        return p.executed
    if p.book is not None and p.book.counted_only:
        s.lose(p.book, f"{p}: no answer, and the input does not show all of its pages")
    if p.offer is not None and p.doubted is None:
        s.ledger.doubt(p.offer)
        p.doubted = p.offer.index
    elif p.is_page_command(ManagePages.TAKE) and p.book is not None:
        p.doubted = s.ledger.doubt_held(p.book.identity)
    return None if p.doubted is None else int(p.doubted.size)
