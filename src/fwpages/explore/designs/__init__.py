"""The designs under comparison, by name: the variants of Linux (``linux/choices.py``) and our own host."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from fwpages.explore.designs.linux.choices import MERGED, POSTED, VARIANTS, Choices
from fwpages.explore.designs.linux.driver import Linux
from fwpages.explore.designs.own import Own
from fwpages.explore.model.driver import Driver, DriverConfig

DESIGNS: Mapping[str, Callable[[DriverConfig], Driver]] = MappingProxyType(
    {**{variant.name: partial(Linux, variant) for variant in VARIANTS}, "fwpages": Own}
)

DESIGN_WORDS: Mapping[str, str] = MappingProxyType(
    {**{variant.name: variant.words for variant in VARIANTS}, "fwpages": "our host, the very code that drives devices"}
)

__all__ = ["DESIGNS", "DESIGN_WORDS", "MERGED", "POSTED", "Choices", "Linux", "Own"]
