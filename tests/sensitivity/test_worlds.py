"""Slips that a driver's author could make are found by the worlds, and sources that are not broken are not blamed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.mutants.copies import called, copy, on_its_own
from tests.sensitivity.verdict import CLEAN, Clean, Verdicts

HOST = "src/fwpages/host"
ASK = [sys.executable, "-m", "tests.sensitivity.ask"]
WORLDS = ["migration", "guard", "early-release", "counts", "give-timeout"]
#: a TAKE names the supplier itself, whoever it is for
NAMED = "fields = op.identity.fields"
MISNAMED = "fields = (h.session.own if op.kind is ManagePages.TAKE else op.identity).fields"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sensitivity").resolve() / "0"
    copy(root)
    on_its_own(root)
    run = called(root, [*ASK, "clean", *(f"--world={w}" for w in WORLDS)])
    assert not run.returncode, run.stderr
    return root


def asked(root: Path, *more: str) -> Verdicts:
    run: subprocess.CompletedProcess[str] = called(root, [*ASK, "broken", *more])
    assert not run.returncode, run.stderr
    return msgspec.json.decode(run.stdout, type=Verdicts)


def test_the_smallest_world_comes_first(tree: Path) -> None:
    known = msgspec.json.decode((tree / CLEAN).read_bytes(), type=Clean)
    states = [w.states for w in known.worlds.values()]
    assert sorted(known.worlds) == sorted(WORLDS)
    assert states == sorted(states)
    assert all(0 < share < 1 for w in known.worlds.values() for share in w.shares.values())


def test_nothing_is_found_in_sources_that_are_not_broken(tree: Path) -> None:
    said = asked(tree)
    assert (said.search.what, said.search.done, said.search.changed) == ("holds", len(WORLDS), ())
    assert said.walks.what == "holds"
    assert said.walks.done > len(WORLDS)


@pytest.mark.parametrize(
    ("file", "right", "wrong", "what", "world", "seen"),
    [
        (
            "pagepath.py",
            NAMED,
            MISNAMED,
            "broken",
            "early-release",
            "blamed: take-short",
        ),
        (
            "pageanswers.py",
            "h.ledger.doubt(h.records.rows[op.record], op.index)\n        return op.asked",
            "h.pool.put(h.ledger.refuse(h.records.rows[op.record], op.index))\n        return op.asked",
            "broken",
            "give-timeout",
            "firmware has",
        ),
        (
            "vports.py",
            "r.outstanding + offered.get(r.number, 0)",
            "r.outstanding",
            "broken",
            "early-release",
            "early-end: disabling vf0 is done, firmware has 1 of vf0",
        ),
        (
            "pageanswers.py",
            "            if not op.crossed:\n                h.ledger.settle(op.index)\n        elif",
            "            pass\n        elif",
            "broken",
            "give-timeout",
            "doubt-left",
        ),
        ("ledger.py", "(state == State.FREE) & (owner != 0)", "(owner != 0)", "broken", "migration", "blamed"),
        ("control.py", "if s.failure and s.phase", "if s.failure or s.phase", "broken", "migration", "untold"),
        ("session.py", "initialized: bool = False", "initialized: bool = True", "broken", "counts", "out-of-turn"),
        ("closing.py", "if not owing:", "if owing:", "broken", "guard", ""),
        ("session.py", "from enum import StrEnum", "from enum import NoEnum", "raised", "on import", "ImportError"),
        ("control.py", "    while _once(h):\n", "    while _once(h) or True:\n", "not ended", "migration", ""),
    ],
    ids=[
        "TAKE for another",
        "GIVE freed",
        "wait without offered",
        "doubt kept",
        "device blamed",
        "unwound",
        "torn down",
        "not taken back",
        "no import",
        "no end",
    ],
)
def test_a_slip_is_found(tree: Path, file: str, right: str, wrong: str, what: str, world: str, seen: str) -> None:
    path = tree / HOST / file
    text = path.read_text("utf-8")
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong), "utf-8")
    try:
        said = asked(tree, "--no-walks")
    finally:
        path.write_text(text, "utf-8")
    assert (said.search.what, said.search.world) == (what, world)
    assert seen in said.search.detail


def test_walks_find_a_slip_too_by_chance(tree: Path) -> None:
    path = tree / HOST / "pagepath.py"
    text = path.read_text("utf-8")
    path.write_text(text.replace(NAMED, MISNAMED), "utf-8")
    try:
        said = asked(tree)
    finally:
        path.write_text(text, "utf-8")
    assert said.walks.found
    assert said.walks.done <= 100 * len(WORLDS)
