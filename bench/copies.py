"""The limit: a plain copy of the addresses that a case moves, 8 bytes a page, once."""

from __future__ import annotations

import time

import numpy as np

from fwpages.bench.shape import Case, Round

REPEAT = 20


class CopyPeer:
    """``numpy.copyto`` of a case's addresses: in pieces of one command where it is about commands."""

    name = "copy"

    def run(self, case: Case) -> Round | None:
        """Seconds for one copy of all of the case's addresses."""
        if case.unit != "seconds" or not case.shape.pages or case.name.startswith(("life", "scale")):
            return None
        shape, repeat = case.shape, REPEAT if case.name.startswith("wire") else 1
        source = np.arange(shape.pages, dtype=np.uint64)
        target = np.zeros_like(source)
        start = time.perf_counter()
        for _ in range(repeat):
            for at in range(0, shape.pages, shape.batch):
                np.copyto(target[at : at + shape.batch], source[at : at + shape.batch])
        seconds = (time.perf_counter() - start) / repeat
        return dict.fromkeys(case.parts, seconds)
