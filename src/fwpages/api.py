"""The Python interface: a device on the embedded firmware, a session with it, and what happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
from fwpages.link.direct import Direct
from fwpages.observe.accounts import Session as SessionReport
from fwpages.observe.result import session_of
from fwpages.prm.identity import FunctionType
from fwpages.scenario.format import DeviceTable, FunctionTable, Scenario
from fwpages.scenario.topology import functions


class OperationError(RuntimeError):
    """An operation that was asked for did not succeed; says which, and why."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a device, enabled through the e-switch; to be handed to ``Device.request_pages`` and the like."""

    name: str
    vport: int
    type: FunctionType


class Device:
    """An mlx5 device on the embedded firmware: a profile by name (``fwpages list profiles``).

    It has up to ``each`` functions of every type that the profile allows: ``vf0``, ``vf1``, …, ``sf0``, … ValueError
    for a profile that does not exist.
    """

    def __init__(self, profile: str, *, each: int = 16) -> None:
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
        self._link: Direct | None = None

    @property
    def functions(self) -> tuple[FunctionSpec, ...]:
        """The functions beside the supplier itself."""
        return tuple(spec for spec, _ in self._pairs)

    def _joined(self) -> Direct:
        """A host and this device's firmware, joined; the same for every session of this device."""
        if self._link is None:
            host = Host(Config(self.profile.supplier))
            self._link = Direct(host, Firmware(self.profile, self.functions))
            self._link.feed(FunctionsChanged(tuple(info for _, info in self._pairs)))
        return self._link

    def request_pages(self, function: Function | str, pages: int) -> None:
        """Firmware wants ``pages`` more 4 KiB pages for this function, or gives so many back if negative.

        ``self`` names the supplier. ValueError for a function that is not there.
        """
        self._joined().stir(Want(_name(function), pages))

    def reset_function(self, function: Function | str) -> None:
        """A function-level reset of one function: firmware lets go of what it had for it."""
        self._joined().stir(ResetFunction(_name(function)))


def _name(function: Function | str) -> str:
    return function if isinstance(function, str) else function.name


class Eswitch:
    """The e-switch of an open session: it enables and disables vports."""

    def __init__(self, session: Session, infos: dict[str, VportInfo]) -> None:
        self._session = session
        self._infos = infos

    def enable(self, name: str) -> Function:
        """Enable this function and learn its vhca_id.

        ValueError if it is not there or enabled already, OperationError if it fails.
        """
        info = self._info(name)
        self._session._do(EnableVport(info.vport))
        return Function(name, info.vport, info.type)

    def enable_vf(self, index: int) -> Function:
        """Enable VF ``index``, counted from 0."""
        return self.enable(f"vf{index}")

    def enable_sf(self, index: int) -> Function:
        """Enable SF ``index``, counted from 0."""
        return self.enable(f"sf{index}")

    def disable(self, function: Function | str) -> None:
        """Disable this function and let its pages come back. OperationError if it fails."""
        self._session._do(DisableVport(self._info(_name(function)).vport))

    def _info(self, name: str) -> VportInfo:
        if name not in self._infos:
            raise ValueError(f"no function {name!r}; there are {', '.join(self._infos) or 'none'}")
        return self._infos[name]


class Session:
    """One open of a device. ``accounts`` at any time; ``result`` once it is over."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._link = device._joined()
        self.eswitch = Eswitch(self, {spec.name: info for spec, info in device._pairs})
        self._result: SessionReport | None = None

    def _do(self, x: Open | Close | EnableVport | DisableVport) -> None:
        seen = len(self._link.events)
        self._link.feed(x)
        self.run_until_idle()
        for e in self._link.events[seen:]:
            if isinstance(e, Done) and not e.ok:
                raise OperationError(f"{e.what}: {e.detail}")

    def run_until_idle(self) -> None:
        """Carry everything that is due, until neither side has anything to do."""
        self._link.run_until_idle()

    @property
    def accounts(self) -> SessionReport:
        """The session's accounts as they stand."""
        books_now = books(self._link.host)
        offences = [o for number, o in self._link.offences if number == books_now.session]
        return session_of(self._device.name, books_now, offences)

    @property
    def result(self) -> SessionReport:
        """The accounts at the end. RuntimeError while the session is open."""
        if self._result is None:
            raise RuntimeError("the session is still open: its result is known after it is closed")
        return self._result

    def close(self) -> None:
        """Take every page back and close; does nothing when it is closed already."""
        if self._result is None:
            if self._link.host.session.phase is Phase.OPEN:
                self._do(Close())
            self._link.check()
            self._result = self.accounts


@contextmanager
def open(device: Device, mode: WantedMode = "auto") -> Iterator[Session]:  # noqa: A001  # reads as fw.open(device)
    """Open a device; it is closed when the block is left. OperationError where it cannot be opened."""
    session = Session(device)
    session._do(Open(mode))
    try:
        yield session
    finally:
        session.close()
