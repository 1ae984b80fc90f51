"""The Python interface to devices that others provide: the same session as ``open`` gives, in real time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from fwpages.api import Device, Eswitch, OperationError, check_mode
from fwpages.custody.accounts import SessionAccount as SessionReport
from fwpages.device import Raised
from fwpages.host import (
    Close,
    DisableVport,
    Done,
    EnableVport,
    Finding,
    FunctionsChanged,
    Misuse,
    Open,
    Phase,
    VportInfo,
    WantedMode,
    books,
)
from fwpages.link.driving.driven import Driven
from fwpages.link.driving.functions import ToldFunctions, beyond_host, beyond_sriov
from fwpages.link.driving.opening import begun
from fwpages.link.driving.pci_device import DeviceError, PciDevice
from fwpages.link.vfio.taking import taken
from fwpages.link.vfio_user.client import VfioUserDevice
from fwpages.report.host_accounts import session_of
from fwpages.scenario.driven_runner import QUIET, Roles, host_for

R = TypeVar("R")

#: seconds between two looks whether the thread is still there
_LOOK = 1.0


class DrivenDevice:
    """One open of a device that others provide, from ``drive``: as ``OpenDevice``.

    A thread of its own answers page requests while the block runs, and polls the device's health. ``eswitch`` has the
    functions of the profile that ``drive`` was given; without one those that the device tells of itself, as they come
    and go.
    """

    def __init__(self, device: PciDevice, mode: WantedMode, profile: str | None) -> None:
        described = begun(device)
        like = None if profile is None else Device(profile)
        if like is not None and like.profile.ecpf != described.supplier.ecpf:
            kind = "an ECPF" if described.supplier.ecpf else "a PF"
            raise OperationError(f"{device.facts.name}: the device is {kind}, the profile {profile} is not for that")
        self._name = device.facts.name
        self._roles = Roles(described.supplier)
        if like is not None:
            self._roles = Roles(like.profile.supplier, like._pairs, named=True)
        self._refuse(beyond_sriov(self._roles.infos, described), profile)
        host, memory = host_for(device, described, self._roles)
        self._told = ToldFunctions(host)
        self._link = Driven(host, device, memory, on_event=self._note)
        self._loop = _Loop(self._link)
        self.eswitch = Eswitch(self, self._functions)
        self._result: SessionReport | None = None
        try:
            if self._roles.named:
                self._loop.call(lambda: self._link.feed(FunctionsChanged(tuple(self._roles.infos.values()))))
            self._do(Open(mode))
        except BaseException:
            self._loop.end()
            raise
        try:
            self._refuse(beyond_host(self._roles.infos, host.session.others), profile)
        except OperationError:
            self.close()
            raise

    def _refuse(self, against: str, profile: str | None) -> None:
        """OperationError where the device has not what the profile names."""
        if against:
            alone = "leave the profile out: the device tells its functions itself"
            raise OperationError(f"{self._name}: the profile {profile} has {against}; {alone}")

    def _note(self, e: Done | Finding | Raised) -> None:
        if isinstance(e, Done):
            self._told.note(e)

    def _functions(self) -> Mapping[str, VportInfo]:
        return self._roles.infos if self._roles.named else self._loop.call(lambda: self._told.infos)

    def _do(self, x: Open | Close | EnableVport | DisableVport) -> None:
        seen = len(self._link.events)
        try:
            self._loop.call(lambda: self._link.feed(x))
        except Misuse as wrong:
            raise OperationError(str(wrong)) from None
        self._loop.wait(lambda: self._link.idle)
        for e in self._link.events[seen:]:
            if isinstance(e, Done) and not e.ok:
                raise OperationError(f"{e.operation}: {e.detail}")

    def _must_be_open(self, what: str) -> None:
        if self._result is not None:
            raise ValueError(f"{what}: the session of {self._name} is closed; drive the device anew")

    def run_until_idle(self) -> None:
        """Wait until nothing is pending, and nothing has come for a moment. ValueError once it is closed."""
        self._must_be_open("run until idle")
        self._loop.wait(lambda: self._link.idle and self._link.now - self._link.stirred >= QUIET)

    @property
    def accounts(self) -> SessionReport:
        """The session's accounts as they stand; once it is closed, those of its end. Pages are 4 KiB."""
        return self._loop.call(self._books) if self._result is None else self._result

    def _books(self) -> SessionReport:
        names = self._roles.names if self._roles.named else self._told.names
        return session_of(self._name, books(self._link.host), supplier=self._roles.supplier, names=names)

    @property
    def result(self) -> SessionReport:
        """The accounts at the end. RuntimeError while the session is open."""
        if self._result is None:
            raise RuntimeError("the session is still open: its result is known after it is closed")
        return self._result

    def close(self) -> None:
        """Take every page back and close; does nothing when it is closed already.

        Raises OperationError if the close fails: the session is over then too, and ``result`` has the pages left.
        """
        if self._result is not None:
            return
        try:
            if self._loop.call(lambda: self._link.host.session.phase) is Phase.OPEN:
                self._do(Close())
        finally:
            self._loop.end()
            self._result = self._books()
            self._link.close()
        self._link.check()


