"""Counts in sentences, with the noun in singular or plural."""

from __future__ import annotations


def many(n: int, what: str = "page") -> str:
    """``1 page``, ``2,000 pages``, ``1 boot page``: the plural of ``what`` has an s."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"
