"""The vocabulary of observations: the values that readers make of a file, whatever its format, each with its place.

A trace and a kernel log give the same commands, answers and page requests; a trace adds the events of its link, a log
the driver's messages, a class for each kind of line. Readers judge nothing: what an observation means for pages is for
the audit to say.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum, unique
from typing import TypeAlias

from fwpages.custody.findings import Cause
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Identity, Mode, Supplier

#: byte ranges of a message that the input does not have: [start, end)
Holes: TypeAlias = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of an input. ``time`` is in seconds where the input has seconds, else as it is written there."""

    file: str
    line: int
    time: float | str | None = None

    @property
    def seconds(self) -> float | None:
        """The time; None where the input has no seconds."""
        return None if isinstance(self.time, str) else self.time

    def at(self) -> dict[str, str | int | float | None]:
        """The place as a finding shows it."""
        return {"file": self.file, "line": self.line, "time": self.time}


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """Something about one device; ``session`` is the number that a trace gives to its session."""

    place: Place
    device: str
    session: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHeader(Observation):
    """The head of a trace. ``numbered``: its lines have numbers, and it records when a host stops waiting.

    ``recorded``: it is a record of a running kernel. ``names`` are those that the scenario gives to functions; two that
    share an identity are ``a/b``. ``types`` are those that the scenario gives to the same functions; none
    where two that share an identity differ.
    """

    supplier: Supplier | None = None
    names: Mapping[Identity, str] = field(default_factory=dict)
    types: Mapping[Identity, FunctionType] = field(default_factory=dict)
    numbered: bool = False
    recorded: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSubmitted(Observation):
    """A command was handed to the device. ``key`` joins it to its answer; bytes in ``holes`` are unknown.

    ``cut``: no line is lost, but inputs of this kind leave the rest of the message out.
    """

    key: Hashable
    message: bytes
    slot: int | None = None
    holes: Holes = ()
    cut: bool = False
    #: addresses of the pages that its entry and mailboxes lie in, where the input has them
    memory: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCompleted(Observation):
    """The device answered; ``delivery`` is the queue entry's delivery status, 0 where it arrived well.

    ``holes`` and ``cut`` as in ``CommandSubmitted``.
    """

    key: Hashable
    message: bytes
    holes: Holes = ()
    cut: bool = False
    delivery: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandUnanswered(Observation):
    """The link (``by_link``) or the driver gave up waiting for an answer; ``said``: the driver says so in a log."""

    key: Hashable
    by_link: bool = False
    said: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandExecuted(Observation):
    """The device carried a command out and keeps the answer, ``message``, back: the host does not see it yet."""

    key: Hashable
    message: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryMapped(Observation):
    """The device can reach ``size`` bytes at I/O address ``iova`` from now on."""

    iova: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryUnmapped(Observation):
    """The device cannot reach them any more; a ``size`` of 0 stands for all memory."""

    iova: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BusMasterSet(Observation):
    """The driver turned bus mastering on or off."""

    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandUndone(Observation):
    """The driver's call returned an error, and nothing shows if the device carried the command out."""

    key: Hashable
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesRequested(Observation):
    """A page request of firmware's; ``ec_known`` is False in a kernel log, whose line does not tell the ec bit."""

    request: PageRequestEvent
    ec_known: bool = True


@unique
class LinkEvent(StrEnum):
    """An event of the link, or of the device as a whole, as a trace records it."""

    #: the host asked for a reset
    RESET = "reset"
    #: it was proven that the device can no longer touch memory
    FENCED = "fenced"
    LOST = "lost"
    BACK = "back"
    #: the machine of a served device is gone, and the device loses its power
    GONE = "gone"
    #: firmware reported a fatal state
    HEALTH = "health"
    #: a command was answered as another would be
    GARBLED = "garbled"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkChange(Observation):
    """An event beside commands and page requests; ``key`` is the command that it concerns, if it concerns one."""

    what: LinkEvent
    detail: str = ""
    key: Hashable = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverMessage(Observation):
    """A line of mlx5_core's in a kernel log; ``text`` is its message. Each kind of line has a class of its own."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionMessage(DriverMessage):
    """A line that can name a function. A field is None where that line, or that kernel's wording, does not say it."""

    number: int | None = None
    ec: bool | None = None
    mode: Mode | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareVersion(DriverMessage):
    """The first line of a load. ``all_ones``: it was read from a device that is not there."""

    all_ones: bool = False


