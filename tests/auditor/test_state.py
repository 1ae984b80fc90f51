"""The size of one session's state: every attribute is something that a reader of the audit has to keep in mind."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

from fwpages.auditor.audit import Audit
from fwpages.readers.observations import MissingInput
from tests.auditor.audited_traces import AuditedTrace

#: attributes of all objects that one session alone reaches, its ledger's included
MOST = 68


def _attributes(o: object) -> dict[str, Any]:
    slots = [n for c in type(o).__mro__ for n in getattr(c, "__slots__", ()) if hasattr(o, n)]
    return getattr(o, "__dict__", {}) | {n: getattr(o, n) for n in slots}


def _reached(o: object, known: dict[int, object]) -> Iterator[object]:
    if id(o) in known or isinstance(o, type | Enum):
        return
    if isinstance(o, dict):
        for part in (*o, *o.values()):
            yield from _reached(part, known)
    elif isinstance(o, list | tuple | set):
        for part in o:
            yield from _reached(part, known)
    elif type(o).__module__.startswith("fwpages."):
        known[id(o)] = o
        yield o
        for part in _attributes(o).values():
            yield from _reached(part, known)


def test_the_state_of_one_session_is_bounded() -> None:
    assert sum(len(_attributes(o)) for o in _reached(AuditedTrace(late=True).begun_session(), {})) <= MOST


def test_no_part_of_a_session_knows_the_audit_that_feeds_it() -> None:
    assert not any(isinstance(o, Audit | MissingInput) for o in _reached(AuditedTrace().booted().s, {}))
