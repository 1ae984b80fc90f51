"""The findings of a session: gathered, bounded in number, each with what would resolve it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TypeAlias

from fwpages.custody import accounts
from fwpages.custody.findings import Blame, Causes, FindingName
from fwpages.pages.words import many
from fwpages.prm.identity import Identity
from fwpages.readers.observations import Place

#: findings of one name about one function that are listed one by one; the rest are counted in the last
MAX_ALIKE = 16
#: findings of one name, whatever the function
MAX_NAMED = 1024

_Key: TypeAlias = tuple[str, Identity | None]


@dataclass(frozen=True, slots=True)
class FoundFault:
    """One finding while its session is still under way."""

    cause: Causes
    place: Place
    function: Identity | None = None
    pages: int | None = None
    detail: str = ""
    #: a driver's own line says it, it is not inferred from commands
    heard: bool = False

    @property
    def name(self) -> str:
        """The name to report."""
        return self.cause.finding


class Faults:
    """A bounded list of faults; beyond the bounds they are counted and their pages summed, by name and function."""

    def __init__(self) -> None:
        self._rows: list[FoundFault] = []
        self._alike: Counter[_Key] = Counter()
        self._named: Counter[str] = Counter()
        #: what is not listed: how many, and their pages
        self._more: dict[_Key, tuple[int, int]] = {}

    def add(self, fault: FoundFault) -> None:
        """One more."""
        key = (fault.name, fault.function)
        if self._alike.get(key, 0) >= MAX_ALIKE or self._named[fault.name] >= MAX_NAMED:
            key = key if key in self._alike else (fault.name, None)
            count, pages = self._more.get(key, (0, 0))
            self._more[key] = (count + 1, pages + (fault.pages or 0))
            return
        self._alike[key] += 1
        self._named[fault.name] += 1
        self._rows.append(fault)

    def has(self, name: FindingName, function: Identity | None = None) -> bool:
        """There is one of this name; about this function, where one is named."""
        return any(f.name == name and (function is None or f.function == function) for f in self._rows)

    def damage(self) -> int:
        """How often lines were found missing."""
        lost = FindingName.LOG_LINES_LOST
        return self._named[lost] + sum(n for (name, _), (n, _) in self._more.items() if name == lost)

    def drop_inferred(self) -> int:
        """Forget what was inferred from commands about host, device or link; returns how much that was."""
        kept = [f for f in self._rows if f.heard or f.cause.blame is Blame.LOG]
        dropped = len(self._rows) - len(kept)
        self._list(kept)
        return dropped

    def rename(self, old: Identity, new: Identity) -> None:
        """A function is called otherwise from now on."""
        more, self._more = self._more, {}
        for (name, who), (n, pages) in more.items():
            key = (name, new if who == old else who)
            count, total = self._more.get(key, (0, 0))
            self._more[key] = (count + n, total + pages)
        self._list([replace(f, function=new) if f.function == old else f for f in self._rows])

    def _list(self, rows: list[FoundFault]) -> None:
        self._rows = rows
        self._alike = Counter((f.name, f.function) for f in rows)
        self._named = Counter(f.name for f in rows)
        self._more = {key: more for key, more in self._more.items() if key[0] in self._named}

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> list[accounts.FindingAccount]:
        """All of them in the shape of the report; the last of its kind, else of its name, tells of those not listed."""
        last: dict[_Key | str, int] = {}
        for i, f in enumerate(self._rows):
            last[f.name, f.function] = last[f.name] = i
        words = [""] * len(self._rows)
        for (name, who), (count, pages) in self._more.items():
            at = last.get((name, who), last[name])
            words[at] += f" (and {count} more like it" + (f", {many(pages)})" if pages else ")")
        return [finding(replace(f, detail=f.detail + more)) for f, more in zip(self._rows, words, strict=True)]


def finding(f: FoundFault) -> accounts.FindingAccount:
    """A fault in the shape of the report, with its remedy."""
    return accounts.FindingAccount(
        name=f.name,
        blame=f.cause.blame.value,
        function=None if f.function is None else str(f.function),
        pages=f.pages,
        detail=f.detail,
        remedy=f.cause.remedy,
        at=f.place.at(),
    )
