"""A served device and a virtual machine in front of it, watched from both sides.

The server runs in a thread of its own; whatever a test wants of it is done between two messages (``call``).
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, TypeVar

from fwpages.device import ResetFunction, Want
from fwpages.link.vfio_user.server import Server
from fwpages.readers.trace_writer import TraceWriter
from fwpages.scenario import load
from fwpages.scenario.observer import ServedSession
from fwpages.scenario.served_runner import ServedRun
from fwpages.scenario.topology import device_profile
from tests.vm.guest import PATIENCE, Guest, Kernel

T = TypeVar("T")

#: a device whose start-up is quick, and functions of every kind that a PF has, or an ECPF
PF = """
[device]
profile = "connectx7"
init_pages = 2000
{capabilities}
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
[[function]]
name = "vf1"
type = "vf"
index = 1
vhca_id = 0x32
[[function]]
name = "sf0"
type = "sf"
vhca_id = 0x90
{steps}
"""
ECPF = """
[device]
profile = "bluefield3"
init_pages = 2000
{capabilities}
[[function]]
name = "host-pf"
type = "host_pf"
vhca_id = 1
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
[[function]]
name = "vf1"
type = "vf"
index = 1
vhca_id = 0x32
[[function]]
name = "sf0"
type = "sf"
vhca_id = 0x90
[[function]]
name = "ec-vf0"
type = "ec_vf"
vhca_id = 0x51
{steps}
"""
OPEN = """
[[step]]
do = "open"
"""
NOT_OFFERED = "capabilities = { icm_mng_function_id_mode = 0 }"


def scenario(text: str, *, offered: bool = True, steps: str = OPEN) -> str:
    return text.format(capabilities="" if offered else NOT_OFFERED, steps=steps)


#: what a kernel says when something is wrong with itself
_BAD = re.compile(r"WARNING:|BUG:|Call Trace|Oops|hung task|blocked for more than|soft lockup")
#: what its driver says when something is wrong with the device or with pages
_WRONG = re.compile(r"not found|[Tt]ime-?out|timed out|leak|[Ff]ailed|[Ee]rror|refused|corruption|giving up")
#: what an emulated device of this kind makes it say in any case
_USUAL = re.compile(r"vendor specific ID|HW clock init|no errors\(0|pci atomics|devlink_param")


def complaints(log: str) -> list[str]:
    """The lines in which the kernel complains of itself, or its driver of the device."""
    return [
        row
        for row in log.splitlines()
        if _BAD.search(row) or ("mlx5_core" in row and _WRONG.search(row) and not _USUAL.search(row))
    ]


class Lab:
    """A device at a socket of its own in ``folder``. A context manager; it outlives the machines that use it."""

    def __init__(self, text: str, folder: Path, **options: Any) -> None:
        plan = load("lab", text=text)
        self.profile = device_profile(plan)
        self.folder = folder
        self.trace = StringIO()
        writer = TraceWriter(self.trace, device=self.profile.name, supplier=self.profile.supplier)
        self.writer = writer
        self.events: list[str] = []
        self.serving = ServedRun(plan, tap=writer, on_event=lambda t, words: self.events.append(words), **options)
        self.server = Server(folder / "device", self.serving)
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._machines = 0

    def _run(self) -> None:
        while not self.server.stopped:
            try:
                while True:
                    self._calls.get_nowait()()
            except Empty:
                pass
            self.server.step(0.2)

    def call(self, f: Callable[[], T]) -> T:
        """Do this in the server's thread, between two messages."""
        done: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                done.put((f(), None))
            except BaseException as e:
                done.put((None, e))

        self._calls.put(run)
        os.write(self.server.waker, b"\0")
        value, error = done.get(timeout=PATIENCE)
        if error is not None:
            raise error
        return value  # type: ignore[return-value]

    def guest(self, k: Kernel, **options: Any) -> Guest:
        """Start a machine with this device; it has booted when this returns."""
        self._machines += 1
        folder = self.folder / f"machine{self._machines}"
        g = Guest(k, self.folder / "device", folder, vfs=self.serving.vfs, **options)
        try:
            g.ready()
        except BaseException:
            g.kill()
            raise
        return g

    # -- our side -----------------------------------------------------------------------------------------------------

    def held(self) -> dict[str, int]:
        """Pages by function, as the firmware has them; only those that have some."""
        inner = self.serving.observer.inner
        every = self.call(lambda: {s.name: inner.held(s.name) for s in inner.specs})
        return {name: n for name, n in every.items() if n}

    @property
    def session(self) -> ServedSession:
        """The latest session."""
        return self.serving.observer.sessions[-1]

    @property
    def offences(self) -> list[str]:
        return [f"{o.name}: {o.detail}" for _, o in self.serving.observer.offences]

    def want(self, /, **pages: int) -> None:
        """Functions want so many more pages, or give so many back, all at once. ``_`` in a name stands for ``-``."""
        wants = [Want(name.replace("_", "-"), n) for name, n in pages.items()]

        def stir() -> None:
            for w in wants:
                self.serving.device.stir(w)

        self.call(stir)

    def reset(self, name: str) -> None:
        self.call(lambda: self.serving.device.stir(ResetFunction(name)))

    def until(self, held: Mapping[str, int], seconds: float = PATIENCE) -> None:
        """Wait until the functions hold this and nothing more."""
        end = time.monotonic() + seconds
        while self.held() != held:
            assert time.monotonic() < end, f"{self.held()} held, {held} expected; {self.events[-20:]}"
            time.sleep(0.05)

    def wait(self, truth: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until this is so."""
        end = time.monotonic() + seconds
        while not truth():
            assert time.monotonic() < end, self.events[-20:]
            time.sleep(0.05)

    def sessions(self, n: int) -> None:
        """Wait until so many sessions have begun."""
        self.wait(lambda: len(self.serving.observer.sessions) == n)

    def text(self) -> str:
        """The trace so far, whole."""

        def read() -> str:
            self.writer.end()
            return self.trace.getvalue()

        return self.call(read)

    def text_after(self) -> str:
        """The trace, once the server has stopped."""
        self.writer.end()
        return self.trace.getvalue()

    def agree(self, g: Guest) -> dict[str, int]:
        """Both sides count the same; what is held on ours."""
        mine = self.held()
        theirs = g.ok(f"held {sum(mine.values())}").strip()
        assert int(theirs) == sum(mine.values()), (mine, g.pages())
        self.call(self.serving.observer.inner.check)
        return mine

    def clean(self, g: Guest, sessions: int = 1) -> None:
        """The latest session was closed with nothing left, the driver broke no rule, the kernel did not complain."""
        self.wait(lambda: self.session.end != "open")
        assert self.held() == {}
        assert self.session.clean, self.session
        assert len(self.serving.observer.sessions) == sessions
        assert not self.offences, self.offences
        assert self.serving.unfollowed == []
        wrong = complaints(g.console())
        assert not wrong, "\n".join(wrong)
        s = self.session
        assert s.total("given") == s.total("returned") + s.total("released")
        self.call(self.serving.observer.inner.check)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.server.stop()
        self._thread.join(30)
        self.server.close()
