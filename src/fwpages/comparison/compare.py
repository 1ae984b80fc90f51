"""Two sides compared, session by session: the differences, and the comparisons that cannot be made.

How it works. Sessions and functions are paired (``pairing.py``); a value that both tell and that differs is a
difference; a count that an input of this kind could tell, and does not, makes the comparison *not known*. What an input
of this kind never tells, as the order of commands in a report, is not compared, and a note says so. Differences outrank
what is not known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from fwpages.comparison.kinds import Kind
from fwpages.comparison.pairing import PairedFunctions, PairedSessions, own_aliases, pair_functions, pair_sessions
from fwpages.comparison.scripts import MAX_EDITS, script
from fwpages.comparison.sides import COUNTS, FunctionSide, SessionSide, Side, Step, Steps
from fwpages.comparison.values import Diff, Difference, Edit, FunctionPair, InputSide, Outcome, SessionPair
from fwpages.custody.accounts import COLUMNS, Count, FindingAccount, Missing
from fwpages.prm.identity import FunctionType

_SEQUENCES = (Kind.START_UP, Kind.PAGE_COMMANDS, Kind.PAGE_REQUESTS)
_BY_NAME: Mapping[str, Kind] = {kind.value: kind for kind in Kind}
_COLUMNS: Mapping[str, Kind] = {column: _BY_NAME[column] for column in COLUMNS}


@dataclass(slots=True)
class _Found:
    """The result of a comparison so far. ``not_compared``: the sequences that are not, by the reason."""

    differences: list[Difference] = field(default_factory=list)
    not_known: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_compared: dict[str, dict[str, None]] = field(default_factory=dict)

    def skip(self, what: Iterable[str], why: str) -> None:
        """Note that these are not compared, and why, once."""
        self.not_compared.setdefault(why, {}).update(dict.fromkeys(what))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two sessions that are the same, the number of the pair, and their functions with the names of each."""

    number: int
    a: SessionSide
    b: SessionSide
    functions: Sequence[tuple[PairedFunctions, FunctionPair]]

    @property
    def partial(self) -> bool:
        """One of them lacks lines: what it does not show may have been there."""
        return self.a.partial or self.b.partial

    @property
    def types_known(self) -> bool:
        """Both know the supplier: a type that is unknown is then the driver's state, and no lack of the input."""
        return self.a.supplier is not None and self.b.supplier is not None

    def names(self, of_b: bool) -> dict[str, FunctionPair]:
        """The functions by their identity in one of the sessions, the first generation of each."""
        found: dict[str, FunctionPair] = {}
        for _, names in self.functions:
            identity = names.b if of_b else names.a
            if identity is not None:
                found.setdefault(identity, names)
        own = next((n for p, n in self.functions if _is_own(p)), None)
        if own is not None:
            for alias in own_aliases(self.b if of_b else self.a):
                found.setdefault(alias, own)
        return found


def compare(a: Side, b: Side, *, identical: bool = False) -> Diff:
    """Compare two sides. ``identical``: their inputs are the same byte for byte."""
    found = _Found(notes=[*a.notes, *b.notes])
    sessions = list(_sessions(a, b, found))
    _lacks(None, a.lacks, b.lacks, found)
    _findings(None, a.findings, b.findings, {}, {}, found)
    _events(a, b, found)
    _out_of_scope(a, b, found)
    if not sessions and not identical:
        found.not_known.append(Difference(kind=Kind.SESSION, detail="neither input has a session"))
    outcome = _outcome(found, identical=identical)
    return Diff(
        outcome=outcome,
        equal={Outcome.EQUAL: True, Outcome.DIFFERENT: False}.get(outcome),
        identical=identical,
        a=_input(a),
        b=_input(b),
        sessions=sessions,
        differences=found.differences,
        not_known=found.not_known,
        notes=[*found.notes, *(f"not compared: {', '.join(what)}: {why}" for why, what in found.not_compared.items())],
    )


def _outcome(found: _Found, *, identical: bool) -> Outcome:
    if found.differences:
        return Outcome.DIFFERENT
    return Outcome.EQUAL if identical or not found.not_known else Outcome.NOT_KNOWN


