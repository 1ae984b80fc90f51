from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import pytest

from fwpages import cli
from fwpages.cli import review as command
from fwpages.explore.designs import DESIGNS
from fwpages.explore.model import library
from fwpages.explore.review import answers as reviewing
from fwpages.explore.review.answers import Answer
from fwpages.explore.review.page import page
from fwpages.explore.review.questions import QUESTIONS, Question
from fwpages.explore.review.report import mail, markdown, report
from fwpages.host import Host
from fwpages.host import page_answers as pageanswers
from fwpages.host.page_queue import pop
from fwpages.prm.opcodes import ManagePages
from fwpages.scenario import Scenario
from tests.explore.review.test_vport_kinds import TABLE


@pytest.fixture
def asked(answers: list[Answer], monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], list[str], int]]:
    """The questions that the command asks: it is given the answers that there are, and does everything else itself."""
    out: list[tuple[list[str], list[str], int]] = []

    def review(
        questions: tuple[Question, ...], designs: tuple[str, ...], *, workers: int, watch: object
    ) -> list[Answer]:
        out.append(([q.id for q in questions], [*designs], workers))
        known = {a.question: a for a in answers}
        return [only(known[q], designs) for q in questions]

    monkeypatch.setattr(command, "review", review)
    return out


def only(a: Answer, designs: tuple[str, ...]) -> Answer:
    return Answer(a.question, {d: a.verdicts[d] for d in designs}, a.table)


def run(*args: str) -> int:
    return cli.invoke(["review", *args])


def test_all_questions_are_asked_unless_some_are_named(
    asked: list[tuple[list[str], list[str], int]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--workers", "2") == 0
    assert asked == [([q.id for q in QUESTIONS], [*DESIGNS], 2)]
    shown = capsys.readouterr()
    assert "fall-through" in shown.out
    assert shown.err == "", "no bar where there is no terminal"
    for kind in TABLE:
        assert kind in shown.out


def test_some_are_asked_once_each_in_the_order_of_the_line(
    asked: list[tuple[list[str], list[str], int]], capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("11", "lock", "11", "1", "--design", "merged", "--design", "fwpages", "--design", "merged")
    assert run(*args, "--format", "json") == 0
    assert asked[0][1:] == (["merged", "fwpages"], 1)
    out = json.loads(capsys.readouterr().out)
    assert [q["id"] for q in out["questions"]] == asked[0][0]
    assert all([*q["verdicts"]] == ["merged", "fwpages"] for q in out["questions"])


@pytest.mark.usefixtures("asked")
def test_formats(answers: list[Answer], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The printed report is what a file gets."""
    some = [a for a in answers if a.question.id in ("types", "give-timeout", "guard")]
    asking = [a.question.id for a in some]
    texts = {
        "json": msgspec.json.encode(report(some)).decode() + "\n",
        "markdown": markdown(some),
        "mail": mail(some),
        "html": page(some),
    }
    for form, text in texts.items():
        assert run(*asking, "--format", form) == 0
        assert capsys.readouterr().out == text
        target = tmp_path / form
        assert run(*asking, "--format", form, "-o", str(target)) == 0
        assert capsys.readouterr().out == ""
        assert target.read_text("utf-8") == text
    assert run("-o", str(tmp_path / "table")) == 0
    lines = (tmp_path / "table").read_text("utf-8").splitlines()
    assert max(map(len, lines)) <= 120
    assert "\x1b" not in "".join(lines)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["html", "json", "mail", "markdown", "table"]


@pytest.mark.usefixtures("asked")
def test_json_is_a_format_and_excludes_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    for args in (("--json",), ("--json", "--format", "json"), ("--format", "json")):
        assert run("guard", *args) == 0
        assert json.loads(capsys.readouterr().out)["schema"] == "review/1"
    assert run("guard", "--json", "--format", "mail") == 2
    assert "--json and --format mail exclude each other" in capsys.readouterr().err


def test_without_the_library_for_pages_nothing_is_searched(
    asked: list[tuple[list[str], list[str], int]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert run("guard", "--format", "html") == 2
    assert "pip install 'fwpages[report]'" in capsys.readouterr().err
    assert asked == []


@pytest.mark.usefixtures("asked")
def test_a_file_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("11", "-o", "no/such/file") == 2
    assert "-o no/such/file: No such file or directory" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["20"], "there is no question '20'; there are 1 lock, 2 types"),
        (["lock", "locks"], "there is no question 'locks'"),
        (["1", "--design", "ours"], "there is no 'ours'; there are posted, merged, fwpages"),
        (["1", "--format", "pdf"], "there is no 'pdf'; there are table"),
        (["1", "--workers", "0"], "0 is not in the range"),
    ],
)
def test_misuse(args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*args) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert says in " ".join(shown.err.split())


# -- exit code 1 ------------------------------------------------------------------------------------------------------


def test_a_question_is_really_settled(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is put in the place of anything here."""
    assert run("migration", "--format", "json") == 0
    (q,) = json.loads(capsys.readouterr().out)["questions"]
    assert [*q["verdicts"]] == [*DESIGNS]


def changed_world(monkeypatch: pytest.MonkeyPatch, **expect: tuple[str, ...]) -> None:
    real = library.load

    def load(name: str) -> Scenario:
        s = real(name)
        return msgspec.structs.replace(s, expect=msgspec.structs.replace(s.expect, **expect))

    monkeypatch.setattr(reviewing, "load", load)


def test_a_world_in_which_ours_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    changed_world(monkeypatch, never=("vhca-id-mode",))
    assert run("migration", "--design", "fwpages") == 1
    shown = capsys.readouterr().out
    assert "7 migration order: fwpages: reachable" in " ".join(shown.split())
    assert "fwpages explore migration --replay fwpages::" in shown


@pytest.mark.many_runs
def test_a_world_that_never_comes_to_its_point(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    changed_world(monkeypatch, sometimes=("late-return",))
    assert run("migration", "--design", "fwpages") == 1
    assert "not settled: never late-return" in " ".join(capsys.readouterr().out.split())
    assert run("migration", "--design", "merged") == 0, "what others do does not count"


@pytest.mark.many_runs
def test_a_host_that_frees_what_firmware_owns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Our own host with one thing wrong: the pages of a GIVE that was not answered are free again, as Linux has it."""
    real = pageanswers.doubt

    def frees(h: Host) -> int | None:
        op = h.path.op
        if op is None or op.kind is not ManagePages.GIVE or h.flights[op.flight].overdue:
            return real(h)
        pop(h.path, op.identity)
        h.pool.put(h.ledger.refuse(h.records.rows[op.record], op.index))
        return op.asked

    monkeypatch.setattr(pageanswers, "doubt", frees)
    assert run("give-timeout", "--design", "fwpages") == 1
    assert "firmware has 1 page of self that the driver has released" in " ".join(capsys.readouterr().out.split())
