"""The verdicts, all of them: what can happen under which design, and under which assumption alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from fwpages.explore.check import expand as expanding
from fwpages.explore.check.expand import seen
from fwpages.explore.check.properties import EVENTUALLY, PROPERTIES
from fwpages.explore.check.replay import decode, walk
from fwpages.explore.check.search import Outcome, search
from fwpages.explore.model import library
from fwpages.explore.model.spec import Spec
from fwpages.explore.review import answers as reviewing
from fwpages.explore.review.answers import (
    STANDARD,
    STANDARD_ENDS,
    Answer,
    Verdict,
    assumption_sets,
    each_function,
    review,
    spec_key,
    specs_of,
)
from fwpages.explore.review.questions import QUESTIONS, Question, question
from fwpages.explore.review.report import exceptions, ours_holds
from fwpages.scenario import Scenario
from fwpages.scenario.assumptions import ASSUMPTIONS
from fwpages.scenario.format import Switch
from tests.explore.small_worlds import DESIGNS

#: every verdict, by hand: question → design → whether it can happen by default, and the assumptions that turn it over.
#: A design that is not named is our own: never, under no assumption. Reasons are rows of docs/reference/designs.md.
ZERO, SWITCH, KEEPS = "boot_names_zero=off", "switch_at_set_cap=off", "keeps_vhca_id=off"
VERDICTS: dict[str, dict[str, tuple[bool, list[str]]]] = {
    # posted wants state_lock after GIVE was answered, and a vport operation has it while its command is out; that is a
    # deadlock only if the command waits for pages. merged and ours want no lock ("When the lock is wanted")
    "lock": {"posted": (False, ["vport_command_waits=on"]), "merged": (False, [])},
    # an SPF has no type of its own in posted and is an EC VF ("SPF"), with or without the uplink
    "types": {"posted": (True, []), "merged": (False, [])},
    # posted looks the type up at each count: unknown when given, known when returned ("A page's type"). merged keeps
    # it with the page. Boot pages of a function 1 are a VF's by number in FUNC_ID mode, and stay so ("Boot pages of
    # another function"): pages of no VF are counted as VFs' in both
    "early-give": {"posted": (True, []), "merged": (False, [ZERO])},
    # posted's table keeps the vhca_id after a vport is disabled; without that the type is gone when its pages come
    # back ("When a vport's type can be found"). ZERO: as above
    "late-return": {"posted": (False, [ZERO, KEEPS]), "merged": (False, [ZERO])},
    # the same: with the vhca_id kept, the first vport in the table counts for both ("Two vports of one vhca_id")
    "reuse": {"posted": (False, [ZERO, KEEPS]), "merged": (False, [ZERO])},
    # only the tree of function 0 moves. If firmware switches at INIT_HCA, the mode is VHCA_ID for the driver from the
    # init pages on and not for firmware: the boot pages cannot be taken back under either name ("Which mode")
    "boot-identity": {"posted": (False, [ZERO, SWITCH]), "merged": (False, [ZERO, SWITCH])},
    # the order was argued about; before there is an event queue nothing can free a page ("Moving boot pages")
    "migration": {"posted": (False, []), "merged": (False, [])},
    # the max capability decides, whatever became of SET_HCA_CAP ("Which mode")
    "mode": {"posted": (True, []), "merged": (True, [])},
    # the work queue is flushed before the device is closed ("Page work at the end"), so no request is left; misnamed
    # are only pages of a foreign boot function, and those of a start in which firmware is in another mode
    "stale-mode": {"posted": (False, [ZERO, SWITCH]), "merged": (False, [ZERO, SWITCH])},
    # the guard is around the counters by type: the warning about fw_pages stays ("Counter checks at the end")
    "guard": {"posted": (False, []), "merged": (False, [])},
    # "GIVE not answered": pages freed and unmapped
    "give-timeout": {"posted": (True, []), "merged": (True, [])},
    # posted counts the number in the command, "whether its pages were found or not"; in merged a page that is not
    # named stays in a tree that is freed at the end. With 64 KiB pages a block that comes twice counts as two, too
    "double-return": {"posted": (True, []), "merged": (True, [])},
    # "Command not delivered", TAKE: pages are taken from the own tree; a reset by software comes first, and is waited
    # for no longer than its time ("Fatal health syndrome")
    "forced-reclaim": {"posted": (True, []), "merged": (True, [])},
    # "Negative or huge answer to QUERY_PAGES": goes into a length of 32 bits
    "counts": {"posted": (True, []), "merged": (True, [])},
    # "Progress at the end": any number in an answer
    "endless-teardown": {"posted": (True, []), "merged": (True, [])},
    # posted counts after the answer ("What is counted"): the wait looks while a GIVE is out. merged counts as it takes
    # a page. Where another function than 0 has boot pages, posted's counter of VFs never comes to 0: the wait times out
    "early-release": {"posted": (True, []), "merged": (False, [])},
    # "release_all": frees the tree as it is when the worker comes to it
    "release-all": {"posted": (True, []), "merged": (True, [])},
    # "Request without memory to queue it": dropped with a warning
    "request-lost": {"posted": (True, []), "merged": (True, [])},
    # "TEARDOWN_HCA refused": nothing is taken back, DISABLE_HCA is not sent, and the next ENABLE_HCA is refused
    "refused-teardown": {"posted": (True, []), "merged": (True, [])},
}

#: states and transitions of each question's search under the default assumptions, as posted, merged and fwpages.
#: A change of the explorer that is meant to change no behaviour must not change them. Where a world, a property, a
#: design, the host or the firmware was changed on purpose: look at the verdicts above first, say in the commit why the
#: orders are more or fewer, and pin what `fwpages review --format json` says then.
COUNTS = {
    "lock": ((1031, 2550), (1010, 2512), (723, 1587)),
    "types": ((2208, 3634), (2273, 3792), (762, 1096)),
    "early-give": ((229, 402), (248, 444), (150, 254)),
    "late-return": ((693, 1208), (650, 1135), (199, 321)),
    "reuse": ((2148, 4341), (5237, 10889), (841, 1292)),
    "boot-identity": ((169, 247), (169, 247), (117, 155)),
    "migration": ((328, 456), (328, 456), (73, 92)),
    "mode": ((1476, 2160), (1476, 2160), (325, 411)),
    "stale-mode": ((487, 741), (487, 741), (281, 359)),
    "guard": ((80, 79), (80, 79), (75, 74)),
    "give-timeout": ((3631, 7036), (3631, 7036), (423, 751)),
    "double-return": ((922, 1757), (1185, 2127), (512, 936)),
    "forced-reclaim": ((2161, 3245), (2161, 3245), (629, 817)),
    "counts": ((148, 208), (148, 208), (135, 145)),
    "endless-teardown": ((102, 103), (102, 103), (77, 76)),
    "early-release": ((101, 138), (106, 145), (87, 118)),
    "release-all": ((232, 439), (232, 439), (627, 1265)),
    "request-lost": ((121, 178), (123, 180), (125, 185)),
    "refused-teardown": ((125, 126), (125, 126), (173, 174)),
}


def changes(v: Verdict) -> str:
    return ",".join(f"{name}={'on' if value else 'off'}" for name, value in v.changed)


def each(answers: list[Answer]) -> list[tuple[Answer, Verdict]]:
    return [(a, v) for a in answers for verdicts in a.verdicts.values() for v in verdicts]


def test_every_assumption_is_on_and_off() -> None:
    sets = assumption_sets()
    assert sets[0] == (), "the defaults come first"
    assert [s for s in sets[1:] if len(s) != 1] == []
    for name, a in ASSUMPTIONS.items():
        turned = {value for ((n, value),) in sets[1:] if n == name}
        assert turned | {a.default} >= {True, False}
        assert (a.default in turned) is False
    assert {((n, v),) for n, v in (("keeps_vhca_id", True), ("keeps_vhca_id", False))} <= set(sets[1:])


def test_every_question_has_every_verdict(answers: list[Answer]) -> None:
    assert [a.question for a in answers] == list(QUESTIONS)
    sets = assumption_sets()
    for a in answers:
        assert tuple(a.verdicts) == DESIGNS
        for design, verdicts in a.verdicts.items():
            assert [v.changed for v in verdicts] == list(sets)
            assert {v.design for v in verdicts} == {design}
            for v in verdicts:
                stands: dict[Switch, bool | None] = {n: x.default for n, x in ASSUMPTIONS.items()}
                assert v.assumptions == {**stands, **dict(v.changed)}


def test_every_verdict_is_settled(answers: list[Answer]) -> None:
    for a, v in each(answers):
        subject = f"{a.question.id} {v.design} {changes(v)}"
        assert v.complete, subject
        assert v.settled, subject
        assert v.states > 0, subject
        if not v.changed:
            assert v.reachable or not v.missed, f"{subject}: a world that never comes to its point settles nothing"
            assert not v.moot, subject


def test_ours_never_fails(answers: list[Answer]) -> None:
    assert ours_holds(answers)
    for a in answers:
        for v in a.verdicts["fwpages"]:
            assert not v.reachable, f"{a.question.id} {changes(v)}: {v.seen}"


def test_ours_is_moot_only_where_no_session_opens(answers: list[Answer]) -> None:
    """Firmware that switches at INIT_HCA does not know the name by which init pages are asked for."""
    for a in answers:
        assert [changes(v) for v in a.verdicts["fwpages"] if v.moot] == [SWITCH], a.question.id


@pytest.mark.parametrize("q", QUESTIONS, ids=lambda q: q.id)
def test_the_verdicts(q: Question, answers: list[Answer]) -> None:
    (a,) = [a for a in answers if a.question == q]
    for design, verdicts in a.verdicts.items():
        reachable, turned = VERDICTS[q.id].get(design, (False, []))
        assert verdicts[0].reachable is reachable, design
        assert [changes(v) for v in exceptions(verdicts)] == turned, design


def test_what_is_found_is_what_the_question_asks(answers: list[Answer]) -> None:
    for a, v in each(answers):
        expect = library.load(a.question.id).expect
        assert not v.reachable or v.broken in (*expect.never, *expect.eventually)
        assert bool(v.broken) is bool(v.seen) is bool(v.steps) is bool(v.replay) is bool(v.world) is v.reachable


def test_states_and_transitions(answers: list[Answer]) -> None:
    found = {a.question.id: tuple((vs[0].states, vs[0].transitions) for vs in a.verdicts.values()) for a in answers}
    assert found == COUNTS


def test_every_path_can_be_walked(answers: list[Answer]) -> None:
    """It has as many steps as are reported, and what was seen is seen after the last of them and not before.

    Those that are shown to people, and of the others, which are much alike, every fourth.
    """
    ways = {v.replay: v for _, v in each(answers) if v.reachable}
    shown = [v for a in answers for vs in a.verdicts.values() for v in (vs[0], *exceptions(vs)) if v.reachable]
    for replay, v in {**dict([*ways.items()][::4]), **{v.replay: v for v in shown}}.items():
        scenario = library.load(v.world)
        spec, path = decode(Spec(v.world, scenario), replay)
        assert len(path) == len(v.steps)
        assert (spec.design, dict(spec.overrides)) == (v.design, dict(v.changed))
        if v.broken in EVENTUALLY:
            tests = [(v.broken, PROPERTIES[EVENTUALLY[v.broken].property].test)]
            ends = [seen(tests, x.after) for x in walk(spec, path)]
            assert ends[-1], replay
            continue
        tests = [(v.broken, PROPERTIES[v.broken].test)]
        ends = [seen(tests, x.after) for x in walk(spec, path)]
        assert ends[-1] == ((v.broken, v.seen),), replay
        assert not any(ends[:-1]), replay


# -- how it is made ---------------------------------------------------------------------------------------------------


def test_our_host_is_held_to_everything() -> None:
    assert {*STANDARD} <= PROPERTIES.keys()
    assert {*STANDARD_ENDS} <= EVENTUALLY.keys()
    for q in QUESTIONS:
        for design in DESIGNS:
            for spec in specs_of(q, design, {}):
                kinds = spec.scenario.expect
                assert ({*STANDARD} <= {*kinds.always, *kinds.never}) is (design == "fwpages")
                assert ({*STANDARD_ENDS} <= {*kinds.eventually}) is (design == "fwpages")
                assert expanding.Tests(spec.scenario).points


def test_the_kinds_of_vports_are_searched_one_by_one() -> None:
    types = question("types")
    assert types is not None
    alone = specs_of(types, "merged", {"never_uplink": False})
    assert [s.name.partition(":")[2] for s in alone] == [
        "host", "vf", "sf", "ec_vf", "spf", "adjacent", "uplink", "ecpf"
    ]  # fmt: skip
    assert all(len(s.rules().specs) == 1 for s in alone)
    assert len(specs_of(types, "merged", {})) == 6, "the uplink and the ECPF are there under an assumption"
    (whole,) = (s for s in [Spec("types", library.load("types"))])
    assert [s.rules().fingerprint for s in each_function(whole)] != [whole.rules().fingerprint] * 6


def test_worlds_in_which_nothing_changes_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    q = question("migration")
    assert q is not None
    done: list[str] = []
    real = search

    def counted(spec: Spec) -> Outcome:
        done.append(spec_key(spec))
        return real(spec)

    monkeypatch.setattr(reviewing, "search", counted)
    reported: list[tuple[int, int]] = []
    (a,) = review([q], ["fwpages"], watch=lambda n, of: reported.append((n, of)))
    assert len(done) == len(set(done)) < len(assumption_sets()) == len(a.verdicts["fwpages"])
    assert reported == [(n, len(done)) for n in range(1, len(done) + 1)]
    assert a.table == ()


def test_workers_change_nothing(answers: list[Answer]) -> None:
    """Nor does it matter whether questions are asked one by one, as ``answers`` were, or together."""
    qs = [q for q in QUESTIONS if q.id in ("migration", "counts")]
    assert review(qs, DESIGNS, workers=2) == [a for a in answers if a.question in qs]


# -- what settles nothing ---------------------------------------------------------------------------------------------


def hand_made(monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], bounds: dict[str, Any]) -> Question:
    """The world of question 7, changed by hand."""
    real = library.load

    def load(name: str) -> Scenario:
        s = real(name)
        e = msgspec.structs.replace(s.expect, **change)
        return msgspec.structs.replace(s, expect=e, bounds=msgspec.structs.replace(s.bounds, **bounds))

    monkeypatch.setattr(reviewing, "load", load)
    q = question("migration")
    assert q is not None
    return q


def test_a_world_that_never_comes_to_its_point_settles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    q = hand_made(monkeypatch, {"sometimes": ("vhca-id-mode", "late-return")}, {})
    (a,) = review([q], ["fwpages"])
    v = a.verdicts["fwpages"][0]
    assert (v.reachable, v.complete, v.missed) == (False, True, ("late-return",))
    assert not v.settled
    assert not v.moot, "it is not an assumption's doing"
    assert not ours_holds([a])


def test_a_search_that_is_not_complete_settles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    q = hand_made(monkeypatch, {}, {"states": 60})
    (a,) = review([q], ["fwpages"])
    first = a.verdicts["fwpages"][0]
    assert not first.complete
    assert not first.reachable
    assert not first.settled
    assert not ours_holds([a])


def test_a_path_settles_even_an_unfinished_search(monkeypatch: pytest.MonkeyPatch) -> None:
    q = hand_made(monkeypatch, {"never": ("vhca-id-mode",)}, {"states": 60})
    (a,) = review([q], ["fwpages"])
    v = a.verdicts["fwpages"][0]
    assert v.reachable
    assert v.settled
    assert v.broken == "vhca-id-mode"
    assert not ours_holds([a])


def verdict(**changes: Any) -> Verdict:
    return replace(Verdict("fwpages", (), {}, reachable=False, complete=True, states=3, transitions=2), **changes)


@pytest.mark.parametrize(
    ("changes", "holds"),
    [
        ({}, True),
        ({"reachable": True}, False),
        ({"complete": False}, False),
        ({"missed": ("given",)}, False),
        ({"missed": ("given",), "moot": True}, True),
        ({"missed": ("given",), "moot": True, "complete": False}, False),
    ],
)
def test_our_design_holds(changes: dict[str, Any], holds: bool) -> None:
    q = QUESTIONS[0]
    assert ours_holds([Answer(q, {"fwpages": (verdict(**changes),)})]) is holds
    assert ours_holds([Answer(q, {"fwpages": (verdict(), verdict(**changes))})]) is holds
    assert ours_holds([Answer(q, {"posted": (verdict(**changes),)})]), "what others do is not ours"
