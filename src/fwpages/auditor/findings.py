"""The findings of a session: gathered, bounded in number, each with what would resolve it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from fwpages.auditor.books import Book
from fwpages.custody import accounts
from fwpages.custody.findings import Blame, Causes, FindingName
from fwpages.pages.words import many
from fwpages.prm.identity import Identity
from fwpages.readers.observations import Place

#: findings of one name about one function that are listed one by one; the rest are counted in the last
MAX_ALIKE = 16
#: findings of one name, whatever the function
MAX_NAMED = 1024


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding while its session is still under way; its function may yet get another name."""

    cause: Causes
    place: Place
    book: Book | None = None
    pages: int | None = None
    detail: str = ""
    #: a driver's own line says it, it is not inferred from commands
    stated: bool = False

    @property
    def name(self) -> str:
        """The name to report."""
        return self.cause.finding

    @property
    def blame(self) -> Blame:
        """The party at fault."""
        return self.cause.blame

    @property
    def function(self) -> Identity | None:
        """The function that it is about, under its present name."""
        return None if self.book is None else self.book.identity


#: a part of the audit yields its findings as it comes to them; some return a value beside
Found: TypeAlias = Iterator[Finding]
_T = TypeVar("_T")
Finds: TypeAlias = Generator[Finding, None, _T]

_Key: TypeAlias = tuple[str, Book | None]


class Findings:
    """A bounded list; findings beyond the bounds are counted and their pages summed, by name and function."""

    __slots__ = ("_alike", "_more", "_named", "_rows")

    def __init__(self) -> None:
        self._rows: list[Finding] = []
        self._alike: Counter[_Key] = Counter()
        self._named: Counter[str] = Counter()
        #: how many are not listed, and their pages
        self._more: dict[_Key, tuple[int, int]] = {}

    def add(self, finding: Finding) -> None:
        """Add one."""
        key = (finding.name, finding.book)
        if self._alike.get(key, 0) >= MAX_ALIKE or self._named[finding.name] >= MAX_NAMED:
            key = key if key in self._alike else (finding.name, None)
            count, pages = self._more.get(key, (0, 0))
            self._more[key] = (count + 1, pages + (finding.pages or 0))
            return
        self._alike[key] += 1
        self._named[finding.name] += 1
        self._rows.append(finding)

    def has(self, name: FindingName, who: Identity | None = None) -> bool:
        """There is one of this name; about this function, where one is given."""
        if who is None:
            return self._named[name] > 0
        return any(f.name == name and f.function == who for f in self._rows)

    def drop_inferred(self) -> int:
        """Forget what was inferred from commands about host, device or link; returns how much that was."""
        dropped = len(self._rows)
        self._keep([f for f in self._rows if f.stated or f.blame is Blame.LOG])
        return dropped - len(self._rows)

    def take(self, names: Collection[str]) -> list[Finding]:
        """Forget those of these names; returns them: another finding says the same, and more."""
        taken = [f for f in self._rows if f.name in names]
        self._keep([f for f in self._rows if f.name not in names])
        return taken

    def _keep(self, kept: list[Finding]) -> None:
        self._rows = kept
        self._alike = Counter((f.name, f.book) for f in kept)
        self._named = Counter(f.name for f in kept)
        self._more = {key: more for key, more in self._more.items() if key[0] in self._named}

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> list[accounts.FindingAccount]:
        """All of them in the shape of the report; the last of its kind, else of its name, counts those not listed."""
        last: dict[tuple[str, Identity | None] | str, int] = {}
        for i, f in enumerate(self._rows):
            last[f.name, f.function] = last[f.name] = i
        words = [""] * len(self._rows)
        for (name, book), (count, pages) in self._more.items():
            at = last.get((name, book.identity if book is not None else None), last[name])
            words[at] += f" (and {count} more like it" + (f", {many(pages)})" if pages else ")")
        return [account(replace(f, detail=f.detail + more)) for f, more in zip(self._rows, words, strict=True)]


def account(f: Finding) -> accounts.FindingAccount:
    """A finding in the shape of the report, with its remedy."""
    return accounts.FindingAccount(
        name=f.name,
        blame=f.blame.value,
        function=None if f.function is None else str(f.function),
        pages=f.pages,
        detail=f.detail,
        remedy=f.cause.remedy,
        at=f.place.at(),
    )
