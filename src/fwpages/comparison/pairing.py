"""The sessions and the functions of two inputs that are taken for the same, and the rule by which they are.

Each rule is symmetric: inputs that change places give the same pairs. Time plays no part in it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from fwpages.comparison.sides import MOMENTS, REST, FunctionSide, SessionSide, Side
from fwpages.comparison.values import Alignment, Pairing
from fwpages.prm.identity import FunctionType, Identity, func_id


@dataclass(frozen=True, slots=True)
class PairedSessions:
    """A session of either input; None where one does not have it."""

    a: SessionSide | None
    b: SessionSide | None
    by: Pairing


@dataclass(frozen=True, slots=True)
class PairedFunctions:
    """A function of either session; None where one does not have it."""

    a: FunctionSide | None
    b: FunctionSide | None


def pair_sessions(a: Side, b: Side) -> list[PairedSessions]:
    """Pair the sessions: those of the same device in their order, then devices of other names in theirs.

    An input that shows one moment has, of each device, what the last session of the other has.
    """
    of_a, of_b = _by_device(a.sessions), _by_device(b.sessions)
    moments = a.form in MOMENTS, b.form in MOMENTS
    found: list[PairedSessions] = []
    for name_a, name_b, by in _pair_devices(of_a, of_b):
        rows_a, rows_b = of_a.get(name_a or "", []), of_b.get(name_b or "", [])
        if moments[0] != moments[1] and rows_a and rows_b:
            rows_a, rows_b = rows_a[-1:], rows_b[-1:]
        found += [PairedSessions(x, y, by) for x, y in zip_longest(rows_a, rows_b)]
    return sorted(found, key=_place)


def _pair_devices(a: Collection[str], b: Collection[str]) -> list[tuple[str | None, str | None, Pairing]]:
    """Pair the devices by their names, and those of other names in their order; None where one input has no more."""
    same = [(name, name, Pairing.DEVICE) for name in a if name in b]
    rest = zip_longest([n for n in a if n not in b], [n for n in b if n not in a])
    return [*same, *((x, y, Pairing.ORDER) for x, y in rest)]


def _place(p: PairedSessions) -> tuple[int, int, list[str]]:
    """The place of a pair in the report, which is the same when the inputs change places."""
    both = [s for s in (p.a, p.b) if s is not None]
    return min(s.number for s in both), max(s.number for s in both), sorted(s.device for s in both)


def _by_device(sessions: Iterable[SessionSide]) -> dict[str, list[SessionSide]]:
    found: dict[str, list[SessionSide]] = {}
    for s in sessions:
        found.setdefault(s.device, []).append(s)
    return found


def pair_functions(a: SessionSide, b: SessionSide) -> tuple[Alignment, list[PairedFunctions]]:
    """Pair the functions of two sessions, by the strongest rule that fits both."""
    by = _alignment(a, b)
    left, right = a.functions, b.functions
    match by:
        case Alignment.TYPE:
            apart = all(f.type is not None or f.name == REST for f in (*left, *right))
            return by, _by_key(_summed(left, apart), _summed(right, apart), lambda f: f.type)
        case Alignment.IDENTITY:
            pairs = _by_key(left, right, lambda f: (f.identity, f.generation))
            return by, _with_own_joined(pairs)
        case Alignment.NAME:
            numbers = _uses(left) | _uses(right)
            return by, _by_key(left, right, lambda f: (_named(f), numbers[id(f)]))
        case Alignment.ORDER:
            numbers = _places(left) | _places(right)
            pairs = _by_key(left, right, lambda f: (f.type, numbers[id(f)]))
            return by, _with_unknown_joined(pairs)


def _alignment(a: SessionSide, b: SessionSide) -> Alignment:
    if any(f.identity is None for s in (a, b) for f in s.functions):
        # a function without identity has its name from a scenario, or is the sum of those of a type
        named = all(map(_all_named, (a, b)))
        return Alignment.NAME if named else Alignment.TYPE
    modes = _modes(a) | _modes(b)
    if len(modes) <= 1:
        return Alignment.IDENTITY
    return Alignment.NAME if _all_named(a) and _all_named(b) else Alignment.ORDER


def _modes(s: SessionSide) -> set[str]:
    """The modes that the functions' names are in; the session's where it has none."""
    found = {Identity.parse(f.identity).mode.value for f in s.functions if f.identity is not None}
    return found or ({s.mode} if s.mode is not None else set())


def _all_named(s: SessionSide) -> bool:
    return all(f.name or f.type is FunctionType.SELF for f in s.functions) and any(f.name for f in s.functions)


def _named(f: FunctionSide) -> Hashable:
    """The scenario's name; the own function's, which has none, is its type."""
    return f.name or f.type


def _own(f: FunctionSide) -> bool:
    return f.type is FunctionType.SELF


def _uses(functions: Sequence[FunctionSide]) -> dict[int, int]:
    """The number of each function among those of its name."""
    return _numbered(functions, _named)


def _places(functions: Sequence[FunctionSide]) -> dict[int, int]:
    """The number of each function among those of its type."""
    return _numbered(functions, lambda f: f.type)


def _numbered(functions: Sequence[FunctionSide], key: Callable[[FunctionSide], Hashable]) -> dict[int, int]:
    before: Counter[Hashable] = Counter()
    found: dict[int, int] = {}
    for f in functions:
        found[id(f)] = before[key(f)]
        before[key(f)] += 1
    return found


def _by_key(
    left: Iterable[FunctionSide], right: Iterable[FunctionSide], key: Callable[[FunctionSide], Hashable]
) -> list[PairedFunctions]:
    """The functions whose keys are equal as pairs, then those of the left alone, then those of the right."""
    of_a, of_b = {key(f): f for f in left}, {key(f): f for f in right}
    alone = [PairedFunctions(None, f) for k, f in of_b.items() if k not in of_a]
    return [*(PairedFunctions(f, of_b.get(k)) for k, f in of_a.items()), *alone]


def _alone(pairs: Iterable[PairedFunctions]) -> tuple[list[FunctionSide], list[FunctionSide]]:
    """The functions that have no partner: of the left, and of the right."""
    rows = list(pairs)
    return [p.a for p in rows if p.b is None and p.a is not None], [
        p.b for p in rows if p.a is None and p.b is not None
    ]


def _with_own_joined(pairs: list[PairedFunctions]) -> list[PairedFunctions]:
    """The own function is the same, whatever its name."""
    alone_a, alone_b = _alone(pairs)
    return _joined(pairs, [f for f in alone_a if _own(f)], [f for f in alone_b if _own(f)])


def _with_unknown_joined(pairs: list[PairedFunctions]) -> list[PairedFunctions]:
    """A function of unknown type may be any that is left; only one of the two sides still has such."""
    alone_a, alone_b = _alone(pairs)
    unknown_a, unknown_b = [f for f in alone_a if _unknown(f)], [f for f in alone_b if _unknown(f)]
    pairs = _joined(pairs, unknown_a, [f for f in alone_b if not _unknown(f)])
    return _joined(pairs, [f for f in alone_a if not _unknown(f)], unknown_b)


def _unknown(f: FunctionSide) -> bool:
    return f.type in (FunctionType.UNKNOWN, None)


def _joined(
    pairs: Iterable[PairedFunctions], left: Sequence[FunctionSide], right: Sequence[FunctionSide]
) -> list[PairedFunctions]:
    """The pairs, with the first of ``left`` joined to the first of ``right``, and so on: all of these stood alone."""
    new = {id(x): y for x, y in zip(left, right, strict=False)}
    gone = {id(y) for y in new.values()}
    joined = [PairedFunctions(p.a, new.get(id(p.a), p.b)) for p in pairs]
    return [p for p in joined if p.a is not None or id(p.b) not in gone]


def _summed(functions: Iterable[FunctionSide], apart: bool) -> list[FunctionSide]:
    """The functions of each type as one, the own function and those of unknown type together, as counters have them.

    Where types are not told ``apart``, all functions are one.
    """
    groups: dict[FunctionType | None, list[FunctionSide]] = {}
    for f in functions:
        rest = not apart or f.type in (FunctionType.SELF, FunctionType.UNKNOWN)
        groups.setdefault(None if rest else f.type, []).append(f)
    return [_sum(kind, rows, REST if apart else "all functions") for kind, rows in groups.items()]


def _sum(kind: FunctionType | None, rows: Sequence[FunctionSide], rest: str) -> FunctionSide:
    values = [f.counts["held"] for f in rows]
    # an input that counts by type has this column alone
    held = None if None in values else sum(v for v in values if v is not None)
    return FunctionSide(identity=None, type=kind, counts={"held": held}, name="" if kind else rest)


def own_aliases(s: SessionSide) -> frozenset[str]:
    """The names that the own function has before the mode is switched: steps and findings of the start-up have them."""
    return frozenset({str(func_id(0, ec=s.supplier == "ecpf"))}) if s.mode == "vhca_id" else frozenset()
