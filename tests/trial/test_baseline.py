"""A baseline: written, read and compared row by row; a damaged one is refused."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from fwpages.prm.identity import Mode
from fwpages.readers.inputs import InputError
from fwpages.trial.baseline import Change, baseline, change, known, read_baseline
from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.judged import EffectSeen, Judged
from fwpages.trial.plan import every_row, rows
from fwpages.trial.rows import Row, Trouble


def verdict(row: Row, effect: Effect = Effect.NONE, title: str = "a title") -> Judged:
    return Judged(row, title, () if effect is Effect.NONE else (EffectSeen(effect, "detail"),))


def test_every_row_of_the_plan_is_read_as_it_was_written() -> None:
    whole = baseline("7.2.13", [verdict(row, Effect.LEAKED) for row in every_row()])
    again = read_baseline("known.json", msgspec.json.encode(whole))
    assert again == whole
    assert again.schema_ == "trial-baseline/1"
    assert tuple(known("known.json", again)) == every_row()


def test_a_row_that_was_not_judged_is_not_in_a_baseline() -> None:
    row = Row(None)
    unjudged = Judged(row, "", (EffectSeen(Effect.CRASHED, ""),), not_judged=NotJudged.NOT_STRUCK)
    assert baseline("7.2.13", [unjudged]).rows == []
    assert change(Judged(row, "", not_judged=NotJudged.NOT_BOOTED), {}) is None


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (Effect.LEAKED, Effect.LEAKED, Change.SAME),
        (Effect.LEAKED, Effect.NONE, Change.BETTER),
        (Effect.CRASHED, Effect.LEAKED, Change.BETTER),
        (Effect.NONE, Effect.WARNED, Change.WORSE),
        (Effect.LET_GO, Effect.CORRUPTED, Change.WORSE),
    ],
)
def test_a_row_is_better_same_or_worse_by_its_worst_effect(before: Effect, now: Effect, expected: Change) -> None:
    [row] = rows(["take-short@runtime"])
    table = known("known.json", baseline("7.2.13", [verdict(row, before)]))
    assert change(verdict(row, now), table) is expected


def test_a_row_that_the_baseline_does_not_have_is_new() -> None:
    [row, *_] = rows(["take-foreign@runtime"])
    table = known("known.json", baseline("7.2.13", [verdict(row)]))
    assert change(verdict(Row(row.fault, Mode.FUNC_ID)), table) is Change.NEW


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "known.json does not have the shape of trial-baseline/1"),
        (b'{"schema":"trial/1","kernel":"7","rows":[]}', "known.json is of schema trial/1"),
        (b'{"schema":"trial-baseline/1","kernel":"7"}', "missing required field `rows`"),
        (b'{"schema":"trial-baseline/1","kernel":"7","rows":[ROW("no-such@1")]}', "there is no fault 'no-such'"),
        (
            b'{"schema":"trial-baseline/1","kernel":"7","rows":[ROW("none"),ROW("none")]}',
            "has the row 'none, vhca_id, pf' twice",
        ),
        (b'{"schema":"trial-baseline/1","kernel":"7","rows":[ROW("none").]}', "does not have the shape"),
    ],
)
def test_what_is_no_baseline_is_refused_with_the_reason(data: bytes, words: str) -> None:
    row = b'{"fault":"\\1","mode":"vhca_id","supplier":"pf","effect":"leaked","title":""}'
    with pytest.raises(InputError) as e:
        read_baseline("known.json", re.sub(rb'ROW\("([^"]+)"\)', row, data))
    assert words in str(e.value)


def test_the_reference_names_every_effect_and_trouble() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "trial-baseline-json.md").read_text()
    assert ", ".join(f"`{e.value}`" for e in Effect) in page
    assert ", ".join(f"`{t.value}`" for t in Trouble) in page