@unique
class LoadStep(Enum):
    """A step of a load, in the order in which the driver takes them."""

    PCI = "the function's PCI resources"
    FIRMWARE = "the wait for firmware to be ready"
    COMMANDS = "the command interface"
    ENABLE = "enable hca"
    ISSI = "set issi"
    BOOT_PAGES = "boot pages"
    CONTROL = "set_hca_ctrl"
    CAPABILITIES = "capabilities"
    INIT_PAGES = "init pages"
    INIT = "init hca"
    QUERY = "query hca"
    QUEUES = "interrupts and event queues"
    PARTS = "a part of the driver that works on top of them"

    def before(self, other: LoadStep) -> bool:
        """It comes earlier in a load."""
        steps = list(LoadStep)
        return steps.index(self) < steps.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareAwaited(DriverMessage):
    """The load waits for firmware to leave its initializing state. ``all_ones``: reads of the device give all ones."""

    all_ones: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadStepFailed(DriverMessage):
    """A step of a load failed, with this errno (negative) where the line has it."""

    step: LoadStep
    err: int | None = None
    all_ones: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadFailed(DriverMessage):
    """The load as a whole failed, with this errno: the last lines of a load that does not succeed."""

    err: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupPagesRequested(FunctionMessage):
    """QUERY_PAGES was answered at start-up: the driver will give ``pages`` boot or init pages."""

    pages: int
    boot: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesGiven(FunctionMessage):
    """A GIVE succeeded."""

    pages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveFailed(FunctionMessage):
    """A GIVE failed with this errno (negative)."""

    err: int
    pages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeBegun(FunctionMessage):
    """The driver is about to send a TAKE of at most ``pages``. No line tells how many came back."""

    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeFailed(FunctionMessage):
    """A TAKE failed, with this errno where the line has it."""

    err: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclaimAbandoned(DriverMessage):
    """The driver stops taking pages back: firmware did not return them in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllPagesReleased(FunctionMessage):
    """Firmware released all pages of a function at once, and the driver freed the ``pages`` that it had."""

    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesLeft(DriverMessage):
    """A page counter is not zero after the driver took everything back; ``kind`` None is the counter of all types."""

    pages: int
    kind: FunctionType | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownPageReturned(DriverMessage):
    """Firmware returned an address that the driver never gave."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReturnedTwice(DriverMessage):
    """Firmware returned an address that it had returned before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyReturned(DriverMessage):
    """Firmware returned ``pages``, more than the ``asked`` of the TAKE."""

    pages: int
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationFailed(DriverMessage):
    """The driver had no memory for a GIVE; ``err`` where the line is that of the GIVE which ends thereby."""

    err: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveWithheld(FunctionMessage):
    """The driver gives fewer of the ``pages`` asked for, or none: the function's ``limit`` of pages is reached.

    ``limit`` is None where the driver does not know the function.
    """

    pages: int
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequestDropped(DriverMessage):
    """The driver had no memory to queue a page request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CantGiveFailed(FunctionMessage):
    """A CANT_GIVE failed, with this errno where the line has it."""

    err: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesPending(DriverMessage):
    """The device entered the error state while ``pages`` were still being waited for."""

    pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandMessage(DriverMessage):
    """A line about one command; opcode and queue slot where the line has them."""

    opcode: int | None = None
    slot: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRefused(CommandMessage):
    """A command was answered with a status other than OK. ``frees``: it was to destroy one of the driver's objects."""

    op_mod: int
    status: int
    frees: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandTimedOut(CommandMessage):
    """The driver stopped waiting for a command and gives its slot up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandNotDone(CommandMessage):
    """No completion came in time; the driver then looks into the queue entry itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandNotSent(CommandMessage):
    """A command got no slot in time and was never sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateCompletion(CommandMessage):
    """A command was completed after the driver had stopped waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceInError(DriverMessage):
    """The driver treats the device as failed. ``link``: by this line its PCI channel is gone, or reads nothing."""

    link: bool = False


@unique
class Recovery(Enum):
    """How far the driver came in its attempt to get a failed device to work again."""

    STARTED = "started"
    #: the slot was reset, and the device answers again; the load that follows is not over
    RESET = "by a reset of the slot"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryLine(DriverMessage):
    """The driver tries to recover a failed device, or says how that went. ``link``: its PCI reads give nothing."""

    outcome: Recovery
    link: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DriverLetGo(DriverMessage):
    """The driver is unbound from the function, or the function is being removed.

    ``shutdown``: the machine is shut down, or starts another kernel (kexec). The driver then enters its error state on
    purpose, so that nothing uses the device any more.
    """

    shutdown: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKept(DriverMessage):
    """The driver does not destroy one of its objects in the device, as something still uses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWorkFailed(DriverMessage):
    """The GIVE or TAKE of a page request failed with this errno, by the last line about that request."""

    give: bool
    err: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionsRecovered(DriverMessage):
    """The driver found completions in memory that no interrupt had announced: one line counts, one names a command."""

    opcode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CardMessage(DriverMessage):
    """A line about the card, whichever of its functions printed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCompromised(CardMessage):
    """Firmware's health counter stands still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FatalError(CardMessage):
    """The driver found a fatal error, by this sensor (``prm.health.FatalSensor``)."""

    sensor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthIssue(CardMessage):
    """The headline of a health buffer: the syndrome in words, and how severe it is."""

    words: str
    severity: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCode(CardMessage):
    """The syndrome of a health buffer, and the driver's words for it."""

    synd: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertVar(CardMessage):
    """One of the variables of firmware's assertion, in hex as it is printed."""

    index: int
    value: str


