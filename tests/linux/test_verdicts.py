"""The review's verdicts on Linux 7.2, asked of its compiled allocator: it must do what the model was found to do.

Where something can happen, the shortest path that the review found is played; where it cannot, walks at random to the
point of the question are. On each, Linux has to send the very page commands that the model sends, in their order, and
at the end list and count the same pages. What the question asks about is then looked for in the compiled code itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import cache

import msgspec
import pytest

from fwpages.explore.check.properties import PROPERTIES
from fwpages.explore.check.replay import Walked, decode, walk
from fwpages.explore.model.library import load, only
from fwpages.explore.model.spec import Spec
from fwpages.explore.review.answers import Answer, Verdict
from fwpages.explore.review.questions import QUESTIONS
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.scenario.format import HealthStep, Switch
from tests.explore.small_worlds import random_path
from tests.linux.path_player import PathPlayer, model, script
from tests.linux.peer import ETIMEDOUT, TYPES, Peer

#: why the compiled allocator cannot be asked; it is one thread without command slots, and a double of the e-switch
NOT_ASKED = {
    "lock": "its e-switch is a table without a lock, and it has one thread: nothing can wait for another",
    "mode": "which mode is set is decided in main.c, around it",
    "stale-mode": "requests between two sessions meet main.c and the event queue, not the allocator",
    "guard": "the guard was never merged; what main.c leaves out at teardown is not compiled",
    "forced-reclaim": "the error state and the order of its end are health.c's and main.c's",
    "refused-teardown": "TEARDOWN_HCA and what follows its refusal are main.c's",
}
REACHABLE = ("give-timeout", "double-return", "counts", "endless-teardown", "release-all", "request-lost")
NOT_REACHABLE = ("types", "early-give", "late-return", "reuse", "boot-identity", "migration", "early-release")

#: seeds of the walks to a point
SEEDS = range(12)


def test_every_question_is_asked_or_cannot_be() -> None:
    assert {q.id for q in QUESTIONS} == {*NOT_ASKED, *REACHABLE, *NOT_REACHABLE}
    assert {q.number for q in QUESTIONS if q.id in NOT_ASKED} == {1, 8, 9, 10, 13, 19}


def verdict(answers: list[Answer], name: str, **assume: bool) -> Verdict:
    """The review's verdict on merged."""
    a = next(a for a in answers if a.question.id == name)
    return next(v for v in a.verdicts["merged"] if dict(v.changed) == assume)


def found(v: Verdict) -> list[Walked]:
    """The shortest path to what the review found."""
    spec, path = decode(Spec(v.world, load(v.world)), v.replay)
    return list(walk(spec, path))


def played(peer: Peer, path: list[Walked]) -> PathPlayer:
    """The path on the compiled code, which did the same and lists the same."""
    p = PathPlayer(peer, path)
    p.play()
    p.same()
    return p


def gone(p: PathPlayer) -> int:
    """Pages that firmware has at the end and Linux has freed."""
    return sum(p.freed(pages) for pages in p.walk[-1].after.firmware.holds().values())


def log(p: PathPlayer) -> str:
    return "".join(text for _, text in p.oracle.log())


# -- what can happen --------------------------------------------------------------------------------------------------


def test_give_timeout(peer: Peer, answers: list[Answer]) -> None:
    v = verdict(answers, "give-timeout")
    assert (v.reachable, v.broken) == (True, "custody")
    p = played(peer, found(v))
    assert p.codes == {"boot": [-ETIMEDOUT]}
    assert p.seen is None, "the call came back"
    assert gone(p) == 1
    assert p.oracle.stats()["pages_live"] == 0, "freed and unmapped"


def test_double_return(peer: Peer, answers: list[Answer]) -> None:
    v = verdict(answers, "double-return")
    assert (v.reachable, v.broken) == (True, "miscounted")
    p = played(peer, found(v))
    c = p.oracle.counters()
    assert (c["fw_pages"], p.oracle.roots()) == (1, []), "counted, and in no tree"
    assert "FW pages counter is 1 after reclaiming all pages" in log(p)


def test_double_return_with_large_pages(peer: Peer, answers: list[Answer]) -> None:
    v = verdict(answers, "double-return", host_pages_4k=False)
    assert (v.reachable, v.broken) == (True, "custody")
    p = played(peer, found(v))
    assert gone(p) == 1
    assert log(p) == "", "not a word"


def test_counts(peer: Peer, answers: list[Answer]) -> None:
    """The library has guard pages behind every allocation and traps what runs into them: nothing else is harmed."""
    v = verdict(answers, "counts")
    assert (v.reachable, v.broken) == (True, "overrun")
    assert "-1 pages is written into 8 bytes" in v.seen
    path = found(v)
    assert [x.kind for x in script(path)] == ["startup", "sent", "answer"]
    with pytest.raises(peer.Oops, match="SIGSEGV"):
        PathPlayer(peer, path).play()


