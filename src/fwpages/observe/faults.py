"""The findings of a session: gathered, bounded in number, each with what would resolve it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fwpages.host.findings import Blame
from fwpages.observe import accounts
from fwpages.observe.findings import REMEDIES
from fwpages.observe.seen import Place
from fwpages.pages.words import many
from fwpages.prm.identity import Identity

#: findings of one name about one function that are listed one by one; the rest are counted in the last
MAX_ALIKE = 16
#: findings of one name, whatever the function
MAX_NAMED = 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """One finding while its session is still under way."""

    name: str
    blame: Blame
    place: Place
    function: Identity | None = None
    pages: int | None = None
    detail: str = ""
    #: a driver's own line says it, it is not inferred from commands
    heard: bool = False


class Faults:
    """A bounded list of faults; beyond the bounds they are counted and their pages summed."""

    def __init__(self) -> None:
        self._rows: list[Fault] = []
        self._alike: dict[tuple[str, Identity | None], int] = {}
        self._named: dict[str, int] = {}
        self._more: dict[int, tuple[int, int]] = {}
        self._last: dict[str, int] = {}

    def add(self, fault: Fault) -> None:
        """One more."""
        key = (fault.name, fault.function)
        n, named = self._alike.get(key, 0), self._named.get(fault.name, 0)
        if n >= MAX_ALIKE or named >= MAX_NAMED:
            at = self._last[fault.name]
            count, pages = self._more.get(at, (0, 0))
            self._more[at] = (count + 1, pages + (fault.pages or 0))
            return
        self._alike[key], self._named[fault.name] = n + 1, named + 1
        self._last[fault.name] = len(self._rows)
        self._rows.append(fault)

    def has(self, name: str, function: Identity | None = None) -> bool:
        """There is one of this name; about this function, where one is named."""
        return any(f.name == name and (function is None or f.function == function) for f in self._rows)

    def damage(self) -> int:
        """How often lines were found missing."""
        more = sum(n for i, (n, _) in self._more.items() if self._rows[i].name == "log-lines-lost")
        return self._named.get("log-lines-lost", 0) + more

    def drop_inferred(self) -> int:
        """Forget what was inferred from commands about host, device or link; returns how much that was."""
        kept = [(i, f) for i, f in enumerate(self._rows) if f.heard or f.blame is Blame.LOG]
        dropped = len(self._rows) - len(kept)
        self._more = {new: self._more[i] for new, (i, _) in enumerate(kept) if i in self._more}
        self._rows = [f for _, f in kept]
        return dropped

    def rename(self, old: Identity, new: Identity) -> None:
        """A function is called otherwise from now on."""
        self._rows = [replace(f, function=new) if f.function == old else f for f in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> list[accounts.Finding]:
        """All of them in the shape of the report."""
        return [self._row(i, f) for i, f in enumerate(self._rows)]

    def _row(self, i: int, f: Fault) -> accounts.Finding:
        detail = f.detail
        if i in self._more:
            count, pages = self._more[i]
            detail += f" (and {count} more like it" + (f", {many(pages)})" if pages else ")")
        return finding(replace(f, detail=detail))


def finding(f: Fault) -> accounts.Finding:
    """A fault in the shape of the report, with its remedy."""
    return accounts.Finding(
        name=f.name,
        blame=f.blame.value,
        function=None if f.function is None else str(f.function),
        pages=f.pages,
        detail=f.detail,
        remedy=REMEDIES[f.name],
        at=f.place.at(),
    )