def _input(s: Side) -> InputSide:
    told = {kind for x in s.sessions for steps in (x.steps, x.lines) for kind in steps}
    steps = tuple(kind for kind in _SEQUENCES if kind in told)
    return InputSide(name=s.name, form=s.form, sessions=len(s.sessions), counts=COUNTS[s.form], steps=steps)


def _sessions(a: Side, b: Side, found: _Found) -> Iterator[SessionPair]:
    columns = [c for c in COLUMNS if c in COUNTS[a.form] and c in COUNTS[b.form]]
    for number, pair in enumerate(pair_sessions(a, b), 1):
        x, y, row = pair.a, pair.b, _numbers(pair)
        if x is None or y is None:
            found.differences.append(Difference(kind=Kind.SESSION, session=number, a=row.a, b=row.b))
            yield row
            continue
        by, functions = pair_functions(x, y)
        named = [(p, _names(p)) for p in functions]
        _pair(_Pair(number, x, y, named), columns, found)
        yield msgspec.structs.replace(row, aligned_by=by, functions=[names for _, names in named])


def _numbers(p: PairedSessions) -> SessionPair:
    """The pair by its devices and numbers, its functions not paired yet."""
    return SessionPair(
        device_a=None if p.a is None else p.a.device,
        device_b=None if p.b is None else p.b.device,
        a=None if p.a is None else p.a.number,
        b=None if p.b is None else p.b.number,
        paired_by=p.by,
    )


def _names(p: PairedFunctions) -> FunctionPair:
    both = [f for f in (p.a, p.b) if f is not None]
    names = {f.name for f in both if f.name}
    return FunctionPair(
        a=None if p.a is None else p.a.identity,
        b=None if p.b is None else p.b.identity,
        name=names.pop() if len(names) == 1 else "",
        type=_type(both),
        generation=min(f.generation for f in both),
    )


def _type(both: Iterable[FunctionSide]) -> FunctionType | None:
    """The type that these tell; None where they tell none, or two."""
    kinds = {f.type for f in both if f.type is not None}
    known = (kinds - {FunctionType.UNKNOWN}) or kinds
    return known.pop() if len(known) == 1 else None


def _is_own(p: PairedFunctions) -> bool:
    return any(f is not None and f.type is FunctionType.SELF for f in (p.a, p.b))


# -- one session


def _pair(p: _Pair, columns: Sequence[str], found: _Found) -> None:
    """Compare two sessions that are the same."""
    _stated(p, found)
    for functions, names in p.functions:
        _function(p, functions, names, columns, found)
    if "peak" in columns:
        _peak(p, found)
    _counters(p, found)
    _findings(p.number, p.a.findings, p.b.findings, p.names(of_b=False), p.names(of_b=True), found)
    _lacks(p.number, p.a.lacks, p.b.lacks, found)
    for kind in _SEQUENCES:
        _sequence(p, kind, found)
    if p.a.commands is not None and p.b.commands is not None:
        rows = found.not_known if p.partial else found.differences
        rows += _counted(Kind.COMMANDS, p.number, p.a.commands, p.b.commands)


def _peak(p: _Pair, found: _Found) -> None:
    """Compare the peaks of all functions together, where both inputs tell them."""
    a, b = p.a.peak, p.b.peak
    if a is not None and b is not None and a != b:
        found.differences.append(Difference(kind=Kind.PEAK, session=p.number, what="all functions together", a=a, b=b))


def _counters(p: _Pair, found: _Found) -> None:
    """Compare the device's counters that both inputs tell."""
    for name, n in p.a.counters.items():
        other = p.b.counters.get(name)
        if n is not None and other is not None and n != other:
            found.differences.append(Difference(kind=Kind.COUNTER, session=p.number, what=name, a=n, b=other))


def _stated(p: _Pair, found: _Found) -> None:
    """Compare the mode and the end, which both sessions state."""
    a, b = p.a, p.b
    if None not in (a.mode, b.mode) and a.mode != b.mode:
        found.differences.append(Difference(kind=Kind.MODE, session=p.number, a=a.mode, b=b.mode))
    elif a.mode != b.mode:
        found.skip([Kind.MODE], f"{'B' if a.mode is None else 'A'} alone tells it")
    if a.end != b.end:
        found.differences.append(Difference(kind=Kind.END, session=p.number, a=str(a.end), b=str(b.end)))


