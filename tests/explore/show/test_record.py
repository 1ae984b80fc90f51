from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import Report
from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import Path as WorldPath
from fwpages.explore.check.search import search
from fwpages.explore.model.moves import TimePasses, moves, take
from fwpages.explore.model.spec import Spec
from fwpages.explore.show.record import record
from fwpages.host import Send
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, WORLDS, made, path_to, random_path, small, steps


def lines(spec: Spec, path: WorldPath) -> list[dict[str, object]]:
    stream = io.StringIO()
    record(spec, path, stream)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def audited(spec: Spec, path: WorldPath, folder: Path) -> Report:
    file = folder / "walk.jsonl"
    with file.open("w", encoding="utf-8") as stream:
        record(spec, path, stream)
    return audit(file)


def names(report: Report) -> set[str]:
    return {f.name for s in report.sessions for f in s.findings} | {f.name for f in report.findings}


@settings(max_examples=20)
@given(st.sampled_from(sorted(WORLDS)), st.sampled_from(DESIGNS), st.integers(0, 2**32), st.integers(0, 90))
def test_everything_that_was_sent_is_in_it_and_time_goes_on(name: str, design: str, seed: int, most: int) -> None:
    spec = small(name, design)
    path, _ = random_path(spec, seed, most)
    found = lines(spec, path)
    assert (found[0]["kind"], found[-1]["kind"]) == ("header", "end")
    assert [row["n"] for row in found] == list(range(len(found)))
    times = [float(str(row["t"])) for row in found[1:-1]]
    assert all(a < b for a, b in itertools.pairwise(times))
    sent = [e for x in walk(spec, path) for e in x.after.driver_effects if isinstance(e, Send)]
    assert len([row for row in found if row["kind"] == "submit"]) == len(sent)


@pytest.mark.parametrize("design", DESIGNS)
def test_a_clean_session_is_clean_in_the_audit(design: str, tmp_path: Path) -> None:
    spec = small("left", design)
    report = audited(spec, path_to("left", "closed", design), tmp_path)
    assert len(report.sessions) == 1
    assert report.clean, names(report)
    assert report.sessions[0].totals.held == 0
    assert report.sessions[0].mode == "vhca_id"


@pytest.mark.parametrize("design", DESIGNS)
def test_what_firmware_has_is_what_the_audit_says(design: str, tmp_path: Path) -> None:
    spec = small("asks", design)
    for seed in range(12):
        path, end = random_path(spec, seed, 75)
        if end.sent or end.inbox or end.held_back or not end.firmware.holds():
            continue
        (session,) = audited(spec, path, tmp_path).sessions
        assert session.totals.held == sum(p.size for p in end.firmware.holds().values())


def fault(name: str, design: str) -> tuple[Spec, WorldPath]:
    """A shortest path to that fault."""
    text = HEAD + steps(*SESSION) + f'[[fault]]\nname = "{name}"\n[bounds]\nstates = 300\n'
    spec = made(text + '[expect]\nsometimes = ["fault"]\n', design)
    path = search(spec).reached["fault"]
    return spec, path


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("give-aborted-done", "give-unanswered"),
        ("give-aborted-lost", "give-unanswered"),
        ("answer-garbled", "answer-malformed"),
        ("link-lost", "link-lost"),
    ],
)
def test_what_went_wrong_is_found(name: str, finding: str, design: str, tmp_path: Path) -> None:
    spec, path = fault(name, design)
    assert finding in names(audited(spec, path, tmp_path))


@pytest.mark.parametrize("design", DESIGNS)
def test_a_command_whose_time_is_over_is_given_up(design: str, tmp_path: Path) -> None:
    text = HEAD + steps("open") + "[bounds]\ntimeouts = 1\n"
    spec = made(text, design)
    # on until the first GIVE is under way, and then let time run out
    w, path = spec.build(), list[int]()
    while not any(e.command.opcode == 0x108 for e in w.sent):
        n, w = next((n, x) for n, act in enumerate(moves(w)) if act != TimePasses() and (x := take(w, act)) is not None)
        path.append(n)
    path.append(next(n for n, act in enumerate(moves(w)) if act == TimePasses()))
    found = lines(spec, tuple(path))
    assert [row["what"] for row in found if row["kind"] == "link"][:1] == ["given-up"]
    assert "give-unanswered" in names(audited(spec, tuple(path), tmp_path))


def test_a_reset_and_its_fence_are_recorded() -> None:
    text = HEAD + steps("open", "lose-link, after open")
    spec = made(text)
    w, path = spec.build(), list[int]()
    for _ in range(200):
        found = [(n, x) for n, act in enumerate(moves(w)) if (x := take(w, act)) is not None]
        if not found:
            break
        n, w = found[0]
        path.append(n)
    reported = [row["what"] for row in lines(spec, tuple(path)) if row["kind"] == "link"]
    assert reported[:1] == ["lost"]
    assert reported[-2:] == ["reset", "fenced"]


def test_a_path_of_no_steps_is_an_empty_trace() -> None:
    assert [row["kind"] for row in lines(small("session"), ())] == ["header", "end"]
