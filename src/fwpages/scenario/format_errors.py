"""A value that does not fit the format, reported in the file's own terms: its key path, the values expected, the value.

msgspec reports a path with its own type names, and for a table of many keys no path at all. ``misfit`` walks that path
through the data and through the types side by side, and words what it finds there.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

from fwpages.pages.words import either, meant, nearest

_KEY = re.compile(r"^Object (contains unknown|missing required) field `(.*?)`")
#: msgspec names the place last; a key of a table by the table that it is in
_PLACE = re.compile(r" - at (`key` in )?`\$(.*)`$", re.DOTALL)
_STEPS = re.compile(r"\.([^.\[]+)|\[([0-9]+|\.\.\.)\]")
#: characters of a value that a message shows
_SHOWN = 60


def misfit(e: msgspec.ValidationError, data: object, kind: type) -> str:
    """The error that converting ``data`` to ``kind`` ended in, as ``step[0].do: expected 'open' or …, not 'opn'``."""
    place = _PLACE.search(str(e))
    where, value, node = _walk(place[2] if place else "", data, inspect.type_info(kind))
    if place and place[1] and isinstance(node, inspect.DictType) and isinstance(value, dict):
        wrong = next((k for k in value if not _fits(k, node.key_type)), "")
        words = f"there is no key {_shown(wrong)}; expected {_words(node.key_type)}"
    else:
        words = _wrong(_KEY.match(str(e)), value, node)
    return f"{where}: {words}" if where else words


def _wrong(key: re.Match[str] | None, value: object, node: inspect.Type) -> str:
    """The error in words; ``key`` is msgspec's text where a key is missing or is none of the table's."""
    if key is None:
        return f"expected {_words(node)}, not {_shown(value)}{_near(node, value)}"
    if key[1] == "missing required":
        _, _, inner = _walk(f".{key[2]}", value, node)
        return f"the key {key[2]!r} is missing; expected {_words(inner)}"
    return f"there is no key {key[2]!r}; {meant(key[2], _keys(_table(node, value)))}"


def _near(node: inspect.Type, value: object) -> str:
    """The names near a word that is none of them, as a question."""
    node = _bare(node)
    words = [v for v in node.values if isinstance(v, str)] if isinstance(node, inspect.LiteralType) else []
    near = nearest(value, words) if isinstance(value, str) else []
    return f"; did you mean {either(map(repr, near))}?" if near else ""


def _walk(path: str, value: Any, node: inspect.Type) -> tuple[str, Any, inspect.Type]:  # the data is of any shape
    """Follow msgspec's path through the data and its type; returns the path as the file has it, and both places."""
    where = ""
    for name, index in _STEPS.findall(path):
        if name:
            table = _table(node, value)
            where += f".{name}" if where else name
            node = _field(table, name) if table else _tags(node)
            value = value.get(name) if isinstance(value, dict) else None
        elif index == "..." and isinstance(node, inspect.DictType):
            node = node.value_type
            found = next((k for k, v in value.items() if not _fits(v, node)), "")
            where, value = f"{where}.{found}", value.get(found)
        else:
            node = getattr(_bare(node), "item_type", inspect.AnyType())
            where, value = f"{where}[{index}]", value[int(index)]
    return where, value, node


def _bare(node: inspect.Type) -> inspect.Type:
    """The type without its metadata, and without null, which TOML does not have."""
    while isinstance(node, inspect.Metadata):
        node = node.type
    if isinstance(node, inspect.UnionType):
        rest = tuple(t for t in node.types if not isinstance(t, inspect.NoneType))
        return _bare(rest[0]) if len(rest) == 1 else inspect.UnionType(rest)
    return node


def _table(node: inspect.Type, value: object) -> inspect.StructType | None:
    """The type of this table; where there are several, by its tag."""
    node = _bare(node)
    if isinstance(node, inspect.UnionType):
        tables = [t for t in node.types if isinstance(t, inspect.StructType)]
        return next((t for t in tables if isinstance(value, dict) and value.get(t.tag_field) == t.tag), None)
    return node if isinstance(node, inspect.StructType) else None


def _tags(node: inspect.Type) -> inspect.Type:
    """The tags of the tables of a union."""
    node = _bare(node)
    types = node.types if isinstance(node, inspect.UnionType) else ()
    return inspect.LiteralType(tuple(t.tag for t in types if isinstance(t, inspect.StructType) and t.tag is not None))


def _field(table: inspect.StructType, name: str) -> inspect.Type:
    return next((f.type for f in table.fields if f.encode_name == name), inspect.AnyType())


def _keys(table: inspect.StructType | None) -> list[str]:
    if table is None:
        return []
    return [*([table.tag_field] if table.tag_field else []), *(f.encode_name for f in table.fields)]


def _fits(value: object, node: inspect.Type) -> bool:
    """Tell whether a key or a value of a table of plain values fits."""
    match _bare(node):
        case inspect.LiteralType(values):
            return value in values
        case inspect.IntType(ge=ge, le=le):
            return type(value) is int and (ge is None or value >= ge) and (le is None or value <= le)
        case inspect.BoolType():
            return isinstance(value, bool)
    return True


def _words(node: inspect.Type) -> str:
    """The values that fit, in words."""
    match _bare(node):
        case inspect.LiteralType(values):
            return " or ".join([", ".join(map(repr, values[:-1])), repr(values[-1])]).removeprefix(" or ")
        case inspect.IntType(ge=ge, le=le):
            return f"a whole number{_range(ge, le)}"
        case inspect.FloatType(ge=ge, le=le):
            return f"a number{_range(ge, le)}"
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType(pattern=pattern):
            return "text" + _form(pattern)
        case inspect.VarTupleType() as many:
            return _list(many)
    return "a table"


def _form(pattern: str | None) -> str:
    return "" if pattern is None else f" of the form {pattern}"


def _list(node: inspect.VarTupleType) -> str:
    items = "a list" if isinstance(_bare(node.item_type), inspect.StrType) else "a list of tables"
    return items + (f", at least {node.min_length}" if node.min_length else "")


def _range(ge: float | None, le: float | None) -> str:
    if ge is None:
        return "" if le is None else f" of at most {le:.0f}"
    return f" of {ge:.0f} or more" if le is None else f" from {ge:.0f} to {le:.0f}"


def _shown(value: object) -> str:
    """A value as the file has it, cut where it is long."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "a table"
        case list():
            return "an empty list" if not value else "a list"
        case int() if abs(value) >> 64:
            return f"one of {value.bit_length()} bits"
        case None:
            return "nothing"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
