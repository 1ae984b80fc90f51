"""Two inputs, read and compared."""

from __future__ import annotations

import filecmp
import os

from fwpages.comparison.compare import compare
from fwpages.comparison.reading import Comparable, read_side
from fwpages.comparison.sides import Side
from fwpages.comparison.values import Diff
from fwpages.readers.inputs import InputError, Watch


def diff(a: Comparable, b: Comparable, *, watch: Watch | None = None) -> Diff:
    """Compare two inputs: traces, kernel logs, what commands print with ``--json``, or reports as values.

    Sessions are paired by device and order, their functions by identity and generation; across modes by the scenario's
    name, else by type and order. Time plays no part. ``watch`` is called while a file is read.

    Raises InputError where an input cannot be read, or is nothing that can be compared; TypeError for something else
    than a path, an open file or a report.
    """
    return read_and_compare(a, b, watch)[0]


def read_and_compare(a: Comparable, b: Comparable, watch: Watch | None = None) -> tuple[Diff, Side, Side]:
    """Compare as ``diff`` does; returns the two sides too, which have the time lines."""
    if str(a) == str(b) == "-":
        raise InputError("standard input (-) can be read once only")
    one, other = read_side(a, watch), read_side(b, watch)
    return compare(one, other, identical=_identical(a, b)), one, other


def _identical(a: Comparable, b: Comparable) -> bool:
    """Both are files, and the same byte for byte: whatever they do not tell is the same too."""
    if not isinstance(a, str | os.PathLike) or not isinstance(b, str | os.PathLike) or "-" in (str(a), str(b)):
        return False
    try:
        return os.path.isfile(a) and os.path.isfile(b) and filecmp.cmp(a, b, shallow=False)
    except OSError:
        return False
