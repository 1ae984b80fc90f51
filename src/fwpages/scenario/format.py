"""The scenario file: TOML in, typed values out. An error names the key path and what was expected there."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import msgspec

from fwpages.host import Bounds, WantedMode
from fwpages.prm.identity import FunctionType

Pages: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
SignedPages: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
#: up to some thirty years: nothing in a life lasts longer, and no time is infinite
Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Number16: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]


class ScenarioError(ValueError):
    """A scenario that cannot be used: unreadable, not TOML, or a value does not fit; names the key path."""


class DeviceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[device]``: a profile by name, and what differs from it: start-up pages, general capabilities offered."""

    profile: str
    capabilities: dict[str, int] = {}
    boot_pages: Pages | None = None
    init_pages: Pages | None = None


class FunctionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[[function]]``: one function beside the supplier itself.

    ``index`` counts within its type from 0; ``pages`` is what its firmware wants once it is enabled (4 KiB pages).
    """

    name: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_-]*$")]
    type: Literal["vf", "sf", "host_pf", "spf", "ec_vf"]
    vhca_id: Number16
    index: Number16 = 0
    pages: Pages = 0

    @property
    def kind(self) -> FunctionType:
        """The type as the rest of the code names it."""
        return FunctionType(self.type)


class _Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do", kw_only=True):
    """What every ``[[step]]`` may say about when it happens.

    Without any of these a step happens when the one before has come to rest. ``at``: at this time (seconds);
    ``after``: when this has happened (``open``, ``enable vf0``, ``request vf0`` …); ``command``: as soon as this many
    commands were submitted. ``settle = false``: the next step does not wait for this one to come to rest.
    ``only``: not in a session of the other mode.
    """

    at: Seconds | None = None
    after: str | None = None
    command: Annotated[int, msgspec.Meta(ge=1)] | None = None
    settle: bool = True
    only: Literal["func_id", "vhca_id"] | None = None

    @property
    def triggered(self) -> bool:
        """It happens out of the row, when its moment comes."""
        return self.at is not None or self.after is not None or self.command is not None


class OpenStep(_Step, frozen=True, tag="open"):
    """Open the device; ``mode`` counts unless the run asks for one."""

    mode: WantedMode = "auto"


class CloseStep(_Step, frozen=True, tag="close"):
    """Close it: pages are taken back (graceful), or fenced off (fast: kexec; forced: firmware reset)."""

    how: Literal["graceful", "fast", "forced"] = "graceful"


class EnableStep(_Step, frozen=True, tag="enable"):
    """Enable functions (a name, or a pattern like ``vf*``) through the e-switch."""

    function: str


class DisableStep(_Step, frozen=True, tag="disable"):
    """Disable functions through the e-switch."""

    function: str


class RequestStep(_Step, frozen=True, tag="request"):
    """Firmware wants so many more pages for each of these functions, or gives so many back.

    ``self`` is the supplier.
    """

    function: str
    pages: SignedPages


class ResetStep(_Step, frozen=True, tag="reset"):
    """A function-level reset of these functions."""

    function: str


class HealthStep(_Step, frozen=True, tag="health"):
    """The health buffer reports a fatal syndrome."""

    reason: str = "firmware internal error"


class LoseStep(_Step, frozen=True, tag="lose-link"):
    """The device stops answering."""

    reason: str = "all reads return ones"


class WaitStep(_Step, frozen=True, tag="wait"):
    """Nothing happens for so many seconds."""

    seconds: Seconds


Step: TypeAlias = (
    OpenStep | CloseStep | EnableStep | DisableStep | RequestStep | ResetStep | HealthStep | LoseStep | WaitStep
)


class FaultTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[[fault]]``: what goes wrong, at its ``at``-th opportunity and ``times`` in a row (0: at all that follow)."""

    name: str
    at: Annotated[int, msgspec.Meta(ge=1)] = 1
    times: Annotated[int, msgspec.Meta(ge=0)] = 1


class BoundsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[bounds]``: the host's bounds where they differ from its own (``fwpages.host.Bounds``)."""

    pages_per_command: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] | None = None
    queue: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] | None = None
    memory: Annotated[int, msgspec.Meta(ge=1, le=1 << 28)] | None = None
    command: Seconds | None = None
    reclaim_progress: Seconds | None = None
    reclaim_overall: Seconds | None = None
    wait_progress: Seconds | None = None
    wait_overall: Seconds | None = None

    def bounds(self) -> Bounds:
        """The host's bounds with these in place."""
        return Bounds(**{k: v for k, v in msgspec.structs.asdict(self).items() if v is not None})


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A device, its functions, and what happens to them."""

    description: str = ""
    device: DeviceTable
    function: tuple[FunctionTable, ...] = ()
    step: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1)]
    fault: tuple[FaultTable, ...] = ()
    bounds: BoundsTable = BoundsTable()


def names() -> list[str]:
    """The scenarios that come with the package."""
    return sorted(f.name[:-5] for f in _library().iterdir() if f.name.endswith(".toml"))


def load(name_or_path: str, text: str | None = None) -> Scenario:
    """A scenario of the package by name, or a file (anything with a dot or a slash in it); ScenarioError otherwise.

    ``text`` is the file's content where it was read already (from standard input).
    """
    if text is None:
        text = _read(name_or_path)
    try:
        return msgspec.convert(tomllib.loads(text), Scenario)
    except tomllib.TOMLDecodeError as e:
        raise ScenarioError(f"{name_or_path}: not TOML: {e}") from None
    except msgspec.ValidationError as e:
        raise ScenarioError(f"{name_or_path}: {e}") from None


def _read(name_or_path: str) -> str:
    if name_or_path in names():
        return (_library() / f"{name_or_path}.toml").read_text("utf-8")
    path = Path(name_or_path)
    if path.suffix != ".toml" and "/" not in name_or_path and not path.exists():
        raise ScenarioError(f"there is no scenario {name_or_path!r}; there are {', '.join(names())}, or a TOML file")
    try:
        return path.read_text("utf-8")
    except OSError as e:
        raise ScenarioError(f"{name_or_path}: {e.strerror or e}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{name_or_path}: not text in UTF-8") from None


def _library() -> resources.abc.Traversable:
    return resources.files("fwpages.scenario") / "library"
