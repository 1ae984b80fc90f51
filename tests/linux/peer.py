"""Linux's own page allocator, compiled as a library: where it is, and as much of its interface as is used here."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from fwpages.prm.identity import FunctionType

PLACE = Path(__file__).parents[2] / "build" / "linux-pagealloc"
LIBRARY, LIBRARY_64K = "liboracle.so", "liboracle64k.so"

#: Linux's numbers of types (enum mlx5_func_type), and the one for a function that is not known
TYPES = (
    FunctionType.SELF,
    FunctionType.VF,
    FunctionType.SF,
    FunctionType.HOST_PF,
    FunctionType.SPF,
    FunctionType.EC_VF,
    FunctionType.UNKNOWN,
)

#: a page that Linux tracks, as the library lists it
TRACKED = np.dtype(
    [
        ("addr", "<u8"),
        ("bitmask", "<u8"),
        ("root", "<u4"),
        ("function", "<u4"),
        ("type", "<u2"),
        ("pad", "<u2"),
        ("free", "<u4"),
    ]
)

#: what the library's injection points are called
ALLOC_PAGE, DMA_MAP, KZALLOC, KVZALLOC = range(4)

#: errno of Linux, as a callback or an entry point returns it, negative
ENXIO, EIO, EBUSY, EINVAL, ETIMEDOUT = 6, 5, 16, 22, 110


class Oracle(Protocol):
    """One device of Linux's allocator. Entry points return 0 or a negative errno."""

    def set_vhca_id(self, number: int) -> None: ...
    def set_icm_mode(self, current: int, maximum: int) -> None: ...
    def set_ecpf(self, on: int) -> None: ...
    def set_vfs(self, vfs: int, ec_vfs: int) -> None: ...
    def set_eswitch(self, on: int) -> None: ...
    def set_vhca_type(self, number: int, kind: int) -> int: ...
    def start(self) -> int: ...
    def stop(self) -> int: ...
    def satisfy_startup_pages(self, boot: int) -> int: ...
    def reclaim_startup_pages(self) -> int: ...
    def wait_for_pages(self, which: int) -> int: ...
    def event(self, number: int, flags: int, pages: int) -> int: ...
    def deliver_eqe(self, raw: bytes) -> int: ...
    def run_work(self, most: int) -> int: ...
    def work_pending(self) -> int: ...
    def optimal_reclaimed_pages(self) -> int: ...
    def inject(self, kind: int, after: int, count: int) -> None: ...
    def set_cmd_down(self, down: int) -> None: ...
    def set_cmd_budget(self, commands: int) -> None: ...
    def set_timeouts(self, reclaim_ms: int, wait_ms: int) -> None: ...
    def set_jiffies(self, now: int) -> None: ...
    def get_jiffies(self) -> int: ...
    def list_pages(self, buffer: object, capacity: int) -> int: ...
    def roots(self) -> list[int]: ...
    def counters(self) -> dict[str, Any]: ...
    def stats(self) -> dict[str, int]: ...
    def log(self) -> list[tuple[int, str]]: ...
    def log_clear(self) -> None: ...
    def on_cmd(self, fn: Callable[[bytes, Sequence[int]], int]) -> None: ...
    def on_sleep(self, fn: Callable[[int], None]) -> None: ...
    def close(self) -> None: ...


class Peer(Protocol):
    """The library's own Python module."""

    Page: Any
    Oops: type[Exception]

    def load(self, path: str) -> object: ...
    def Oracle(self, arena: int, lib: object) -> Oracle: ...  # noqa: N802


def place() -> Path:
    """Where the library is, or would be."""
    return Path(os.environ.get("FWPAGES_LINUX_PEER") or PLACE)


def missing() -> str | None:
    """Why the library cannot be used; None where it can."""
    absent = [n for n in (LIBRARY, LIBRARY_64K, "pyoracle.py") if not (place() / n).is_file()]
    if absent:
        return f"no {absent[0]} in {place()}: `make peer` builds it from ../shared/peers/linux-pagealloc"
    return None


def load() -> Peer:
    """The library's module."""
    spec = importlib.util.spec_from_file_location("pyoracle", place() / "pyoracle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return cast("Peer", module)


def device(peer: Peer, arena: int, library: str = LIBRARY) -> Oracle:
    """A device under Linux, with so many system pages of memory to give."""
    with nullcontext() if library == LIBRARY else same_handlers():
        return peer.Oracle(arena, lib=peer.load(str(place() / library)))


@contextmanager
def same_handlers() -> Iterator[None]:
    """Each of the two libraries traps its own crashes, and the later one would take the traps from the other."""
    libc = ctypes.CDLL(None)
    kept = [(number, ctypes.create_string_buffer(256)) for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL)]
    for number, before in kept:
        libc.sigaction(int(number), None, before)
    try:
        yield
    finally:
        for number, before in kept:
            libc.sigaction(int(number), before, None)


def tracked(peer: Peer, oracle: Oracle) -> npt.NDArray[np.void]:
    """Every page that Linux believes to be lent, as rows of TRACKED; those of a system page that is wholly free too."""
    n = oracle.list_pages(None, 0)
    buffer = (peer.Page * n)()
    oracle.list_pages(buffer, n)
    return np.frombuffer(buffer, TRACKED) if n else np.zeros(0, TRACKED)
