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
    e, naming = s.evidence, s.naming
    naming.mode_shown = naming.mode_shown or v.mode is not None
    if v.mode is Mode.VHCA_ID and naming.mode is Mode.FUNC_ID:
        yield from _switched(s, v)
    elif v.mode is Mode.FUNC_ID and naming.mode is Mode.VHCA_ID and not (e.page_commands or e.lossy):
        detail = f"{v.text}: but the session is in VHCA_ID mode"
        yield Finding(Cause.MODE_MISMATCH, v.place, detail=detail, stated=True)
    if v.ec is None and naming.mode is Mode.FUNC_ID:
        known = s.books.called(v.number)
        if len(known) > 1:
            return None
        return known[0] if known else s.books.of(func_id(v.number))
    return s.book(v.number, bool(v.ec))


def _switched(s: AuditedSession, v: FunctionMessage) -> Found:
    """A line speaks of vhca_ids, and no command that was seen has set that mode."""
    e = s.evidence
    if e.page_commands and e.judges_pages and not e.mode_unknown:
        detail = f"{v.text}: but no SET_HCA_CAP set VHCA_ID mode"
        yield Finding(Cause.MODE_MISMATCH, v.place, detail=detail, stated=True)
        return
    if s.naming.vhca is None and s.driver.last_init is not None:
        s.naming.vhca = s.driver.last_init
    switch_to_vhca_ids(s)
