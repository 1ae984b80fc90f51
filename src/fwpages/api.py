"""The Python interface: a device on the embedded firmware, an open of it, and its accounts."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, get_args

from fwpages.custody.accounts import SessionAccount as SessionReport
from fwpages.device import Firmware, FunctionSpec, ResetFunction, Want
from fwpages.device import profile as profile_named
from fwpages.host import (
    Close,
    Config,
    DisableVport,
    Done,
    EnableVport,
    FunctionsChanged,
    Host,
    Open,
    Phase,
    VportInfo,
    WantedMode,
    books,
)
from fwpages.link.inprocess import InProcess
from fwpages.pages.words import either, meant, nearest
from fwpages.prm.identity import FunctionType
from fwpages.report.host_accounts import session_of
from fwpages.scenario.format import DeviceTable, FunctionTable, Scenario
from fwpages.scenario.topology import functions, names_of

#: the most pages that one page request can name: its count is a signed 32-bit number
MOST_PAGES = (1 << 31) - 1


class OperationError(RuntimeError):
    """An operation did not succeed; the text names it and the reason."""


@dataclass(frozen=True, slots=True)
class FunctionHandle:
    """A function enabled through the e-switch, as ``Device.request_pages`` and others take it.

    ``name`` is the device's (``vf0``), ``vport`` its number in the e-switch, ``type`` its kind.
    """

    name: str
    vport: int
    type: FunctionType


class Device:
    """An mlx5 device on the embedded firmware: a profile by name (``fwpages list profiles``).

    It has up to ``each`` functions of every type that the profile allows: ``vf0``, ``vf1``, …, ``sf0``, …

    Raises ValueError for a profile that does not exist or a negative ``each``, TypeError for a ``profile`` that is not
    a name and an ``each`` that is not a whole number.
    """

    def __init__(self, profile: str, *, each: int = 16) -> None:
        if not isinstance(profile, str):
            raise TypeError(f"profile: expected the name of one, such as 'connectx7', not {profile!r}")
        each = _whole("each", each)
        if each < 0:
            raise ValueError(f"each: expected how many functions of a type there are at most, 0 or more, not {each}")
        bare = profile_named(profile)
        room = {"vf": bare.max_vfs, "sf": bare.max_sf}
        if bare.ecpf:
            room |= {"ec_vf": bare.max_ec_vfs, "spf": 2, "host_pf": 1}
        # vhca_ids are the device's to choose: any that are not its own will do
        free = (n for n in range(1, 0x10000) if n != bare.vhca_id)
        table = tuple(
            FunctionTable(f"{kind.replace('_', '-')}{n}", kind, next(free), n)  # type: ignore[arg-type]  # the Literal's words
            for kind, most in room.items()
            for n in range(min(each, most))
        )
        self.name = profile
        self.profile = bare
        self._pairs = functions(Scenario(device=DeviceTable(profile), function=table, step=()), bare)
        self._link: InProcess | None = None

    @property
    def functions(self) -> tuple[FunctionSpec, ...]:
        """The functions beside the supplier itself."""
        return tuple(spec for spec, _ in self._pairs)

    def _joined(self) -> InProcess:
        """Join a host to this device's firmware; every open of this device has the same two."""
        if self._link is None:
            host = Host(Config(self.profile.supplier))
            self._link = InProcess(host, Firmware(self.profile, self.functions))
            self._link.feed(FunctionsChanged(tuple(info for _, info in self._pairs)))
        return self._link

    def request_pages(self, function: FunctionHandle | str, pages: int) -> None:
        """Let firmware want ``pages`` more 4 KiB pages for this function, or give so many back if negative.

        ``"self"`` names the supplier's own function. Raises ValueError for a function that is not there and for more
        pages than a page request can name, TypeError for an argument of another type.
        """
        name, pages = _name(function), _whole("pages", pages)
        if not -MOST_PAGES - 1 <= pages <= MOST_PAGES:
            raise ValueError(f"pages: expected {-MOST_PAGES - 1:,} to {MOST_PAGES:,}, not {pages:,}")
        self._joined().stir(Want(name, pages))

    def reset_function(self, function: FunctionHandle | str) -> None:
        """Reset one function (function-level reset): firmware releases the pages that it had for it.

        Raises ValueError for a function that is not there and for the supplier's own, TypeError for an argument of
        another type.
        """
        name = _name(function)
        if name == "self":
            have = ", ".join(f.name for f in self.functions) or "none"
            raise ValueError(f"'self' is the supplier itself: only functions beside it can be reset; there are {have}")
        self._joined().stir(ResetFunction(name))


def _name(function: FunctionHandle | str) -> str:
    if isinstance(function, FunctionHandle):
        return function.name
    if isinstance(function, str):
        return function
    raise TypeError(f"function: expected a name, such as 'vf0', or what enabling it returned, not {function!r}")