def test_endless_teardown(peer: Peer, answers: list[Answer]) -> None:
    v = verdict(answers, "endless-teardown")
    assert (v.reachable, v.broken) == (True, "fruitless")
    p = PathPlayer(peer, found(v))
    # the path ends with a TAKE in flight; whatever is asked from there on is answered like those before it
    p.afterwards = next(x.answer for x in reversed(p.left) if x.kind == "answer")  # type: ignore[assignment]
    p.oracle.set_cmd_budget(8_000)
    with pytest.raises(peer.Oops):  # stopped from outside: four times the commands of this world's 2 s without progress
        p.play()
    takes = [c for c in p.sent if c.opcode == Opcode.MANAGE_PAGES and c.op_mod == ManagePages.TAKE]
    assert len(takes) > 3 * 2_000
    assert p.seen is not None
    assert p.seen.fw_pages == p.end.fw_pages == 2


def test_release_all(peer: Peer, answers: list[Answer]) -> None:
    for assume in ({}, {"host_pages_4k": False}):
        v = verdict(answers, "release-all", **assume)
        assert (v.reachable, v.broken) == (True, "custody")
        p = played(peer, found(v))
        assert gone(p) == 1, "firmware has accepted it after its reset"
        assert log(p) == ""


def test_request_lost(peer: Peer, answers: list[Answer]) -> None:
    v = verdict(answers, "request-lost")
    assert (v.reachable, v.broken) == (True, "request-forgotten")
    p = played(peer, found(v))
    assert "failed to allocate pages request" in log(p)
    assert p.oracle.work_pending() == 0
    sent = len(p.sent)
    p.oracle.run_work(-1)
    assert len(p.sent) == sent, "firmware gets no command"
    assert p.walk[-1].after.firmware.inner.asks("vf0") == 1


# -- what cannot, and does under an assumption ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["early-give", "late-return", "reuse", "boot-identity"])
def test_boot_pages_of_another_function(peer: Peer, answers: list[Answer], name: str) -> None:
    v = verdict(answers, name, boot_names_zero=False)
    assert v.reachable
    p = played(peer, found(v))
    number = p.walk[0].before.rules.boot_function
    vf = TYPES.index(FunctionType.VF)
    assert p.oracle.counters()["page_counters"][vf] == 1, "they are a VF's by number, and stay it"
    assert p.oracle.roots() == [number, p.end.caps["vhca_id"]], "and they do not move"


def test_firmware_that_switches_later(peer: Peer, answers: list[Answer]) -> None:
    v = verdict(answers, "boot-identity", switch_at_set_cap=False)
    assert v.reachable
    p = played(peer, found(v))
    assert (p.oracle.roots(), p.oracle.counters()["fw_pages"]) == ([], 1)
    assert gone(p) == 1, "listed nowhere"
    assert p.oracle.stats()["pages_live"] == 1, "not freed, but leaked"


# -- what cannot ------------------------------------------------------------------------------------------------------


def walks(name: str, function: str = "", **assume: bool) -> Iterator[list[Walked]]:
    """Random paths through the question's world, each walked when it is its turn."""
    scenario = load(name)
    if function:
        scenario = only(scenario, function)
    if name == "migration":
        # in the middle of the move nothing can be done to one thread, nor is its error state compiled: before and after
        steps = tuple(s for s in scenario.step if not isinstance(s, HealthStep))
        scenario = msgspec.structs.replace(scenario, step=steps)
    known: dict[str, Switch] = {k: k for k in Switch.__args__}  # type: ignore[attr-defined]  # a Literal's
    spec = Spec(name, scenario, "merged", {known[k]: v for k, v in assume.items()})
    return (list(walk(spec, random_path(spec, seed, 300)[0])) for seed in SEEDS)


def met(path: list[Walked], *points: str) -> bool:
    """The path comes to all of these points."""
    return all(any(PROPERTIES[name].test(x.after) is not None for x in path) for name in points)


