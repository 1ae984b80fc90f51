"""The function that a driver's line names, in the mode that the line, or the session so far, shows."""

from __future__ import annotations

from fwpages.auditor.books import Book
from fwpages.auditor.findings import Finding, Finds, Found
from fwpages.auditor.identities import switch_to_vhca_ids
from fwpages.auditor.session import AuditedSession
from fwpages.custody.findings import Cause
from fwpages.prm.identity import Mode, func_id
from fwpages.readers.observations import FunctionMessage


def function_of(s: AuditedSession, v: FunctionMessage) -> Finds[Book | None]:
    """The line's function; None where the line names none, or a number that two functions have."""
    if v.number is None:
        return None
    naming = s.naming
    if v.mode is not None:
        naming.show_mode()
    if v.mode not in (None, naming.mode):
        yield from _other_mode(s, v)
    if v.ec is None and naming.mode is Mode.FUNC_ID:
        return _by_number(s, v.number)
    return s.book(v.number, bool(v.ec))


def _by_number(s: AuditedSession, number: int) -> Book | None:
    """The one function with this number in FUNC_ID mode, whatever its ec bit; None where there are two."""
    known = s.books.called(number)
    if len(known) > 1:
        return None
    return known[0] if known else s.books.of(func_id(number))


def _other_mode(s: AuditedSession, v: FunctionMessage) -> Found:
    """A line names its function in the mode that does not hold; where it may know better, its mode holds from here."""
    e = s.evidence
    if v.mode is Mode.FUNC_ID:
        if not (e.page_commands or e.lossy):
            detail = f"{v.text}: but the session is in VHCA_ID mode"
            yield Finding(Cause.MODE_MISMATCH, v.place, detail=detail, stated=True)
        return
    if e.page_commands and e.judges_pages and not e.mode_unknown:
        detail = f"{v.text}: but no SET_HCA_CAP set VHCA_ID mode"
        yield Finding(Cause.MODE_MISMATCH, v.place, detail=detail, stated=True)
        return
    if s.naming.vhca is None and s.driver.last_init is not None:
        s.naming.vhca = s.driver.last_init
    switch_to_vhca_ids(s)
