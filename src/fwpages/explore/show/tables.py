"""The report of an exploration for a terminal: its extent, each verdict, and the shortest paths as charts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fwpages.explore.show.chart import chart
from fwpages.explore.show.narrative import Step
from fwpages.explore.show.report import COMMUTING, ExploreReport, PropertyReport, ReplayReport
from fwpages.pages.words import many
from fwpages.report.grids import print_whole, readable
from fwpages.report.width import fold, width_of

#: the steps of a walk by its replay string
Steps = Callable[[str], Sequence[Step]]

#: the reductions of a search, in words
REDUCTIONS = {COMMUTING: "states that differ only in the order of moves that commute are one"}

#: a style for each verdict
STYLES = {"holds": "green", "reached": "green", "broken": "bold red", "missed": "bold red", "open": "yellow"}


def show(report: ExploreReport, console: Console, steps: Steps, command: str, *, whole: bool = False) -> None:
    """Print the report. ``command`` is the command line of a replay, without the string."""
    console = readable(console)
    _say(console, f"{report.world}, driven by {report.design}", "bold")
    for line in tried(report):
        _say(console, line)
    _say(console, settings(report), "dim")
    console.print()
    print_whole(_table(report), console, 2)
    for row in report.properties:
        if row.verdict == "broken":
            console.print()
            _say(console, f"{row.name}: {row.seen}", "bold red")
            console.print(chart(steps(row.replay), [row.mark], whole=whole))
            console.print(Text(f"{command} --replay {row.replay}"), soft_wrap=True)  # to be copied: never folded
    console.print()
    _say(console, verdict(report), "bold green" if report.fine else "bold red")


def show_replay(report: ReplayReport, console: Console, steps: Sequence[Step], *, whole: bool = False) -> None:
    """Print the walk and the verdicts at its end."""
    console = readable(console)
    _say(console, f"{report.world}, driven by {report.design}: {many(len(report.steps), 'step')}", "bold")
    console.print(chart(steps, report.marks, whole=whole))
    for words, style in replay_verdicts(report):
        _say(console, words, style)


def replay_verdicts(report: ReplayReport) -> list[tuple[str, str]]:
    """The verdicts at the end of a replay, each with its style."""
    out = [(f"broken at the end: {name}: {what}", STYLES["broken"]) for name, what in report.broken.items()]
    for name, what in report.unmet.items():
        if name in report.never:
            out.append((f"not met, and never will be: {name}: {what}", STYLES["broken"]))
        else:
            out.append((f"not met so far: {name}: {what}", STYLES["open"]))
    if report.round is not None:
        out.append((f"a cycle: the state is again the one after step {report.round}", ""))
    if not (report.broken or report.unmet):
        out.append(("nothing is broken at the end", STYLES["holds"]))
    return out


def verdict(report: ExploreReport) -> str:
    """The verdict of the whole report in a line."""
    by = {v: [p.name for p in report.properties if p.verdict == v] for v in STYLES}
    match report.verdict:
        case "broken":
            return f"broken: {', '.join(by['broken'])}"
        case "missed":
            return f"points never reached: {', '.join(by['missed'])}"
        case "open" if report.mode == "random":
            return "no broken property was found, which proves nothing: some orders were tried, not all"
        case "open":
            return f"not settled: {report.stopped}"
        case _:
            return "holds, within these bounds and assumptions"


def tried(report: ExploreReport) -> list[str]:
    """The extent of a search or of walks, in lines."""
    if report.mode == "random":
        walks = many(report.walks or 0, "random walk")
        most = f"the longest of {many(report.depth, 'step')}"
        return [f"{walks} with seed {report.seed}, {many(report.transitions, 'step')}, {most}", report.stopped]
    tried = ", ".join(
        (
            many(report.states or 0, "state"),
            many(report.transitions, "transition"),
            f"{many(report.depth, 'step')} deep",
        )
    )
    reduced = [f"reduced by {name}: {REDUCTIONS[name]}" for name in report.reductions]
    if not report.complete:
        return [f"{tried}: not complete", *reduced, report.stopped]
    if report.verdict == "broken":
        return [f"{tried}: every order of events was tried, up to the broken steps", *reduced]
    return [f"{tried}: complete, every order of events was tried", *reduced]


def settings(report: ExploreReport | ReplayReport) -> str:
    """The bounds and assumptions within which the verdicts hold."""
    named = {k: v for k, v in report.bounds.items() if v is not None}
    stands = {True: "on", False: "off", None: "as designed"}
    bounds = ", ".join(f"{k} {v:,}" for k, v in named.items())
    return f"within {bounds}; {', '.join(f'{k} {stands[v]}' for k, v in report.assumptions.items())}"


def _table(report: ExploreReport) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for _ in ("kind", "name"):
        table.add_column(no_wrap=True)
    table.add_column()
    for row in report.properties:
        table.add_row(Text(row.kind, "dim"), Text(row.name, "bold"), Text(says(row), STYLES[row.verdict]))
    return table


def says(row: PropertyReport) -> str:
    """A property's verdict in words."""
    steps = many(row.depth or 0, "step")
    if row.verdict == "broken":
        return {"eventually": f"not always: after {steps}, {row.seen}", "never": f"reached in {steps}"}.get(
            row.kind, f"broken in {steps}"
        )
    if row.verdict == "reached":
        return f"reached in {steps}"
    if row.verdict == "missed":
        return "never reached"
    if row.verdict == "open":
        return "not reached so far" if row.kind == "sometimes" else "not broken so far"
    return "not reachable" if row.kind == "never" else "holds"


def _say(console: Console, words: str, style: str = "") -> None:
    """Print the words as they are: to Rich ``:A:`` is the name of an emoji, and a replay string may have it."""
    lines = fold(words, width_of(console.file), 2)
    console.print(lines, style=style, markup=False, emoji=False, highlight=False, soft_wrap=True)
