"""Numbers in sentences."""

from __future__ import annotations


def many(n: int, what: str) -> str:
    """``1 page``, ``2,000 pages``: the plural of ``what`` has an s."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def wants(function: str, pages: int) -> str:
    """What firmware wants for a function: more pages, or to be rid of some (negative)."""
    return f"{function} wants {many(pages, 'page')}" if pages > 0 else f"{function} lets go of {many(-pages, 'page')}"