@unique
class HealthField(StrEnum):
    """A field of a health buffer that a line prints by itself."""

    ASSERT_EXIT_PTR = "assert_exit_ptr"
    ASSERT_CALLRA = "assert_callra"
    FW_VER = "fw_ver"
    TIME = "time"
    HW_ID = "hw_id"
    RFR = "rfr"
    CRR = "crr"
    SEVERITY = "severity"
    IRISC_INDEX = "irisc_index"
    EXT_SYND = "ext_synd"
    RAW_FW_VER = "raw_fw_ver"


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLine(CardMessage):
    """One field of a health buffer; hex and versions are kept as they are printed."""

    field: HealthField
    value: int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ColdResetRequired(CardMessage):
    """Firmware asks for a cold reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HighTemperature(CardMessage):
    """Sensors are too hot: their bits, the most significant word first, in hex as printed."""

    sensors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HotSensor(CardMessage):
    """The name of a sensor that is too hot."""

    index: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotPowerShort(CardMessage):
    """The PCIe slot offers less power than the card needs; ``watts`` where the line says how much it offers."""

    watts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleError(CardMessage):
    """The cable or transceiver of a port is in error."""

    module: int
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TeardownFailed(DriverMessage):
    """Firmware did not carry out a forced or fast TEARDOWN_HCA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeardownSkipped(DriverMessage):
    """TEARDOWN_HCA failed, and the driver leaves everything as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingInput(Observation):
    """Part of the input is missing or cannot be attributed.

    ``opcode`` and ``number`` say what it was about, where that is known. ``harmless``: nothing that the accounts
    need. ``key``: the command whose answer will not be seen. An empty ``device`` concerns every device of the input.
    """

    cause: Cause
    detail: str
    opcode: int | None = None
    number: int | None = None
    ec: bool = False
    harmless: bool = False
    key: Hashable = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LooksFolded(Observation):
    """A log was folded, or cut at some column, and its lines cannot be joined safely: nothing is proven by it."""

    device: str = field(default="")


@unique
class PlatformEvent(Enum):
    """Events that another part of the kernel than mlx5's driver prints, in words."""

    PCIE_ERROR = "a PCIe error that was not corrected"
    CONTAINED = "the port above contained an error (DPC): nothing below it is reached"
    SLOT_EMPTY = "the link of the slot is down, or no card is in it (hot-plug)"
    FROZEN = "the platform has frozen the function after an error (EEH)"
    DMA_FAULT = "the IOMMU blocked an access of the device to memory"
    INTERRUPT_UNROUTED = "an interrupt came that no driver takes, or that is not routed"
    REMOVED = "the function was removed"
    UNREACHABLE = "the PCI core does not reach the function"

    @property
    def of_link(self) -> bool:
        """By it the device cannot be reached, for some time at least."""
        return self in _OF_LINK


_OF_LINK = frozenset(
    {
        PlatformEvent.PCIE_ERROR,
        PlatformEvent.CONTAINED,
        PlatformEvent.SLOT_EMPTY,
        PlatformEvent.FROZEN,
        PlatformEvent.UNREACHABLE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformLine(Observation):
    """A line of another part of the kernel, which may be about an mlx5 function.

    ``function`` is the address that it names, ``port`` that of the port above; each empty where the line has none.
    """

    device: str = field(default="")
    event: PlatformEvent
    function: str = ""
    port: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint(Observation):
    """The driver says that something failed, in words that no row explains; ``device`` is empty where none is named."""

    device: str = field(default="")
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceNamed(Observation):
    """A log has lines of this device, the first at ``place``; a reader gives it for each device at the log's end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Observation):
    """Something that a report should mention, and no fault; ``fault`` names the injected fault that it is about."""

    text: str
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRestart(Observation):
    """The machine was restarted: open sessions of every device are over. ``detail`` is the evidence, if not a line."""

    device: str = field(default="")
    detail: str = ""
