"""A served device and a virtual machine in front of it, watched from both sides.

The server runs in a thread of its own; whatever is wanted of it is done between two messages (``Lab.call``).
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, TypeVar

from fwpages.device import PlannedFault, ResetFunction, Want
from fwpages.link.vfio_user.server import Server
from fwpages.readers.trace_writer import MOST_TRACE, TraceWriter
from fwpages.scenario.format import Scenario
from fwpages.scenario.observer import ServedSession
from fwpages.scenario.served_runner import ServedRun
from fwpages.scenario.topology import device_profile
from fwpages.trial.device_path import COMPARED
from fwpages.trial.errors import GuestTimeoutError, ServerError
from fwpages.trial.guest import BOOT, PATIENCE, Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.qemu import Machine
from fwpages.trial.short_names import short

T = TypeVar("T")
_Call = Callable[[], None]

#: events in words that are kept, the latest: a driver that never ends its close has millions
MOST_EVENTS: Final = 10_000
#: seconds between two looks at what is waited for
POLL: Final = 0.05
#: seconds for the server's thread to end
STOP: Final = 30.0


class Lab:
    """A device at a socket of its own in ``folder``. A context manager; it outlives the machines that use it.

    ``trace``, a file there, has what passed the device's end of the queue, ``most_trace`` bytes of it. The other
    options are those of ``ServedRun``.
    """

    def __init__(
        self,
        scenario: Scenario,
        folder: Path,
        *,
        faults: Iterable[PlannedFault] = (),
        sriov: bool = False,
        timeouts: str = "",
        most_trace: int = MOST_TRACE,
    ) -> None:
        self.profile = device_profile(scenario)
        self.folder = folder
        self.trace_file = folder / "trace.jsonl"
        self.events: deque[str] = deque(maxlen=MOST_EVENTS)
        #: the error that ended the server
        self.failure: Exception | None = None
        self._calls: SimpleQueue[_Call] = SimpleQueue()
        self._guests: list[Guest] = []
        with ExitStack() as opened:
            self._stream = opened.enter_context(self.trace_file.open("w", encoding="utf-8"))
            self.writer = TraceWriter(
                self._stream, device=self.profile.name, supplier=self.profile.supplier, most=most_trace
            )
            opened.callback(self.writer.end)
            self.serving = ServedRun(
                scenario,
                faults=faults,
                tap=self.writer,
                on_event=lambda _, words: self.events.append(words),
                sriov=sriov,
                timeouts=timeouts,
            )
            name = opened.enter_context(short(folder))
            self.server = opened.enter_context(Server(name / "device", self.serving))
            self._opened = opened.pop_all()
        self._thread = threading.Thread(target=self._run, name="fwpages-device")
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self.server.stopped:
                self._answer_calls()
                self.server.step(0.2)
        except Exception as e:  # whoever calls next is told
            self.failure = e
            self.server.stop()
        self._answer_calls()

    def _answer_calls(self) -> None:
        while True:
            try:
                call = self._calls.get_nowait()
            except Empty:
                return
            call()

    def call(self, f: Callable[[], T]) -> T:
        """Do this in the server's thread, between two messages, or at once when that has ended; what it returns.

        ServerError where the server has failed.
        """
        done: SimpleQueue[tuple[T] | BaseException] = SimpleQueue()

        def run() -> None:
            try:
                done.put((f(),))
            except BaseException as e:  # it belongs to the caller
                done.put(e)

        self._calls.put(run)
        if self._thread.is_alive():
            os.write(self.server.waker, b"\0")
        result = self._result(done)
        if isinstance(result, BaseException):
            raise result
        return result[0]

    def _result(self, done: SimpleQueue[tuple[T] | BaseException]) -> tuple[T] | BaseException:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                return done.get(timeout=0.5 if self._thread.is_alive() else 0.0)
            except Empty:
                if not self._thread.is_alive():
                    self._answer_calls()
        raise ServerError(f"the served device did not answer within {PATIENCE} s")

    def start(self, kernel: Kernel, machine: Machine | None = None) -> Guest:
        """Start a machine with this device, with the places for VFs that it needs; it boots when this returns."""
        m = replace(machine or Machine(), vfs=self.serving.vfs)
        guest = Guest(kernel, self.folder / "device", self.folder / f"machine{len(self._guests) + 1}", m)
        self._guests.append(guest)
        return guest

    def guest(self, kernel: Kernel, machine: Machine | None = None, seconds: float = BOOT) -> Guest:
        """Start a machine with this device; it has booted when this returns."""
        g = self.start(kernel, machine)
        try:
            g.ready(seconds)
        except BaseException:
            g.kill()
            raise
        return g

    # -- the device's side --------------------------------------------------------------------------------------------

    def held(self) -> dict[str, int]:
        """Pages by function, as the firmware has them; only those that have some."""

        def read() -> dict[str, int]:
            inner = self.serving.observer.inner
            return {s.name: inner.held(s.name) for s in inner.specs}

        return {name: n for name, n in self.call(read).items() if n}

    @property
    def compared(self) -> int:
        """The commands so far by which a path of the explorer is compared with a driver."""
        return sum(self.serving.observer.opcodes[opcode] for opcode in COMPARED)

    @property
    def session(self) -> ServedSession:
        """The latest session."""
        return self.serving.observer.sessions[-1]

    @property
    def offences(self) -> list[str]:
        """The driver's offences in words."""
        return [f"{o.name}: {o.detail}" for _, o in self.serving.observer.offences]

    def want(self, /, **pages: int) -> None:
        """Functions want so many more pages, or give so many back, all at once. ``_`` in a name stands for ``-``."""
        wants = [Want(name.replace("_", "-"), n) for name, n in pages.items()]

        def stir() -> None:
            for w in wants:
                self.serving.device.stir(w)

        self.call(stir)

    def reset(self, name: str) -> None:
        """The function is reset, and gives all its pages back."""
        self.call(lambda: self.serving.device.stir(ResetFunction(name)))

    def until(self, held: Mapping[str, int], seconds: float = PATIENCE) -> None:
        """Wait until the functions hold this and nothing more; GuestTimeoutError where that does not come."""
        end = time.monotonic() + seconds
        while (now := self.held()) != held:
            if time.monotonic() > end:
                raise GuestTimeoutError(f"{now} held, {held} expected; {list(self.events)[-20:]}")
            time.sleep(POLL)

    def wait(self, truth: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until this is so; GuestTimeoutError where it is not in time."""
        end = time.monotonic() + seconds
        while not truth():
            if time.monotonic() > end:
                raise GuestTimeoutError(f"not within {seconds} s; {list(self.events)[-20:]}")
            time.sleep(POLL)

    def sessions(self, n: int) -> None:
        """Wait until so many sessions have begun."""
        self.wait(lambda: len(self.serving.observer.sessions) == n)

    def trace(self) -> str:
        """The trace so far, with an end."""

        def read() -> str:
            if not self._stream.closed:
                self.writer.end()
                self._stream.flush()
            return self.trace_file.read_text("utf-8")

        return self.call(read)

    def stop(self) -> None:
        """End the device, its thread and its trace."""
        self.server.stop()
        self._thread.join(STOP)
        self._opened.close()

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()
