from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import search
from fwpages.explore.model.moves import TimePasses, moves, take
from fwpages.explore.model.wording import move_words
from fwpages.explore.show.narrative import PARTS, Step, narrate
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, WORLDS, made, path_to, random_path, small, steps


def narrated(name: str, point: str, design: str = "fwpages") -> list[Step]:
    return narrate(walk(small(name, design), path_to(name, point, design)))


@settings(max_examples=20)
@given(st.sampled_from(sorted(WORLDS)), st.sampled_from(DESIGNS), st.integers(0, 2**32))
def test_every_step_is_narrated(name: str, design: str, seed: int) -> None:
    spec = small(name, design)
    path, end = random_path(spec, seed, 80)
    story = narrate(walk(spec, path))
    assert [s.number for s in story] == list(range(1, len(path) + 1))
    for s in story:
        assert s.words
        assert s.actor in ("driver", "eswitch", "device", "link", "clock")
        assert all(m.sender in PARTS and m.receiver in PARTS and m.text for m in s.messages)
    if story:
        theirs = {end.name(who): pages.size for who, pages in end.firmware.holds().items()}
        assert {n: firmware for n, (firmware, _) in story[-1].pages.items() if firmware} == theirs


@settings(max_examples=20)
@given(st.sampled_from(sorted(WORLDS)), st.integers(0, 2**32), st.integers(0, 70))
def test_every_choice_has_words_of_its_own(name: str, seed: int, most: int) -> None:
    _, w = random_path(small(name), seed, most)
    said = [move_words(w, act) for act in moves(w) if take(w, act) is not None]
    assert len(set(said)) == len(said)


def test_a_session_in_words() -> None:
    story = narrated("session", "taken")
    assert story[0].words == "open"
    assert "enable vf0" in [s.words for s in story]
    texts = [m.text for s in story for m in s.messages]
    for text in ("GIVE 1 vf0 (0x31)", "page request: vf0 +1", "enable vf0: done", "executes ENABLE_HCA function 0x1"):
        assert text in texts
    assert story[-1].pages["self"] == (2, 2)


def test_who_says_what() -> None:
    by_text = {m.text: (m.sender, m.receiver) for s in narrated("session", "taken") for m in s.messages}
    assert by_text["GIVE 1 vf0 (0x31)"] == ("pages", "firmware")
    assert by_text["page request: vf0 +1"] == ("firmware", "pages")
    assert by_text["ENABLE_HCA function 0x1"] == ("eswitch", "firmware")
    assert by_text["ENABLE_HCA"] == ("host", "firmware")


def test_threads_that_stand_still_say_what_for() -> None:
    story = narrated("session", "given", "merged")
    assert any("answer to ENABLE_HCA" in what for s in story for what in s.waiting.values())
    assert any(s.words == "thread `pages` runs" for s in story)


FAULTS_HERE = [
    "give-refused",
    "give-aborted-lost",
    "give-aborted-done",
    "answer-twice",
    "answer-garbled",
    "map-fails",
    "map-at-zero",
    "link-lost",
    "request-lost",
    "request-twice",
    "request-not-queued",
]


@pytest.mark.parametrize("name", FAULTS_HERE)
def test_a_fault_is_named_where_it_strikes(name: str) -> None:
    text = HEAD + steps(*SESSION) + f'[[fault]]\nname = "{name}"\n[bounds]\nstates = 300\n'
    spec = made(text + '[expect]\nsometimes = ["fault"]\n')
    story = narrate(walk(spec, search(spec).reached["fault"]))
    assert f"; {name}: " in story[-1].words


def test_what_the_clock_does() -> None:
    text = HEAD + steps("open") + "[bounds]\ntimeouts = 1\n"
    spec = made(text)
    w = spec.build()
    for _ in range(3):
        w = next(x for act in moves(w) if act != TimePasses() and (x := take(w, act)) is not None)
    assert move_words(w, TimePasses()) == "time runs out while something is pending"
    late = take(w, TimePasses())
    assert late is not None
