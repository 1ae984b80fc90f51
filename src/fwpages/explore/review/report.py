"""The report of a review: as JSON, and as text for a terminal, for Markdown and for a mail."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from fwpages.explore.check.replay import decode
from fwpages.explore.model.library import load
from fwpages.explore.model.spec import Spec
from fwpages.explore.review.answers import Answer, Verdict
from fwpages.explore.show.chart import plain
from fwpages.explore.show.paths import ShownPath
from fwpages.report.grids import print_whole
from fwpages.scenario.assumptions import ASSUMPTIONS, Assumption

#: columns of a mail (RFC 2822 wants lines of at most 78 characters; kernel lists quote them)
MAIL = 72


class ReviewReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The output of ``review --json``; ``docs/reference/review-json.md`` describes it."""

    schema_: str = "review/1"
    questions: list[dict[str, Any]]


def report(answers: Sequence[Answer]) -> ReviewReport:
    """The answers as plain values."""
    return ReviewReport(questions=[_question(a) for a in answers])


def _question(a: Answer) -> dict[str, Any]:
    out: dict[str, Any] = {
        "id": a.question.id,
        "number": a.question.number,
        "title": a.question.title,
        "verdicts": {design: [_verdict(v) for v in verdicts] for design, verdicts in a.verdicts.items()},
    }
    if a.table:
        out["table"] = [{"kind": k.kind, "type": k.true, **{d: list(t) for d, t in k.types.items()}} for k in a.table]
    return out


def _verdict(v: Verdict) -> dict[str, Any]:
    return {
        "reachable": v.reachable,
        "complete": v.complete,
        "settled": v.settled,
        "moot": v.moot,
        "states": v.states,
        "transitions": v.transitions,
        "property": v.broken,
        "seen": v.seen,
        "steps": list(v.steps),
        "world": v.world,
        "replay": v.replay,
        "missed": list(v.missed),
        "assumptions": dict(v.assumptions),
    }


def ours_holds(answers: Sequence[Answer], design: str = "fwpages") -> bool:
    """Our design fails in none of these, and each is settled for it."""
    mine = [v for a in answers for v in a.verdicts.get(design, ())]
    return all(v.settled and not v.reachable for v in mine)


# -- in words ---------------------------------------------------------------------------------------------------------


def words(v: Verdict) -> str:
    """A verdict in a few words."""
    if v.reachable:
        return f"reachable, {len(v.steps)} steps"
    if v.moot:
        return "does not arise"
    if not v.settled:
        return "not settled" if not v.complete else f"not settled: never {', '.join(v.missed)}"
    return f"not reachable, {v.states:,} states"


def changed(v: Verdict) -> str:
    """The assumption that differs, as ``--bound`` takes it; nothing for the defaults."""
    return ", ".join(f"{name}={'on' if value else 'off'}" for name, value in v.changed)


