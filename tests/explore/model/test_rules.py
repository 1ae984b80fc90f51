from __future__ import annotations

import pytest

from fwpages.explore.check.search import search
from fwpages.host.io import Operation, OperationKind
from fwpages.scenario import ScenarioError
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, WORLDS, found, made, small, steps

#: for worlds with a thousand states in either model of Linux, the designs that are enough
FEWER = {"asks": ("fwpages",), "unanswered": ("merged", "fwpages"), "timeout": ("posted", "fwpages")}


@pytest.mark.many_runs
@pytest.mark.parametrize(("name", "design"), [(n, d) for n in WORLDS for d in FEWER.get(n, DESIGNS)])
def test_memory_mapped_at_once_changes_no_verdict(name: str, design: str) -> None:
    quick, slow = found(name, design), search(small(name, design, eager=False))
    assert quick.complete
    assert slow.complete
    assert (quick.broken.keys(), quick.reached.keys(), quick.missed) == (
        slow.broken.keys(),
        slow.reached.keys(),
        slow.missed,
    )
    assert {k: b.seen for k, b in quick.broken.items()} == {k: b.seen for k, b in slow.broken.items()}
    assert quick.states <= slow.states


def test_every_answer_may_be_late_without_a_fault() -> None:
    with pytest.raises(
        ScenarioError, match=r"fault\[0\]\.name: in a world any answer may be late; set bounds\.timeouts"
    ):
        made(HEAD + steps(*SESSION) + '[[fault]]\nname = "give-late"\n').rules()


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ('name = "give-refused"\nat = 2', "fault[0].at: in a world a fault is tried at every moment"),
        ('name = "give-refused"\n[[fault]]\nname = "give-refused"', "fault[1].name: give-refused is there already"),
        ('name = "no-such"', "no-such"),
        ('name = "give-refused"\nat = 0', "fault[0].at"),
        ('name = "give-refused"\ntimes = 2', "fault[0].times: in a world a fault is injected once"),
        ('name = "map-fails"\ntimes = 0', "fault[0].times"),
        ('name = "request-lost"\ntimes = 0', "fault[0].times"),
        ('name = "request-not-queued"\ntimes = 0', "fault[0].times"),
    ],
)
def test_faults_that_a_world_cannot_have(faults: str, says: str) -> None:
    with pytest.raises(ScenarioError) as e:
        made(HEAD + steps(*SESSION) + f"[[fault]]\n{faults}\n").rules()
    assert says in str(e.value)


def test_faults_are_sorted_by_their_trigger() -> None:
    names = ("map-fails", "take-aborted-lost", "answer-twice", "request-not-queued", "request-lost")
    rules = made(HEAD + steps(*SESSION) + "".join(f'[[fault]]\nname = "{n}"\n' for n in names)).rules()
    found = [rules.map_faults, rules.delivery_faults, rules.answer_faults, rules.request_faults, rules.command_faults]
    assert [[f.name for f in faults] for faults in found] == [
        ["map-fails"],
        ["take-aborted-lost"],
        ["answer-twice"],
        ["request-lost", "request-not-queued"],
        [],
    ]


def test_only_moments_that_are_waited_for_are_kept() -> None:
    assert {str(m) for m in small("session").rules().awaited_moments} == {"open", "disable vf0"}


def test_operations_are_named_as_the_file_names_them() -> None:
    rules = small("session").rules()
    assert rules.moment(Operation(OperationKind.ENABLE, 1)) == "enable vf0"
    assert rules.moment(Operation(OperationKind.ENABLE, 7)) == "enable 0x7"
    assert rules.moment(Operation(OperationKind.CLOSE)) == "close"


def test_what_is_assumed_decides_what_is_there() -> None:
    text = HEAD + steps(*SESSION) + '[[fault]]\nname = "give-refused"\nwhen = "not never_uplink"\n'
    assert made(text).rules().allowed.keys() == set()
    assert made(text, never_uplink=False).rules().allowed.keys() == {"give-refused"}


def test_fingerprints_are_of_everything_but_the_name() -> None:
    one = small("session").rules().fingerprint
    assert made(WORLDS["session"], name="other").rules().fingerprint == one
    others = [
        small("session", "merged"),
        small("session", eager=False),
        small("left"),
        made(WORLDS["session"], vport_command_waits=True),
    ]
    assert one not in {s.rules().fingerprint for s in others}
    assert made(WORLDS["session"] + "# a remark\n").rules().fingerprint == one
