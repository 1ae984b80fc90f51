"""A baseline: written, read and compared row by row; a damaged one is refused."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from fwpages.prm.identity import Mode
from fwpages.readers.inputs import InputError
from fwpages.trial.baseline import baseline, known, read_baseline
from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.judged import EffectSeen, Judged
from fwpages.trial.plan import every_row, rows
from fwpages.trial.rows import Row, Trouble
from tests.smoke.baselines import BASELINES, chosen


def verdict(row: Row, effect: Effect = Effect.NONE, title: str = "a title") -> Judged:
    return Judged(row, title, () if effect is Effect.NONE else (EffectSeen(effect, "detail"),))


def test_every_row_of_the_plan_is_read_as_it_was_written() -> None:
    whole = baseline("7.2.13", [verdict(row, Effect.LEAKED) for row in every_row()])
    again = read_baseline("known.json", msgspec.json.encode(whole))
    assert again == whole
    assert again.schema_ == "trial-baseline/1"
    assert tuple(known("known.json", again)) == every_row()


def test_a_row_that_was_not_judged_is_not_in_a_baseline() -> None:
    unjudged = Judged(Row(None), "", (EffectSeen(Effect.CRASHED, ""),), not_judged=NotJudged.NOT_TRIGGERED)
    assert baseline("7.2.13", [unjudged]).rows == []


def test_the_worst_effect_of_each_row_is_known() -> None:
    [row] = rows(["take-short@runtime"])
    func_id = Row(row.fault, Mode.FUNC_ID)
    written = baseline("7.2.13", [verdict(row, Effect.LEAKED), verdict(func_id)])
    assert known("known.json", written) == {row: Effect.LEAKED, func_id: Effect.NONE}


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


def test_every_row_of_the_smoke_set_has_a_baseline_of_the_newest_kernel() -> None:
    file, _ = chosen("no such release")
    assert not set(rows(smoke=True)) - set(known(file.name, read_baseline(file.name, file.read_bytes())))
    assert file.parent == BASELINES


@pytest.mark.parametrize(
    ("release", "name", "said"),
    [
        ("6.12.117+deb13-amd64", "linux-6.12.117.json", False),
        ("7.2.9-1-arch", "linux-7.2.9-smoke.json", False),
        ("7.2.10", "linux-7.2.10.json", False),
        ("7.10.1+deb15", "linux-7.2.10.json", True),
    ],
)
def test_a_kernel_is_compared_with_its_own_baseline_or_with_the_newest_which_is_said(
    release: str, name: str, said: bool, tmp_path: Path
) -> None:
    for version in ("6.12.117", "6.12.117-smoke", "7.2.9-smoke", "7.2.10-smoke", "7.2.10"):
        (tmp_path / f"linux-{version}.json").touch()
    (tmp_path / "README.md").touch()
    file, words = chosen(release, tmp_path)
    assert (file.name, bool(words)) == (name, said)
