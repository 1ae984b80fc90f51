"""Makes the tables of ``docs/trial.md`` anew from campaigns: ``python docs/make_trial.py [REPORT]...``.

A REPORT is ``report.json`` of a campaign (``make trial``). It is kept in ``docs/trial/`` without its plays, instead of
an earlier one of the same kernel. A test fails when an update is due. The text before the tables is not changed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from fwpages.explore.review.questions import QUESTIONS
from fwpages.trial.effects import Causer, Effect
from fwpages.trial.plain import instruments_words
from fwpages.trial.report import ReportedRow, TrialReport, read_report

DOCS = Path(__file__).parent
CAMPAIGNS = DOCS / "trial"
#: the tables begin after this line
MARK = "<!-- made by docs/make_trial.py -->\n"

#: what a driver does that shows this effect
DOES: Mapping[Effect, str] = MappingProxyType(
    {
        Effect.NONE: "shows no effect",
        Effect.WARNED: "warns of its own state",
        Effect.OFFENDED: "breaks a rule of the protocol",
        Effect.UNUSABLE: "loses the device until a reset",
        Effect.LEAKED: "leaks pages",
        Effect.EXHAUSTED: "runs out of memory",
        Effect.LET_GO: "lets go of memory that firmware holds",
        Effect.HUNG: "hangs",
        Effect.CORRUPTED: "overwrites its own memory",
        Effect.CRASHED: "crashes",
    }
)
#: findings that are not only a matter of a broken device (docs/policy.md)
TO_BE_RAISED = frozenset({Causer.NORMAL.value, Causer.GUEST.value})


def whole(text: str) -> str:
    """The page with the tables of every campaign that is there."""
    head, mark, _ = text.partition(MARK)
    reports = [read_report(path) for path in sorted(CAMPAIGNS.glob("*.json"), reverse=True)]
    tables = [line for report in reports for line in table(report)]
    return head + mark + "\n" + "\n".join(tables or ["No campaign is recorded yet.", ""])


def table(report: TrialReport) -> Iterator[str]:
    """The section of a kernel: what was tried with what, and a row for each row."""
    v = report.versions
    yield f"## Linux {v.kernel}"
    yield ""
    yield f"{_sentence_of(report.summary)} {v.qemu}, fwpages {v.fwpages}, {v.compiler or 'compiler not known'}."
    yield f"The kernel: {instruments_words(report)}."
    yield ""
    yield "| row | verdict | seen | can be caused by | review |"
    yield "|---|---|---|---|---|"
    yield from (_row(row, v.kernel) for row in report.rows)
    yield ""


def _row(row: ReportedRow, kernel: str) -> str:
    questions = ", ".join(f"[{n}](review.md#{_anchor(n)})" for n in row.questions)
    flaky = " (flaky)" if row.flaky else ""
    cells = [f"`{row.name}`", (row.effect or "not judged") + flaky, sentence(row, kernel), row.causer, questions]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _anchor(number: int) -> str:
    """The anchor of a question's section in the review."""
    question = next(q for q in QUESTIONS if q.number == number)
    title = "".join(c for c in question.title.lower() if c.isalnum() or c in " -_")
    return f"{number}-{title.replace(' ', '-')}"


def sentence(row: ReportedRow, kernel: str) -> str:
    """The effect in a sentence, with the note that no hardware was seen to do this; or why there is no verdict."""
    if not row.effect:
        return _sentence_of(f"Not judged: {row.not_judged}{f' ({row.why})' if row.why else ''}")
    device = f"On an emulated device where {'; '.join(row.on_purpose)}" if row.on_purpose else "On an emulated device"
    effect = Effect(row.effect)
    detail = "" if effect is Effect.NONE else f" ({row.title})"
    words = [f"{device}, Linux {kernel} {DOES[effect]}{detail}."]
    if row.on_purpose:
        words.append("We have not seen hardware do this.")
    if effect is not Effect.NONE and row.causer in TO_BE_RAISED:
        words.append("**To be raised with the maintainers before this page is published.**")
    return " ".join(words)


def _sentence_of(words: str) -> str:
    return words if words.endswith(".") else f"{words}."


def keep(path: Path) -> None:
    """Keep what the tables need of a campaign's report."""
    report = read_report(path)
    rows = [msgspec.structs.replace(row, plays=[], folder="") for row in report.rows]
    kept = msgspec.json.encode(msgspec.structs.replace(report, rows=rows))
    CAMPAIGNS.mkdir(exist_ok=True)
    name = "".join(c if c.isalnum() or c in ".-" else "-" for c in report.versions.kernel)
    (CAMPAIGNS / f"linux-{name}.json").write_bytes(msgspec.json.format(kept) + b"\n")


if __name__ == "__main__":
    for given in sys.argv[1:]:
        keep(Path(given))
    page = DOCS / "trial.md"
    page.write_text(whole(page.read_text("utf-8")), "utf-8")
