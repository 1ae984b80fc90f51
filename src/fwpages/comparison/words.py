"""A comparison in words: what every form of it says of a session, a difference, an edit and the outcome."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from fwpages.comparison.compare import called
from fwpages.comparison.kinds import Kind
from fwpages.comparison.values import Alignment, Diff, Difference, Edit, InputSide, Outcome, Pairing, SessionPair
from fwpages.pages.words import many, printable
from fwpages.prm.identity import FunctionType

ALIGNED: Mapping[Alignment, str] = MappingProxyType(
    {
        Alignment.IDENTITY: "functions aligned by identity and generation",
        Alignment.NAME: "functions aligned by the scenario's names",
        Alignment.ORDER: "functions aligned by type and order",
        Alignment.TYPE: "functions aligned by type: one input has no others",
    }
)


def plain(diff: Diff) -> Diff:
    """The comparison to be shown: names in it come from files, and may have characters that nothing should print."""
    return msgspec.convert(_plain(msgspec.to_builtins(diff)), Diff)


def _plain(value: object) -> object:
    match value:
        case str():
            return printable(value)
        case list() | tuple():
            return [_plain(v) for v in value]
        case dict():
            return {key: _plain(v) for key, v in value.items()}
        case _:
            return value


def kind_of(side: InputSide) -> str:
    """The kind of an input, and how many sessions it has."""
    return f"{side.form}, {many(side.sessions, 'session')}"


def other_names(pair: SessionPair) -> list[str]:
    """The functions that have another identity in each input, a line each."""
    rows = []
    for f in pair.functions:
        if f.a is not None and f.b is not None and f.a != f.b and not f.generation:
            named = f.name or f.type is FunctionType.SELF
            rows.append(f"{f.a} = {f.b}  {called(f)}" if named else f"{f.a} = {f.b}")
    return rows


def lack(d: Difference) -> str:
    """Evidence that is missing, and in which input."""
    who = "both lack" if d.a and d.b else "A lacks" if d.a else "B lacks"
    return f"{who}: {d.what}"


def rows_of(session: int | None, rows: Iterable[Difference]) -> list[Difference]:
    """The differences of this pair of sessions, or of none."""
    return [d for d in rows if d.session == session]


def meanings(rows: Iterable[Difference]) -> list[str]:
    """The meaning of each kind that came, once, and what to look at."""
    kinds = {d.kind for d in rows}
    return [f"{kind}: {kind.meaning}; look at: {kind.look_at}" for kind in Kind if kind in kinds]


def numbers(pair: SessionPair) -> str:
    """The number of the session in each input."""
    if pair.a == pair.b:
        return f"session {pair.a}"
    if pair.a is None or pair.b is None:
        return f"session {pair.b} of B alone" if pair.a is None else f"session {pair.a} of A alone"
    return f"session {pair.a} of A, {pair.b} of B"


def devices(pair: SessionPair) -> str:
    """The device as each input names it."""
    by_order = " (by their order)" if pair.paired_by is Pairing.ORDER and None not in (pair.a, pair.b) else ""
    names = [name for name in dict.fromkeys((pair.device_a, pair.device_b)) if name is not None]
    return " and ".join(names) + by_order


def about(d: Difference) -> str:
    """The function with its use, the finding or the command."""
    who = "" if d.function is None else called(d.function)
    use = f" #{d.function.generation + 1}" if d.function is not None and d.function.generation else ""
    return ", ".join(part for part in (who + use, d.what) if part) or d.detail


def shown(side: int | str | None, d: Difference) -> str:
    """The value of one input: ``?`` where it does not tell, ``–`` where it does not have the function at all."""
    if side is None:
        return "–" if d.kind in (Kind.FUNCTION, Kind.SESSION) else "?"
    return f"{side:,}" if isinstance(side, int) else side


def change(d: Difference) -> str:
    """The count of B less that of A."""
    return f"{d.b - d.a:+,}" if isinstance(d.a, int) and isinstance(d.b, int) and d.a != d.b else ""


def place(e: Edit) -> str:
    """The number of the first step of an edit."""
    return f"step {e.at_a:,}" if e.at_a == e.at_b else f"step {e.at_a:,} of A, {e.at_b:,} of B"


def summary(diff: Diff) -> str:
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