def _function(
    pair: _Pair, functions: PairedFunctions, names: FunctionPair, columns: Sequence[str], found: _Found
) -> None:
    a, b, number = functions.a, functions.b, pair.number
    if a is None or b is None:
        _unpaired(pair, functions, names, columns, found)
        return
    if a.type is not b.type:
        _types(pair, functions, names, found)
    for column in columns:
        x, y = a.counts.get(column), b.counts.get(column)
        if x == y and x is not None:
            continue
        rows = found.not_known if x is None or y is None else found.differences
        rows.append(Difference(kind=_COLUMNS[column], session=number, function=names, a=x, b=y))


def _unpaired(
    pair: _Pair, functions: PairedFunctions, names: FunctionPair, columns: Sequence[str], found: _Found
) -> None:
    """Note a function that one session alone has, unless it never had a page."""
    a, b = functions.a, functions.b
    if not _empty(a or b, columns):
        rows = found.not_known if pair.partial else found.differences
        rows.append(
            Difference(
                kind=Kind.FUNCTION, session=pair.number, function=names, a=_gave(a, columns), b=_gave(b, columns)
            )
        )


def _types(pair: _Pair, functions: PairedFunctions, names: FunctionPair, found: _Found) -> None:
    """Compare the types of a function where both inputs tell it, or know that the driver does not."""
    kinds = [None if f is None else f.type for f in (functions.a, functions.b)]
    if None in kinds or (FunctionType.UNKNOWN in kinds and not pair.types_known):
        known = "B" if kinds[0] in (None, FunctionType.UNKNOWN) else "A"
        found.skip([f"{Kind.TYPE} of {called(names)}"], f"{known} alone tells it")
        return
    found.differences.append(Difference(kind=Kind.TYPE, session=pair.number, function=names, a=kinds[0], b=kinds[1]))


def _empty(f: FunctionSide | None, columns: Iterable[str]) -> bool:
    """It never had a page, so that inputs which list functions by their pages do not have it."""
    return f is not None and all(f.counts.get(column) == 0 for column in columns)


def _gave(f: FunctionSide | None, columns: Sequence[str]) -> str | None:
    """The first figure of a function that stands alone, in words."""
    if f is None:
        return None
    n: Count = f.counts.get(columns[0])
    return f"{'?' if n is None else f'{n:,}'} {columns[0]}"


def _lacks(session: int | None, a: Iterable[Missing], b: Iterable[Missing], found: _Found) -> None:
    """Evidence that either input lacks: what both count may then be a part alone."""
    of_a, of_b = [m.what for m in a], [m.what for m in b]
    for what in dict.fromkeys([*of_a, *of_b]):
        found.not_known.append(
            Difference(
                kind=Kind.INPUT,
                session=session,
                what=what,
                a="lacks it" if what in of_a else None,
                b="lacks it" if what in of_b else None,
            )
        )


# -- findings and events

_FindingKey = tuple[str, str, FunctionPair | str | None]


def _findings(
    session: int | None,
    a: Iterable[FindingAccount],
    b: Iterable[FindingAccount],
    names_a: Mapping[str, FunctionPair],
    names_b: Mapping[str, FunctionPair],
    found: _Found,
) -> None:
    """Compare findings by name, blame and function: how often each came, and about how many pages."""
    of_a, of_b = _grouped(a, names_a), _grouped(b, names_b)
    for key in dict.fromkeys([*of_a, *of_b]):
        x, y = of_a.get(key, []), of_b.get(key, [])
        name, blame, who = key
        function = who if isinstance(who, FunctionPair) else None
        detail = f"blames: {blame}" + (f", {who}" if isinstance(who, str) else "")
        row = partial(Difference, session=session, function=function, what=name, detail=detail)
        if len(x) != len(y):
            found.differences.append(row(kind=Kind.FINDING, a=len(x), b=len(y)))
        elif _pages(x) != _pages(y):
            rows = found.not_known if None in (_pages(x), _pages(y)) else found.differences
            rows.append(row(kind=Kind.FINDING_PAGES, a=_pages(x), b=_pages(y)))


