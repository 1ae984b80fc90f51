"""The firmware of a device as one page supplier sees it.

Theory of operation. ``Firmware`` is a state machine without I/O: ``feed(now, input)`` returns effects, equal inputs
give equal effects, and ``clone`` and ``key`` let an explorer branch it. Four inputs matter: a command that the driver
submitted, a function that wants pages or gives some back (``Want``), the reset of one function, and the reset of the
device.

A command is executed by the table in ``commands``: it names the phases in which the opcode is allowed and the function
that executes it. A command that breaks a rule raises ``RefusedError`` inside, changes nothing, and becomes an
``Offence`` and an answer with the rule's status. Some offences are only recorded, and the command is executed.

After every input, ``demand.new_requests`` turns demand that the driver does not know of into page requests, as soon as
there is an event queue for them. So a request that comes about before the queue exists is raised when it is created.

A session runs OFF, STARTING (ENABLE_HCA), WORKING (INIT_HCA), CLOSING (TEARDOWN_HCA), OFF (DISABLE_HCA). A driver must
give boot pages before capabilities can be read, and init pages before INIT_HCA. The identity mode is FUNC_ID at first
and switches to VHCA_ID when SET_HCA_CAP sets icm_mng_function_id_mode. Pages belong to a slot of the roster, so
a switch changes the names of their owners and moves no page. Pages that a session leaves behind stay with firmware
until a reset.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np

from fwpages.device.firmware import demand
from fwpages.device.firmware.commands import execute
from fwpages.device.firmware.eswitch_commands import host_vfs
from fwpages.device.firmware.functions import Function, FunctionSpec, roster
from fwpages.device.firmware.hca_commands import rename
from fwpages.device.firmware.io import (
    Completed,
    Effect,
    HostVfs,
    Input,
    Notified,
    Offence,
    Raised,
    Reset,
    ResetDone,
    ResetFunction,
    Submitted,
    Tick,
    Want,
)
from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.state import Device, EqContext, Phase, State
from fwpages.device.firmware.store import FirmwareError, Store
from fwpages.device.profiles import Profile
from fwpages.pages import PAGE_SIZE
from fwpages.pages.space import REGION_SHIFT
from fwpages.prm.identity import Identity, Mode, named
from fwpages.prm.message import Answer, Command, PageArray
from fwpages.prm.opcodes import Opcode
from fwpages.prm.timeouts import COMMAND_OF_LINUX

#: how many offences a firmware remembers, the latest: more would only repeat themselves
MOST_OFFENCES = 1000


class Firmware:
    """The firmware as a state machine: no clock, no chance, no I/O.

    ``functions`` are those that the supplier gives pages for; the supplier itself need not be among them and is then
    named ``self``. ``offer_vhca_id`` overrides the profile on whether VHCA_ID mode is offered. With ``switch_at_init``
    the identity mode changes at INIT_HCA and not when SET_HCA_CAP is answered: no known firmware does that, but the
    manual does not exclude it. ``boot_function`` is the number by which firmware names the supplier's own function
    before the switch; no firmware is known to use another than 0. ``region_shift``: tags of pages are kept for regions
    of so many pages, as a power of two (see ``SparseSpace``): small where there are few pages and many copies.
    ValueError where the functions contradict each other.

    Effects of a command come in the order offences, completion, page requests.
    """

    __slots__ = ("_offences", "_state", "_static")

    #: a sound firmware waits for nothing
    deadline: float | None = None

    def __init__(
        self,
        profile: Profile,
        functions: Sequence[FunctionSpec] = (),
        *,
        offer_vhca_id: bool | None = None,
        switch_at_init: bool = False,
        boot_function: int = 0,
        region_shift: int = REGION_SHIFT,
    ) -> None:
        all_functions = roster(functions, profile.vhca_id, ecpf=profile.ecpf)
        most = profile.capabilities(current=False) | {"vhca_id": all_functions.specs[0].vhca_id}
        if offer_vhca_id is not None:
            most["icm_mng_function_id_mode"] = int(offer_vhca_id)
        device = Device(profile, all_functions, most, switch_at_init, boot_function, region_shift)
        self._state = _power_on(device)
        self._static = repr(device).encode()
        self._offences: deque[Offence] = deque(maxlen=MOST_OFFENCES)

    @property
    def mode(self) -> Mode:
        """The identity mode of page commands; DISABLE_HCA leaves it as it is until the next ENABLE_HCA."""
        return self._state.mode

    @property
    def booting(self) -> bool:
        """Boot pages are wanted that the driver has not given."""
        return self._state.booting

    @property
    def command_time(self) -> float:
        """Seconds that a driver gives a command: as the profile tells it, else Linux's own."""
        told = self._state.device.profile.timeouts
        return COMMAND_OF_LINUX if told is None else told.command

    @property
    def specs(self) -> tuple[FunctionSpec, ...]:
        """The functions, the supplier itself first."""
        return self._state.device.roster.specs

    @property
    def constants(self) -> tuple[object, ...]:
        """The objects in its state that never change; a firmware made from equal arguments has equal ones, in order."""
        return self._state.device, self._static

    @property
    def own(self) -> Identity:
        """The supplier's name in the current mode."""
        who = self._state.identity(0)
        assert who is not None
        return who

    @property
    def pages_eqn(self) -> int | None:
        """The number of the event queue for page requests; None while there is none."""
        return self._state.pages_eqn

    @property
    def eqs(self) -> Mapping[int, EqContext]:
        """The event queues by number, as CREATE_EQ described them."""
        return MappingProxyType(self._state.eqs)

    @property
    def checksums(self) -> bool:
        """Signatures of commands are checked: the current ``cmdif_checksum`` is not 0."""
        s = self._state
        return bool((s.current or s.device.profile.current).get("cmdif_checksum"))

    @property
    def uar_size(self) -> int:
        """Bytes from one UAR to the next in BAR 0: a page of the host's, by ``log_uar_page_sz``, unless ``uar_4k``."""
        current = self._state.current
        return PAGE_SIZE << (0 if current.get("uar_4k") else current.get("log_uar_page_sz", 0))

    @property
    def host_vfs(self) -> tuple[int, int | None]:
        """The number of VFs that the external host has on, and the number that QUERY_ESW_FUNCTIONS last answered."""
        return self._state.eswitch.host_vfs, self._state.eswitch.told

    def is_enabled(self, function: str) -> bool:
        """Return whether the e-switch has enabled the named function."""
        return self._state.functions[self._state.device.roster.named(function)].enabled

    def eswitch_function(self, c: Command) -> FunctionSpec | None:
        """Return the function that an e-switch command (ENABLE_HCA, ALLOC_SF and their like) names, if there is one."""
        try:
            return self.specs[self._state.eswitch_owner(c)]
        except RefusedError:
            return None

    def known_as(self, number: int, *, ec: bool) -> tuple[FunctionSpec, ...]:
        """Return the functions whose pages have this name in page commands now; none for an unknown name.

        The last one uses the name now. Those before it used it earlier; what firmware still holds of theirs is returned
        first.
        """
        try:
            return tuple(self.specs[slot] for slot in self._state.slots_named(self._state.owner(number, ec=ec)))
        except RefusedError:
            return ()

    @property
    def release_all(self) -> bool:
        """Release_all events were negotiated."""
        return bool(self._state.current.get("release_all_pages"))

    @property
    def phase(self) -> Phase:
        """The phase of the session."""
        return self._state.phase

    @property
    def offences(self) -> tuple[Offence, ...]:
        """The latest offences, the earliest of them first; a reset keeps them."""
        return tuple(self._offences)

    @property
    def kept(self) -> PageArray:
        """Pages that sessions now over left behind: firmware keeps them until a reset."""
        return self._state.store.kept

    def holds(self) -> dict[Identity, PageArray]:
        """The pages of each function that has some, by its name in the current mode; uint64 arrays, in no order.

        After DISABLE_HCA these are what the session left behind, until the next ENABLE_HCA makes them ``kept``.
        """
        s = self._state
        found = {}
        for slot in range(len(s.functions)):
            who = s.identity(slot)
            if who is not None and s.home(slot) == slot and s.held(slot):
                found[who] = np.concatenate([s.store.addresses(n) for n in s.slots_named(slot)])
        return found

    def users(self, addresses: PageArray) -> list[tuple[Identity | None, PageArray, bool]]:
        """The pages among these that firmware has: their function, or None, the pages, and whether queues lie in them.

        Pages of no function that are no queues' were left behind by sessions that are over.
        """
        s = self._state
        found = s.store.users(addresses).items()
        return [(None if n is None or n < 0 else s.identity(s.home(n)), pages, n is None) for n, pages in found]

    def held(self, function: str) -> int:
        """Return how many pages the named function holds, earlier uses of its name included; ValueError for no name."""
        return self._state.store.held(self._state.device.roster.named(function))

    @property
    def total(self) -> int:
        """The number of pages that all functions hold."""
        return sum(self._state.store.held(f.slot) for f in self._state.functions)

    def asks(self, function: str) -> int:
        """Return how many pages were announced to the driver for the named function and are not given."""
        s = self._state
        slot = s.device.roster.named(function)
        home = s.home(slot)
        return s.functions[home].announced if s.user(home) == slot else 0

    def feed(self, now: float, x: Input) -> list[Effect]:  # noqa: ARG002  # the signature of every state machine
        """Return the effects of ``x``. ValueError, and nothing changed, for a function that ``x`` cannot name."""
        effects: list[Effect] = []
        # before the input, so that who sees the last page come back can name whose it was
        rename(self._state)
        match x:
            case Submitted():
                effects += self._command(x)
            case Want():
                self._want(x)
            case ResetFunction():
                effects += self._reset_function(x.function)
            case HostVfs():
                host_vfs(self._state, x.count)
            case Tick():
                return []
            case Reset():
                self._state = _power_on(self._state.device)
                return [ResetDone()]
        effects += self._notified()
        eqn = self._state.pages_eqn
        if eqn is not None:
            effects += [Raised(eqn, ev) for ev in demand.new_requests(self._state)]
        return effects

    def _notified(self) -> list[Effect]:
        """The events about the e-switch that came about, on the queues that take them; others are lost."""
        s = self._state
        events = [(s.eqn_for(ev.type), ev) for ev in s.eswitch.news]
        s.eswitch.news.clear()
        return [Notified(eqn, ev) for eqn, ev in events if eqn is not None]

    def _command(self, x: Submitted) -> list[Effect]:
        s = self._state
        s.noted.clear()
        try:
            answer = execute(s, x.command, x.reply_length)
        except RefusedError as e:
            s.noted.append(Offence(e.name, _named_by(s, x.command, e.name), e.detail))
            answer = Answer(x.command.opcode, e.status)
        self._offences.extend(s.noted)
        return [*s.noted, Completed(x.id, answer)]

    def _want(self, x: Want) -> None:
        s = self._state
        slot = s.device.roster.named(x.function)
        home = s.home(slot)
        if s.phase not in (Phase.STARTING, Phase.WORKING):
            return
        if s.user(home) != slot:
            other = s.functions[s.user(home)]
            if x.pages <= 0 or other.enabled or other.allocated:
                return
            demand.begin(s, slot)
        demand.want(s.functions[home], x.pages, s.held(home))

    def _reset_function(self, name: str) -> list[Effect]:
        s = self._state
        named = s.device.roster.named(name)
        if named == 0:
            raise ValueError(f"{name} is the supplier itself: feed Reset")
        home = s.home(named)
        if s.phase is not Phase.WORKING or s.user(home) != named:
            return []
        f, held, eqn = s.functions[home], s.held(home), s.pages_eqn
        effects: list[Effect] = []
        if held and eqn is not None and s.current.get("release_all_pages"):
            for slot in s.slots_named(home):
                s.store.release(slot)
            demand.taken(f, held, 0)
            effects.append(Raised(eqn, demand.event(s, home, 0, release_all=True)))
        demand.end(s, named)
        if s.functions[named].enabled:
            demand.want(f, s.device.roster.specs[named].pages, 0)
        return effects

    def clone(self) -> Firmware:
        """Return an independent copy in the same state."""
        new = Firmware.__new__(Firmware)
        new._state, new._static = self._state.copy(), self._static
        new._offences = deque(self._offences, MOST_OFFENCES)
        return new

    def key(self) -> bytes:
        """Return 16 bytes that are equal for states with equal futures. Past offences do not count."""
        s = self._state
        moving = (
            s.phase,
            s.mode,
            s.issi,
            sorted(s.current.items()),
            sorted((n, (eq.mask, eq.uar, eq.log_size, eq.page_size, eq.pas)) for n, eq in s.eqs.items()),
            sorted(s.uars),
            sorted(s.users.items()),
            [f.row for f in s.functions],
            s.eswitch.row,
        )
        digest = hashlib.blake2b(self._static, digest_size=16)
        digest.update(msgspec.msgpack.encode(moving))
        digest.update(s.store.state())
        return digest.digest()

    def check(self) -> None:
        """Check the firmware's own invariants; FirmwareError names the one that does not hold."""
        s = self._state
        s.store.check(sum(eq.blocks.size for eq in s.eqs.values()))
        for f in s.functions:
            _check_function(s, f)
        _hold(not (s.eqs or s.uars) or s.phase is Phase.WORKING, "queues and UARs exist only while the HCA works")
        by_vhca_id = bool(s.current.get("icm_mng_function_id_mode"))
        pending = s.device.switch_at_init and s.phase is not Phase.WORKING
        _hold(pending or (s.mode is Mode.VHCA_ID) == by_vhca_id, f"mode {s.mode} is what the capabilities say")


