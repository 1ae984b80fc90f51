from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fwpages.explore.check import checkpoint as checkpoints
from fwpages.explore.check import workers
from fwpages.explore.check.checkpoint import CheckpointError, checkpointed
from fwpages.explore.check.search import Outcome, search
from fwpages.explore.check.workers import Shared, Travelling, processes
from fwpages.explore.model.bounds import bounded
from fwpages.explore.model.spec import Spec
from tests.explore.check.test_workers import serial
from tests.explore.small_worlds import HEAD, SESSION, WIDE, found, made, small, steps

pytestmark = pytest.mark.many_runs

NAMES = [("session", "merged"), ("asks", "fwpages"), ("unanswered", "posted")]


class Interrupt(Exception):
    """The search is interrupted."""


def interrupted(spec: Spec, directory: Path, level: int) -> None:
    """A search that ends before its time, after this level."""

    def watch(at: int, *_: int) -> None:
        if at >= level:
            raise Interrupt

    with checkpointed(directory, spec) as checkpoint, pytest.raises(Interrupt):
        search(spec, watch=watch, checkpoint=checkpoint)


def resumed(spec: Spec, directory: Path) -> Outcome:
    with checkpointed(directory, spec) as checkpoint:
        return search(spec, checkpoint=checkpoint)


@pytest.mark.parametrize(("name", "design"), NAMES)
def test_a_search_interrupted_twice_finds_the_same(tmp_path: Path, name: str, design: str) -> None:
    spec, whole = small(name, design), found(name, design)
    interrupted(spec, tmp_path, len(whole.levels) // 3)
    interrupted(spec, tmp_path, len(whole.levels) * 2 // 3)
    outcome = resumed(spec, tmp_path)
    assert outcome == whole
    assert list(outcome.broken) == list(whole.broken)
    assert resumed(spec, tmp_path) == whole  # all of it is there now


@pytest.mark.parametrize("call", [20, 21, 22, 23, 24, 25, 26])
def test_a_search_interrupted_while_it_is_written_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Whatever it was writing, it is written once more as the search ends."""
    spec, whole, left = small("session", "merged"), found("session", "merged"), call
    fsync = os.fsync

    def interrupting(number: int) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Interrupt
        fsync(number)

    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    monkeypatch.setattr(os, "fsync", interrupting)
    with checkpointed(tmp_path, spec) as checkpoint, pytest.raises(Interrupt):
        search(spec, checkpoint=checkpoint)
    assert resumed(spec, tmp_path) == whole


def test_what_is_broken_and_bad_is_kept(tmp_path: Path) -> None:
    text = HEAD + steps(*SESSION) + '[expect]\nnever = ["taken", "given"]\neventually = ["operations-end"]\n'
    spec = made(text, "merged")
    whole = search(spec)
    assert whole.broken
    for level in (30, 50):
        interrupted(spec, tmp_path, level)
    assert resumed(spec, tmp_path) == whole


def test_it_goes_on_with_other_workers_and_a_larger_bound(tmp_path: Path) -> None:
    spec = made(WIDE)
    with checkpointed(tmp_path, spec) as checkpoint:
        assert not search(spec, checkpoint=checkpoint).complete
    larger = bounded(spec, ["states=900"])
    with checkpointed(tmp_path, larger) as checkpoint:
        outcome = search(larger, crew=Shared(larger, Travelling(larger, serial)), checkpoint=checkpoint)
    assert outcome == search(larger)


def test_workers_make_the_states_of_the_last_level_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SPREAD", 8)
    spec = made(WIDE, "merged")
    whole = search(spec)
    interrupted(spec, tmp_path, len(whole.levels) - 2)
    with checkpointed(tmp_path, spec) as checkpoint, processes(spec, 2) as crew:
        assert checkpoint.progress is not None
        assert checkpoint.progress.ahead > 8
        assert search(spec, crew=crew, checkpoint=checkpoint) == whole


def test_a_checkpoint_that_was_not_completed_is_that_of_the_level_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, whole = small("session", "merged"), found("session", "merged")
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)
    interrupted(spec, tmp_path, 40)
    before = (tmp_path / "search.json").read_bytes()
    interrupted(spec, tmp_path, 60)
    (tmp_path / "search.json").write_bytes(before)  # the machine lost power between the two
    assert resumed(spec, tmp_path) == whole


def damaged(directory: Path, damage: Callable[[bytes], bytes], name: str) -> None:
    file = directory / name
    file.write_bytes(damage(file.read_bytes()))


@pytest.mark.parametrize("name", ["keys.bin", "moves.bin", "search.json"])
@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: bytes([b[0] ^ 1]) + b[1:]], ids=["short", "changed"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: Callable[[bytes], bytes], name: str) -> None:
    interrupted(small("session"), tmp_path, 30)
    damaged(tmp_path, damage, name)
    with pytest.raises(CheckpointError, match="name another directory"):
        resumed(small("session"), tmp_path)


def test_the_checkpoint_of_another_world_is_refused(tmp_path: Path) -> None:
    interrupted(small("session"), tmp_path, 30)
    for other in (small("left"), small("session", "merged")):
        with pytest.raises(CheckpointError, match="another world, design or version"):
            resumed(other, tmp_path)


def test_a_program_that_moves_otherwise_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(small("session"), tmp_path, 30)
    other = small("left")
    monkeypatch.setattr(checkpoints, "_world", lambda _: "the same")
    damaged(tmp_path, _renamed, "search.json")
    with pytest.raises(CheckpointError, match="another version of the program"):
        resumed(other, tmp_path)


def _renamed(text: bytes) -> bytes:
    """The content of search.json for a world of another name."""
    head, _, rest = text.partition(b'"world":"')
    return head + b'"world":"the same"' + rest[rest.index(b'"') + 1 :]


def test_a_directory_has_one_search_at_a_time(tmp_path: Path) -> None:
    with (
        checkpointed(tmp_path, small("session")),
        pytest.raises(CheckpointError, match="in use by another search"),
        checkpointed(tmp_path, small("session")),
    ):
        pass


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="file"), checkpointed(tmp_path / "file", small("session")):
        pass
