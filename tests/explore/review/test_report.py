from __future__ import annotations

import importlib.util
import io
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import msgspec
import pytest
from rich.console import Console

from fwpages.explore.review.answers import Answer, Verdict
from fwpages.explore.review.questions import QUESTIONS
from fwpages.explore.review.report import MAIL, changed, exceptions, mail, markdown, report, show, shown, words
from fwpages.explore.review.vport_kinds import Kind
from fwpages.scenario.assumptions import ASSUMPTIONS
from tests.explore.review.test_answers import SWITCH, VERDICTS
from tests.explore.small_worlds import DESIGNS

DOCS = Path(__file__).parents[3] / "docs"
FIELDS = {
    "reachable": bool,
    "complete": bool,
    "settled": bool,
    "moot": bool,
    "states": int,
    "transitions": int,
    "property": str,
    "seen": str,
    "steps": list,
    "world": str,
    "replay": str,
    "missed": list,
    "assumptions": dict,
}

NO = Verdict("fwpages", (), dict.fromkeys(ASSUMPTIONS), reachable=False, complete=True, states=1234, transitions=5)


def printed(answers: list[Answer], width: int) -> str:
    stream = io.StringIO()
    show(answers, Console(file=stream, width=width))
    return stream.getvalue()


@pytest.mark.parametrize("width", [60, 80])
def test_the_names_of_assumptions_are_whole_on_a_terminal(answers: list[Answer], width: int) -> None:
    out = io.StringIO()
    show(answers, Console(file=out, width=width, force_terminal=True, color_system=None))
    lines = out.getvalue().splitlines()
    turned = {changed(v) for a in answers for verdicts in a.verdicts.values() for v in exceptions(verdicts)}
    assert turned
    for name in turned:
        assert any(name in line.split() for line in lines), name
    assert max(map(len, lines)) <= 80


# -- JSON -------------------------------------------------------------------------------------------------------------


def test_the_schema(answers: list[Answer]) -> None:
    out = msgspec.json.decode(msgspec.json.encode(report(answers)))
    assert list(out) == ["schema", "questions"]
    assert out["schema"] == "review/1"
    assert [(q["number"], q["id"], q["title"]) for q in out["questions"]] == [
        (q.number, q.id, q.title) for q in QUESTIONS
    ]
    for q in out["questions"]:
        assert set(q) == {"id", "number", "title", "verdicts"} | ({"table"} if q["id"] == "types" else set())
        assert tuple(q["verdicts"]) == DESIGNS
        for v in (v for verdicts in q["verdicts"].values() for v in verdicts):
            assert {name: type(value) for name, value in v.items()} == FIELDS
            assert list(v["assumptions"]) == list(ASSUMPTIONS)
            assert {type(value) for value in v["assumptions"].values()} <= {bool, type(None)}
            assert all(isinstance(s, str) and ": " in s for s in v["steps"])
            assert all(isinstance(s, str) for s in v["missed"])


def test_it_says_what_the_answers_say(answers: list[Answer]) -> None:
    out = report(answers).questions
    for a, q in zip(answers, out, strict=True):
        for design, verdicts in a.verdicts.items():
            for v, row in zip(verdicts, q["verdicts"][design], strict=True):
                assert (row["reachable"], row["complete"], row["settled"]) == (v.reachable, v.complete, v.settled)
                assert (row["states"], row["transitions"]) == (v.states, v.transitions)
                assert (row["property"], row["seen"], row["replay"]) == (v.broken, v.seen, v.replay)
                assert row["steps"] == list(v.steps)


def test_the_table_in_it(answers: list[Answer]) -> None:
    (q,) = [q for q in report(answers).questions if "table" in q]
    assert len(q["table"]) == 10
    for row in q["table"]:
        assert set(row) == {"kind", "type", *DESIGNS}
        assert all(isinstance(row[d], list) for d in DESIGNS)


def test_every_field_is_described() -> None:
    text = (DOCS / "reference" / "review-json.md").read_text("utf-8")
    for name in (*FIELDS, "schema", "questions", "id", "number", "title", "verdicts", "table", "kind", "type"):
        assert f"`{name}`" in text, name


# -- mail -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mails(answers: list[Answer]) -> list[tuple[Answer, str]]:
    return [(a, mail([a])) for a in answers]


def test_a_mail_is_plain_and_narrow(mails: list[tuple[Answer, str]]) -> None:
    for a, text in mails:
        assert text.isascii(), a.question.id
        assert "\t" not in text
        for line in text.split("\n"):
            assert len(line) <= MAIL == 72, f"{a.question.id}: {line}"
            assert line == line.rstrip()
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


