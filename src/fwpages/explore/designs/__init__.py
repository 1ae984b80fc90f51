"""The designs under comparison, by name: Linux's patch as first posted, Linux 7.2, and ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from fwpages.explore.designs.linux.choices import MERGED, POSTED, Choices
from fwpages.explore.designs.linux.driver import Linux
from fwpages.explore.designs.own import Own
from fwpages.explore.model.driver import Driver, DriverConfig

DESIGNS: Mapping[str, Callable[[DriverConfig], Driver]] = MappingProxyType(
    {"posted": partial(Linux, POSTED), "merged": partial(Linux, MERGED), "fwpages": Own}
)

DESIGN_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "posted": "the patch that brings VHCA_ID mode to Linux, as first posted; a model",
        "merged": "Linux 7.2 as released; a model",
        "fwpages": "our host, the very code that drives devices",
    }
)

__all__ = ["DESIGNS", "DESIGN_WORDS", "MERGED", "POSTED", "Choices", "Linux", "Own"]
