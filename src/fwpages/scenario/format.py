"""The scenario file: TOML in, typed values out. An error names the key path and the values expected there.

Each table of the file is a class here, and so is each kind of step: to add one, add a class and name it in ``Step``.
``fwpages.scenario.interpreter`` says what else a new step needs, and carries the steps out.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args

import msgspec

from fwpages.device import Asks, Moment
from fwpages.host import Bounds, WantedMode
from fwpages.pages.words import meant
from fwpages.prm.identity import FunctionType
from fwpages.scenario.format_errors import misfit

Pages: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
SignedPages: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
#: up to some thirty years: nothing in a run lasts longer, and no time is infinite
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Number16: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
#: any value of a capability field; ``topology`` checks it against the field's width
Number32: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]

#: an assumption about firmware, host pages or the e-switch, on or off; ``fwpages.scenario.assumptions`` explains each
Switch: TypeAlias = Literal[
    "vport_command_waits",
    "another_ahead",
    "never_uplink",
    "boot_names_zero",
    "switch_at_set_cap",
    "host_pages_4k",
    "keeps_vhca_id",
    "software_reset",
]
When: TypeAlias = Annotated[str, msgspec.Meta(pattern="^(not )?(" + "|".join(get_args(Switch)) + ")$")]


class ScenarioError(ValueError):
    """A scenario cannot be used: it cannot be read, is not TOML, or a value in it does not fit; names the key path."""


@contextmanager
def about(name: str) -> Iterator[None]:
    """Put this name before the text of a ScenarioError raised inside."""
    try:
        yield
    except ScenarioError as e:
        raise ScenarioError(f"{name}: {e}") from None


class DeviceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[device]``: a profile by name, and the differences from it: start-up pages, general capabilities offered."""

    profile: str
    capabilities: dict[str, Number32] = {}
    boot_pages: Pages | None = None
    init_pages: Pages | None = None


class FunctionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[[function]]``: one function beside the supplier itself.

    ``index`` counts within its type from 0; ``pages`` (4 KiB each) are those that firmware wants once it is enabled.
    ``reuses``: another function, disabled before this one is enabled, whose vhca_id this one has.
    ``adjacent_vf`` is a VF of another PF that this e-switch manages (VHCA_ID mode). No driver enables an ``uplink`` or
    an ``ecpf`` by its vport, and firmware has no reason to ask for them: they are there to see what happens if it does.
    ``next_vhca_id``: the one that a function of a served device has once it was disabled and its pages are back.
    ``asks``: whether an SF of a served device wants its pages when it is allocated, or when it is activated.
    ``when`` names an assumption (or ``not`` and one) under which the function is there.
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_-]*$")]
    type: Literal["vf", "sf", "host_pf", "spf", "ec_vf", "adjacent_vf", "uplink", "ecpf"]
    vhca_id: Number16
    index: Number16 = 0
    pages: Pages = 0
    reuses: str = ""
    next_vhca_id: Number16 | None = None
    asks: Asks = Asks.ALLOC
    when: When | None = None

    @property
    def kind(self) -> FunctionType:
        """The type as the rest of the code has it."""
        others = {"adjacent_vf": "vf", "uplink": "unknown", "ecpf": "unknown"}
        return FunctionType(others.get(self.type, self.type))


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", kw_only=True):
    """The keys of every ``[[step]]``: its trigger and its conditions.

    Without a trigger a step is taken when nothing is pending from the one before. Triggers: ``at`` this time (seconds);
    ``after`` this has happened (``open``, ``enable vf0``, ``request vf0`` …); ``command``: as soon as this many
    commands were submitted. ``settle = false``: the next step does not wait for this one. ``only``: not in a session of
    the other mode. ``when``: only under this assumption (or ``not`` and one).
    """

    at: Seconds | None = None
    after: str | None = None
    command: Annotated[int, msgspec.Meta(ge=1)] | None = None
    settle: bool = True
    only: Literal["func_id", "vhca_id"] | None = None
    when: When | None = None

    @property
    def kind(self) -> str:
        """The kind of step, as ``do`` names it."""
        return str(self.__struct_config__.tag)

    @property
    def triggered(self) -> bool:
        """It has a trigger: it is taken out of the row, when that comes."""
        return self.at is not None or self.after is not None or self.command is not None


class OpenStep(_Step, frozen=True, tag="open"):
    """Open the device; ``mode`` is asked for unless the run asks for one."""

    mode: WantedMode = "auto"


class CloseStep(_Step, frozen=True, tag="close"):
    """Close the device: pages are taken back (graceful), or fenced off (fast: kexec; forced: firmware reset)."""

    how: Literal["graceful", "fast", "forced"] = "graceful"


class EnableStep(_Step, frozen=True, tag="enable"):
    """Enable functions (a name, or a pattern like ``vf*``) through the e-switch."""

    function: str


class DisableStep(_Step, frozen=True, tag="disable"):
    """Disable functions through the e-switch."""

    function: str


class RequestStep(_Step, frozen=True, tag="request"):
    """Firmware wants so many more pages for each of these functions, or gives so many back if negative.

    ``self`` is the supplier's own function.
    """

    function: str
    pages: SignedPages


class ResetStep(_Step, frozen=True, tag="reset"):
    """Reset these functions (function-level reset)."""

    function: str


class HealthStep(_Step, frozen=True, tag="health"):
    """Let the health buffer report a fatal syndrome."""

    reason: str = "firmware internal error"


class LoseStep(_Step, frozen=True, tag="lose-link"):
    """Let the device stop answering."""

    reason: str = "all reads return ones"


