"""Rounds in processes of their own: what the program costs to start, and a tracked page in memory."""

from __future__ import annotations

import subprocess
import sys
import time

from fwpages.bench.shape import Round, Shape

#: resident memory before the pages are lent, and after: what the ledger, its pool and its records took for them. Memory
#: is mapped as it is needed, as a host does
_MEMORY = """
import sys
from pathlib import Path
from fwpages.bench.custody import Books
from fwpages.bench.shape import Shape
pages, batch = map(int, sys.argv[1:])
def resident():
    words = Path("/proc/self/status").read_text().split()
    return int(words[words.index("VmRSS:") + 1]) * 1024
def lend(shape):
    books = Books.of(Shape(0))
    for _, n in shape.turns():
        books.pool.add(books.pool.shortfall(n))
        books.ledger.extend()
        index = books.pool.take(n)
        books.ledger.offer(books.rows[0], index)
        books.pool.space.address(index)
        books.ledger.accept(books.rows[0], index)
    return books
lend(Shape(batch, batch))
before = resident()
books = lend(Shape(pages, batch))
print(resident() - before)
"""


def _seconds(*args: str) -> float:
    start = time.perf_counter()
    # S603: this interpreter, with what is written here
    subprocess.run([sys.executable, *args], check=True, stdout=subprocess.DEVNULL, timeout=60)  # noqa: S603
    return time.perf_counter() - start


def program_help(_: Shape) -> Round:
    """``fwpages --help`` as a whole process."""
    return {"help": _seconds("-c", "from fwpages.cli import main; main()", "--help")}


def bare_import(_: Shape) -> Round:
    """``import fwpages`` as a whole process, the interpreter's start with it."""
    return {"import": _seconds("-c", "import fwpages")}


def memory(shape: Shape) -> Round:
    """Bytes that a process grows by as it lends all pages of the shape."""
    out = subprocess.run(  # noqa: S603  # as above
        [sys.executable, "-c", _MEMORY, str(shape.pages), str(shape.batch)],
        check=True,
        stdout=subprocess.PIPE,
        timeout=120,
    )
    return {"memory": float(out.stdout)}