def test_a_mail_says_what_was_argued_and_what_came_of_it(mails: list[tuple[Answer, str]]) -> None:
    for a, text in mails:
        flat = " ".join(text.split())
        assert text.startswith(f"Question {a.question.number}: {a.question.title}\n---")
        assert a.question.argued in flat
        assert f"Looked for: {a.question.fault}." in flat
        for design, verdicts in a.verdicts.items():
            assert (
                f"{design}: {'reachable, in' if verdicts[0].reachable else 'not reachable; every order tried'}" in flat
            )
            for v in exceptions(verdicts):
                assert f"with {changed(v)}: " in flat
        for name in ASSUMPTIONS:
            assert f"- {name}: " in flat
        for v in shown(a):
            assert v.replay in text
            assert f"fwpages explore {v.world} --replay" in flat


def test_the_commands_in_a_mail_can_be_typed(mails: list[tuple[Answer, str]]) -> None:
    """One that is too long goes on in the next line, as a shell takes it."""
    for a, text in mails:
        joined = text.replace("\\\n", "")
        for v in shown(a):
            assert re.search(rf"^ +fwpages explore {v.world} --replay +{re.escape(v.replay)}$", joined, re.MULTILINE)


def test_many_mails_are_one_text(answers: list[Answer]) -> None:
    assert mail(answers[:2]) == mail(answers[:1]) + "\n" + mail(answers[1:2])


# -- Markdown ---------------------------------------------------------------------------------------------------------


def rows(lines: list[str]) -> list[list[str]]:
    """The tables in these lines, each as its rows."""
    found: list[list[str]] = []
    for n, line in enumerate(lines):
        if line.startswith("|"):
            if n == 0 or not lines[n - 1].startswith("|"):
                found.append([])
            found[-1].append(line)
    return found


def test_markdown_is_well_formed(answers: list[Answer]) -> None:
    text = markdown(answers)
    lines = text.split("\n")
    assert sum(line.startswith("```") for line in lines) % 2 == 0
    inside, outside = False, []
    for n, line in enumerate(lines):
        if line == "```":
            inside = not inside
            edge = lines[n - 1] if inside else lines[n + 1]
            assert edge == "", f"no empty line beside a block: {edge}"
        elif not inside:
            outside.append(line)
            assert line.count("`") % 2 == 0, line
            assert line.count("**") % 2 == 0, line
    tables = rows(outside)
    assert len(tables) == 2
    for table in tables:
        assert len({len(re.split(r"(?<!\\)\|", row)) for row in table}) == 1, "each row has as many cells"
        assert re.fullmatch(r"\|(-+:?\|)+", table[1])
    assert len(tables[0]) == 2 + len(QUESTIONS)
    headings = [line for line in outside if line.startswith("#")]
    assert headings == [f"## {q.number}. {q.title}" for q in QUESTIONS]
    assert all(lines[n - 1] == "" for n, line in enumerate(lines) if line.startswith("## "))


def test_markdown_has_the_verdicts(answers: list[Answer]) -> None:
    table = rows(markdown(answers).split("\n"))[0][2:]
    for a, row in zip(answers, table, strict=True):
        cells = [c.strip() for c in row.strip("|").split("|")]
        assert cells[:2] == [str(a.question.number), a.question.title]
        for design, cell in zip(DESIGNS, cells[2:], strict=True):
            reachable, turned = VERDICTS[a.question.id].get(design, (False, []))
            first, *others = cell.split("<br>")
            assert first.startswith("reachable" if reachable else "not reachable")
            assert [o.partition(":")[0] for o in others] == turned


# -- a table ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
def test_a_table_fits(answers: list[Answer], width: int) -> None:
    text = printed(answers, width)
    assert max(map(len, text.splitlines())) <= width
    for a in answers:
        assert re.search(rf"^ *{a.question.number}  {a.question.title.split()[0].rstrip(',')}", text, re.MULTILINE)
    assert "kind of vport" in text
    flat = re.sub(r"\s+", "", text)
    for name in {v.changed[0][0] for a in answers for vs in a.verdicts.values() for v in exceptions(vs)}:
        assert name in flat, "folded where it has to be, never cut"
    assert "…" not in text
    assert "does not arise" not in text


def test_a_table_of_one_design(answers: list[Answer]) -> None:
    a = answers[10]
    text = printed([replace(a, verdicts={"merged": a.verdicts["merged"]})], 80)
    assert "GIVE time-out" in text
    assert "yes, 11 steps" in text
    assert "posted" not in text


def test_nothing_asked_nothing_said() -> None:
    assert markdown([]).startswith("| # | question |")
    assert report([]).questions == []