class WaitStep(_Step, frozen=True, tag="wait"):
    """Let so many seconds pass."""

    seconds: Seconds


Step: TypeAlias = (
    OpenStep | CloseStep | EnableStep | DisableStep | RequestStep | ResetStep | HealthStep | LoseStep | WaitStep
)


class FaultTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[[fault]]``: a fault injected at its ``at``-th opportunity and ``times`` in a row (0: at all that follow).

    ``during``: only opportunities of this moment count (a fault of the device). In a world that is explored it may be
    injected at any opportunity; ``at`` and ``during`` must be left out there.
    """

    name: str
    at: Annotated[int, msgspec.Meta(ge=1)] = 1
    times: Annotated[int, msgspec.Meta(ge=0)] = 1
    during: Moment | None = None
    when: When | None = None


class BoundsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[bounds]``: the host's bounds where they differ from its own (``fwpages.host.Bounds``).

    The last three are those of an exploration: how many faults may be injected and how many time-outs may come while an
    answer is pending, in one path; and how many states are visited before the search gives up.
    """

    pages_per_command: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] | None = None
    queue: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] | None = None
    memory: Annotated[int, msgspec.Meta(ge=1, le=1 << 28)] | None = None
    command: Seconds | None = None
    reclaim_progress: Seconds | None = None
    reclaim_retry: Seconds | None = None
    reclaim_overall: Seconds | None = None
    wait_progress: Seconds | None = None
    wait_overall: Seconds | None = None
    fence: Seconds | None = None
    faults: Annotated[int, msgspec.Meta(ge=0, le=16)] = 1
    timeouts: Annotated[int, msgspec.Meta(ge=0, le=16)] = 0
    states: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000

    def bounds(self) -> Bounds:
        """The host's bounds with these values in place of its own."""
        mine = {f.name for f in dataclasses.fields(Bounds)}
        return Bounds(**{k: v for k, v in msgspec.structs.asdict(self).items() if k in mine and v is not None})


class ExpectTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[expect]``: the properties that an exploration is to show, by name (``fwpages list properties``).

    ``always`` ones hold in every state, ``never`` ones in none; ``eventually`` ones come true on every path once faults
    stop; ``sometimes`` ones are reached at least once: a world that never reaches its point shows nothing.
    """

    always: tuple[str, ...] = ("custody",)
    never: tuple[str, ...] = ()
    eventually: tuple[str, ...] = ()
    sometimes: tuple[str, ...] = ()


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device, its functions, the steps of a run, and its faults."""

    description: str = ""
    device: DeviceTable
    function: tuple[FunctionTable, ...] = ()
    step: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1)]
    fault: tuple[FaultTable, ...] = ()
    bounds: BoundsTable = BoundsTable()
    assume: dict[Switch, bool] = {}
    expect: ExpectTable = ExpectTable()


@dataclasses.dataclass(frozen=True, slots=True)
class Library:
    """The files of a folder of the package, by name; ``what`` is the word for one of them in messages."""

    what: str
    package: str
    folder: str

    def names(self) -> list[str]:
        """The names of the files that come with the package."""
        folder = self._folder()
        return sorted(f.name[:-5] for f in folder.iterdir() if f.name.endswith(".toml")) if folder.is_dir() else []

    def load(self, name_or_path: str, text: str | None = None) -> Scenario:
        """Read a file of the package by name, or a file of one's own (anything with a dot or a slash in it).

        ``text`` is the file's content where it was read already (from standard input). ScenarioError for a file that
        is not there, cannot be read or does not fit.
        """
        if text is None:
            text = self._read(name_or_path)
        with about(name_or_path):
            data = _parsed(text)
            try:
                return msgspec.convert(data, Scenario)
            except msgspec.ValidationError as e:
                raise ScenarioError(misfit(e, data, Scenario)) from None

    def _read(self, name_or_path: str) -> str:
        if name_or_path in self.names():
            return (self._folder() / f"{name_or_path}.toml").read_text("utf-8")
        path = Path(name_or_path)
        if path.suffix != ".toml" and "/" not in name_or_path and not path.exists():
            near = meant(name_or_path, self.names())
            raise ScenarioError(f"there is no {self.what} {name_or_path!r}; {near} (or name a TOML file)")
        try:
            return path.read_text("utf-8")
        except OSError as e:
            raise ScenarioError(f"{name_or_path}: {e.strerror or e}") from None
        except UnicodeDecodeError:
            raise ScenarioError(f"{name_or_path}: not text in UTF-8") from None

    def _folder(self) -> resources.abc.Traversable:
        return resources.files(self.package) / self.folder


def _parsed(text: str) -> dict[str, object]:
    """Parse TOML, with or without a byte order mark; ScenarioError for text that is not TOML, or too large a number."""
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as e:
        raise ScenarioError(f"not TOML: {e}") from None
    except ValueError:
        # Python reads no decimal number of more than 4,300 digits; which one it was, it does not say
        raise ScenarioError("a number in it is too long: expected 64 bits at most") from None
    except RecursionError:
        raise ScenarioError("lists or tables are nested too deeply in it: expected a few levels") from None


_LIBRARY = Library("scenario", "fwpages.scenario", "library")


def names() -> list[str]:
    """The names of the scenarios that come with the package."""
    return _LIBRARY.names()


def load(name_or_path: str, text: str | None = None) -> Scenario:
    """Read a scenario of the package by name, or a file; ScenarioError as ``Library.load``."""
    return _LIBRARY.load(name_or_path, text)