def sound(p: PathPlayer) -> None:
    """No counter of Linux's is below zero, nor counts a page that it does not list."""
    c = p.oracle.counters()
    assert max([c["fw_pages"], *c["page_counters"]]) < 1 << 20, "a counter has wrapped"
    listed = sum((p.seen or p.look()).sizes.values())
    assert c["fw_pages"] == listed
    assert sum(c["page_counters"]) <= listed


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("early-give", ["early-give", "taken"]),
        ("late-return", ["late-return"]),
        ("reuse", ["late-return"]),
        ("boot-identity", ["vhca-id-mode", "open"]),
        ("migration", ["vhca-id-mode"]),
        ("early-release", ["given", "disabled"]),
    ],
)
def test_walks_to_the_point(peer: Peer, answers: list[Answer], name: str, points: list[str]) -> None:
    v = verdict(answers, name)
    assert v.settled
    assert not v.reachable
    paths = list(walks(name))
    reached = 0
    for path in paths:
        p = played(peer, path)
        sound(p)
        assert gone(p) == 0
        assert "page not found" not in log(p), "a page that can be found under no key"
        assert "WARN" not in log(p)
        reached += met(path, *points)
    assert reached > len(paths) // 4, "walks that never come to the point say nothing"


def test_pages_given_early_are_never_counted_as_a_type(peer: Peer) -> None:
    """Why a counter does not go below zero: the type is kept with the page, none where there was none."""
    for path in walks("early-give"):
        early = PROPERTIES["early-give"].test
        n = next(
            (n for n, x in enumerate(path) if early(x.after) is not None and model(x.after).held() is not None), -1
        )
        if n < 0:
            continue
        p = played(peer, path[: n + 1])
        assert p.oracle.counters()["page_counters"][TYPES.index(FunctionType.SF)] == 0
        assert p.oracle.counters()["fw_pages"] == 3
        return
    raise AssertionError("no walk gives early")


def test_a_wait_ends_when_the_pages_are_back(peer: Peer) -> None:
    """A VF of a PF is known before its firmware can ask. Where it is not, see test_differences.test_late_types."""
    waited = 0
    for path in walks("early-release"):
        p = played(peer, path)
        waited += len(p.codes.get("wait", []))
        assert set(p.codes.get("wait", [])) <= {0}
        if met(path, "disabled"):
            assert path[-1].after.firmware.inner.held("vf0") == 0
    assert waited, "in one of them a page is still out when the wait begins"


# -- the table of types -----------------------------------------------------------------------------------------------


@cache
def _given(function: str) -> list[Walked]:
    """A walk through question 2's world with this function alone, up to where it has its page."""
    for path in walks("types", function, never_uplink=False):
        for n, x in enumerate(path):
            if x.after.firmware.inner.held(function) and model(x.after).held() is not None:
                return path[: n + 1]
    raise AssertionError(f"{function} never has a page")


@pytest.mark.parametrize("function", ["host", "vf", "sf", "ec_vf", "spf", "adjacent", "uplink", "ecpf"])
def test_the_table_of_types(peer: Peer, answers: list[Answer], function: str) -> None:
    """Its e-switch is a double, set to what the model's map says (eswitch.c:esw_vport_to_func_type is not compiled).

    So it is asked what comes of that: the counter of the type that was known when the page was given, and of no other.
    """
    path = _given(function)
    p = played(peer, path)
    kinds = {str(k): n for k, n in zip(TYPES, p.oracle.counters()["page_counters"], strict=False)}
    spec = path[0].before.rules.specs[function]
    mine = [r for r in p.rows() if r["function"] == spec.vhca_id]
    assert len(mine) == 1
    said = str(TYPES[int(mine[0]["type"])])
    (table,) = (a.table for a in answers if a.table)
    row = next(k for k in table if k.kind == KIND[function])
    allowed = {t.replace("none", "unknown") for t in row.types["merged"]} | ({"unknown"} if early(path) else set())
    assert said in allowed
    assert kinds.get(said, 0) == (0 if said == "unknown" else 1)
    assert kinds["self"] == 2
    assert sum(kinds.values()) == (2 if said == "unknown" else 3)


def early(path: list[Walked]) -> bool:
    """The page was given before the function was known."""
    return met(path, "early-give")


#: functions of question 2's world and the rows of its table
KIND = {
    "host": "host PF",
    "vf": "VF",
    "sf": "SF",
    "ec_vf": "EC VF",
    "spf": "SPF",
    "adjacent": "adjacent VF",
    "uplink": "uplink",
    "ecpf": "ECPF by its vport",
}


# -- the comparison itself --------------------------------------------------------------------------------------------


def test_a_difference_is_noticed(peer: Peer) -> None:
    """Had the compiled code another type, or did it send another command, the comparison would fail."""
    path = _given("spf")
    p = PathPlayer(peer, path)
    p.left = deque(x for x in p.left if x.kind != "type")
    p.play()
    with pytest.raises(AssertionError):
        p.same()
    p = PathPlayer(peer, path)
    events = [n for n, x in enumerate(p.left) if x.kind == "event"]
    p.left[events[0]] = p.left[events[0]]._replace(event=PageRequestEvent(0x60, 2))
    with pytest.raises(AssertionError, match="Linux sends"):
        p.play()
