"""Pages that firmware has for another function than the host named, by the host's mistake alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fwpages.auditor.ledger import Custody
from fwpages.custody.ledger import Returned
from fwpages.pages.space import Indices
from fwpages.prm.identity import Identity

if TYPE_CHECKING:
    from fwpages.auditor.session import Pending


class Misnamed:
    """What is known of them in one session: a device that keeps to whom it knows to have them does nothing wrong."""

    def __init__(self, custody: Custody) -> None:
        self._custody = custody
        #: pages of a GIVE that named the wrong function, with the one that it was for
        self._rows: list[tuple[Identity, Indices]] = []
        #: pages that may come back a second time: given twice, or let go of in the books alone
        self._shared: list[Indices] = []

    def given(self, meant: Identity, index: Indices) -> None:
        """A GIVE that should have named ``meant``."""
        self._rows.append((meant, index))

    def given_twice(self, who: Identity, index: Indices) -> None:
        """Pages that another function has already were given to ``who`` too."""
        self._rows.append((who, index))
        self._shared.append(index)

    def meant_for(self, who: Identity) -> int:
        """Pages that firmware may have for this function, though by the books another has them, or nobody; at most."""
        meant = sum(int(index.size) for to, index in self._rows if to == who)
        return meant + sum(int(index.size) for index in self._shared)

    def released(self, who: Identity) -> None:
        """release_all for this function: what was given to others by mistake is let go of with it, and what it has by
        mistake itself, in the books alone, may still come back.
        """
        for meant, index in self._rows:
            if meant == who:
                self._custody.free(index)
            else:
                self._shared.append(index)
        self._rows = [(meant, index) for meant, index in self._rows if meant != who]

    def excuse(self, p: Pending, who: Identity, returned: Returned) -> tuple[Returned, int]:
        """Pages come back from whom firmware knows to have them. Returns what else was returned, and how many these
        were.
        """
        space, n = self._custody.space, 0
        if returned.foreign.size and (self._rows or p.meant):
            index = space.index(returned.foreign)
            excused = np.full(index.size, p.meant is not None)
            for meant, given in self._rows:
                if meant == who:
                    excused |= np.isin(index, given)
            none = returned.foreign[:0]
            n = self._custody.take(Returned(index[excused], none, none, none))
            returned = returned._replace(foreign=returned.foreign[~excused])
        if returned.twice.size and self._shared:
            again = np.isin(space.index(returned.twice), np.concatenate(self._shared))
            returned = returned._replace(twice=returned.twice[~again])
        return returned, n
