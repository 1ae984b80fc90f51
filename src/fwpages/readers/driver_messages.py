"""The wordings of mlx5_core's lines: from the text of one message to one typed observation.

``WORDINGS`` is the only place that knows how a kernel words a line. A row has an example, the text that a line must
contain to be tried, a pattern that the message must match from its beginning, the kernels that print it where they are
known, and the constructor of the observation. To add a wording, add a row; to add a kind of line, add a class to
``observations`` and a row here. ``read_message`` tries the rows in their order, and the first that matches counts.

Groups of a pattern have one meaning in all rows: ``number`` is a function in hex (``decimal`` in decimal), ``ec`` and
``mode`` its ec bit and identity mode, ``pages`` and ``asked`` are counts, ``err`` is an errno, ``opcode``, ``op_mod``
and ``status`` are hex, ``slot`` is an entry of the command queue. A function has 16 bits, all else 32: a line with
larger numbers is a damaged one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypedDict

from fwpages.custody.findings import Cause
from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Mode
from fwpages.readers.driver_lines import retyped
from fwpages.readers.observations import (
    AllocationFailed,
    AllPagesReleased,
    AssertVar,
    CantGiveFailed,
    ColdResetRequired,
    CommandNotDone,
    CommandNotSent,
    CommandRefused,
    CommandTimedOut,
    CompletionsRecovered,
    DeviceInError,
    DriverLetGo,
    DriverMessage,
    FatalError,
    FirmwareAwaited,
    FirmwareVersion,
    GiveFailed,
    GiveWithheld,
    HealthCode,
    HealthCompromised,
    HealthField,
    HealthIssue,
    HealthLine,
    HighTemperature,
    HotSensor,
    LateCompletion,
    LoadFailed,
    LoadStep,
    LoadStepFailed,
    MissingInput,
    ModuleError,
    ObjectKept,
    PageRequestDropped,
    PageReturnedTwice,
    PagesGiven,
    PagesLeft,
    PagesPending,
    PagesRequested,
    PageWorkFailed,
    Place,
    ReclaimAbandoned,
    Recovery,
    RecoveryLine,
    SlotPowerShort,
    StartupPagesRequested,
    TakeBegun,
    TakeFailed,
    TeardownFailed,
    TeardownSkipped,
    TooManyReturned,
    UnknownPageReturned,
)

#: a number of 16 bits read from a device that is not there
ALL_ONES_16: Final = "65535"
#: characters of one line of the kernel's, at most
MAX_MESSAGE: Final = 1024

_CMD = r"(?:cmd\[?(?:(?P<none>-\d+)|(?P<slot>\d+))\]?: )?\S+\(0x(?P<opcode>[0-9a-f]+)\)"
#: a command that destroys an object of the driver's, or gives a resource back
_FREES = r"(?:cmd\S* )?(?P<frees>DESTROY_|DEALLOC_)?"
_FUNC = r"func(?:_id|_vhca_id)?"

_TYPES = {
    "VFs": FunctionType.VF,
    "External host PF": FunctionType.HOST_PF,
    "Peer PF": FunctionType.HOST_PF,
    "SPFs": FunctionType.SPF,
    "EC VFs": FunctionType.EC_VF,
}


class ImplausibleNumberError(ValueError):
    """A number in a line is larger than the driver's variable for it."""


class _Where(TypedDict):
    place: Place
    device: str
    text: str


class _Named(_Where):
    number: int | None
    ec: bool | None
    mode: Mode | None


class Fields:
    """The numbers of one line that matched a wording; a group that is absent reads as None."""

    def __init__(self, place: Place, device: str, text: str, match: re.Match[str]) -> None:
        self.where: _Where = {"place": place, "device": device, "text": text}
        self._groups = match.groupdict()

    def text(self, group: str) -> str:
        """The group's text, empty where it is absent."""
        return self._groups.get(group) or ""

    def number(self, group: str, base: int = 10, most: int = (1 << 32) - 1) -> int | None:
        """The group as a number; ImplausibleNumberError beyond ``most``."""
        digits = self._groups.get(group)
        if digits is None:
            return None
        value = int(digits, base)
        if abs(value) > most:
            raise ImplausibleNumberError(digits)
        return value

    def required(self, group: str, base: int = 10) -> int:
        """A number that the pattern always has."""
        value = self.number(group, base)
        if value is None:
            raise LookupError(f"the wording has no group {group}")
        return value

    @property
    def function(self) -> int | None:
        """The function's number."""
        number = self.number("number", 16, most=0xFFFF)
        return self.number("decimal", most=0xFFFF) if number is None else number

    @property
    def named(self) -> _Named:
        """The line's place, and the function that it names."""
        ec, mode = self.number("ec", 16), self.number("mode")
        return {
            **self.where,
            "number": self.function,
            "ec": None if ec is None else bool(ec),
            "mode": None if mode is None else Mode.VHCA_ID if mode else Mode.FUNC_ID,
        }


