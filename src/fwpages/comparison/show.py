"""A comparison as tables for a terminal, 80 columns wide where the names allow it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fwpages.comparison.compare import called
from fwpages.comparison.kinds import Kind
from fwpages.comparison.values import Alignment, Diff, Difference, Edit, InputSide, Outcome, Pairing, SessionPair
from fwpages.pages.words import many, printable
from fwpages.report.grids import plain_table, print_whole, readable, say, say_parts

#: rows of one session that are listed, and pairs of functions; the rest is counted
MAX_ROWS = 200
MAX_PAIRS = 16
STYLES: Mapping[Outcome, str] = MappingProxyType(
    {Outcome.EQUAL: "bold green", Outcome.DIFFERENT: "bold red", Outcome.NOT_KNOWN: "bold yellow"}
)
_ALIGNED: Mapping[Alignment, str] = MappingProxyType(
    {
        Alignment.IDENTITY: "functions aligned by identity and generation",
        Alignment.NAME: "functions aligned by the scenario's names",
        Alignment.ORDER: "functions aligned by type and order",
        Alignment.TYPE: "functions aligned by type: one input has no others",
    }
)


def show_diff(diff: Diff, console: Console) -> None:
    """Print the two inputs, each session that differs, what is not known, and the outcome. Pages are of 4 KiB."""
    console = readable(console)
    for letter, side in (("A", diff.a), ("B", diff.b)):
        say_parts(console, [Text(letter, "bold"), _text(side.name), Text(_input(side))])
    if diff.identical:
        _say(console, "the inputs are the same, byte for byte")
    for number, pair in enumerate(diff.sessions, 1):
        _session(number, pair, diff, console)
    _group(None, diff, console)
    for note in diff.notes:
        _say(console, f"note: {note}", "dim", hang=2)
    _meanings(diff.differences, console)
    console.print()
    _say(console, _sum(diff), STYLES[diff.outcome], hang=2)


def _say(console: Console, words: str, style: str = "", indent: int = 0, hang: int = 0) -> None:
    """Print a sentence; names in it come from files, and may be anything."""
    say(console, printable(words), style, indent, hang)


def _text(words: str) -> Text:
    return Text(printable(words))


def _input(side: InputSide) -> str:
    return f"{side.form}, {many(side.sessions, 'session')}"


def _session(number: int, pair: SessionPair, diff: Diff, console: Console) -> None:
    """One pair of sessions; nothing of those that are equal, as the last line counts them."""
    if not _of(number, diff.differences) and not _of(number, diff.not_known):
        return
    console.print()
    say_parts(console, [Text(_numbers(pair), "bold"), _text(_devices(pair))], hang=2)
    if pair.aligned_by is not None:
        _say(console, _ALIGNED[pair.aligned_by], indent=2)
    _functions(pair, console)
    _group(number, diff, console)


def _numbers(pair: SessionPair) -> str:
    if pair.a == pair.b:
        return f"session {pair.a}"
    if pair.a is None or pair.b is None:
        return f"session {pair.b} of B alone" if pair.a is None else f"session {pair.a} of A alone"
    return f"session {pair.a} of A, {pair.b} of B"


def _devices(pair: SessionPair) -> str:
    by_order = " (by their order)" if pair.paired_by is Pairing.ORDER and None not in (pair.a, pair.b) else ""
    names = [name for name in dict.fromkeys((pair.device_a, pair.device_b)) if name is not None]
    return " and ".join(names) + by_order


def _functions(pair: SessionPair, console: Console) -> None:
    """The functions that have other identities in either session."""
    others = [f for f in pair.functions if f.a is not None and f.b is not None and f.a != f.b and not f.generation]
    for f in others[:MAX_PAIRS]:
        name = called(f)
        same = f"{f.a} = {f.b}"
        _say(console, same if name == same else f"{same}  {name}", indent=2)
    if len(others) > MAX_PAIRS:
        _say(console, f"and {len(others) - MAX_PAIRS} more", indent=2)


def _of(session: int | None, rows: Iterable[Difference]) -> list[Difference]:
    return [d for d in rows if d.session == session]


def _group(session: int | None, diff: Diff, console: Console) -> None:
    """The differences of one session, or of none, and what is not known there."""
    rows = [d for d in _of(session, diff.differences) if d.kind is not Kind.SESSION]
    if rows:
        console.print()
        print_whole(_table("difference", rows), console, 2)
        for d in rows:
            _edits(d, console)
    unknown = _of(session, diff.not_known)
    counted = [d for d in unknown if d.kind is not Kind.INPUT]
    if counted:
        console.print()
        print_whole(_table("not known", counted), console, 2)
    for d in unknown:
        if d.kind is Kind.INPUT:
            who = "both lack" if d.a and d.b else "A lacks" if d.a else "B lacks"
            _say(console, f"{who}: {d.what}", "yellow", 2, 2)


def _table(title: str, rows: Sequence[Difference]) -> Table:
    table = plain_table(title, "of")
    for name in ("A", "B", "B − A"):
        table.add_column(name, justify="right", no_wrap=True)
    for d in rows[:MAX_ROWS]:
        table.add_row(*map(_text, (d.kind.value, _about(d), _value(d.a, d), _value(d.b, d), _change(d))))
    if len(rows) > MAX_ROWS:
        table.add_row(f"and {len(rows) - MAX_ROWS} more")
    return table


def _about(d: Difference) -> str:
    """The function with its use, the finding or the command."""
    who = "" if d.function is None else called(d.function)
    use = f" #{d.function.generation + 1}" if d.function is not None and d.function.generation else ""
    return ", ".join(part for part in (who + use, d.what) if part) or d.detail


def _value(value: int | str | None, d: Difference) -> str:
    if value is None:
        return "–" if d.kind in (Kind.FUNCTION, Kind.SESSION) else "?"
    return f"{value:,}" if isinstance(value, int) else value


def _change(d: Difference) -> str:
    return f"{d.b - d.a:+,}" if isinstance(d.a, int) and isinstance(d.b, int) and d.a != d.b else ""


def _edits(d: Difference, console: Console) -> None:
    """The edit script from the steps of A to those of B."""
    if not d.edits:
        return
    console.print()
    _say(console, f"{d.kind}, from A to B:", indent=2)
    for e in d.edits:
        _say(console, f"{_place(e)}:", indent=4)
        for mark, steps, count in (("−", e.steps_a, e.count_a), ("+", e.steps_b, e.count_b)):
            for step in steps:
                _say(console, f"{mark} {step}", indent=6, hang=2)
            if count > len(steps):
                _say(console, f"{mark} and {count - len(steps):,} more", indent=6)
    if d.more_edits:
        _say(console, f"and {d.more_edits:,} more places", indent=4)


def _place(e: Edit) -> str:
    return f"step {e.at_a:,}" if e.at_a == e.at_b else f"step {e.at_a:,} of A, {e.at_b:,} of B"


def _meanings(rows: Iterable[Difference], console: Console) -> None:
    """The meaning of each kind that came, once, and what to look at."""
    kinds = {d.kind for d in rows}
    if kinds:
        console.print()
    for kind in (k for k in Kind if k in kinds):
        _say(console, f"{kind}: {kind.meaning}; look at: {kind.look_at}", "dim", hang=2)


def _sum(diff: Diff) -> str:
    """The outcome in a sentence."""
    pairs = many(len(diff.sessions), "session")
    unknown = f"{many(len(diff.not_known), 'comparison')} cannot be made" if diff.not_known else ""
    match diff.outcome:
        case Outcome.EQUAL:
            return f"equal: {pairs}"
        case Outcome.NOT_KNOWN:
            return f"not known: nothing differs in {pairs} as far as both tell; {unknown}"
        case Outcome.DIFFERENT:
            counts = Counter(d.kind for d in diff.differences)
            parts = ", ".join(f"{n} {kind}" for kind, n in counts.items())
            of = f"different: {many(len(diff.differences), 'difference')} in {pairs}: {parts}"
            return f"{of}; {unknown}" if unknown else of
