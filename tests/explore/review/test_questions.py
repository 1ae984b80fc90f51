from __future__ import annotations

import re
from pathlib import Path

import pytest

from fwpages.explore.check.properties import EVENTUALLY, PROPERTIES
from fwpages.explore.model import library
from fwpages.explore.review.questions import QUESTIONS, question

REVIEW = Path(__file__).parents[4] / "shared" / "REVIEW.md"


def test_they_are_numbered_and_have_names_of_their_own() -> None:
    assert [q.number for q in QUESTIONS] == list(range(1, 20))
    assert len({q.id for q in QUESTIONS}) == len({q.title for q in QUESTIONS}) == 19
    for q in QUESTIONS:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", q.id)
        assert not q.id.isdigit()


def test_each_has_a_world_and_each_world_a_question() -> None:
    assert sorted(q.id for q in QUESTIONS) == library.names()


@pytest.mark.parametrize("q", QUESTIONS, ids=lambda q: q.id)
def test_its_world_looks_for_something_and_has_a_point(q: object) -> None:
    expect = library.load(q.id).expect  # type: ignore[attr-defined]
    assert expect.never
    assert expect.sometimes, "a world that never comes to its point would settle nothing"
    assert not expect.always, "what our own host is held to beside the question is review's matter"
    assert {*expect.never, *expect.sometimes} <= PROPERTIES.keys()
    assert {*expect.eventually} <= EVENTUALLY.keys()


def test_they_are_found_by_number_and_by_id() -> None:
    for q in QUESTIONS:
        assert question(str(q.number)) is question(q.id) is q
    for text in ("0", "20", "01", " 1", "Lock", "", "lock "):
        assert question(text) is None


def test_what_is_said_of_them_can_be_mailed() -> None:
    for q in QUESTIONS:
        for text in (q.title, q.argued, q.fault):
            assert text.isascii()
            assert text.strip() == text
        assert q.argued.endswith((".", "?"))
        assert not q.fault.endswith("."), "it follows `Looked for:`, which ends the sentence"


@pytest.mark.skipif(not REVIEW.exists(), reason="the list of questions is not part of the repository")
def test_they_are_the_questions_of_the_list() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", REVIEW.read_text("utf-8"), re.MULTILINE)
    listed = {int(n): title.strip().lower() for n, title in rows}
    assert listed == {q.number: q.title.lower() for q in QUESTIONS}
