"""The instruments of a kernel, by the lines that its guest prints of them."""

from __future__ import annotations

from fwpages.trial.instruments import instruments
from fwpages.trial.seen import Instruments

DEBIAN = """slub_debug 1
slab 8
lockdep -
kmemleak -
dma_debug -
hung_task 20
iommu DMA
kasan -
"""


def test_a_kernel_of_debian_with_slub_debugging() -> None:
    assert instruments(DEBIAN) == Instruments(
        slub_debug=True,
        kasan=False,
        lockdep=False,
        kmemleak=False,
        dma_debug=False,
        hung_task=True,
        strict_iommu=True,
    )


def test_a_kernel_that_has_them_all() -> None:
    said = instruments(
        "slub_debug 1\nslab 8\nlockdep 1\nkmemleak \ndma_debug N\nhung_task 20\niommu DMA-FQ\nkasan yes\n"
    )
    assert (said.kasan, said.lockdep, said.kmemleak, said.dma_debug, said.strict_iommu) == (True,) * 4 + (False,)


def test_lockdep_that_has_turned_itself_off_is_none() -> None:
    assert instruments("lockdep 0\n").lockdep is False


def test_what_no_line_tells_is_not_known() -> None:
    assert instruments("") == Instruments()
    assert instruments("slab -\nslub_debug -\niommu -\n") == Instruments()
    assert instruments("dma_debug Y\nhung_task 0\nslub_debug 0\nslab 8\n") == Instruments(
        slub_debug=False, dma_debug=False, hung_task=False
    )
