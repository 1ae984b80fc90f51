"""With an I/O memory management unit the device sees which memory the driver lets it reach, page by page."""

from __future__ import annotations

from pathlib import Path

from fwpages.link.bus import BusError
from tests.vm.guest import Kernel
from tests.vm.lab import PF, Lab, scenario

START = 37 + 2000


def out_of_reach(lab: Lab) -> list[int]:
    """Pages that firmware holds and cannot reach: the driver took the mapping away too early."""
    bad = []
    for pages in lab.serving.firmware.holds().values():
        for page in pages.tolist():
            try:
                lab.serving.device.gate.read(page, 1)
                lab.serving.device.gate.read(page + 4095, 1)
            except BusError:
                bad.append(page)
    return bad


def test_pages_are_mapped_as_long_as_firmware_has_them(new: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new, iommu=True) as g:
        memory = lab.serving.device.memory
        g.ok("load")
        lab.until({"self": START})
        lab.agree(g)
        assert lab.call(lambda: out_of_reach(lab)) == []
        lab.want(vf0=5000)
        lab.until({"self": START, "vf0": 5000})
        lab.agree(g)
        assert lab.call(lambda: out_of_reach(lab)) == []
        assert len(memory) >= START + 5000
        lab.want(vf0=-4000)
        lab.until({"self": START, "vf0": 1000})
        lab.agree(g)
        assert lab.call(lambda: out_of_reach(lab)) == []
        lab.wait(lambda: len(memory) < START + 2500)
        g.ok("unload")
        lab.clean(g)
        lab.wait(lambda: len(memory) == 0)
        assert memory.mapped == memory.unmapped > START + 5000
        g.off()