#: the observations that a line of the driver's can be
DriverLine = DriverMessage | PagesRequested


@dataclass(frozen=True, slots=True)
class Wording:
    """How some kernels word one kind of line. ``printed_by``: the driver's function that alone words it so."""

    example: str
    needle: str
    pattern: re.Pattern[str]
    build: Callable[[Fields], DriverLine]
    printed_by: tuple[str, ...] = ()
    #: the line says by itself that something went wrong: a log with it is never clean
    trouble: bool = False


def _gave_or_not(f: Fields) -> PagesGiven | GiveFailed:
    err = f.required("err")
    if err:
        return GiveFailed(**f.named, pages=f.number("pages"), err=err)
    return PagesGiven(**f.named, pages=f.number("pages"))


def _page_request(f: Fields) -> PagesRequested:
    request = PageRequestEvent(f.function or 0, f.required("pages"), release_all=bool(f.number("all")))
    return PagesRequested(place=f.where["place"], device=f.where["device"], request=request, ec_known=False)


def _not_sent(f: Fields) -> CommandNotSent:
    return CommandNotSent(**f.where, opcode=f.number("opcode", 16), slot=f.number("slot"))


def _without_end(f: Fields, kind: type[CommandTimedOut | CommandNotDone]) -> DriverMessage:
    """The driver stops waiting; in place of a slot below zero stands the error with which it got none."""
    if f.text("none"):
        return _not_sent(f)
    return kind(**f.where, opcode=f.required("opcode", 16), slot=f.number("slot"))


def _late(f: Fields) -> LateCompletion:
    return LateCompletion(**f.where, opcode=f.number("opcode", 16), slot=f.number("slot"))


def _no_memory(f: Fields) -> AllocationFailed:
    return AllocationFailed(**f.where, err=f.number("err"))


def _unknown_page(f: Fields) -> UnknownPageReturned:
    return UnknownPageReturned(**f.where)


def _in_error(f: Fields) -> DeviceInError:
    return DeviceInError(**f.where)


def _step(step: LoadStep, example: str) -> Wording:
    """A step of a load that failed; an errno at the end, or after ``err``, may be any."""
    text, found, _ = example.partition("-12")
    pattern = re.escape(text) + (r"(?P<err>-?\d+)" if found else "")

    def build(f: Fields) -> LoadStepFailed:
        return LoadStepFailed(**f.where, step=step, err=f.number("err"))

    return Wording(example, text, re.compile(pattern), build, trouble=True)


def _health(f: Fields, field: HealthField) -> HealthLine:
    number = f.number("count")
    return HealthLine(**f.where, field=field, value=f.text("value") if number is None else number)


def _off(f: Fields) -> DeviceInError:
    return DeviceInError(**f.where, link=True)


def _let_go(f: Fields) -> DriverLetGo:
    return DriverLetGo(**f.where)


def _row(
    example: str,
    needle: str,
    pattern: str,
    build: Callable[[Fields], DriverLine],
    printed_by: tuple[str, ...] = (),
    *,
    trouble: bool = False,
) -> Wording:
    return Wording(example, needle, re.compile(pattern), build, printed_by, trouble)


