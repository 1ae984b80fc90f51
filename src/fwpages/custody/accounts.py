"""The one shape in which a run and an audit say what happened: sessions, their functions, and what is wrong.

``None`` stands for a count that the input does not tell (a log without command dumps does not say what a TAKE
returned): it is never guessed. All counts are 4 KiB pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Literal

import msgspec

from fwpages.custody.series import Series, within
from fwpages.prm.identity import FunctionType


class End(StrEnum):
    """How a session ended."""

    #: DISABLE_HCA was answered OK, or the driver's lines show that it took everything back
    CLOSED = "closed"
    #: torn down by force: pages may be left on purpose
    FORCED = "forced"
    #: it has not ended
    OPEN = "open"
    #: the device was reset, or opened anew, without a close
    RESET = "reset"
    #: the link was lost
    LOST = "lost"
    #: the load did not succeed, whatever followed
    FAILED = "failed"
    #: the driver was unbound, or the function is gone, and the input does not tell of its pages
    REMOVED = "removed"


class Verdict(StrEnum):
    """The judgement of a session, and of a report. Green is the rarest: an input proves it, or it is not said."""

    #: the input proves that nothing is wrong and nothing is left
    CLEAN = "clean"
    #: something is wrong
    FINDINGS = "findings"
    #: the input cannot tell; ``missing`` says what would
    NOT_KNOWN = "not known"
    #: the session is open, and everything so far is as it should be
    CONSISTENT = "consistent so far"

    @property
    def clean(self) -> bool | None:
        """True for clean, False for findings, None where it is not known, or not yet."""
        return _CLEAN.get(self)


_CLEAN = {Verdict.CLEAN: True, Verdict.FINDINGS: False}
#: the verdict of several is the first of these that one of them has
_WORST_FIRST = (Verdict.FINDINGS, Verdict.NOT_KNOWN, Verdict.CONSISTENT, Verdict.CLEAN)


def verdict_of(several: Iterable[Verdict]) -> Verdict:
    """The verdict of several together: the worst. Of nothing, nothing is known."""
    given = set(several)
    return next((v for v in _WORST_FIRST if v in given), Verdict.NOT_KNOWN)


Count = int | None


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over functions. ``held`` and ``doubtful`` are now, ``peak`` the most that was out at one time."""

    given: Count
    returned: Count
    released: Count
    discarded: Count
    held: Count
    doubtful: Count
    peak: Count


#: the sums where not even the functions are known
UNKNOWN = Totals(given=None, returned=None, released=None, discarded=None, held=None, doubtful=None, peak=None)


class FunctionAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One record: a function under one identity, from its first page until the identity is used anew.

    ``name`` is the scenario's; empty where the input has none. Functions that share an identity share the name: a/b.
    """

    identity: str
    generation: int
    type: FunctionType
    name: str = ""
    given: Count
    returned: Count
    released: Count
    discarded: Count
    held: Count
    doubtful: Count
    peak: Count


class FindingAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One finding: name, blamed party (host, device, link, log, unknown), place, and what would resolve it."""

    name: str
    blame: Literal["host", "device", "link", "log", "unknown"]
    function: str | None = None
    pages: Count = None
    detail: str = ""
    remedy: str = ""
    at: dict[str, Any] = {}


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence that the input lacks, and the command that would provide it ("" where none would)."""

    what: str
    command: str = ""


class SessionAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One open of a device, ENABLE_HCA to DISABLE_HCA or to whatever ended it.

    ``mode`` is None where nothing in the input tells it, and so is ``supplier``, the kind of the own function.
    ``first`` and ``last`` are the places of its first and last line, as a finding's ``at``. ``missing`` is what makes
    the verdict *not known*. ``notes`` are no faults: what the input cannot tell, or what happened on purpose.
    ``series`` is its pages over time, None where nothing kept it.
    """

    device: str
    supplier: Literal["pf", "ecpf", "vf"] | None = None
    first: dict[str, Any] = {}
    last: dict[str, Any] = {}
    mode: Literal["func_id", "vhca_id"] | None
    end: End
    verdict: Verdict
    clean: bool | None
    totals: Totals
    by_type: dict[str, Totals]
    counters: dict[str, Count]
    functions: list[FunctionAccount]
    findings: list[FindingAccount] = []
    missing: list[Missing] = []
    notes: list[str] = []
    series: Series | None = None