class _Loop:
    """A thread that runs a link; what touches the link is called in it, between two of its steps."""

    def __init__(self, link: Driven) -> None:
        self._link = link
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        #: each with the truth that is waited for, and what is set then
        self._waits: list[tuple[Callable[[], bool], threading.Event]] = []
        self._ended = False
        self._failure: BaseException | None = None
        self._wake, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        link.watch(self._wake)
        self._thread = threading.Thread(target=self._run, name="fwpages drive", daemon=True)
        self._thread.start()

    def call(self, f: Callable[[], R]) -> R:
        """Call this in the thread; return its result, or raise what it raised."""
        done: SimpleQueue[tuple[R | None, BaseException | None]] = SimpleQueue()

        def run() -> None:
            try:
                done.put((f(), None))
            except BaseException as e:
                done.put((None, e))

        self._post(run)
        while True:
            with suppress(Empty):
                value, error = done.get(timeout=_LOOK)
                break
            self._check()
        if error is not None:
            raise error
        return value  # type: ignore[return-value]  # without an error it is f's own

    def wait(self, truth: Callable[[], bool]) -> None:
        """Wait until this is so; it is looked at after each step."""
        event = threading.Event()
        self._post(lambda: self._waits.append((truth, event)))
        while not event.wait(_LOOK):
            self._check()

    def end(self) -> None:
        """End the thread; the link may be used by the caller then."""
        self._ended = True
        self._post(lambda: None)
        self._thread.join()
        for fd in (self._wake, self._waker):
            if fd >= 0:
                os.close(fd)
        self._wake = self._waker = -1

    def _post(self, f: Callable[[], None]) -> None:
        self._calls.put(f)
        if self._waker >= 0:
            # a full pipe wakes the loop anyway
            with suppress(BlockingIOError):
                os.write(self._waker, b"\0")

    def _check(self) -> None:
        """Raise what ended the thread: a broken invariant of our own."""
        if not self._thread.is_alive():
            raise self._failure or RuntimeError("the device is not driven any more")

    def _run(self) -> None:
        try:
            while not self._ended:
                self._step()
        except BaseException as e:
            self._failure = e

    def _step(self) -> None:
        with suppress(Empty):
            while True:
                self._calls.get_nowait()()
        for row in tuple(self._waits):
            truth, event = row
            if truth():
                self._waits.remove(row)
                event.set()
        if self._ended:
            return
        self._link.step(QUIET if self._waits else None)
        with suppress(BlockingIOError):
            os.read(self._wake, 4096)


def drive(
    address: str | None = None,
    *,
    socket: str | os.PathLike[str] | None = None,
    mode: WantedMode = "auto",
    profile: str | None = None,
    bind: bool = False,
    on_purpose: bool = False,
) -> AbstractContextManager[DrivenDevice]:
    """Drive a device that others provide for a ``with`` block, which gives a ``DrivenDevice``; it is closed at the end.

    ``address`` is a PCI function of this machine on vfio-pci (``0000:3b:00.1``), ``socket`` the UNIX socket of a
    vfio-user server: one of the two. ``profile`` names the functions that the e-switch may enable, as ``Device`` does;
    without one the device tells them itself, by its SR-IOV capability, its firmware's and QUERY_ESW_FUNCTIONS.
    ``bind`` takes the function to vfio-pci, and gives it back at the end; ``on_purpose`` drives it although it is in
    use, or others depend on it. ValueError for other arguments; when the block is entered, OperationError where the
    device cannot be driven or opened.
    """
    if (address is None) is (socket is None):
        raise ValueError("drive: expected an address or a socket, one of the two")
    if socket is not None and (bind or on_purpose):
        raise ValueError("drive: bind and on_purpose are about a function of this machine, not about a socket")
    check_mode(mode)
    return _driven(address, socket, mode, profile, bind=bind, on_purpose=on_purpose)


@contextmanager
def _driven(
    address: str | None,
    path: str | os.PathLike[str] | None,
    mode: WantedMode,
    profile: str | None,
    *,
    bind: bool,
    on_purpose: bool,
) -> Iterator[DrivenDevice]:
    trouble: list[str] = []
    try:
        with _device(address, path, bind=bind, on_purpose=on_purpose, trouble=trouble.append) as device:
            session = DrivenDevice(device, mode, profile)
            try:
                yield session
            finally:
                session.close()
    except DeviceError as e:
        raise OperationError(str(e)) from None
    if trouble:
        raise OperationError(trouble[0])


def _device(
    address: str | None,
    path: str | os.PathLike[str] | None,
    *,
    bind: bool,
    on_purpose: bool,
    trouble: Callable[[str], None],
) -> AbstractContextManager[PciDevice]:
    if path is not None:
        return closing(VfioUserDevice(Path(path)))
    assert address is not None
    return taken(address, binding=bind, on_purpose=on_purpose, on_trouble=trouble)
