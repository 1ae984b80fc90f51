"""The designs under comparison, by name: the variants of Linux (``linux/choices.py``) and our own host.

The code of a design is imported when a driver of it is made: a world needs one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from fwpages.explore.designs.linux.choices import VARIANTS, Choices
from fwpages.explore.model.driver import Driver, DriverConfig


def _linux(variant: Choices, config: DriverConfig) -> Driver:
    from fwpages.explore.designs.linux.driver import Linux  # noqa: PLC0415  # of all designs one is needed

    return Linux(variant, config)


def _own(config: DriverConfig) -> Driver:
    from fwpages.explore.designs.own import Own  # noqa: PLC0415  # of all designs one is needed

    return Own(config)


DESIGNS: Mapping[str, Callable[[DriverConfig], Driver]] = MappingProxyType(
    {**{variant.name: partial(_linux, variant) for variant in VARIANTS}, "fwpages": _own}
)

DESIGN_WORDS: Mapping[str, str] = MappingProxyType(
    {**{variant.name: variant.words for variant in VARIANTS}, "fwpages": "our host, the very code that drives devices"}
)
