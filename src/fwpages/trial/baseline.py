"""A baseline: the effects of a campaign that are known, row by row, as JSON of schema ``trial-baseline/1``.

It holds what a comparison needs and nothing that changes between two plays of one kernel: the worst effect of each row,
and its title. A row that was not judged is not in it, so that it is new to a later campaign.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fwpages.prm.identity import Mode
from fwpages.readers.inputs import InputError
from fwpages.readers.reports import decoded
from fwpages.scenario import ScenarioError
from fwpages.scenario.fault_syntax import fault
from fwpages.trial.effects import Effect
from fwpages.trial.judged import Judged
from fwpages.trial.rows import Row, Supplier, Trouble

SCHEMA = "trial-baseline/1"


class BaselineRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row, by fault or trouble as it is typed (``none`` for neither), and its worst effect with the title."""

    fault: str
    mode: Mode
    supplier: Supplier
    effect: Effect
    title: str


class Baseline(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The known effects of a kernel."""

    schema_: str = SCHEMA
    kernel: str
    rows: list[BaselineRow]


def baseline(kernel: str, judged: Iterable[Judged]) -> Baseline:
    """The baseline of these verdicts, in their order; those that were not judged are left out."""
    return Baseline(
        kernel=kernel, rows=[_row(j, j.effect) for j in judged if j.effect is not None and j.not_judged is None]
    )


def read_baseline(name: str, data: bytes) -> Baseline:
    """The baseline in these bytes; ``name`` is that of the file. InputError where it is none, or names no row."""
    found = decoded(name, data, Baseline, SCHEMA)
    if found.schema_ != SCHEMA:
        raise InputError(f"{name} is of schema {found.schema_}, and a baseline is of {SCHEMA}")
    known(name, found)
    return found


def known(name: str, of: Baseline) -> dict[Row, Effect]:
    """The effect of each row. InputError, with the file's ``name``, where a fault is not known or a row comes twice."""
    rows: dict[Row, Effect] = {}
    for entry in of.rows:
        try:
            row = _typed(entry)
        except ScenarioError as e:
            raise InputError(f"{name}: row {entry.fault!r}: {e}") from None
        if row in rows:
            raise InputError(f"{name} has the row {str(row)!r} twice")
        rows[row] = entry.effect
    return rows


def _row(j: Judged, effect: Effect) -> BaselineRow:
    return BaselineRow(fault=j.row.label, mode=j.row.mode, supplier=j.row.supplier, effect=effect, title=j.title)


def _typed(entry: BaselineRow) -> Row:
    """The row that an entry names. ScenarioError for an unknown fault."""
    if entry.fault == Row(None).label:
        return Row(None, entry.mode, entry.supplier)
    trouble = next((t for t in Trouble if t.value == entry.fault), None)
    planned = None if trouble is not None else fault(entry.fault)
    return Row(planned, entry.mode, entry.supplier, trouble)
