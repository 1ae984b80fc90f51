"""The facts of an audited session, as far as its input proves them, for the verdict (``custody/verdicts.py``)."""

from __future__ import annotations

from typing import Literal

from fwpages.auditor.evidence import FOLDED, Start
from fwpages.auditor.session import AuditedSession
from fwpages.custody.accounts import End, Totals
from fwpages.custody.verdicts import Facts


def facts(s: AuditedSession, end: End, totals: Totals, *, wrong: bool) -> Facts:
    """The facts of this session; ``wrong``: something was found."""
    e = s.evidence
    held, doubtful = totals.held, totals.doubtful
    return Facts(
        end=end,
        wrong=wrong,
        pages=(e.lines or e.page_commands) and totals.given != 0,
        from_load=e.from_start,
        after_load=e.start is Start.AFTER_LOAD,
        left=None if held is None or doubtful is None else held + doubtful,
        asked_for_all=e.by_lines and end is End.CLOSED and s.books.swept_out() and not s.complained,
        gaps=_gaps(s),
        unexplained=bool(s.unexplained),
        unwatched=s.evidence.unwatched,
        folded=e.blind == FOLDED,
        log=e.log,
        recorded=e.recorded,
        releases=releases_shown(s),
    )


def releases_shown(s: AuditedSession) -> bool:
    """The input shows the pages that firmware releases by an event: in a log only the lines about pages do.

    A kernel can print dumps of commands without these lines; pages that no TAKE returned may be released then.
    """
    e = s.evidence
    possible = s.negotiated is None or s.negotiated.release_all
    return not (e.log and e.page_commands and possible) or e.lines


def _gaps(s: AuditedSession) -> bool:
    """Functions cannot be followed, or not be counted by lines, as something is missing or contradicts the rest."""
    e = s.evidence
    unsure = any(book.unsure and not book.counted_only for book in s.books)
    uncounted = e.by_lines and (bool(e.uncounted_lines) or s.books.doubted)
    return bool((e.blind and e.blind != FOLDED) or e.ambiguous or e.contradicted) or unsure or uncounted


def mode_shown(s: AuditedSession) -> Literal["func_id", "vhca_id"] | None:
    """The mode in which functions are named; None where nothing in the input tells it."""
    e = s.evidence
    shown = s.naming.mode_shown or (e.from_start and (e.dumps or e.lines or not e.log))
    return s.naming.mode.value if shown else None
