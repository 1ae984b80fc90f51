"""What firmware wants, in a sentence."""

from __future__ import annotations

from fwpages.pages.words import many


def wants(function: str, pages: int) -> str:
    """What firmware wants for a function: more pages, or to be rid of some (negative)."""
    return f"{function} wants {many(pages)}" if pages > 0 else f"{function} lets go of {many(-pages)}"
