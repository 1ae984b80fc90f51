"""The instruments of a running kernel, read from its own files by ``instruments`` of ``init``."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fwpages.trial.seen import Instruments

#: a file that is not there, in the output of ``init``
_ABSENT = "-"


def instruments(text: str) -> Instruments:
    """The instruments that these lines, "name value" each, tell; those that no line tells are not known."""
    found = dict(row.split(" ", 1) for row in text.splitlines() if " " in row)
    return Instruments(
        # the files of a slab cache are there with CONFIG_SYSFS, the one for red zones with CONFIG_SLUB_DEBUG
        slub_debug=_slub(found),
        kasan=_told(found, "kasan", lambda value: value == "yes"),
        lockdep=_told(found, "lockdep", lambda value: value == "1"),
        kmemleak=_told(found, "kmemleak", lambda _: True),
        dma_debug=_told(found, "dma_debug", lambda value: value == "N"),
        hung_task=_told(found, "hung_task", lambda value: value != "0"),
        strict_iommu=_iommu(found),
    )


def _told(found: Mapping[str, str], name: str, means: Callable[[str], bool]) -> bool | None:
    """The meaning of a value; False where the file is not there, None where nothing was said."""
    value = found.get(name)
    if value is None:
        return None
    return value.strip() != _ABSENT and means(value.strip())


def _slub(found: Mapping[str, str]) -> bool | None:
    if found.get("slab", _ABSENT).strip() == _ABSENT and found.get("slub_debug", _ABSENT).strip() == _ABSENT:
        return None
    return found.get("slub_debug", "").strip() == "1"


def _iommu(found: Mapping[str, str]) -> bool | None:
    """``DMA`` is strict, ``DMA-FQ`` unmaps late, ``identity`` never (Documentation/ABI, iommu_groups)."""
    value = found.get("iommu", _ABSENT).strip()
    return None if value == _ABSENT else value == "DMA"
