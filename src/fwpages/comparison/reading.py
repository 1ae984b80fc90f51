"""The inputs of a comparison: traces, logs, and the files that commands write with ``--json``, told by their schema."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from fwpages.auditor.audit import audit_source
from fwpages.comparison import conversion
from fwpages.comparison.sides import Side
from fwpages.comparison.steps import StepKeeper
from fwpages.comparison.values import Form
from fwpages.custody.accounts import Report, SessionAccount
from fwpages.machine.holdings import Holdings
from fwpages.machine.snapshot import Snapshot
from fwpages.pages.words import either
from fwpages.prm.identity import Identity
from fwpages.readers.inputs import Input, InputError, Source, Watch, is_trace, open_source
from fwpages.readers.reports import decoded, schema_of, whole
from fwpages.report.drive import DriveReport
from fwpages.report.run import RunReport
from fwpages.report.serve import ServeReport

#: an input, or a report that the caller has as a value
Comparable = Input | Report | SessionAccount

_Convert = Callable[[Any, str], Side]
#: the reports that can be compared, by their schema
_REPORTS: Mapping[str, tuple[type[msgspec.Struct], _Convert]] = MappingProxyType(
    {
        "audit/2": (Report, conversion.of_audit),
        "run/2": (RunReport, conversion.of_run),
        "drive/1": (DriveReport, conversion.of_driven),
        "serve/2": (ServeReport, conversion.of_served),
        "inspect/1": (Holdings, conversion.of_holdings),
    }
)
_RECORDING = "top/1"
_EXPECTED = (
    "expected a trace, a kernel log, or what audit, run, drive, serve or inspect prints with --json, or top records "
    f"(schema {either([*_REPORTS, _RECORDING])})"
)


def read_side(what: Comparable, watch: Watch | None = None) -> Side:
    """Read one input, whatever it is; InputError where it cannot be read, or is nothing that can be compared."""
    match what:
        case Report():
            return conversion.of_audit(what, "<report>")
        case SessionAccount():
            return conversion.of_audit(Report.of([what]), "<session>")
        case str() | os.PathLike():
            pass
        case _ if not hasattr(what, "read"):
            raise TypeError(f"expected a path, an open file, or a report, not {what!r}")
    source = open_source(what, watch)
    try:
        schema = schema_of(source)
        if schema is None:
            return _audited(source)
        return _recording(source) if schema == _RECORDING else _report(source, schema)
    finally:
        source.close()


def _audited(source: Source) -> Side:
    """The side of a trace or a log."""
    keeper = StepKeeper()
    form = Form.TRACE if is_trace(source) else Form.LOG
    report = audit_source(source, set(), after=keeper.after)
    return conversion.of_audit(report, source.name, form, keeper)


def _report(source: Source, schema: str) -> Side:
    if schema not in _REPORTS:
        raise InputError(f"{source.name} has the schema {schema!r}, which cannot be compared; {_EXPECTED}")
    shape, convert = _REPORTS[schema]
    side = convert(decoded(source.name, whole(source), shape, schema), source.name)
    _check(side)
    return side


def _check(side: Side) -> None:
    """InputError where functions of a report cannot be told apart: its file was not written by fwpages."""
    for s in side.sessions:
        uses = Counter((f.identity, f.generation) for f in s.functions if f.identity is not None)
        for (identity, generation), times in uses.items():
            try:
                Identity.parse(identity)
            except ValueError as e:
                raise InputError(f"{side.name}: a function of session {s.number}: {e}") from None
            if times > 1:
                raise InputError(f"{side.name}: session {s.number} has {identity}, generation {generation}, twice")


def _recording(source: Source) -> Side:
    """The last snapshot of a recording; a last line that was cut off is left out."""
    lines = [line for line in whole(source).split(b"\n") if line.strip()]
    if source.cut and len(lines) > 1 and not lines[-1].rstrip().endswith(b"}"):
        lines.pop()
    last = decoded(source.name, lines[-1], Snapshot, _RECORDING)
    return conversion.of_snapshot(last, source.name, len(lines))
