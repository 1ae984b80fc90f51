"""The edit script that leads from one sequence of steps to another, bounded and the same in either direction."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import SequenceMatcher

from fwpages.comparison.values import Edit

#: steps that are compared one by one, between the first and the last that differ: the search takes the square of them
MAX_COMPARED = 400
#: edits that a script lists, and steps that each of them lists; the rest is counted
MAX_EDITS = 40
MAX_LISTED = 8


def script(a: Sequence[str], b: Sequence[str]) -> list[Edit]:
    """The places where the sequences differ, from the first to the last; none where they are equal.

    Sequences that differ over more than ``MAX_COMPARED`` steps are one edit from the first to the last of these.
    """
    if list(a) == list(b):
        return []
    if list(a) > list(b):  # the search depends on which one comes first
        return [_turned(e) for e in script(b, a)]
    start = _alike(a, b)
    end = _alike(a[start:][::-1], b[start:][::-1])
    middle_a, middle_b = a[start : len(a) - end], b[start : len(b) - end]
    if max(len(middle_a), len(middle_b)) > MAX_COMPARED:
        return [_edit(start, start, middle_a, middle_b)]
    blocks = SequenceMatcher(None, middle_a, middle_b, autojunk=False).get_opcodes()
    return [_edit(start + i, start + j, middle_a[i:k], middle_b[j:m]) for op, i, k, j, m in blocks if op != "equal"]


def _alike(a: Sequence[str], b: Sequence[str]) -> int:
    """The number of steps at the beginning that are the same."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _edit(at_a: int, at_b: int, a: Sequence[str], b: Sequence[str]) -> Edit:
    return Edit(
        at_a=at_a + 1,
        at_b=at_b + 1,
        count_a=len(a),
        count_b=len(b),
        steps_a=list(a[:MAX_LISTED]),
        steps_b=list(b[:MAX_LISTED]),
    )


def _turned(e: Edit) -> Edit:
    return Edit(at_a=e.at_b, at_b=e.at_a, count_a=e.count_b, count_b=e.count_a, steps_a=e.steps_b, steps_b=e.steps_a)
