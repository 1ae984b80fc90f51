"""The whole review, made once in a run of tests: every question, three designs, every assumption on and off.

Processes that want it at the same time share the work: each settles what no other has begun.
"""

from __future__ import annotations

import fcntl
import gc
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fwpages.explore.review.answers import Answer, review
from fwpages.explore.review.questions import QUESTIONS, Question


def settled(folder: Path) -> list[Answer]:
    """The answers, from ``folder``, where each process of this run puts those that it made."""
    with unswept():
        for q in QUESTIONS:
            _made(folder, q, wait=False)
        return [_read(folder, q) for q in QUESTIONS]


def _made(folder: Path, q: Question, *, wait: bool) -> None:
    """See to it that the answer is there; without ``wait`` another process may still be at it."""
    kept = _kept(folder, q)
    with kept.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return
        if not kept.exists():
            part = kept.with_suffix(".part")
            part.write_bytes(pickle.dumps(review([q])))
            os.replace(part, kept)


def _read(folder: Path, q: Question) -> Answer:
    _made(folder, q, wait=True)
    (answer,) = pickle.loads(_kept(folder, q).read_bytes())
    assert isinstance(answer, Answer)
    return answer


def _kept(folder: Path, q: Question) -> Path:
    return folder / f"review-{q.id}.pickle"


@contextmanager
def unswept() -> Iterator[None]:
    """A search keeps much and leaves no cycles behind: looking for them is a fifth of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
