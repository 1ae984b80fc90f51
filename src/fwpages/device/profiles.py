"""Devices as data: one TOML file each in ``device/profiles``, read into a ``Profile``. Counts are 4 KiB pages."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import msgspec

from fwpages.device.firmware.page_order import Order
from fwpages.device.timeouts import Timeouts
from fwpages.pages.words import meant
from fwpages.prm.capability import GENERAL
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.identity import Supplier
from fwpages.prm.opcodes import CapType

_Pages = Annotated[int, msgspec.Meta(ge=0, le=(1 << 31) - 1)]
_Field = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
_Word = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]

#: capabilities that follow from the profile's other keys
DERIVED = ("vhca_id", "sf", "log_max_sf", "max_num_sf", "sf_base_id")


class ProfileError(ValueError):
    """A profile that does not exist or cannot be used; the text names it and the path of the key."""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The properties of one device's firmware that its page supplier can observe.

    ``max`` are the general capabilities that it offers, ``current`` those that are set before any SET_HCA_CAP, both
    by the names of ``prm.capability.GENERAL`` without those that follow from other keys (vhca_id, sf, …).
    ``pages`` are whole capability pages as a device gave them, hexadecimal without the zeros at the end, by type and
    kind (``general.max``, ``0x7.current``): the source of fields that have no name.
    ``take_limit``: the most pages that one TAKE returns (Linux: MAX_RECLAIM_NPAGES). ``order``: which pages firmware
    returns first; ``seed`` decides in shuffled order. ``timeouts``: those that a served device tells its driver;
    without them it tells none. ``software_reset``: a driver of a served device can reset it by software.
    ``function_id_type_vhca_id``: a served device offers that commands of the e-switch name functions by vhca_id.
    """

    name: str
    description: str
    boot_pages: _Pages
    init_pages: _Pages
    vhca_id: _Word
    ecpf: bool = False
    max_vfs: _Word = 0
    max_ec_vfs: _Word = 0
    sf_base_id: _Word = 0
    max_sf: _Word = 0
    take_limit: Annotated[int, msgspec.Meta(ge=1, le=(1 << 31) - 1)] = 50_000
    order: Order = "lifo"
    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 48)] = 0
    max: dict[str, _Field] = {}
    current: dict[str, _Field] = {}
    pages: dict[str, str] = {}
    timeouts: Timeouts | None = None
    software_reset: bool = True
    function_id_type_vhca_id: bool = False

    @property
    def capability_pages(self) -> dict[tuple[int, bool], bytes]:
        """``pages`` as bytes, by (type, current)."""
        return {_page_key(key): bytes.fromhex(text).ljust(CAP_PAGE, b"\0") for key, text in self.pages.items()}

    @property
    def supplier(self) -> Supplier:
        """The supplier's own properties on this device."""
        return Supplier(self.ecpf, self.max_vfs, self.max_ec_vfs)

    def capabilities(self, *, current: bool) -> dict[str, int]:
        """Return the general capability fields at power-on, current or maximum, the derived ones included."""
        derived = {"vhca_id": self.vhca_id}
        if self.max_sf:
            derived |= {
                "sf": 1,
                "log_max_sf": (self.max_sf - 1).bit_length(),
                "max_num_sf": self.max_sf,
                "sf_base_id": self.sf_base_id,
            }
        return {**(self.current if current else self.max), **derived}


def _page_key(key: str) -> tuple[int, bool]:
    """Parse ``general.max`` or ``0x7.current`` into (type, current); ValueError for anything else."""
    kind, _, which = key.partition(".")
    if which not in ("max", "current"):
        raise ValueError(f"{key}: write TYPE.max or TYPE.current")
    number = next((int(t) for t in CapType if t.name.lower() == kind), None)
    return int(kind, 16) if number is None else number, which == "current"


def names() -> list[str]:
    """Return the names of the profiles that come with the package, sorted."""
    found = (f.name for f in files("fwpages.device").joinpath("profiles").iterdir())
    return sorted(n.removesuffix(".toml") for n in found if n.endswith(".toml"))


def profile(name: str) -> Profile:
    """Load a profile by name, or from a file (a path that ends in .toml); ProfileError lists the names."""
    if name.endswith(".toml"):
        try:
            return parse(Path(name).read_text("utf-8"), name)
        except (OSError, UnicodeDecodeError) as e:
            raise ProfileError(f"profile {name} cannot be read: {e}") from None
    if name not in names():
        raise ProfileError(f"no profile {name!r}; {meant(name, names())}")
    text = files("fwpages.device").joinpath("profiles", f"{name}.toml").read_text("utf-8")
    return parse(text, name)


def parse(text: str, where: str) -> Profile:
    """Parse TOML into a profile; ProfileError names ``where`` and the key."""
    try:
        new = msgspec.toml.decode(text.removeprefix("\ufeff"), type=Profile)
    except msgspec.DecodeError as e:
        raise ProfileError(f"profile {where}: {e}") from e
    except ValueError:
        # Python reads no decimal number of more than 4,300 digits and does not name the one that it refused
        raise ProfileError(f"profile {where}: a number in it is too long: expected 64 bits at most") from None
    except RecursionError:
        raise ProfileError(f"profile {where}: lists or tables are nested too deeply in it") from None
    _check(new, where)
    return new


def _check(new: Profile, where: str) -> None:
    _check_capabilities(new.max, where, "max")
    _check_capabilities(new.current, where, "current")
    for key, text in new.pages.items():
        try:
            _page_key(key)
            if len(bytes.fromhex(text)) > CAP_PAGE:
                raise ValueError(f"a capability page has {CAP_PAGE} bytes")
        except ValueError as e:
            raise ProfileError(f"profile {where}: {e} - at `$.pages`") from None
    beyond = exceeding(new.current, new.max)
    if beyond is not None:
        raise ProfileError(f"profile {where}: {beyond} is more than max offers - at `$.current.{beyond}`")
    if new.current.get("icm_mng_function_id_mode"):
        raise ProfileError(
            f"profile {where}: a session starts in FUNC_ID mode - at `$.current.icm_mng_function_id_mode`"
        )


def _check_capabilities(fields: Mapping[str, int], where: str, table: str) -> None:
    for key, value in fields.items():
        field = GENERAL.by_name.get(key)
        if field is None or key in DERIVED:
            why = "follows from the profile's other keys" if field else "is not a general capability"
            raise ProfileError(f"profile {where}: {key} {why} - at `$.{table}.{key}`")
        if value > field.mask:
            raise ProfileError(f"profile {where}: {value} is more than {field.mask} - at `$.{table}.{key}`")


def exceeding(values: Mapping[str, int], most: Mapping[str, int]) -> str | None:
    """Return the first capability in ``values`` that is more than ``most`` offers; None where all are offered."""
    return next((k for k, v in values.items() if v > most.get(k, 0)), None)
