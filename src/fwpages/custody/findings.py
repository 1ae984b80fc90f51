"""What went wrong, whose fault it is, and the evidence: values, never tracebacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from fwpages.prm.identity import Identity


class Blame(StrEnum):
    """Who is at fault."""

    HOST = "host"
    DEVICE = "device"
    LINK = "link"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: its name, whom it blames, for which function, how many 4 KiB pages it is about.

    ``function`` is None where it is about none, or several; ``pages`` where it is not about pages. Where it happened
    more than once (``times``), ``pages`` and ``detail``, what was being done and with which values, are those of the
    time that it was about the most pages, ``at`` is the first. ``remedy`` is what would resolve it.
    """

    name: str
    blame: Blame
    function: Identity | None = None
    pages: int | None = None
    detail: str = ""
    remedy: str = ""
    session: int = 0
    times: int = 1
    at: float = field(default=0.0, compare=False)