def _grouped(
    findings: Iterable[FindingAccount], names: Mapping[str, FunctionPair]
) -> dict[_FindingKey, list[FindingAccount]]:
    groups: dict[_FindingKey, list[FindingAccount]] = {}
    for f in findings:
        who = None if f.function is None else names.get(f.function, f.function)
        groups.setdefault((str(f.name), f.blame, who), []).append(f)
    return groups


def _pages(findings: Iterable[FindingAccount]) -> Count:
    """The pages of these findings together; None where one does not say."""
    counts = [f.pages for f in findings]
    return None if None in counts else sum(n for n in counts if n is not None)


def _events(a: Side, b: Side, found: _Found) -> None:
    """Compare the events of two runs beside their sessions."""
    if not a.events or not b.events:
        if a.events or b.events:
            found.skip(["failed operations", "faults"], f"{'A' if a.events else 'B'} alone tells them")
        return
    for kind in a.events:
        found.differences += _counted(kind, None, a.events[kind], b.events[kind])


def _counted(kind: Kind, session: int | None, a: Mapping[str, int], b: Mapping[str, int]) -> Iterator[Difference]:
    """The rows that came another number of times."""
    of_a, of_b = Counter(a), Counter(b)
    for what in dict.fromkeys([*of_a, *of_b]):
        if of_a[what] != of_b[what]:
            yield Difference(kind=kind, session=session, what=what, a=of_a[what], b=of_b[what])


# -- sequences


def _sequence(p: _Pair, kind: Kind, found: _Found) -> None:
    """Compare the steps of one kind, where both inputs tell them by the same means."""
    means = [(x[kind], y[kind]) for x, y in ((p.a.steps, p.b.steps), (p.a.lines, p.b.lines)) if kind in x and kind in y]
    if not means:
        _not_compared(p, kind, found)
        return
    pair = means[0]
    a, b = (_words(steps.rows, names) for steps, names in zip(pair, (p.names(False), p.names(True)), strict=True))
    edits = script(a, b)
    if edits:
        rows = found.not_known if p.partial else found.differences
        rows.append(_scripted(p, kind, pair, edits))
    elif pair[0].more or pair[1].more:
        detail = f"the first {len(a):,} are the same; the others are not kept"
        found.not_known.append(Difference(kind=kind, session=p.number, detail=detail))


def _not_compared(p: _Pair, kind: Kind, found: _Found) -> None:
    """A sequence that not both inputs tell is not compared; where neither does, there is nothing to say."""
    tell = [name for name, s in (("A", p.a), ("B", p.b)) if kind in s.steps or kind in s.lines]
    if len(tell) == 1:
        found.skip([kind], f"{tell[0]} alone tells them")
    elif tell:
        found.skip([kind], "one input tells them by commands, the other by the driver's lines")


def _scripted(p: _Pair, kind: Kind, pair: tuple[Steps, Steps], edits: list[Edit]) -> Difference:
    lengths = [len(s.rows) + s.more for s in pair]
    return Difference(
        kind=kind,
        session=p.number,
        a=lengths[0],
        b=lengths[1],
        edits=edits[:MAX_EDITS],
        more_edits=max(0, len(edits) - MAX_EDITS),
    )


def _words(steps: Iterable[Step], names: Mapping[str, FunctionPair]) -> list[str]:
    """The steps in words, with names of functions that are the same in both inputs."""
    return [f"{s.before}{'' if s.function is None else _called(s.function, names)}{s.after}" for s in steps]


def _called(identity: str, names: Mapping[str, FunctionPair]) -> str:
    return called(names[identity]) if identity in names else identity


def called(f: FunctionPair) -> str:
    """The function's name in a sentence: the scenario's, ``own``, or its identities."""
    if f.name:
        return f.name
    if f.type is FunctionType.SELF:
        return "own"
    # the same name when the inputs change places
    return " = ".join(sorted({who for who in (f.a, f.b) if who is not None})) or str(f.type)


def _out_of_scope(a: Side, b: Side, found: _Found) -> None:
    """The columns that one of the two kinds of input never has are not compared."""
    for side in (a, b):
        lacks = [c for c in COLUMNS if c not in COUNTS[side.form]]
        if lacks and a.form != b.form:
            found.skip(lacks, f"{side.form} does not tell them")
