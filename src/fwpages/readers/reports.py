"""Reports in JSON, as commands write them with ``--json``: told by their schema, and read whole.

A report need not stand on one line, nor begin with its schema, as a tool may have folded it or sorted its keys.
"""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from fwpages.readers.inputs import InputError, Source

#: bytes of a report that are read at most; the report of an audit with a thousand sessions is smaller
MAX_JSON = 1 << 28

#: a schema that stands first, where the commands write it
_FIRST = re.compile(rb'\{\s*"schema"\s*:\s*"([^"]{1,40})"')

_T = TypeVar("_T")


def decoded(name: str, data: bytes, shape: type[_T], schema: str) -> _T:
    """The report in these bytes; InputError where it does not have the shape of its schema."""
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError) as e:
        raise InputError(f"{name} does not have the shape of {schema}: {e}") from None
    except RecursionError:
        raise InputError(f"{name} does not have the shape of {schema}: it is nested too deeply") from None


def schema_of(source: Source) -> str | None:
    """The schema that a report, or the first line of a recording, names; None for everything else.

    A line of a trace has a kind, and one of a journal its message. The input can be read from its beginning afterwards.
    """
    head = source.peek().lstrip()
    if not head.startswith(b"{") or b'"schema"' not in head:
        return None
    first = head.partition(b"\n")[0]
    found = _decoded_object(first)
    if found is None:
        data = whole(source)
        # put back: whoever reads the input next begins at its beginning
        source.sample, source.lines, source.cut = data, 0, False
        found = _decoded_object(data)
    if found is None:
        # cut or damaged: it still says which report it was, so that the error can
        cut = _FIRST.match(head)
        return cut[1].decode("utf-8", "replace") if cut else None
    schema = found.get("schema")
    return schema if isinstance(schema, str) else None


def _decoded_object(data: bytes) -> dict[str, object] | None:
    """The object of these bytes, {} where they are other JSON; None where they are no whole JSON."""
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if isinstance(found, dict) else {}


def whole(source: Source) -> bytes:
    """All that is left of an input; InputError where it is damaged, too long, or has a line that is no report's."""
    pieces: list[bytes] = []
    size = 0
    for _, lines in source.batches():
        size += sum(map(len, lines)) + len(lines)
        if size > MAX_JSON:
            raise InputError(f"{source.name}: more than {MAX_JSON >> 20} MiB are too long for a report in JSON")
        pieces += lines
    if source.broken or source.skipped:
        raise InputError(f"{source.name}: {source.broken or 'a line is too long to be a report'}")
    return b"\n".join(pieces)
