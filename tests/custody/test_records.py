from __future__ import annotations

from dataclasses import fields

from fwpages.custody.records import Record, Records
from fwpages.prm.identity import FunctionType, func_id, vhca_id

T = FunctionType
VF = vhca_id(0x31)
OWN = vhca_id(0x2A)


def table() -> Records:
    records = Records()
    records.begin(1)
    return records


def test_a_record_is_opened_once_and_keeps_its_type() -> None:
    records = table()
    row = records.open(VF, T.UNKNOWN)
    assert records.open(VF, T.VF) is row
    assert (row.identity, row.generation, row.type, row.session, row.number) == (VF, 0, T.UNKNOWN, 1, 0)
    assert records.current == {VF: 0}


def test_an_announcement_moves_the_whole_record() -> None:
    records = table()
    row = records.open(VF, T.UNKNOWN)
    records.gave(row, 500)
    assert records.announce(VF, T.VF) is row
    assert (row.type, row.given) == (T.VF, 500)
    assert records.announce(OWN, T.SF).generation == 0
    assert len(records.rows) == 2


def test_a_retired_name_opens_a_new_generation() -> None:
    records = table()
    first = records.announce(VF, T.VF)
    records.gave(first, 5)
    before = records.current
    records.retire(VF)
    assert first.retired
    assert VF in before, "whoever read the mapping before goes on reading it"
    second = records.open(VF, T.UNKNOWN)
    assert (second.generation, second.type, second.retired) == (1, T.UNKNOWN, False)
    assert records.generations(VF) == (0, 1)
    records.gave(second, 2)
    assert records.outstanding(VF) == 7
    records.retire(OWN)  # which there is none of
    assert len(records.rows) == 2


def test_records_that_own_nothing_any_more_are_not_looked_through_again() -> None:
    records = table()
    for _ in range(50):
        row = records.announce(VF, T.VF)
        records.gave(row, 3)
        records.came_back(row, "returned", 3)
        records.retire(VF)
    assert len(records.rows) == 50
    assert records.rows[-1].generation == 49
    assert len(records.generations(VF)) <= 2


def test_a_renamed_record_takes_all_along() -> None:
    records = table()
    boot = records.open(func_id(0), T.SELF)
    records.gave(boot, 37)
    records.rename(func_id(0), OWN, T.SELF)
    assert (boot.identity, boot.given, boot.type) == (OWN, 37, T.SELF)
    assert records.current == {OWN: 0}
    assert records.generations(func_id(0)) == ()
    assert records.generations(OWN) == (0,)
    assert records.outstanding(OWN) == 37
    assert records.outstanding(func_id(0)) == 0


def test_renaming_onto_a_name_that_has_a_past_is_its_next_generation() -> None:
    records = table()
    old = records.open(OWN, T.UNKNOWN)
    records.gave(old, 1)
    records.retire(OWN)
    boot = records.open(func_id(0), T.SELF)
    records.rename(func_id(0), OWN, T.SELF)
    assert boot.generation == 1
    assert records.generations(OWN) == (0, 1)
    records.rename(OWN, OWN, T.VF)
    records.rename(VF, OWN, T.VF)
    assert boot.type is T.SELF


def test_totals_and_peaks_follow_every_count() -> None:
    records = table()
    a, b = records.open(OWN, T.SELF), records.open(VF, T.VF)
    records.gave(a, 10)
    records.gave(b, 5)
    records.came_back(a, "returned", 4)
    records.came_back(b, "released", 5)
    records.came_back(a, "discarded", 1)
    assert (records.out, records.peak) == (5, 15)
    assert (a.outstanding, a.peak, b.outstanding, b.peak) == (5, 10, 0, 5)
    assert records.owing() == [OWN]
    records.begin(2)
    assert (records.out, records.peak, records.current) == (5, 5, {})
    assert records.generations(OWN) == ()
    assert records.owing() == [], "an earlier session's debts are the fence's"
    assert [r.number for r in records.of_session(1)] == [0, 1]
    assert records.of_session(2) == []