def exceptions(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts that an assumption changed."""
    first = verdicts[0]
    return [v for v in verdicts[1:] if (v.reachable, v.settled) != (first.reachable, first.settled) and not v.moot]


def tables(answers: Sequence[Answer]) -> Iterator[Table]:
    """The verdicts as a table for a terminal, question 2's table of types after it."""
    designs = list(answers[0].verdicts) if answers else []
    table = Table(box=None, pad_edge=False, header_style="bold", caption=_LEGEND, caption_justify="left")
    table.add_column("#", justify="right")
    table.add_column("question")
    for design in designs:
        table.add_column(design, no_wrap=True)
    for a in answers:
        cells = [Group(*_cell(a.verdicts[d], ours=d == "fwpages")) for d in designs]
        table.add_row(str(a.question.number), a.question.title, *cells)
    yield table
    for a in answers:
        if a.table:
            types = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
            for name in ("kind of vport", "its type", *designs):
                types.add_column(name)
            for k in a.table:
                types.add_row(k.kind, k.true, *(_types(k.types[d], k.true) for d in designs))
            yield types


def _cell(verdicts: Sequence[Verdict], *, ours: bool) -> Iterator[Text]:
    first = verdicts[0]
    yield Text(_short(first), style=_style(first, ours=ours))
    for v in exceptions(verdicts):
        yield Text(changed(v), style="dim")
        yield Text(f"  {_short(v)}", style=_style(v, ours=ours))


def _short(v: Verdict) -> str:
    if v.reachable:
        return f"yes, {len(v.steps)} steps"
    return f"no, {v.states:,} states" if v.settled and not v.moot else words(v)


def _style(v: Verdict, *, ours: bool) -> str:
    bad = v.reachable or not v.settled
    return ("bold red" if ours else "yellow") if bad else "green"


def _types(types: Sequence[str], true: str) -> Text:
    right = set(types) <= {true, "none", "unknown"}
    return Text(" or ".join(types) or "-", style="green" if right else "yellow")


_LEGEND = (
    "yes: what the question asks about can happen, by a shortest path of this many steps; no: it cannot, every order "
    "was tried. Below a verdict: the assumption that changes it."
)


# -- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(answers: Sequence[Answer]) -> str:
    """The whole review as Markdown: the table, then each question with its shortest paths."""
    designs = list(answers[0].verdicts) if answers else []
    lines = [f"| # | question | {' | '.join(designs)} |", f"|---:|---|{'---|' * len(designs)}"]
    for a in answers:
        cells = " | ".join(_markdown_cell(a.verdicts[d]) for d in designs)
        lines.append(f"| {a.question.number} | {a.question.title} | {cells} |")
    for a in answers:
        lines += ["", f"## {a.question.number}. {a.question.title}", "", a.question.argued, ""]
        lines += [f"Looked for: {a.question.fault}."]
        if a.table:
            lines += ["", f"| kind of vport | its type | {' | '.join(designs)} |", f"|---|---|{'---|' * len(designs)}"]
            lines += [
                f"| {k.kind} | {k.true} | {' | '.join(' or '.join(k.types[d]) or '-' for d in designs)} |"
                for k in a.table
            ]
        for v in shown(a):
            lines += ["", f"**{v.design}**{under(v)}: {words(v)}. {v.seen}", "", "```", _chart(v, 100), "```"]
            lines += ["", f"`fwpages explore {arguments(v)}`"]
    return "\n".join(lines) + "\n"


def _markdown_cell(verdicts: Sequence[Verdict]) -> str:
    return "<br>".join([words(verdicts[0]), *(f"{changed(v)}: {words(v)}" for v in exceptions(verdicts))])


def shown(a: Answer) -> list[Verdict]:
    """The paths to show: the first of each design; one that another design shares step for step only once."""
    out: list[Verdict] = []
    for verdicts in a.verdicts.values():
        first = next((v for v in verdicts if v.reachable), None)
        if first is not None and all(first.steps != other.steps for other in out):
            out.append(first)
    return out


def under(v: Verdict) -> str:
    """The assumption that differs, in brackets."""
    return f" ({changed(v)})" if v.changed else ""


def arguments(v: Verdict) -> str:
    """The arguments by which ``fwpages explore`` walks a verdict's path."""
    return f"{v.world} --replay {v.replay}"


def sharing(a: Answer, v: Verdict) -> list[str]:
    """The designs that have this path, step for step."""
    return [d for d, verdicts in a.verdicts.items() if any(x.steps == v.steps for x in verdicts)]


def path_of(v: Verdict) -> ShownPath:
    """The path to what is broken, to be shown."""
    spec, path = decode(Spec(v.world, load(v.world)), v.replay)
    mark = f"{v.broken}: {v.seen}"
    return ShownPath(spec, path, f"{v.world}, driven by {v.design}{under(v)}: {mark}", (mark,))


def _chart(v: Verdict, width: int) -> str:
    shown = path_of(v)
    return plain(shown.steps, width, shown.broken).rstrip()


# -- a mail -----------------------------------------------------------------------------------------------------------


def mail(answers: Sequence[Answer]) -> str:
    """Plain text of at most 72 columns for a reply: what was argued, the verdicts, the steps, the assumptions."""
    return "\n\n".join(_mailed(a) for a in answers) + "\n"


def _mailed(a: Answer) -> str:
    q = a.question
    lines = [f"Question {q.number}: {q.title}", "-" * len(f"Question {q.number}: {q.title}"), ""]
    lines += _wrapped(q.argued) + _wrapped(f"Looked for: {q.fault}.") + [""]
    for design, verdicts in a.verdicts.items():
        lines += _wrapped(f"{design}: {sentence(verdicts[0])}", indent=2)
        for v in exceptions(verdicts):
            lines += _wrapped(f"with {changed(v)}: {sentence(v)}", indent=4)
    if a.table:
        lines += ["", *_mail_table(a)]
    for v in shown(a):
        lines += ["", *_wrapped(f"How, for {' and '.join(sharing(a, v))}{under(v)}:"), "", _chart(v, MAIL), ""]
        lines += ["To see it:", *(f"  {line}" for line in _typed(v))]
    lines += ["", *_wrapped("Assumed, unless stated otherwise:")]
    for name, a_ in ASSUMPTIONS.items():
        value = next(iter(a.verdicts.values()))[0].assumptions[name]
        says = stands(a_, value)
        lines += _wrapped(f"- {name}: {says}.", indent=2)
    return "\n".join(lines)


def stands(assumption: Assumption, value: bool | None) -> str:
    """The meaning of an assumption in this position."""
    return "as each design does" if value is None else (assumption.on if value else assumption.off)


def sentence(v: Verdict) -> str:
    """A verdict in a sentence."""
    if v.reachable:
        return f"reachable, in {len(v.steps)} steps: {v.seen}."
    if v.moot:
        return "does not arise: the world never comes to it."
    if not v.settled:
        return "not settled: not every order was tried." if not v.complete else f"not settled: {', '.join(v.missed)}."
    return f"not reachable; every order tried, {v.states:,} states and {v.transitions:,} transitions."


def _typed(v: Verdict) -> list[str]:
    """The command for a shell, on two lines where one is too long."""
    whole = f"fwpages explore {arguments(v)}"
    return [whole] if len(whole) <= MAIL - 2 else [f"fwpages explore {v.world} --replay \\", f"  {v.replay}"]


def _wrapped(text: str, *, indent: int = 0) -> list[str]:
    pad = " " * indent
    after = pad + "  " * bool(indent)
    return textwrap.wrap(text, MAIL, initial_indent=pad, subsequent_indent=after, break_on_hyphens=False)


def _mail_table(a: Answer) -> list[str]:
    designs = list(a.verdicts)
    rows = [("kind of vport", "type", *designs)]
    rows += [(k.kind.split(",")[0], k.true, *(" or ".join(k.types[d]) or "-" for d in designs)) for k in a.table]
    widths = [max(len(r[n]) for r in rows) for n in range(len(rows[0]))]
    return ["  " + "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]


def show(answers: Sequence[Answer], console: Console) -> None:
    """Print the table of verdicts, and what is wrong with our own design if something is."""
    for table in tables(answers):
        print_whole(table, console)
        console.print()
    for a in answers:
        for v in a.verdicts.get("fwpages", ()):
            if v.reachable or not v.settled:
                title = f"{a.question.number} {a.question.title}{under(v)}"
                console.print(Text(f"{title}: fwpages: {words(v)}: {v.seen}", style="bold red"))
                if v.replay:
                    console.print(
                        f"fwpages explore {arguments(v)}", markup=False, emoji=False, highlight=False, soft_wrap=True
                    )
