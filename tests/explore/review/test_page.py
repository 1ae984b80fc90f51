from __future__ import annotations

from fwpages.explore.review.answers import Answer, review
from fwpages.explore.review.page import page
from fwpages.explore.review.questions import QUESTIONS, question
from fwpages.explore.review.report import exceptions, sentence, shown, words
from fwpages.scenario.assumptions import ASSUMPTIONS
from tests.explore.show.test_page import Page


def test_every_question_has_its_anchor_its_verdicts_and_its_charts(answers: list[Answer]) -> None:
    parsed = Page(page(answers))
    assert {q.id for q in QUESTIONS} <= {*parsed.ids}
    assert {*ASSUMPTIONS} <= {*parsed.ids}
    assert parsed.charts == sum(len(shown(a)) for a in answers)
    for a in answers:
        assert a.question.argued in parsed.words
        for verdicts in a.verdicts.values():
            for v in (verdicts[0], *exceptions(verdicts)):
                assert words(v) in parsed.words
                assert sentence(v) in parsed.words
        for v in shown(a):
            assert f"--replay {v.replay}" in parsed.words
            assert f"✗ broken here: {v.broken}: {v.seen}"[:60] in parsed.words


def test_one_question_really_settled() -> None:
    asked = question("counts")
    assert asked is not None
    parsed = Page(page(review([asked])))
    assert "Our own host holds in all of it." in parsed.words
    assert "heap-overrun: a command for -1 pages is written into 8 bytes" in parsed.words
    assert parsed.charts == 1, "posted and merged share a path"


def test_where_ours_is_not_asked_nothing_is_said_of_it() -> None:
    asked = question("counts")
    assert asked is not None
    assert "Our own host" not in Page(page(review([asked], ("merged",)))).words
    assert "0 questions" in Page(page([])).words
