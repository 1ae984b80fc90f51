"""The plan: every fault is played or has its reason, the rows fit into an hour, patterns name rows."""

from __future__ import annotations

import pytest

from fwpages.device import DEVICE_FAULTS, PlannedFault
from fwpages.explore.check.replay import decode
from fwpages.explore.model.library import load
from fwpages.explore.model.spec import Spec
from fwpages.explore.review.questions import QUESTIONS, question
from fwpages.prm.identity import Mode
from fwpages.scenario.fault_syntax import EVERY_FAULT
from fwpages.trial.effects import Causer
from fwpages.trial.plan import PLAN, TROUBLES, Entry, PlanError, Unplayed, Untried, about, every_row, rows
from fwpages.trial.rows import Row, Supplier, Trouble

#: seconds of a row on two cores, two rows at once: the mean, and the most of a row that hangs
MEAN, LONGEST = 30, 45


def test_every_fault_is_played_or_has_its_reason() -> None:
    assert set(PLAN) == set(EVERY_FAULT)
    assert set(TROUBLES) == set(Trouble)
    played = {row.fault.name for row in rows() if row.fault is not None}
    assert played == {name for name, entry in PLAN.items() if isinstance(entry, Entry)}


def test_every_fault_of_the_device_is_played_but_those_that_have_no_wire_or_no_moment() -> None:
    unplayed = {name: PLAN[name] for name in DEVICE_FAULTS if not isinstance(PLAN[name], Entry)}
    assert unplayed == {
        "request-before-eq": Untried(Unplayed.NO_WIRE),
        "request-after-eq": Untried(Unplayed.NO_WIRE),
        "vhca-id-twice": Untried(Unplayed.NO_OPPORTUNITY),
        "vhca-id-again": Untried(Unplayed.NO_OPPORTUNITY),
    }


def test_a_fault_that_is_the_same_as_another_names_one_that_is_played() -> None:
    known = {*(name for name, entry in PLAN.items() if isinstance(entry, Entry)), *Trouble}
    assert {e.like for e in PLAN.values() if isinstance(e, Untried) and e.like} <= known


def test_a_whole_campaign_takes_an_hour_at_most_and_the_small_set_four_minutes() -> None:
    assert len(every_row()) * MEAN / 2 <= 3600
    assert len(rows(smoke=True)) * MEAN / 2 <= 240
    assert len(set(every_row())) == len(every_row())


def test_the_small_set_has_the_questions_that_a_kernel_was_seen_to_fail() -> None:
    asked = {n for row in rows(smoke=True) for n in about(row).questions}
    assert {8, 11, 12, 13, 14, 15, 17, 18, 19} <= asked
    assert rows(smoke=True)[0] == Row(None), "the driver without a fault comes first"
    assert set(rows(smoke=True)) < set(rows())


def test_every_row_has_a_causer_and_questions_that_there_are() -> None:
    numbers = {q.number for q in QUESTIONS}
    for row in every_row():
        assert isinstance(about(row).causer, Causer)
        assert set(about(row).questions) <= numbers


@pytest.mark.parametrize(
    ("number", "text"),
    [(e.questions[0], e.path) for e in (*PLAN.values(), *TROUBLES.values()) if isinstance(e, Entry) and e.path],
)
def test_the_explorer_knows_each_path(number: int, text: str) -> None:
    """A path is refused once its world is another than the one that it was found in."""
    asked = question(str(number))
    assert asked is not None
    _, path = decode(Spec(asked.id, load(asked.id), "merged"), text)
    assert len(path) == int(text.split(":")[3])


def test_each_row_can_be_typed_again() -> None:
    for row in every_row():
        assert row in rows([row.label])


def test_patterns_name_faults_moments_modes_and_suppliers() -> None:
    assert {r.fault.name for r in rows(["take-*"]) if r.fault} == {n for n in PLAN if n.startswith("take-")} - {
        "take-aborted-lost",
        "take-aborted-done",
    }
    assert {r.label for r in rows(["pages-negative"])} == {"pages-negative@boot", "pages-negative@init"}
    assert all(r.supplier is Supplier.ECPF for r in rows(["*, ecpf"]))
    assert all(r.mode is Mode.FUNC_ID for r in rows(["*, func_id, *"]))
    assert rows(["none"], smoke=True) == (Row(None),)
    assert len(rows(["take-*", "take-refused"])) == len(rows(["take-*"])), "no row comes twice"


def test_a_fault_with_a_moment_of_its_own_is_a_row() -> None:
    [row] = rows(["give-unanswered-done@runtime:2"])
    assert row.fault == PlannedFault("give-unanswered-done", at=2, during=row.fault.during if row.fault else None)
    assert about(row).questions == (11,)


def test_a_pattern_of_rows_outside_the_small_set_is_refused_with_it() -> None:
    with pytest.raises(PlanError, match="'give-late' names rows, but none of the small set"):
        rows(["give-late"], smoke=True)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("take-refus", "no row of the trial is named by 'take-refus'; did you mean take-refused"),
        ("zzz*", "`fwpages list faults` shows what there is"),
        ("entry-type", "entry-type is not played: the driver writes these bytes itself"),
        ("give-aborted-done", "cannot tell it from another fault, which is played (give-unanswered-done)"),
    ],
)
def test_a_pattern_that_names_no_row_is_refused_with_what_is_near_or_the_reason(pattern: str, words: str) -> None:
    with pytest.raises(PlanError) as e:
        rows([pattern])
    assert words in str(e.value)