def _whole(what: str, value: int) -> int:
    """``value`` as a plain int, NumPy's too; TypeError for anything else, True and False included."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{what}: expected a whole number, not {value!r}")


class Opened(Protocol):
    """The part of its session that an e-switch needs."""

    def _must_be_open(self, what: str) -> None: ...

    def _do(self, x: EnableVport | DisableVport) -> None: ...


class Eswitch:
    """The e-switch of an open device: it enables and disables vports. ValueError once the device is closed."""

    def __init__(self, session: Opened, infos: Callable[[], Mapping[str, VportInfo]]) -> None:
        self._session = session
        #: the functions of now: a device that others provide may get other ones
        self._infos = infos

    def enable(self, name: str) -> FunctionHandle:
        """Enable this function and learn its vhca_id.

        Raises ValueError if it is not there or enabled already, TypeError for an argument that is not a name,
        OperationError if the device refuses.
        """
        if not isinstance(name, str):
            raise TypeError(f"function: expected a name, such as 'vf0', not {name!r}")
        self._session._must_be_open(f"enable {name}")
        info = self._info(name)
        self._session._do(EnableVport(info.vport))
        return FunctionHandle(name, info.vport, info.type)

    def enable_vf(self, index: int) -> FunctionHandle:
        """Enable VF ``index``, counted from 0; raises as ``enable``."""
        return self.enable(f"vf{_whole('index', index)}")

    def enable_sf(self, index: int) -> FunctionHandle:
        """Enable SF ``index``, counted from 0; raises as ``enable``."""
        return self.enable(f"sf{_whole('index', index)}")

    def disable(self, function: FunctionHandle | str) -> None:
        """Disable this function and take its pages back.

        Raises ValueError if it is not there or not enabled, TypeError for an argument of another type, OperationError
        if the device refuses or the pages do not come back.
        """
        name = _name(function)
        self._session._must_be_open(f"disable {name}")
        self._session._do(DisableVport(self._info(name).vport))

    def _info(self, name: str) -> VportInfo:
        infos = self._infos()
        if name not in infos:
            raise ValueError(f"no function {name!r}; {meant(name, infos)}")
        return infos[name]


class OpenDevice:
    """One open of a device, from ``open``: its e-switch, its accounts at any time, its ``result`` once it is closed."""

    def __init__(self, device: Device, mode: WantedMode) -> None:
        self._device = device
        self._link = device._joined()
        infos = {spec.name: info for spec, info in device._pairs}
        self.eswitch = Eswitch(self, lambda: infos)
        self._result: SessionReport | None = None
        self._do(Open(mode))
        self._number = self._link.host.session.number

    def _do(self, x: Open | Close | EnableVport | DisableVport) -> None:
        seen = len(self._link.events)
        self._link.feed(x)
        self._link.run_until_idle()
        for e in self._link.events[seen:]:
            if isinstance(e, Done) and not e.ok:
                raise OperationError(f"{e.operation}: {e.detail}")

    def _must_be_open(self, what: str) -> None:
        """ValueError once it is closed: the device may be in its next session, which this one must not touch."""
        if self._result is not None:
            raise ValueError(f"{what}: session {self._number} of {self._device.name} is closed; open the device anew")

    def run_until_idle(self) -> None:
        """Deliver everything that is pending, until neither side has anything to do. ValueError once it is closed."""
        self._must_be_open("run until idle")
        self._link.run_until_idle()

    @property
    def accounts(self) -> SessionReport:
        """The session's accounts as they stand; once it is closed, those of its end. Pages are 4 KiB."""
        return self._books() if self._result is None else self._result

    def _books(self) -> SessionReport:
        books_now = books(self._link.host)
        offences = [o for number, o in self._link.offences if number == books_now.session]
        return session_of(
            self._device.name,
            books_now,
            offences,
            supplier=self._device.profile.supplier,
            names=names_of(self._device._pairs),
        )

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
            if self._link.host.session.phase is Phase.OPEN:
                self._do(Close())
        finally:
            self._result = self._books()
        self._link.check()


def open(device: Device, mode: WantedMode = "auto") -> AbstractContextManager[OpenDevice]:  # noqa: A001  # reads as fw.open(device)
    """Open a device for a ``with`` block, which gives an ``OpenDevice``; it is closed when the block is left.

    ``mode`` is the identity mode, ``func_id`` or ``vhca_id``; ``auto`` takes vhca_id where the device offers it. Raises
    TypeError for a ``device`` that is not a Device, ValueError for another mode; when the block is entered, ValueError
    for a device that is open already, and OperationError where the device cannot be opened.
    """
    if not isinstance(device, Device):
        raise TypeError(f"device: expected a Device, such as Device('connectx7'), not {device!r}")
    check_mode(mode)
    return _opened(device, mode)


def check_mode(mode: str) -> None:
    """Raise ValueError for an identity mode that there is not."""
    if mode not in get_args(WantedMode):
        near = nearest(str(mode), get_args(WantedMode))
        hint = f"; did you mean {either(map(repr, near))}?" if near else ""
        raise ValueError(f"mode: expected {', '.join(map(repr, get_args(WantedMode)))}, not {mode!r}{hint}")


@contextmanager
def _opened(device: Device, mode: WantedMode) -> Iterator[OpenDevice]:
    session = OpenDevice(device, mode)
    try:
        yield session
    finally:
        session.close()
