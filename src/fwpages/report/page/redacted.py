"""A section without names: every text in it, and in the JSON that the page carries, goes through the redactor."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import msgspec

from fwpages.report.page.content import Section
from fwpages.report.redact import Redactor


def redacted(section: Section, redactor: Redactor) -> Section:
    """The same section with tokens for the names in it."""
    found: Section = _value(section, redactor)
    return found


def _value(value: Any, redactor: Redactor) -> Any:
    if isinstance(value, bytes):
        return msgspec.json.encode(_plain(msgspec.json.decode(value), redactor))
    if isinstance(value, str) and type(value) is str:
        return redactor.text(value)
    if isinstance(value, tuple):
        return tuple(_value(v, redactor) for v in value)
    if isinstance(value, msgspec.Struct):
        return redactor.report(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _value(getattr(value, f.name), redactor) for f in fields(value)})
    return value


def _plain(value: Any, redactor: Redactor) -> Any:
    match value:
        case str():
            return redactor.text(value)
        case list():
            return [_plain(v, redactor) for v in value]
        case dict():
            return {key: _plain(v, redactor) for key, v in value.items()}
        case _:
            return value
