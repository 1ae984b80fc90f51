"""A campaign as plain text of 72 columns, to read and to paste into a mail."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.played import ENDED_BEFORE
from fwpages.trial.report import ReportedPlay, ReportedRow, TrialReport, question_words
from fwpages.trial.seen import INSTRUMENT_NAMES

#: columns of a mail (kernel lists quote them)
MAIL = 72
#: the first words of a row whose verdict is none
NOT_JUDGED = "not judged"
#: the words before the instruments that a kernel has, lacks, or does not tell
_INSTRUMENTED: Mapping[bool | None, str] = MappingProxyType({True: "with ", False: "without ", None: "not known: "})
#: the name of the one that is no instrument of the kernel's, and without which memory let go early is not seen
_STRICT = "a strict IOMMU"
#: the words behind an effect that is not of the row's fault
WITHOUT_FAULT = " (also without a fault)"
#: how many lines of what the driver did a row shows; the report in JSON has all
MOST_DEEDS = 8


def plain(report: TrialReport) -> str:
    """The report in lines of at most 72 columns; the rows with an effect first, the worst before the others."""
    rows = sorted(report.rows, key=_rank)
    names: dict[str, list[str]] = {Effect.NONE.value: [], NotJudged.NOT_PLAYED.value: []}
    lines = [*_head(report), ""]
    for row in rows:
        verdict = row.effect or row.not_judged
        if verdict in names and not row.flaky and row.why in ("", ENDED_BEFORE):
            names[verdict].append(row.name)
        else:
            lines += [*_row(row), ""]
    for verdict, quiet in names.items():
        if quiet:
            lines += [f"{verdict}:", *(line for name in quiet for line in _line(name, 2)), ""]
    return "\n".join([*lines, *_line(report.summary)]) + "\n"


def _rank(row: ReportedRow) -> tuple[int, int]:
    """The worst effect first, then what was not judged, then where nothing was seen; worse than the baseline first."""
    worst = [e.value for e in reversed(Effect) if e is not Effect.NONE]
    order = [*worst, "", Effect.NONE.value]
    return order.index(row.effect), 0 if row.standing.startswith("worse") else 1


def _line(words: str, indent: int = 0, hang: int = 2) -> list[str]:
    """``words`` folded at 72 columns; a word that is longer, as a path, stays whole."""
    return textwrap.wrap(
        words,
        MAIL,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hang),
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def instruments_words(report: TrialReport) -> str:
    """The instruments of the kernel that ran, and those that it lacks, in a sentence."""
    of: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for name, value in report.instruments.items():
        of[value].append(INSTRUMENT_NAMES.get(name, _STRICT))
    parts = [f"{words}{', '.join(of[value])}" for value, words in _INSTRUMENTED.items() if of[value]]
    return "; ".join(parts if set(of[True]) - {_STRICT} else ["not instrumented", *parts])


def _head(report: TrialReport) -> Iterator[str]:
    v = report.versions
    yield from _line(f"Linux {v.kernel or 'not known'} on trial by fwpages {v.fwpages}")
    yield from _line(f"kernel: {instruments_words(report)}", 2)
    for name, value in (("commit", v.commit), ("config", v.config), ("compiler", v.compiler), ("QEMU", v.qemu)):
        if value:
            yield from _line(f"{name}: {value}", 2)
    if report.interrupted:
        yield from _line(f"not all rows were played: {report.interrupted}", 2)
    yield from _line("All of it on an emulated device. We have not seen hardware do this.", 2)


def _row(row: ReportedRow) -> Iterator[str]:
    """A row with all that was seen."""
    yield from _line(f"{row.effect or NOT_JUDGED}: {row.name}{_marks(row)}")
    for words in facts(row):
        yield from _line(words, 4)


def facts(row: ReportedRow) -> Iterator[str]:
    """All that a row tells beside its verdict, a line for each thing."""
    yield from (row.title,) if row.title != row.not_judged else ()
    yield from (f"{e.effect}: {e.detail}{WITHOUT_FAULT if e.without_fault else ''}" for e in row.effects)
    yield from _with("not judged", ": ".join(filter(None, (row.not_judged, row.why))))
    yield from (f"the device, on purpose: {words}" for words in row.on_purpose)
    yield from (f"the driver: {words}" for words in row.driver_did[:MOST_DEEDS])
    more = len(row.driver_did) - MOST_DEEDS
    yield from _with("the driver", f"{more} more" if more > 0 else "")
    yield from _with("not looked at", "; ".join(row.unseen))
    yield from _with("can be caused by", row.causer)
    yield from books(row)
    yield from _with("review", ", ".join(question_words(row.questions)))
    yield from _with("path", row.path)
    yield from _with("files", row.folder)


def _with(name: str, words: str) -> Iterator[str]:
    """A line with its name, unless there is nothing in it."""
    if words:
        yield f"{name}: {words}"


def _marks(row: ReportedRow) -> str:
    marks = [row.standing] if "baseline" in row.standing else []
    if row.flaky:
        marks.append(f"flaky: {', '.join(_play_words(p) for p in row.plays)}")
    elif len(row.plays) > 1:
        marks.append(f"the same {len(row.plays)} times")
    return f" ({'; '.join(marks)})" if marks else ""


def _play_words(p: ReportedPlay) -> str:
    return p.effect or p.not_judged or NOT_JUDGED


def worst_play(row: ReportedRow) -> ReportedPlay | None:
    """The play that the row's verdict is of."""
    return next((p for p in row.plays if p.effect == row.effect), None)


def books(row: ReportedRow) -> Iterator[str]:
    """The books of both sides in the play that the verdict is of: a line for each session, and one for each rest."""
    play = worst_play(row)
    if play is None:
        return
    for s in play.sessions:
        rest = f"{s.held:,} {'dropped' if s.dropped else 'held at its end'}"
        yield (
            f"firmware's books, session {s.number} ({s.mode}, {s.end}): {s.given:,} given, {s.returned:,} returned, "
            f"{s.released:,} released, {rest}"
        )
    for r in play.readings:
        total = r.driver.get("fw_pages_total")
        theirs = "not known" if total is None else f"{total:,}"
        yield f"at rest after {r.after}: firmware holds {sum(r.firmware.values()):,}, the driver counts {theirs}"
