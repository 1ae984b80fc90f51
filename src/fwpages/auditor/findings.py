"""The findings of a session: gathered, bounded in number, each with what would resolve it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
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


@dataclass(frozen=True, slots=True)
class _Alike:
    """Findings of one name about one function: how many are listed, how many more there were, and their pages."""

    listed: int = 0
    more: int = 0
    pages: int = 0


class Findings:
    """A bounded list; findings beyond the bounds are counted and their pages summed, by name and function."""

    __slots__ = ("_alike", "_rows")

    def __init__(self) -> None:
        self._rows: list[Finding] = []
        self._alike: dict[_Key, _Alike] = {}

    def add(self, finding: Finding) -> None:
        """Add one."""
        key = (finding.name, finding.book)
        alike = self._alike.get(key, _Alike())
        if alike.listed < MAX_ALIKE and self._listed(finding.name) < MAX_NAMED:
            self._alike[key] = replace(alike, listed=alike.listed + 1)
            self._rows.append(finding)
            return
        if key not in self._alike:
            key = (finding.name, None)
            alike = self._alike.get(key, alike)
        self._alike[key] = replace(alike, more=alike.more + 1, pages=alike.pages + (finding.pages or 0))

    def _listed(self, name: str) -> int:
        """How many findings of this name are listed."""
        return sum(alike.listed for (other, _), alike in self._alike.items() if other == name)

    def has(self, name: FindingName, who: Identity | None = None) -> bool:
        """There is one of this name; about this function, where one is given."""
        if who is None:
            return any(other == name for other, _ in self._alike)
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

    def of(self, names: Collection[str]) -> list[Finding]:
        """Those of these names."""
        return [f for f in self._rows if f.name in names]

    def amend(self, name: FindingName, beside: str, words: str) -> bool:
        """The latest of this name says this line and these words too, if one does not say the words yet."""
        for i in reversed(range(len(self._rows))):
            f = self._rows[i]
            if f.name == name and words not in f.detail:
                self._rows[i] = replace(f, detail=f"{f.detail}; {beside}: {words}")
                return True
        return False

    def change(self, causes: Mapping[Causes, Causes], beside: str, since: int = 0) -> None:
        """Findings of these causes get others, by what a line beside them says; ``since`` this line of the input."""
        rows: list[Finding] = []
        for f in self._rows:
            cause = causes.get(f.cause) if f.place.line >= since else None
            rows.append(f if cause is None else replace(f, cause=cause, detail=f"{f.detail}; {beside}"))
        self._keep(rows, {old.finding: new.finding for old, new in causes.items()})

    def _keep(self, kept: list[Finding], renamed: Mapping[str, str] = MappingProxyType({})) -> None:
        """List these alone. Those that are not listed stay counted beside others of their name, or of its new one."""
        names = {f.name for f in kept}
        alike = {key: _Alike(listed) for key, listed in Counter((f.name, f.book) for f in kept).items()}
        for (old, book), a in self._alike.items():
            name = old if old in names else renamed.get(old, old)
            if a.more and name in names:
                now = alike.get((name, book), _Alike())
                alike[name, book] = replace(now, more=now.more + a.more, pages=now.pages + a.pages)
        self._rows, self._alike = kept, alike

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> list[accounts.FindingAccount]:
        """All of them in the shape of the report; the last of its kind, else of its name, counts those not listed."""
        last: dict[tuple[str, Identity | None] | str, int] = {}
        for i, f in enumerate(self._rows):
            last[f.name, f.function] = last[f.name] = i
        words = [""] * len(self._rows)
        for (name, book), alike in self._alike.items():
            if alike.more:
                at = last.get((name, book.identity if book is not None else None), last[name])
                words[at] += f" (and {alike.more} more like it" + (f", {many(alike.pages)})" if alike.pages else ")")
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
