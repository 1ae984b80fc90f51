"""The collector of cyclic garbage, which comes seldom while a world is searched.

A search keeps many objects and makes few cycles. At its usual rate the collector looks through the newest of them after
every 700 new ones, and from time to time through all: a seventh of the time of a search.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

#: new objects after which the collector comes, and how often it comes for these until it looks at older ones too
SELDOM = 100_000, 50, 50


@contextmanager
def seldom_collected() -> Iterator[None]:
    """The collector of this process comes seldom, and afterwards as it did before."""
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
