"""Lines of other parts of the kernel: what happened, and the function or port that they name."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.readers.inputs import open_source
from fwpages.readers.kernel_log import KernelLog
from fwpages.readers.observations import Place, PlatformEvent, PlatformLine
from fwpages.readers.platform_messages import PLATFORM_WORDINGS, PlatformWording, may_be_platform, read_platform
from tests.auditor.logs import PREFIXES, prefixed, write

AT = Place("log.txt", 3, 1.25)


@pytest.mark.parametrize("wording", PLATFORM_WORDINGS, ids=lambda w: w.example)
def test_every_wording_reads_its_own_example(wording: PlatformWording) -> None:
    assert may_be_platform(wording.example.encode())
    assert next(w for w in PLATFORM_WORDINGS if w.pattern.search(wording.example)) is wording
    v = read_platform(AT, wording.example)
    assert v is not None
    assert (v.event, v.place, v.text) == (wording.event, AT, wording.example)


@pytest.mark.parametrize("style", sorted(PREFIXES))
def test_a_line_is_read_however_it_is_printed(style: str, tmp_path: Path) -> None:
    log = [f"[{10 + i:12.6f}] {w.example}" for i, w in enumerate(PLATFORM_WORDINGS)]
    source = open_source(write(tmp_path, [*prefixed(log, style), "mlx5_core 0000:03:00.0: Link up"]))
    lines = [v for v in KernelLog(source).read() if isinstance(v, PlatformLine)]
    source.close()
    assert [(v.event, v.text) for v in lines] == [(w.event, w.example) for w in PLATFORM_WORDINGS]


E = PlatformEvent


@pytest.mark.parametrize(
    ("line", "event", "function", "port"),
    [
        (
            "pcieport 0000:16:00.0: AER: Multiple Uncorrectable (Non-Fatal) error message received from 0000:17:00.1",
            E.PCIE_ERROR,
            "0000:17:00.1",
            "0000:16:00.0",
        ),
        # the port reports an error of its own
        (
            "pcieport 0000:16:00.0: AER: Uncorrected (Fatal) error received: 0000:16:00.0",
            E.PCIE_ERROR,
            "",
            "0000:16:00.0",
        ),
        ("pcieport 0000:00:03.0: AER: Uncorrected (Fatal) error received: id=0018", E.PCIE_ERROR, "", "0000:00:03.0"),
        (
            "mlx5_core 0000:17:00.0: AER: can't recover (no error_detected callback)",
            E.PCIE_ERROR,
            "0000:17:00.0",
            "",
        ),
        ("dpc 0000:00:01.1:pcie008: DPC containment event, status:0x1f11", E.CONTAINED, "", "0000:00:01.1"),
        (
            "pcieport 0000:00:01.1: DPC: containment event, status:0x1f09, ERR_FATAL received from 0000:02:00.0",
            E.CONTAINED,
            "0000:02:00.0",
            "0000:00:01.1",
        ),
        ("pcieport 0000:64:02.0: Slot(4-1): Card not present", E.SLOT_EMPTY, "", "0000:64:02.0"),
        ("pciehp 0000:00:1c.0:pcie04: Slot(4): Power fault", E.SLOT_EMPTY, "", "0000:00:1c.0"),
        ("EEH: Fenced PHB#41 detected, location: U78D2", E.FROZEN, "", ""),
        ("EEH: Unable to recover from failure from PHB#41-PE#10000.", E.FROZEN, "", ""),
        ("DMAR:[DMA Read] Request device [04:00.0] fault addr ffff0000", E.DMA_FAULT, "04:00.0", ""),
        ("mlx5_core 0000:c1:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x31]", E.DMA_FAULT, "0000:c1:00.0", ""),
        ("AMD-Vi: Event logged [INVALID_DEVICE_REQUEST device=0000:c1:00.0 pasid=0]", E.DMA_FAULT, "0000:c1:00.0", ""),
        ("arm-smmu 5000000.iommu: Unhandled context fault: fsr=0x402, iova=0x1000", E.DMA_FAULT, "", ""),
        ("__common_interrupt: 7.34 No irq handler for vector", E.INTERRUPT_UNROUTED, "", ""),
        ("mlx5_core 0000:3b:00.4: Removing from iommu group 5", E.REMOVED, "0000:3b:00.4", ""),
    ],
)
def test_a_line_names_a_function_or_the_port_above_it(
    line: str, event: PlatformEvent, function: str, port: str
) -> None:
    v = read_platform(AT, line)
    assert v is not None
    assert (v.event, v.function, v.port) == (event, function, port)


@pytest.mark.parametrize(
    "line",
    [
        "pcieport 0000:16:00.0: AER: enabled with IRQ 31",
        "pcieport 0000:16:00.0: AER: Corrected error received: 0000:17:00.0",
        "pcieport 0000:16:00.0: AER: device recovery successful",
        "mlx5_core 0000:17:00.0: PCIe Bus Error: severity=Corrected, type=Physical Layer",
        "pcieport 0000:16:00.0: DPC: error containment capabilities: Int Msg #0, RPExt+ PoisonedTLP+ SwTrigger+",
        "pcieport 0000:64:02.0: pciehp: Slot #4 AttnBtn- PwrCtrl- MRL- AttnInd- PwrInd-",
        "pcieport 0000:64:02.0: pciehp: Slot(4): Link Up",
        "DMAR: DRHD: handling fault status reg 2",
        "DMAR: Intel(R) Virtualization Technology for Directed I/O",
        "AMD-Vi: Interrupt remapping enabled",
        "EEH: pSeries platform initialized",
        "pci 0000:5d:06.0: Adding to iommu group 161",
        "pci 0000:ba:00.2: Failed to add to iommu group 52: -16",
    ],
)
def test_ordinary_lines_are_none(line: str) -> None:
    assert read_platform(AT, line) is None


@pytest.mark.parametrize("filler", ["a", "a:", "0.1", "-", "[", " "])
def test_a_line_of_any_length_is_read_once(filler: str) -> None:
    """A search that took the square of the length would need hours for these: then this test does not come back."""
    line = filler * (200_000 // len(filler))
    assert read_platform(AT, line) is None
    event = read_platform(AT, f"{line} irq 55: nobody cared")
    assert event is not None
    assert event.event is PlatformEvent.INTERRUPT_UNROUTED
