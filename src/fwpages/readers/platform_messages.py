"""Lines of other parts of the kernel beside mlx5_core's: PCIe errors, hot-plug, the IOMMU, interrupts.

``PLATFORM_WORDINGS`` has a row for each wording. Such a line is evidence for the cause of what the driver prints around
it, and no statement about pages. It names a function in one of three manners: a pattern's group ``function`` has its
address; or the address in front of the message is the function's; or, in front of a port's lines, that of the port
above it. A line can also name none at all.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fwpages.readers.observations import Place, PlatformEvent, PlatformLine

#: characters of a line's text that an observation keeps
MAX_TEXT: Final = 300

_PCI: Final = r"(?:[0-9a-fA-F]{4,}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]"
#: names and words are bounded: a line can be of any length, and a search for a word without an end takes its square
#: `pcieport 0000:16:00.0: `, of old kernels `pciehp 0000:00:1c.0:pcie004: `, of EEH `PCI db5c:c9:00.0#10000: `
_FRONT = re.compile(rf"(?P<owner>[\w-]{{1,40}}) (?P<address>{_PCI})(?:#\w+|:pcie\d+)?: ")
#: drivers of ports: their lines are about whatever is below
_PORTS: Final = frozenset({"pcieport", "pciehp", "dpc", "aer"})
#: bytes, some of which are in each of these lines
_MAY_BE = re.compile(
    rb"AER: |PCIe Bus Error|DPC:? |EDR: |[Ss]lot|EEH: |DMAR|AMD-Vi|smmu|irq handler for|nobody cared|iommu group"
    rb"|from group|D3cold|; giving up"
)


@dataclass(frozen=True, slots=True)
class PlatformWording:
    """How some kernels word one kind of line."""

    example: str
    pattern: re.Pattern[str]
    event: PlatformEvent


def _row(event: PlatformEvent, example: str, pattern: str) -> PlatformWording:
    return PlatformWording(example, re.compile(pattern.replace("<PCI>", f"(?P<function>{_PCI})")), event)


_E = PlatformEvent

PLATFORM_WORDINGS: Final[tuple[PlatformWording, ...]] = (
    # -- PCIe errors; those that were corrected are none
    _row(
        _E.PCIE_ERROR,
        "pcieport 0000:16:00.0: AER: Uncorrected (Fatal) error received: 0000:17:00.0",
        r"AER: (?:Multiple )?Uncorrect(?:ed|able) \((?:Non-)?Fatal\) error (?:message )?received(?:(?::| from) <PCI>)?",
    ),
    _row(
        _E.PCIE_ERROR,
        "mlx5_core 0000:17:00.0: PCIe Bus Error: severity=Uncorrected (Non-Fatal), type=Transaction Layer",
        r"PCIe Bus Error: severity=Uncorrect(?:ed|able) \(",
    ),
    _row(
        _E.PCIE_ERROR,
        "pcieport 0000:16:00.0: AER: device recovery failed",
        r"AER: (?:device recovery failed|subordinate device reset failed|can't recover)",
    ),
    _row(
        _E.CONTAINED,
        "pcieport 4463:25:00.0: DPC: containment event, status:0x1f01 source:0x0000",
        r"DPC:? containment event(?:.* received from <PCI>)?",
    ),
    _row(_E.CONTAINED, "pcieport 0000:00:01.0: EDR: EDR event received", r"EDR: EDR event received"),
    # -- hot-plug
    _row(
        _E.SLOT_EMPTY,
        "pcieport 0000:64:02.0: pciehp: Slot(4): Link Down",
        r"Slot\([^()]{1,40}\): (?:Link Down|Card not present|Power fault)",
    ),
    _row(
        _E.SLOT_EMPTY,
        "pciehp 0000:00:1c.0:pcie004: Card not present on Slot(4)",
        r"(?:Card not present|Link Down|Power fault) on [Ss]lot",
    ),
    # -- powerpc
    _row(
        _E.FROZEN,
        "PCI db5c:c9:00.0#10000: EEH: Invoking mlx5_core->error_detected(IO frozen)",
        r"(?:PCI <PCI>#\w+: )?EEH: Invoking \S+->error_detected",
    ),
    _row(_E.FROZEN, "EEH: Frozen PHB#30-PE#10000 detected", r"EEH: (?:Frozen|Fenced|Dead) P(?:HB|E)\b.* detected"),
    _row(
        _E.FROZEN,
        "EEH: This PCI device has failed 6 times in the last hour and has been permanently disabled.",
        r"EEH: .*(?:has been permanently disabled|Unable to recover)",
    ),
    # -- the PCI core
    _row(
        _E.UNREACHABLE,
        "mlx5_core 0000:17:00.0: Unable to change power state from D3cold to D0, device inaccessible",
        r"(?:Unable to|can't) change power state from D3cold to D0,? \(?(?:device|config space) inaccessible",
    ),
    _row(
        _E.UNREACHABLE,
        "mlx5_core 0000:17:00.0: not ready 65535ms after FLR; giving up",
        r"not ready \d+ ?ms after [\w ]+; giving up",
    ),
    # -- the IOMMU
    _row(
        _E.DMA_FAULT,
        "DMAR: [DMA Write NO_PASID] Request device [3b:00.4] fault addr 0xfe800000 [fault reason 0x05]",
        r"DMAR: ?\[DMA [^\]]*\] Request device \[<PCI>\]",
    ),
    _row(
        _E.DMA_FAULT,
        "AMD-Vi: Event logged [IO_PAGE_FAULT device=c1:02.1 domain=0x0031 address=0xfffc0000 flags=0x0020]",
        r"AMD-Vi: Event logged \[[A-Z_]+(?: device=<PCI>)?",
    ),
    _row(
        _E.DMA_FAULT,
        "arm-smmu-v3 arm-smmu-v3.0.auto: event: F_TRANSLATION client: 0000:01:00.0 sid: 0x100 ssid: 0x0",
        r"[\w.-]{0,40}smmu.*event: \w+ client: <PCI>",
    ),
    _row(
        _E.DMA_FAULT,
        "arm-smmu-v3 arm-smmu-v3.0.auto: event 0x10 received:",
        r"[\w.-]{0,40}smmu.*(?:event 0x[0-9a-f]+ received|Unhandled context fault)",
    ),
    # -- interrupts
    _row(
        _E.INTERRUPT_UNROUTED,
        "do_IRQ: 7.34 No irq handler for vector",
        r"(?:\w{1,40}: \d+\.\d+ )?No irq handler for vector",
    ),
    _row(_E.INTERRUPT_UNROUTED, "irq 55: nobody cared (try booting with", r"irq \d+: nobody cared"),
    _row(
        _E.INTERRUPT_UNROUTED,
        "DMAR: [INTR-REMAP] Request device [af:00.1] fault index 0x1f [fault reason 0x22]",
        r"DMAR: ?\[?INTR-REMAP\]?:? Request device \[<PCI>\]",
    ),
    # -- the function is gone
    _row(_E.REMOVED, "pci db5c:c9:00.0: Removing from iommu group 0", r"Removing from iommu group"),
    _row(
        _E.REMOVED, "iommu: Removing device 0000:3b:00.4 from group 5", r"(?:iommu: )?Removing device <PCI> from group"
    ),
)


def may_be_platform(line: bytes) -> bool:
    """The line may be one of these."""
    return _MAY_BE.search(line) is not None


def read_platform(place: Place, line: str) -> PlatformLine | None:
    """The observation that a line is, whatever stands in front of it; None where no wording matches."""
    for w in PLATFORM_WORDINGS:
        m = w.pattern.search(line)
        if m is not None:
            return _line(place, line, w, m)
    return None


def _line(place: Place, line: str, w: PlatformWording, m: re.Match[str]) -> PlatformLine:
    front = next((f for f in _FRONT.finditer(line) if f.end() <= m.start()), None)
    named = m.groupdict().get("function")
    address = front["address"] if front is not None else ""
    of_port = front is not None and front["owner"] in _PORTS
    function = named if named and named != address else "" if of_port else address
    begin = front.start() if front is not None else m.start()
    return PlatformLine(
        place=place,
        event=w.event,
        function=function,
        port=address if of_port else "",
        text=line[begin:].strip()[:MAX_TEXT],
    )