def test_a_wait_is_for_functions_that_are_gone_or_not_known() -> None:
    records = table()
    alive = records.announce(vhca_id(1), T.VF)
    gone = records.announce(vhca_id(2), T.VF)
    stranger = records.open(vhca_id(3), T.UNKNOWN)
    other = records.announce(vhca_id(4), T.SF)
    nothing = records.announce(vhca_id(5), T.VF)
    for row in (alive, gone, stranger, other):
        records.gave(row, 1)
    for row in (gone, other, nothing):
        records.retire(row.identity)
    assert records.awaited({T.VF}) == [gone, stranger]
    assert records.awaited({T.VF, T.SF}) == [gone, stranger, other]
    again = records.announce(vhca_id(2), T.VF)
    records.gave(again, 9)
    assert records.awaited({T.VF}) == [stranger], "which pages of which generation firmware returns is its own choice"
    records.retire(vhca_id(2))
    assert records.awaited({T.VF}) == [gone, stranger, again]


def test_a_function_that_its_number_tells_is_waited_for_until_it_is_announced() -> None:
    """Pages given to a function that is gone count as its own in either mode."""
    records = table()
    gone = records.announce(func_id(1), T.VF)
    records.gave(gone, 1)
    records.retire(func_id(1))
    late = records.open(func_id(1), T.VF)
    records.gave(late, 1)
    assert records.awaited({T.VF}) == [gone, late]
    assert records.announce(func_id(1), T.VF) is late
    assert records.awaited({T.VF}) == []


def test_owing_names_each_function_once_oldest_first() -> None:
    records = table()
    for who in (VF, OWN, VF):
        row = records.announce(who, T.VF)
        records.gave(row, 2)
        records.retire(who)
    assert records.owing() == [VF, OWN]


def test_a_copy_is_independent() -> None:
    records = table()
    row = records.open(OWN, T.SELF)
    other = records.copy()
    records.gave(row, 3)
    records.retire(OWN)
    assert (other.out, other.rows[0].given, other.rows[0].retired) == (0, 0, False)
    assert other.current == {OWN: 0}
    other.open(VF, T.VF)
    assert len(records.rows) == 1
    assert list(other) == other.rows


def test_a_copy_has_every_field() -> None:
    """It is written out field by field: one that is added must not be left behind."""
    row = Record(1, 2, vhca_id(3), 4, T.SF, 5, 6, 7, 8, 9, announced=True, retired=True)
    default = Record(0, 0, OWN, 0, T.VF)
    assert all(getattr(row, f.name) != getattr(default, f.name) for f in fields(Record))
    assert row.copy() == row


def test_a_type_that_is_learned_late_has_the_most_that_its_functions_had() -> None:
    """Though it had fewer when the type was learned."""
    records = table()
    row = records.open(VF, T.UNKNOWN)
    records.gave(row, 9)
    records.came_back(row, "returned", 6)
    records.announce(VF, T.VF)
    assert records.by_type[T.VF] == (3, 9)
    assert records.by_type[T.UNKNOWN][0] == 0
    # what the type's functions had together before is not forgotten
    other = records.announce(vhca_id(0x32), T.VF)
    records.gave(other, 20)
    assert records.by_type[T.VF] == (23, 23)
    records.announce(VF, T.VF)
    assert records.by_type[T.VF] == (23, 23)


def test_a_record_that_is_renamed_and_back_again_is_the_first_of_its_name() -> None:
    records = table()
    boot = records.open(func_id(0), T.SELF)
    records.gave(boot, 37)
    records.rename(func_id(0), OWN, T.SELF)
    records.rename(OWN, func_id(0), T.SELF)
    assert (boot.identity, boot.generation, records.outstanding(func_id(0))) == (func_id(0), 0, 37)
    # the name that it had in between has no past
    assert records.open(OWN, T.UNKNOWN).generation == 0
