from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import msgspec
import pytest

from fwpages.explore.check.search import search
from fwpages.explore.model.spec import Spec
from fwpages.explore.show import stepping
from fwpages.explore.show.stepping import BEYOND, BOTH, UNKNOWN_OWNER, Stepping, steppable
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, found, made, path_to, small, steps

SVG = "{http://www.w3.org/2000/svg}"


def along(data: Stepping, path: list[int]) -> list[int]:
    """The numbers of the states on a path of the data."""
    out = [0]
    for place in path:
        out.append(data.states[out[-1]].moves[place].to)
    return out


@pytest.mark.parametrize("design", DESIGNS)
def test_it_has_every_state_and_every_move_of_a_search(design: str) -> None:
    outcome = found("session", design)
    data = steppable(small("session", design), ()).data
    assert (data.sound, len(data.states), data.cut) == (outcome.states, outcome.states, False)
    assert sum(len(s.moves) for s in data.states) == outcome.transitions


def test_a_path_leads_to_its_point_and_a_row_is_a_picture() -> None:
    path = path_to("session", "given")
    s = steppable(small("session"), path)
    assert len(s.data.path) == len(path)
    *_, before, end = (s.data.states[n] for n in along(s.data, s.data.path))
    assert [name for name, firmware, _ in end.functions if firmware] == ["self", "vf0"]
    assert before.firmware.count(s.data.owners.index("vf0")) == 0
    assert end.firmware.count(s.data.owners.index("vf0")) == 1
    assert len(s.pictures) == len(s.data.rows)
    for picture, row in zip(s.pictures, s.data.rows, strict=True):
        root = ET.fromstring(picture)
        number, *_ = root.iter(f"{SVG}text")
        assert not number.text
        assert any(f"{row.actor}: {row.words}" == t.text for t in root.iter(f"{SVG}title"))


def owned(data: Stepping, side: list[int], name: str) -> int:
    return sum(name in data.owners[n].split(BOTH) for n in side if n >= 0)


@pytest.mark.parametrize("design", DESIGNS)
def test_owners_are_those_of_the_functions_counts(design: str) -> None:
    data = steppable(small("session", design), ()).data
    unknown = any(UNKNOWN_OWNER in s.books for s in data.states)
    assert unknown is (design != "fwpages"), "the models of Linux change their books in several steps"
    for state in data.states:
        for name, firmware, books in state.functions:
            assert owned(data, state.firmware, name) == firmware
            assert books is None or owned(data, state.books, name) == books


def broken_world() -> Spec:
    return made(HEAD + steps(*SESSION) + '[expect]\nnever = ["late-return"]\n')


def test_it_goes_on_from_no_broken_step() -> None:
    spec = broken_world()
    outcome = search(spec)
    path = outcome.broken["late-return"].path
    data = steppable(spec, path).data
    assert data.sound == outcome.states
    assert sum(len(s.moves) for s in data.states) == outcome.transitions
    last = data.states[along(data, data.path)[-2]].moves[data.path[-1]]
    assert data.rows[last.row].broken == ("broken here: late-return: pages of vf0 come back",)


def test_beyond_the_bound_it_says_so_and_has_the_path_all_the_same() -> None:
    path = path_to("session", "given")
    data = steppable(small("session"), path, most=len(path) + 1).data
    assert data.cut
    assert len(data.states) == len(path) + 1
    assert BEYOND not in along(data, data.path)
    assert len(data.path) == len(path)
    assert any(move.to == BEYOND for s in data.states for move in s.moves)
    short = steppable(small("session"), path, most=5).data
    assert len(short.path) == 5
    assert along(short, short.path)[-1] == BEYOND


def test_too_many_pages_are_counted_and_not_shown_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stepping, "MOST_PAGES", 1)
    data = steppable(small("left"), ()).data
    assert data.pages == []
    assert {len(s.firmware) + len(s.books) for s in data.states} == {0}
    assert any(firmware > 1 for s in data.states for _, firmware, _ in s.functions)


def test_faults_need_not_come() -> None:
    data = steppable(small("unanswered"), ()).data
    optional = {data.rows[m.row].words for s in data.states for m in s.moves if m.optional}
    assert optional
    assert all("give-aborted-done" in words for words in optional)
    assert not any(m.optional for s in steppable(small("session"), ()).data.states for m in s.moves)


def test_equal_worlds_are_equal_data() -> None:
    spec = small("left")
    one, other = steppable(spec, ()), steppable(replace(spec), ())
    assert msgspec.json.encode(one.data) == msgspec.json.encode(other.data)
    assert one.pictures == other.pictures