def test_our_own_fault_is_said_in_full() -> None:
    q = QUESTIONS[0]
    bad = replace(NO, reachable=True, broken="deadlock", seen="it stands", steps=("a: b",), world="lock", replay="x:y")
    text = printed([Answer(q, {"fwpages": (bad,)})], 100)
    assert "1 lock: fwpages: reachable, 1 steps: it stands" in text
    assert "fwpages explore lock --replay x:y" in text
    text = printed([Answer(q, {"fwpages": (replace(NO, missed=("enabled",)),)})], 100)
    assert "not settled: never enabled" in text


# -- words ------------------------------------------------------------------------------------------------------------


def test_a_verdict_in_words() -> None:
    assert words(NO) == "not reachable, 1,234 states"
    assert words(replace(NO, reachable=True, steps=("a: b", "c: d"))) == "reachable, 2 steps"
    assert words(replace(NO, complete=False)) == "not settled"
    assert words(replace(NO, missed=("given", "taken"))) == "not settled: never given, taken"
    assert words(replace(NO, missed=("given",), moot=True)) == "does not arise"
    assert changed(replace(NO, changed=(("keeps_vhca_id", False),))) == "keeps_vhca_id=off"
    assert changed(NO) == ""


def test_an_incomplete_search_is_never_reported_as_not_reachable() -> None:
    cut = replace(NO, complete=False)
    q = QUESTIONS[0]
    for text in (mail([Answer(q, {"fwpages": (cut,)})]), markdown([Answer(q, {"fwpages": (cut,)})])):
        assert "not reachable" not in text
        assert "not settled" in text


def test_only_what_is_turned_over_is_an_exception() -> None:
    other = replace(NO, changed=(("host_pages_4k", False),), states=1)
    turned = replace(other, reachable=True)
    moot = replace(other, moot=True, missed=("given",))
    assert exceptions((NO, other, turned, moot)) == [turned]


def test_a_path_that_two_share_is_shown_once(answers: list[Answer]) -> None:
    by_id = {a.question.id: a for a in answers}
    assert [v.design for v in shown(by_id["give-timeout"])] == ["posted"]
    assert "How, for posted and merged:" in mail([by_id["give-timeout"]])
    assert [v.design for v in shown(by_id["double-return"])] == ["posted", "merged"]
    assert shown(by_id["guard"]) == []
    assert all(v.design != "fwpages" for a in answers for v in shown(a))


def test_types_that_are_more_than_one() -> None:
    k = Kind("VF", "vf", {"fwpages": ("unknown", "vf")})
    a = Answer(QUESTIONS[1], {"fwpages": (NO,)}, (k,))
    assert "unknown or vf" in printed([a], 80)
    assert "| VF | vf | unknown or vf |" in markdown([a])
    assert "unknown or vf" in mail([a])


# -- the pages about it -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_review", DOCS / "make_review.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["review.md", "howto/review.md", "assumptions.md"])
def test_what_the_pages_show_is_of_today(pages: ModuleType, answers: list[Answer], name: str) -> None:
    text = (DOCS / name).read_text("utf-8")
    assert pages.PAGES.keys() == {"review.md", "howto/review.md", "assumptions.md"}
    assert pages.PAGES[name](text, answers) == text, "make it anew: python docs/make_review.py"


def test_the_pages_show_it(answers: list[Answer]) -> None:
    assert markdown(answers) in (DOCS / "review.md").read_text("utf-8")
    shown = [line.rstrip() for line in printed(answers, 100).rstrip().splitlines()]
    assert "\n".join(["```text", *shown, "```"]) in (DOCS / "howto" / "review.md").read_text("utf-8")


def test_every_assumption_is_described(pages: ModuleType, answers: list[Answer]) -> None:
    text = (DOCS / "assumptions.md").read_text("utf-8")
    sections = dict(re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(ASSUMPTIONS)
    for name, a in ASSUMPTIONS.items():
        body = " ".join(sections[name].split())
        default = {True: "on", False: "off", None: "as each design has it"}[a.default]
        for row in (f"| on | {a.on} |", f"| off | {a.off} |", f"| default | {default} |", f"| source | {a.source} |"):
            assert row in body, f"{name}: {row}"
        assert f"| turns over | {pages.turns(answers, name)} |" in body


def test_where_ours_is_not_asked_is_said(answers: list[Answer]) -> None:
    text = " ".join((DOCS / "assumptions.md").read_text("utf-8").split())
    for a in answers:
        for v in a.verdicts["fwpages"]:
            assert v.moot is (changed(v) == SWITCH)
    assert "no session opens" in text