WORDINGS: Final[tuple[Wording, ...]] = (
    # -- the load
    _row(
        "firmware version: 28.39.1002",
        "firmware version:",
        r"firmware version: (?P<major>\d+)",
        lambda f: FirmwareVersion(**f.where, all_ones=f.text("major") == ALL_ONES_16),
    ),
    _row(
        "requested 6 boot pages for func_vhca_id 0x0",
        "requested",
        r"requested (?P<pages>-?\d+) (?P<which>boot|init) pages for func(?:_vhca)?(?:_id)? 0x(?P<number>[0-9a-f]+)",
        lambda f: StartupPagesRequested(**f.named, pages=f.required("pages"), boot=f.text("which") == "boot"),
    ),
    # -- requests, gives and takes
    _row(
        "page request for func 0x31, npages 7, release_all 0",
        "page request",
        r"page request for func 0x(?P<number>[0-9a-f]+), n(?:pa|ap)ges (?P<pages>-?\d+)(?:, release_all (?P<all>\d+))?",
        _page_request,
    ),
    _row(
        "npages 7, ec_function 0, func 0x31, mode 1, err 0",
        "npages",
        r"npages (?P<pages>\d+), ec_function (?P<ec>\d), func(?:_id|_vhca_id)? 0x(?P<number>[0-9a-f]+)"
        r"(?:, mode (?P<mode>\d))?, err (?P<err>-?\d+)$",
        _gave_or_not,
    ),
    _row(
        "npages 54, ec_function 0, func 0x31, mode 1",
        "npages",
        r"npages (?P<pages>-?\d+), ec_function (?P<ec>\d), func(?:_id|_vhca_id)? 0x(?P<number>[0-9a-f]+)"
        r"(?:, mode (?P<mode>\d))?$",
        lambda f: AllPagesReleased(**f.named, pages=f.required("pages")),
    ),
    _row(
        "func 0x31, npages 768, outlen 6160 mode 1",
        "outlen",
        r"(?:func(?:_id|_vhca_id)? 0x(?P<number>[0-9a-f]+), )?"
        r"npages (?P<pages>-?\d+), outlen -?\d+(?: mode (?P<mode>\d))?$",
        lambda f: TakeBegun(**f.named, pages=f.required("pages")),
    ),
    _row(
        "func_id 0x3, npages 7, err -5",
        "npages",
        r"func(?:_id|_vhca_id) 0x(?P<number>[0-9a-f]+), npages (?P<pages>-?\d+), (?:err|status) (?P<err>-?\d+)$",
        lambda f: GiveFailed(**f.named, pages=f.required("pages"), err=f.required("err")),
    ),
    _row("npages 7, err 0", "npages", r"npages (?P<pages>\d+), err (?P<err>-?\d+)$", _gave_or_not),
    # kernels whose give_pages prints nothing but the error
    _row("err 0", "err ", r"err (?P<err>-?\d+)$", _gave_or_not, printed_by=("give_pages",)),
    # -- failures of the page path
    _row(
        "VFs FW pages counter is 42 after reclaiming all pages",
        "FW pages counter",
        r"(?P<type>.*?)FW pages counter is (?P<pages>-?\d+) after reclaiming all pages",
        lambda f: PagesLeft(**f.where, pages=f.required("pages"), kind=_TYPES.get(f.text("type").strip())),
        trouble=True,
    ),
    _row(
        "FW did not return all pages. giving up...",
        "FW did not return",
        r"FW did not return all pages",
        lambda f: ReclaimAbandoned(**f.where),
        trouble=True,
    ),
    _row(
        "reclaim_pages err (-22) func_id=0x3 ec_func=0x1",
        "reclaim_pages err",
        r"reclaim_pages err \((?P<err>-?\d+)\) " + _FUNC + r"=0x(?P<number>[0-9a-f]+) ec_func=0x(?P<ec>[0-9a-f]+)",
        lambda f: TakeFailed(**f.named, err=f.required("err")),
        trouble=True,
    ),
    _row(
        "failed reclaiming pages (-110) for func id 0x3",
        "failed recl",
        # "recliaming" is the spelling of 3.11
        r"failed recl(?:aim|iam)ing pages(?:: err (?P<err>-?\d+)| \((?P<bracketed>-?\d+)\))?"
        r"(?: for func id 0x(?P<number>[0-9a-f]+))?$",
        lambda f: TakeFailed(**f.named, err=f.number("err") if f.text("err") else f.number("bracketed")),
        trouble=True,
    ),
    _row("page not found", "page not found", r"page not found", _unknown_page, trouble=True),
    _row(
        "FW reported unknown DMA address 0x1234000",
        "unknown DMA address",
        r"FW reported unknown DMA address",
        _unknown_page,
        trouble=True,
    ),
    # the vendor's driver
    _row(
        "addr 0x12340000 is already freed, n 3",
        "is already freed",
        r"addr 0x[0-9a-f]+ is already freed",
        lambda f: PageReturnedTwice(**f.where),
        trouble=True,
    ),
    _row(
        "fw returned 60, driver asked 50 => corruption",
        "driver asked",
        r"fw returned (?P<pages>-?\d+), driver asked (?P<asked>-?\d+)",
        lambda f: TooManyReturned(**f.where, pages=f.required("pages"), asked=f.required("asked")),
        trouble=True,
    ),
    _row(
        "failed to allocate pages request",
        "failed to allocate pages request",
        r"failed to allocate pages request$",
        lambda f: PageRequestDropped(**f.where),
        trouble=True,
    ),
    _row("failed to allocate page", "failed to allocate page", r"failed to allocate pages?$", _no_memory, trouble=True),
    _row("failed dma mapping page", "failed dma mapping page", r"failed dma mapping page", _no_memory, trouble=True),
    _row("failed to track allocated page", "to track", r"failed to track allocated page", _no_memory, trouble=True),
    _row("vzalloc failed 6160", "vzalloc failed", r"vzalloc failed", _no_memory, trouble=True),
    _row("give fail -12", "give fail", r"give fail(?:ed)? (?P<err>-12)$", _no_memory, trouble=True),
    # the vendor's driver: limits that an administrator set, and a limit of time
    _row(
        "50000 pages alloc time exceeded the max permitted duration",
        "alloc time exceeded",
        r"\d+ pages alloc time exceeded",
        _no_memory,
        trouble=True,
    ),
    _row(
        "Failed giving 512 pages to func:3 due to exceeding the limit:4096, curr_pages:4096",
        "pages to func:",
        r"(?:Failed giving|Giving only) (?P<pages>-?\d+) pages to func:(?P<decimal>\d+) "
        r"due to (?:exceeding|reaching) the limit:(?P<limit>\d+)",
        lambda f: GiveWithheld(**f.named, pages=f.required("pages"), limit=f.required("limit")),
        trouble=True,
    ),
    _row(
        "Failed giving 512 pages to func:3 due to faulty vport",
        "pages to func:",
        r"Failed giving (?P<pages>-?\d+) pages to func:(?P<decimal>\d+) due to faulty vport",
        lambda f: GiveWithheld(**f.named, pages=f.required("pages")),
        trouble=True,
    ),
    _row(
        "give fail -110",
        " fail",
        r"(?P<which>give|reclaim) fail(?:ed)? (?P<err>-\d+)$",
        lambda f: PageWorkFailed(**f.where, give=f.text("which") == "give", err=f.required("err")),
        trouble=True,
    ),
    _row(
        "Recovered 1 EQEs on cmd_eq",
        "EQEs on cmd_eq",
        r"Recovered \d+ EQEs on cmd_eq",
        lambda f: CompletionsRecovered(**f.where),
        trouble=True,
    ),
    _row(
        "page notify failed func_id(12) err(-5)",
        "page notify failed",
        r"page notify failed(?: func(?:_id|_vhca_id)\((?P<decimal>\d+)\))?(?: err\((?P<err>-?\d+)\))?",
        lambda f: CantGiveFailed(**f.named, err=f.number("err")),
        trouble=True,
    ),
    # -- commands
    _row(
        "MANAGE_PAGES(0x108) op_mod(0x2) failed, status bad system state(0x4), syndrome (0x1), err(-5)",
        "failed, status",
        rf"(?={_FREES})" + _CMD + r" op_mod\(0x(?P<op_mod>[0-9a-f]+)\) failed, status .*\(0x(?P<status>[0-9a-f]+)\)"
        r", syndrome",
        lambda f: CommandRefused(
            **f.where,
            opcode=f.required("opcode", 16),
            slot=f.number("slot"),
            op_mod=f.required("op_mod", 16),
            status=f.required("status", 16),
            frees=bool(f.text("frees")),
        ),
        trouble=True,
    ),
    _row(
        "cmd[31]: MANAGE_PAGES(0x108) Async, timeout. Will cause a leak of a command resource",
        " timeout",
        # whoever tells of it often leaves the second sentence out
        _CMD + r"(?: Async,)? timeout(?:\. Will cause a leak|\.?$)",
        lambda f: _without_end(f, CommandTimedOut),
        trouble=True,
    ),
    _row(
        "cmd[31]: MANAGE_PAGES(0x108) No done completion",
        "No done completion",
        _CMD + r" No done completion",
        lambda f: _without_end(f, CommandNotDone),
        trouble=True,
    ),
    _row(
        "cmd[0]: MANAGE_PAGES(0x108) Async, recovered after timeout",
        "recovered after timeout",
        _CMD + r"(?: Async,)? recovered after timeout",
        lambda f: CompletionsRecovered(**f.where, opcode=f.required("opcode", 16)),
        trouble=True,
    ),
    _row(
        "Command completion arrived after timeout (entry idx = 31).",
        "arrived after timeout",
        r"Command completion arrived after timeout \(entry idx = (?P<slot>\d+)\)",
        _late,
        trouble=True,
    ),
    _row(
        "failed to allocate command entry",
        "allocate command entry",
        r"failed to allocate command entry",
        lambda f: CommandNotSent(**f.where, opcode=None),
        trouble=True,
    ),
    _row(
        "MANAGE_PAGES(0x108) canceled on out of queue timeout.",
        "canceled on out of queue",
        _CMD + r" canceled on out of queue timeout",
        _not_sent,
        trouble=True,
    ),
    _row(
        "MANAGE_PAGES(0x108) timeout while waiting for command semaphore.",
        "timeout while waiting for command",
        _CMD + r" timeout while waiting for command semaphore",
        _not_sent,
        trouble=True,
    ),
    _row(
        "MANAGE_PAGES(0x108) timed out while waiting for a slot in the command queue",
        "timed out while waiting for a slot",
        _CMD + r" timed out while waiting for a slot",
        _not_sent,
        trouble=True,
    ),
    # -- the device as a whole
    _row(
        "aborting while there are 12 pending pages",
        "pending pages",
        r"aborting while there are (?P<pages>-?\d+) pending pages",
        lambda f: PagesPending(**f.where, pages=f.required("pages")),
        trouble=True,
    ),
    _row(
        "Skipping wait for vf pages stage",
        "Skipping wait for vf pages",
        r"Skipping wait for vf pages stage",
        _in_error,
        trouble=True,
    ),
    _row(
        "device's health compromised - reached miss count",
        "health compromised",
        r"device's health compromised",
        lambda f: HealthCompromised(**f.where),
        trouble=True,
    ),
    _row(
        "Fatal error 3 detected",
        "Fatal error",
        r"Fatal error (?P<number>\d+) detected",
        lambda f: FatalError(**f.where, sensor=f.required("number")),
        trouble=True,
    ),
    # state 1 is a channel in order
    _row(
        "Device state = 1 health sensors: 0 pci_status: 0. Enter, pci channel state = 3",
        "pci channel state",
        r".*Enter, pci channel state = [23]$",
        _off,
        trouble=True,
    ),
    _row("PCI slot 1 is unavailable", "PCI slot", r"PCI slot(?: \d+)? is unavailable", _off, trouble=True),
    _row("Fatal error detected", "Fatal error", r"Fatal error detected", _in_error, trouble=True),
    # a kernel that does not print the channel's state calls this for a channel that is not in order
    _row(
        "mlx5_pci_err_detected Device state = 1 pci_status: 1. Enter",
        "pci_err_detected",
        r"mlx5_pci_err_detected .*\. Enter$",
        _off,
        trouble=True,
    ),
    _row(
        "start",
        "start",
        r"start$",
        _in_error,
        printed_by=("mlx5_error_sw_reset", "mlx5_enter_error_state", "enter_error_state"),
        trouble=True,
    ),
    _row("handling bad device here", "handling bad device", r"handling bad device here", _in_error, trouble=True),
    _row(
        "Driver is in error state. Unloading",
        "Driver is in error state",
        r"Driver is in error state",
        _in_error,
        trouble=True,
    ),
    _row(
        "Expected to see disabled NIC but it is has invalid value 7",
        "Expected to see disabled NIC",
        r"Expected to see disabled NIC",
        _in_error,
        trouble=True,
    ),
    _row(
        "mlx5_pci_err_detected Device state = 1 pci_status: 0. Exit, result = 3, need reset",
        "pci_err_detected",
        r"mlx5_pci_err_detected .*\. Exit, result = \d",
        _off,
        trouble=True,
    ),
    _row(
        "mlx5_pci_err_detected was called", "pci_err_detected", r"mlx5_pci_err_detected was called", _off, trouble=True
    ),
    _row(
        "PCI channel offline, stop waiting for NIC IFC",
        "PCI channel offline",
        r"PCI channel offline, stop waiting",
        _off,
        trouble=True,
    ),
    _row(
        "NIC IFC still 7 after 2000ms.",
        "NIC IFC still",
        r"NIC IFC still \d+ after \d+",
        _in_error,
        trouble=True,
    ),
    _row(
        "PCI link not ready (0x1041) after 2000 ms",
        "not ready",
        r"PCI(?:e topology| link) (?:is )?not ready ",
        _off,
        trouble=True,
    ),
    _row(
        "Firmware is not responsive (0xffff) after 5000 ms",
        "is not responsive",
        r"Firmware is not responsive \(0xffff\)",
        _off,
        trouble=True,
    ),
    _row("PCI bus bridge is not accessible", "PCI bus bridge", r"PCI bus bridge is not accessible", _off, trouble=True),
    _row(
        "mlx5_pci_slot_reset: wait vital failed with error code: -110",
        "wait vital failed",
        r"(?:\w+: )?wait vital failed",
        _off,
        trouble=True,
    ),
    _row(
        "mlx5_pci_slot_reset Device state = 2 pci_status: 1. Exit, err = 0, result = 5, recovered",
        "pci_slot_reset",
        r"mlx5_pci_slot_reset .*Exit, .*, recovered$",
        lambda f: RecoveryLine(**f.where, outcome=Recovery.RESET, link=True),
    ),
    # -- recovery
    _row(
        "starting health recovery flow",
        "starting health recovery",
        r"starting health recovery flow",
        lambda f: RecoveryLine(**f.where, outcome=Recovery.STARTED),
        trouble=True,
    ),
    _row(
        "health recovery succeeded",
        "health recovery succeeded",
        r"health recovery succeeded",
        lambda f: RecoveryLine(**f.where, outcome=Recovery.SUCCEEDED),
    ),
    _row(
        "mlx5_pci_resume Device state = 2 pci_status: 1. Done, err = -110, device Failed",
        "device Failed",
        r"mlx5_pci_resume .*Done, err = -\d+, device Failed",
        lambda f: RecoveryLine(**f.where, outcome=Recovery.FAILED),
        trouble=True,
    ),
    _row(
        "health recovery failed",
        "health recovery failed",
        r"health recovery failed",
        lambda f: RecoveryLine(**f.where, outcome=Recovery.FAILED),
        trouble=True,
    ),
    _row(
        "health recovery flow aborted, PCI reads still not working",
        "flow aborted",
        r"(?:health recovery|reset reload) flow aborted(?P<link>, PCI reads still not working)?",
        lambda f: RecoveryLine(**f.where, outcome=Recovery.ABORTED, link=bool(f.text("link"))),
        trouble=True,
    ),
    # -- the driver leaves
    _row(
        "Shutdown was called",
        "Shutdown was called",
        r"Shutdown was called",
        lambda f: DriverLetGo(**f.where, shutdown=True),
    ),
    _row("E-Switch: cleanup", "E-Switch: cleanup", r"E-Switch: cleanup", _let_go),
    _row("device is being removed, stop load", "is being removed", r".*device is being removed", _let_go),
    _row(
        "mlx5_uninit_one: interface is down, NOP", "interface is down", r"mlx5_uninit_one.*: interface is down", _let_go
    ),
    # -- objects that keep pages
    _row(
        "Flow group 19 wasn't destroyed, refcount > 1",
        "wasn't destroyed",
        r".* wasn't destroyed, refcount > 1",
        lambda f: ObjectKept(**f.where),
        trouble=True,
    ),
    _row(
        "tear_down_hca failed, skip cleanup",
        "skip cleanup",
        r"tear_down_hca failed, skip cleanup",
        lambda f: TeardownSkipped(**f.where),
        trouble=True,
    ),
    _row(
        "teardown with force mode failed, doing normal teardown",
        "teardown with",
        r"teardown with (?:force|fast) mode failed",
        lambda f: TeardownFailed(**f.where),
        trouble=True,
    ),
    _row(
        "Fast teardown failed, no reset done, err -5",
        "Fast teardown failed",
        r"Fast teardown failed",
        lambda f: TeardownFailed(**f.where),
        trouble=True,
    ),
    # -- a load that fails, step by step
    _row(
        "Waiting for FW initialization, timeout abort in 100s (0xffffffff)",
        "Waiting for FW",
        r"Waiting for FW .*, timeout abort in \d+s(?: \((?P<read>0x[0-9a-f]+)\))?",
        lambda f: FirmwareAwaited(**f.where, all_ones=f.text("read") == "0xffffffff"),
    ),
    _row(
        "Firmware over 120000 MS in pre-initializing state, aborting",
        "Firmware over",
        r"Firmware over \d+ MS in .*state, aborting",
        lambda f: LoadStepFailed(**f.where, step=LoadStep.FIRMWARE),
        trouble=True,
    ),
    _row(
        "Driver cmdif rev(5) differs from firmware's(65535)",
        "Driver cmdif rev",
        r"Driver cmdif rev\(\d+\) differs from firmware's\((?P<read>\d+)\)",
        lambda f: LoadStepFailed(**f.where, step=LoadStep.COMMANDS, all_ones=f.text("read") == ALL_ONES_16),
        trouble=True,
    ),
    _step(LoadStep.PCI, "Cannot enable PCI device, aborting"),
    _step(LoadStep.PCI, "Missing registers BAR, aborting"),
    _step(LoadStep.PCI, "error requesting BARs, aborting"),
    _step(LoadStep.PCI, "Failed setting DMA capabilities mask, aborting"),
    _step(LoadStep.PCI, "Can't set PCI DMA mask, aborting"),
    _step(LoadStep.PCI, "Can't set consistent PCI DMA mask, aborting"),
    _step(LoadStep.PCI, "Couldn't get PCI resources, aborting"),
    _step(LoadStep.PCI, "Failed mapping initialization segment, aborting"),
    _step(LoadStep.PCI, "mlx5_pci_init failed with error code -12"),
    _step(LoadStep.PCI, "PCI interface is down, giving up"),
    _step(LoadStep.FIRMWARE, "Failed initializing timeouts, aborting"),
    _step(LoadStep.FIRMWARE, "failed to read dtor"),
    _step(LoadStep.FIRMWARE, "Device in internal error state, giving up"),
    _step(LoadStep.COMMANDS, "Failed initializing command interface, aborting"),
    _step(LoadStep.COMMANDS, "Failed initializing cmdif SW structs, aborting"),
    _step(LoadStep.COMMANDS, "firmware reports too many outstanding commands"),
    _step(LoadStep.COMMANDS, "command queue size overflow"),
    _step(LoadStep.COMMANDS, "invalid command queue address"),
    _step(LoadStep.ENABLE, "enable hca failed"),
    _step(LoadStep.ENABLE, "mlx5_function_enable err=-12"),
    _step(LoadStep.ISSI, "failed to set issi"),
    _step(LoadStep.ISSI, "Failed to query ISSI err(-12) status(0) synd(0)"),
    _step(LoadStep.ISSI, "Failed to set ISSI to 1 err(-12)"),
    _step(LoadStep.BOOT_PAGES, "failed to allocate boot pages"),
    _step(LoadStep.CONTROL, "set_hca_ctrl failed"),
    _step(LoadStep.CONTROL, "Failed to set hca defaults"),
    _row(
        "handle_hca_cap_atomic failed",
        "hca_cap",
        r"(?:handle|set)_hca_cap\w* failed",
        lambda f: LoadStepFailed(**f.where, step=LoadStep.CAPABILITIES),
        trouble=True,
    ),
    _step(LoadStep.CAPABILITIES, "mlx5_query_hca_caps_light err=-12"),
    _step(LoadStep.INIT_PAGES, "failed to allocate init pages"),
    _step(LoadStep.INIT, "init hca failed"),
    _step(LoadStep.QUERY, "query hca failed"),
    _step(LoadStep.QUERY, "query board id failed"),
    _step(LoadStep.QUEUES, "enable msix failed"),
    _step(LoadStep.QUEUES, "alloc irq vectors failed"),
    _step(LoadStep.QUEUES, "Failed to alloc IRQs"),
    _step(LoadStep.QUEUES, "Failed to start pages and async EQs"),
    _step(LoadStep.QUEUES, "Failed to alloc completion EQs"),
    _step(LoadStep.QUEUES, "Failed to create EQs"),
    _step(LoadStep.QUEUES, "failed to initialize eq"),
    _step(LoadStep.QUEUES, "failed to initialize irq table"),
    _step(LoadStep.PARTS, "Failed allocating uar, aborting"),
    _step(LoadStep.PARTS, "Failed allocating bfreg, -12"),
    _step(LoadStep.PARTS, "Failed to alloc flow steering"),
    _step(LoadStep.PARTS, "Failed to init flow steering"),
    _step(LoadStep.PARTS, "Failed to init embedded CPU"),
    _step(LoadStep.PARTS, "Failed to init rate limiting"),
    _step(LoadStep.PARTS, "Failed to init l2 table -12"),
    _step(LoadStep.PARTS, "Failed to init sriov -12"),
    _step(LoadStep.PARTS, "Failed to init eswitch -12"),
    _step(LoadStep.PARTS, "sriov init failed -12"),
    _step(LoadStep.PARTS, "sw objs init failed"),
    _step(LoadStep.PARTS, "register device failed -12"),
    _step(LoadStep.PARTS, "failed to initialize events"),
    _step(LoadStep.PARTS, "failed to initialize fw reset events"),
    _row(
        "mlx5_init_one failed with error code -110",
        "mlx5_",
        r"(?:\w+: )?mlx5_(?:load|init)_one\w*(?: failed with error code:? |:? err ?= ?| failed:? )(?P<err>-?\d+)",
        lambda f: LoadFailed(**f.where, err=f.number("err")),
        trouble=True,
    ),
    _row(
        "probe with driver mlx5_core failed with error -110",
        "probe",
        r"probe (?:with driver \S+|of \S+) failed with error (?P<err>-?\d+)",
        lambda f: LoadFailed(**f.where, err=f.number("err")),
        trouble=True,
    ),
    # -- firmware's own words
    _row(
        "Health issue observed, firmware internal error, severity(3) ERROR:",
        "Health issue observed",
        r"Health issue observed, (?P<words>.*?),? severity\((?P<severity>\d+)\)",
        lambda f: HealthIssue(**f.where, words=f.text("words"), severity=f.required("severity")),
        trouble=True,
    ),
    _row(
        "synd 0x1: firmware internal error",
        "synd 0x",
        r"synd 0x(?P<synd>[0-9a-f]+): (?P<words>.*)",
        lambda f: HealthCode(**f.where, synd=f.required("synd", 16), words=f.text("words")),
        trouble=True,
    ),
    _row(
        "assert_var[0] 0x0521945b",
        "assert_var[",
        r"assert_var\[(?P<index>\d+)\] (?P<value>0x[0-9a-f]+)$",
        lambda f: AssertVar(**f.where, index=f.required("index"), value=f.text("value")),
    ),
    # "ext_sync" is the spelling of old kernels
    _row(
        "ext_synd 0x8f7a",
        "ext_syn",
        r"ext_syn[dc] (?P<value>0x[0-9a-f]+)$",
        lambda f: _health(f, HealthField.EXT_SYND),
    ),
    _row(
        "assert_exit_ptr 0x21492f38",
        "assert_exit_ptr",
        r"assert_exit_ptr (?P<value>0x[0-9a-f]+)$",
        lambda f: _health(f, HealthField.ASSERT_EXIT_PTR),
    ),
    _row(
        "assert_callra 0x2102d5f0",
        "assert_callra",
        r"assert_callra (?P<value>0x[0-9a-f]+)$",
        lambda f: _health(f, HealthField.ASSERT_CALLRA),
    ),
    _row(
        "fw_ver 22.44.1036",
        "fw_ver ",
        r"fw_ver (?P<value>\d+\.\d+\.\d+|0x[0-9a-f]+)$",
        lambda f: _health(f, HealthField.FW_VER),
    ),
    _row(
        "raw fw_ver 0x162c040c",
        "raw fw_ver",
        r"raw fw_ver (?P<value>0x[0-9a-f]+)$",
        lambda f: _health(f, HealthField.RAW_FW_VER),
    ),
    _row("hw_id 0x00000212", "hw_id ", r"hw_id (?P<value>0x[0-9a-f]+)$", lambda f: _health(f, HealthField.HW_ID)),
    _row("time 1742220438", "time ", r"time (?P<count>\d+)$", lambda f: _health(f, HealthField.TIME)),
    _row("rfr 0", "rfr ", r"rfr (?P<count>\d+)$", lambda f: _health(f, HealthField.RFR)),
    _row("crr 0", "crr ", r"crr (?P<count>\d+)$", lambda f: _health(f, HealthField.CRR)),
    _row(
        "severity 3 (ERROR)",
        "severity ",
        r"severity (?P<count>\d+)(?: \(|$)",
        lambda f: _health(f, HealthField.SEVERITY),
    ),
    _row(
        "irisc_index 3", "irisc_index ", r"irisc_index (?P<count>\d+)$", lambda f: _health(f, HealthField.IRISC_INDEX)
    ),
    _row(
        "Cold reset is required",
        "Cold reset",
        r"Cold reset is required",
        lambda f: ColdResetRequired(**f.where),
        trouble=True,
    ),
    _row(
        "High temperature on sensors with bit set 0 0x1.",
        "High temperature on sensors",
        r"High temperature on sensors with bit set (?P<sensors>(?:0x)?[0-9a-f]+ (?:0x)?[0-9a-f]+)",
        lambda f: HighTemperature(**f.where, sensors=f.text("sensors")),
        trouble=True,
    ),
    _row(
        "Sensor name[0]: asic",
        "Sensor name[",
        r"Sensor name\[(?P<index>\d+)\]: (?P<name>.+)",
        lambda f: HotSensor(**f.where, index=f.required("index"), name=f.text("name")),
    ),
    _row(
        "Detected insufficient power on the PCIe slot (27W).",
        "insufficient power",
        r"Detected insufficient power on the PCIe slot(?: \((?P<watts>\d+) ?W\))?",
        lambda f: SlotPowerShort(**f.where, watts=f.number("watts")),
        trouble=True,
    ),
    _row(
        "Port module event[error]: module 1, Cable error, Bus stuck (I2C or data shorted)",
        "odule",
        r"Port module event\[error\]: module (?P<module>\d+), (?:Cable error, )?(?P<words>.+)",
        lambda f: ModuleError(**f.where, module=f.required("module"), words=f.text("words")),
        trouble=True,
    ),
    # FreeBSD
    _row(
        "Module 1, status: error, Bus stuck (I2C or data shorted) (2)",
        "status: error",
        r"Module (?P<module>\d+), status: error, (?P<words>.+?)(?: \(\d+\))?$",
        lambda f: ModuleError(**f.where, module=f.required("module"), words=f.text("words")),
        trouble=True,
    ),
)


def read_message(place: Place, device: str, function: str | None, message: str) -> DriverLine | MissingInput | None:
    """The observation that a message is, None where no wording matches.

    ``function`` is the driver's function that printed it, where the line names it. A line with numbers that the driver
    cannot have printed is damaged: MissingInput.
    """
    if len(message) > MAX_MESSAGE:  # Python does not convert numbers of any length, either
        return None
    found = _read(place, device, function, message)
    if found is None and function is None and (parts := retyped(message)) is not None:
        return _read(place, device, *parts)
    return found


def _read(place: Place, device: str, function: str | None, message: str) -> DriverLine | MissingInput | None:
    for w in WORDINGS:
        if w.needle in message and (not w.printed_by or function in w.printed_by) and (m := w.pattern.match(message)):
            try:
                return w.build(Fields(place, device, message, m))
            except ImplausibleNumberError:
                detail = f"{message[:80]}: no driver says such numbers"
                return MissingInput(place=place, device=device, cause=Cause.LOG_LINES_LOST, detail=detail)
    return None