def _check_function(s: State, f: Function) -> None:
    held, name = s.held(f.slot), s.device.roster.specs[f.slot].name
    counts = f"{name}: {f}, {held} held"
    _hold(0 <= f.unneeded <= f.announced <= f.wanted, f"announced and unneeded pages are wanted ones: {counts}")
    _hold(0 <= f.announced_back <= f.asked_back <= held, f"pages asked back are held ones: {counts}")
    _hold(not f.enabled or s.phase is Phase.WORKING, f"functions are on only while the HCA works: {counts}")
    _hold(not f.enabled or s.user(s.home(f.slot)) == f.slot, f"an enabled function uses its name: {counts}")
    _hold(not f.activated or (f.enabled and f.allocated), f"only an allocated SF is activated: {counts}")
    _hold(not held or s.identity(f.slot) is not None, f"pages belong to a function that has a name: {counts}")


def _power_on(device: Device) -> State:
    profile, slots = device.profile, len(device.roster.specs)
    store = Store(slots, profile.order, profile.seed, device.region_shift)
    return State(device, store, [Function(n) for n in range(slots)], {})


def _named_by(s: State, c: Command, offence: OffenceName) -> Identity | None:
    """Return the function that a refused command names, as far as it names one."""
    if c.opcode in (Opcode.QUERY_PAGES, Opcode.MANAGE_PAGES):
        mode = Mode.FUNC_ID if offence is OffenceName.IDENTITY_MODE else s.mode
        return named(mode, c["function_id"], c["embedded_cpu_function"])
    if c.opcode not in (Opcode.ENABLE_HCA, Opcode.DISABLE_HCA, Opcode.QUERY_HCA_CAP, Opcode.SET_HCA_CAP):
        return None
    try:
        return s.identity(s.eswitch_owner(c))
    except RefusedError:
        return None


def _hold(truth: bool, words: str) -> None:
    if not truth:
        raise FirmwareError(words)
