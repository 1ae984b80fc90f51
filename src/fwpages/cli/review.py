"""``fwpages review``: nineteen questions about Linux's VHCA_ID patch, settled for three designs."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fwpages.cli import names
from fwpages.cli.files import written
from fwpages.cli.junit import Junit, junit_option
from fwpages.cli.names import Name, OneOf
from fwpages.explore.designs import DESIGNS
from fwpages.explore.review.answers import Answer, review
from fwpages.explore.review.junit import of_review
from fwpages.explore.review.page import page
from fwpages.explore.review.questions import QUESTIONS, Question, question
from fwpages.explore.review.report import mail, markdown, ours_holds, report, show
from fwpages.pages.words import either, nearest
from fwpages.report.grids import readable
from fwpages.report.html_page import NotInstalledError, check_installed

_COLUMNS = 120


@click.command("review")
@click.argument("questions", nargs=-1, metavar="[QUESTION]...", type=Name(names.questions))
@click.option("--design", "designs", multiple=True, type=OneOf(list(DESIGNS)), help="Only this design.")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes.")
@click.option(
    "--format",
    "form",
    type=OneOf(["table", "json", "markdown", "mail", "html"]),
    help="mail is plain text at 72 columns, to paste into a reply; html is a page with charts.  [default: table]",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@junit_option("review")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file.")
def command(
    questions: tuple[str, ...],
    designs: tuple[str, ...],
    workers: int,
    form: str | None,
    as_json: bool,
    output: Path | None,
    junit: Junit,
) -> int:
    """QUESTION: a number or an id from `fwpages list questions`; all of them if none is named.

    Each is settled in worlds of its own: every order of events is tried, with each assumption on and off. Exit code: 0
    our own design holds, 1 it fails or is not settled, 2 misuse.
    """
    form = _form(form, as_json)
    asked = tuple(_asked(q) for q in dict.fromkeys(questions)) or QUESTIONS
    answers = _settled(asked, tuple(dict.fromkeys(designs)) or tuple(DESIGNS), workers)
    if output is None:
        _print(answers, form, readable(Console()))
    else:
        with written("-o", output) as stream:
            _print(answers, form, Console(file=stream, width=_COLUMNS))
    junit(of_review(answers))
    return 0 if ours_holds(answers) else 1


def _form(form: str | None, as_json: bool) -> str:
    """The format that the options ask for; an error where two exclude each other, or HTML cannot be made."""
    if as_json and form not in (None, "json"):
        raise click.UsageError(f"--json and --format {form} exclude each other")
    form = "json" if as_json else form or "table"
    if form == "html":
        try:
            check_installed()
        except NotInstalledError as e:
            raise click.ClickException(str(e)) from None
    return form


def _asked(text: str) -> Question:
    found = question(text)
    if found is None:
        near = nearest(text, [q.id for q in QUESTIONS])
        have = ", ".join(f"{q.number} {q.id}" for q in QUESTIONS)
        raise click.UsageError(
            f"there is no question {text!r}; " + (f"did you mean {either(near)}?" if near else f"there are {have}")
        )
    return found


def _settled(questions: tuple[Question, ...], designs: tuple[str, ...], workers: int) -> list[Answer]:
    """Settle the questions with a bar on a terminal; each search is a step."""
    with Progress(
        TextColumn("searching"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("searching", total=None)
        return review(questions, designs, workers=workers, watch=lambda n, of: bar.update(task, completed=n, total=of))


def _print(answers: list[Answer], form: str, console: Console) -> None:
    match form:
        case "json":
            text = msgspec.json.encode(report(answers)).decode() + "\n"
        case "markdown":
            text = markdown(answers)
        case "mail":
            text = mail(answers)
        case "html":
            text = page(answers)
        case _:
            show(answers, console)
            return
    console.file.write(text)
