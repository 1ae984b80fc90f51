"""Slips that a driver's author could make are found by the worlds, and sources that are not broken are not blamed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.mutants.copies import called, copy, on_its_own
from tests.sensitivity import worlds
from tests.sensitivity.verdict import CLEAN, Clean, Verdicts

HOST = "src/fwpages/host"
ASK = [sys.executable, "-m", "tests.sensitivity.ask"]
WORLDS = ["migration", "early-release"]
#: a TAKE names the supplier itself, whoever it is for
NAMED = "fields = op.identity.fields"
MISNAMED = "fields = (h.session.own if op.kind is ManagePages.TAKE else op.identity).fields"
#: what a function has is freed when it is asked to go
SENT = "    return disable(h, vport) if vport in"
FREED = "    h.pool.put(h.ledger.release_all(h.session.vports[vport].identity, h.pool.indices()))\n" + SENT


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sensitivity").resolve() / "0"
    copy(root)
    on_its_own(root)
    run = called(root, [*ASK, "clean", "--tried=5", *(f"--world={w}" for w in WORLDS)])
    assert not run.returncode, run.stderr
    return root


def asked(root: Path, *more: str) -> Verdicts:
    run: subprocess.CompletedProcess[str] = called(root, [*ASK, "broken", "--least=0", *more])
    assert not run.returncode, run.stderr
    return msgspec.json.decode(run.stdout, type=Verdicts)


@contextmanager
def slipped(root: Path, file: str, right: str, wrong: str) -> Iterator[None]:
    """The copy with one thing in it that is wrong."""
    path = root / HOST / file
    text = path.read_text("utf-8")
    assert text.count(right) == 1
    path.write_text(text.replace(right, wrong), "utf-8")
    yield
    path.write_text(text, "utf-8")


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
        ("vports.py", SENT, FREED, "broken", "early-release", "custody: firmware has 1 page of vf0 that the driver"),
        ("state.py", "return bool(self.records.out or", "return True or (", "broken", "migration", "needless-reset"),
        ("session.py", "from enum import StrEnum", "from enum import NoEnum", "raised", "on import", "ImportError"),
        ("control.py", "    while _once(h):\n", "    while _once(h) or True:\n", "not ended", "migration", ""),
    ],
    ids=["freed too early", "never clean", "no import", "no end"],
)
def test_a_slip_is_found(tree: Path, file: str, right: str, wrong: str, what: str, world: str, seen: str) -> None:
    with slipped(tree, file, right, wrong):
        said = asked(tree, "--no-walks")
    assert (said.search.what, said.search.world) == (what, world)
    assert seen in said.search.detail


def test_a_slip_is_found_by_walks_too(tree: Path) -> None:
    with slipped(tree, "page_path.py", NAMED, MISNAMED):
        said = asked(tree)
    assert (said.search.what, said.search.world) == ("broken", "early-release")
    assert "blamed: take-short" in said.search.detail
    assert said.walks.found
    assert said.walks.done <= 100 * len(WORLDS)


def test_a_point_that_an_assumption_rules_out_is_no_sign_of_a_slip() -> None:
    name = "migration switch_at_set_cap=off"
    chosen = {name: worlds.standard(every=True)[name]}
    known = worlds.clean(chosen, 1, 1)
    assert known.worlds[name].missed == ("vhca-id-mode",)
    assert worlds.searched(chosen, known).what == "holds"
    reached = msgspec.structs.replace(known.worlds[name], missed=())
    verdict = worlds.searched(chosen, Clean({name: reached}))
    assert (verdict.what, verdict.detail) == ("missed", "vhca-id-mode")
