"""Counts in sentences, with the noun in singular or plural; sizes; names near one that is not known; plain text."""

from __future__ import annotations

from collections.abc import Iterable


def many(n: int, what: str = "page") -> str:
    """``1 page``, ``2,000 pages``, ``1 boot page``: the plural of ``what`` has an s."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def either(names: Iterable[str]) -> str:
    """``a``, ``a or b``, ``a, b or c``."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """At most three of the known names that ``name`` may be a slip or a part of, the nearest first."""
    import difflib  # noqa: PLC0415  # for errors alone: the start-up stays quick

    small = name.lower()
    by_small = {k.lower(): k for k in known}
    near = difflib.get_close_matches(small, by_small, n=3)
    parts = [k for k in by_small if len(small) > 1 and (small in k or small.split("-")[0] in k.split("-"))]
    return [by_small[k] for k in dict.fromkeys([*near, *parts])][:3]


#: more names than these are not all listed where some are near
_FEW = 12


def meant(name: str, known: Iterable[str]) -> str:
    """The end of an error about a name that is not known: which names there are, and which of them are near it."""
    names = list(known)
    near = nearest(name, names)
    hint = f"did you mean {either(near)}?" if near else ""
    if near and len(names) > _FEW:
        return hint
    return "; ".join(part for part in (f"there are {', '.join(names) or 'none'}", hint) if part)


def size(pages: int) -> str:
    """Pages of 4 KiB in MiB: ``16``, ``2.5``, ``0.004``."""
    mib = pages / 256
    digits = 0 if abs(mib) >= 100 else 1 if abs(mib) >= 10 else 2 if abs(mib) >= 1 else 3
    text = f"{mib:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def in_mib(pages: int, what: str = "page") -> str:
    """``0 pages``, ``1 page (0.004 MiB)``, ``2,000 pages (7.81 MiB)``: a count of memory."""
    return f"{many(pages, what)} ({size(pages)} MiB)" if pages else many(pages, what)


def times(n: int) -> str:
    """``once``, ``2 times``."""
    return "once" if n == 1 else f"{n:,} times"


def printable(text: str) -> str:
    """The text without characters that no terminal and no XML should see; each of them is shown as �."""
    return "".join(c if c.isprintable() or c in "\t\n" else "�" for c in text)
