"""Updates the output of the whole review in the pages: ``python docs/make_review.py`` (a minute).

A test fails when an update is due. The text around the output is not changed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fwpages.explore.review.answers import Answer, review
from fwpages.explore.review.page import turning
from fwpages.explore.review.report import markdown, show
from fwpages.scenario.assumptions import ASSUMPTIONS

DOCS = Path(__file__).parent


def whole(text: str, answers: Sequence[Answer]) -> str:
    """Update ``review.md``: everything from the table of verdicts on."""
    return text.partition("| # | question |")[0] + markdown(answers)


def table(text: str, answers: Sequence[Answer]) -> str:
    """Update ``howto/review.md``: the first block of text."""
    stream = io.StringIO()
    show(answers, Console(file=stream, width=100))
    shown = "\n".join(line.rstrip() for line in stream.getvalue().rstrip().splitlines())
    return re.sub(r"(?<=^```text\n).*?(?=\n```$)", lambda _: shown, text, count=1, flags=re.MULTILINE | re.DOTALL)


def assumptions(text: str, answers: Sequence[Answer]) -> str:
    """Update ``assumptions.md``: the row "turns over" of each assumption."""
    for name in ASSUMPTIONS:
        row = f"| turns over | {turns(answers, name)} |"
        pattern = rf"(^## `{name}`\n.*?)^\| turns over \|[^\n]*"
        text = re.sub(pattern, lambda m, row=row: m[1] + row, text, count=1, flags=re.MULTILINE | re.DOTALL)
    return text


def turns(answers: Sequence[Answer], name: str) -> str:
    """Name the questions whose verdict changes when this assumption is turned, with the designs."""
    out = []
    for a in answers:
        designs = turning(a, name)
        if designs:
            out.append(f"{a.question.number} ({', '.join(designs)})")
    return "; ".join(out) or "nothing"


PAGES = {"review.md": whole, "howto/review.md": table, "assumptions.md": assumptions}

if __name__ == "__main__":
    found = review(workers=2)
    for name, made in PAGES.items():
        page = DOCS / name
        page.write_text(made(page.read_text("utf-8"), found), "utf-8")