class HealthAccount(msgspec.Struct, frozen=True, kw_only=True):
    """One event of a card, in the words of its firmware: what a vendor's ticket asks for.

    ``device`` is the function that printed most of it, whose block this is; ``functions`` are all that took part. Hex
    numbers are kept as they are printed; a field that no line has is None, or empty. ``finding`` is the name of the
    finding that the event is, in the session of ``device``; ``fatal_error`` is the driver's sensor.
    """

    card: str
    device: str
    functions: list[str]
    finding: str
    at: dict[str, Any] = {}
    synd: str | None = None
    synd_words: str = ""
    ext_synd: str | None = None
    severity: int | None = None
    severity_name: str = ""
    fatal_error: int | None = None
    rfr: int | None = None
    crr: int | None = None
    cold_reset: bool = False
    fw_ver: str | None = None
    raw_fw_ver: str | None = None
    hw_id: str | None = None
    time: int | None = None
    irisc_index: int | None = None
    assert_var: list[str] = []
    assert_exit_ptr: str | None = None
    assert_callra: str | None = None
    temperature_sensors: str = ""
    sensor_names: list[str] = []


class Report(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The report that ``fwpages audit --json`` prints, and the heart of what ``fwpages run --json`` prints.

    ``findings`` and ``missing`` are those that belong to no session: an input that could not be read to its end, or has
    no session at all. ``health`` has the events of cards, whose findings are in their sessions. Make one with ``of``,
    which judges.
    """

    schema_: str = "audit/2"
    verdict: Verdict
    clean: bool | None
    sessions: list[SessionAccount]
    findings: list[FindingAccount] = []
    health: list[HealthAccount] = []
    missing: list[Missing] = []

    @classmethod
    def of(
        cls,
        sessions: Iterable[SessionAccount],
        findings: Iterable[FindingAccount] = (),
        missing: Iterable[Missing] = (),
        health: Iterable[HealthAccount] = (),
    ) -> Report:
        """The report of these sessions, with the worst of their verdicts; a report of nothing is not known."""
        rows, of_none, lacks = _drawable(list(sessions)), list(findings), list(missing)
        verdicts = [s.verdict for s in rows] + [Verdict.FINDINGS] * bool(of_none) + [Verdict.NOT_KNOWN] * bool(lacks)
        verdict = verdict_of(verdicts)
        return cls(
            verdict=verdict,
            clean=verdict.clean,
            sessions=rows,
            findings=of_none,
            health=list(health),
            missing=lacks,
        )


def _drawable(sessions: list[SessionAccount]) -> list[SessionAccount]:
    """The sessions with series that are not too long for one report."""
    lines = within(s.series for s in sessions)
    pairs = zip(sessions, lines, strict=True)
    return [s if line is s.series else msgspec.structs.replace(s, series=line) for s, line in pairs]


COLUMNS = ("given", "returned", "released", "discarded", "held", "doubtful", "peak")

#: the counters' names in debugfs (``mlx5/<pci address>/pages/``) by type; the own function has none of its own
DEBUGFS = {
    FunctionType.VF: "fw_pages_vfs",
    FunctionType.SF: "fw_pages_sfs",
    FunctionType.HOST_PF: "fw_pages_host_pf",
    FunctionType.EC_VF: "fw_pages_ec_vfs",
    FunctionType.SPF: "fw_pages_spfs",
    FunctionType.UNKNOWN: "fw_pages_unknown",
}


def total(functions: Iterable[FunctionAccount], peak: Count | Literal["sum"] = "sum") -> Totals:
    """Column by column; a column with an unknown count in it is unknown. ``peak`` replaces the sum of peaks."""
    rows = list(functions)
    sums: dict[str, Count] = {}
    for name in COLUMNS:
        values = [getattr(f, name) for f in rows]
        sums[name] = None if None in values else sum(values)
    if peak != "sum":
        sums["peak"] = peak
    return Totals(**sums)


def by_type(functions: Iterable[FunctionAccount], peaks: Mapping[FunctionType, int] | None = None) -> dict[str, Totals]:
    """The sums of each type, all types there, the unknown too.

    ``peaks`` is the most that the functions of a type had out together, which their own peaks do not tell; where it is
    not known it is only known of a type with one function.
    """
    rows = list(functions)
    return {t.value: _of_type([f for f in rows if f.type is t], t, peaks) for t in FunctionType}


def _of_type(rows: list[FunctionAccount], kind: FunctionType, peaks: Mapping[FunctionType, int] | None) -> Totals:
    if len(rows) < 2 or any(f.peak is None for f in rows):
        return total(rows)
    return total(rows, peak=None if peaks is None else peaks.get(kind, 0))


def counters(functions: Iterable[FunctionAccount], **extra: Count) -> dict[str, Count]:
    """Today's figures under the names that operators know from debugfs, and ``extra`` ones beside them."""
    rows = list(functions)
    sums = by_type(rows)

    def now(t: Totals) -> Count:
        return None if t.held is None or t.doubtful is None else t.held + t.doubtful

    figures: dict[str, Count] = {"fw_pages_total": now(total(rows))}
    figures |= {name: now(sums[kind.value]) for kind, name in DEBUGFS.items()}
    figures["fw_pages_doubtful"] = total(rows).doubtful
    return figures | extra
