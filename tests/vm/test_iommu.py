"""With an I/O memory management unit the device sees which memory the driver lets it reach, page by page."""

from __future__ import annotations

from pathlib import Path

from fwpages.auditor.audit import audit
from fwpages.custody.reach import Judged
from fwpages.device import PlannedFault
from fwpages.link.bus import BusError
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.guest import STRICT
from tests.vm.lab import PF, agree, clean, scenario

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
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new, STRICT) as g:
        memory = lab.serving.device.memory
        g.ok("load")
        lab.until({"self": START})
        agree(lab, g)
        assert lab.call(lambda: out_of_reach(lab)) == []
        lab.want(vf0=5000)
        lab.until({"self": START, "vf0": 5000})
        agree(lab, g)
        assert lab.call(lambda: out_of_reach(lab)) == []
        assert len(memory) >= START + 5000
        lab.want(vf0=-4000)
        lab.until({"self": START, "vf0": 1000})
        agree(lab, g)
        assert lab.call(lambda: out_of_reach(lab)) == []
        lab.wait(lambda: len(memory) < START + 2500)
        g.ok("unload")
        clean(lab, g)
        lab.wait(lambda: len(memory) == 0)
        assert memory.mapped == memory.unmapped > START + 5000
        g.off()
    assert lab.offences == []
    assert lab.session.judged is Judged.YES


def test_pages_of_a_give_that_linux_gave_up_are_let_go_while_firmware_has_them(new: Kernel, tmp_path: Path) -> None:
    """Boot, init, then 300 pages at run time: this GIVE is carried out and never answered."""
    fault = PlannedFault("give-unanswered-done", at=3)
    with Lab(scenario(PF), tmp_path, faults=[fault]) as lab, lab.guest(new, STRICT) as g:
        g.ok("load")
        lab.until({"self": START})
        lab.want(vf0=300)
        lab.until({"self": START, "vf0": 300})
        assert lab.call(lambda: out_of_reach(lab)) == []
        lab.wait(lambda: any("300 pages of vhca:0x31 " in words for words in lab.offences))
        bad = lab.call(lambda: out_of_reach(lab))
        g.kill()
        lab.wait(lambda: not lab.server.busy)
    [words] = lab.offences
    assert words.startswith("memory-let-go: 300 pages of vhca:0x31 unmapped while the device worked, while firmware")
    named = [int(a, 16) for a in words.rsplit(": ", 1)[1].removesuffix(", ...").split(", ")]
    assert len(bad) == 300
    assert set(named) <= set(bad)
    assert lab.session.total("given") == START + 300
    assert lab.session.judged is Judged.YES
    path = tmp_path / "trace.jsonl"
    path.write_text(lab.trace())
    found = [f.detail for s in audit(path).sessions for f in s.findings if f.name == "memory-let-go"]
    assert [f"memory-let-go: {detail}" for detail in found] == lab.offences
