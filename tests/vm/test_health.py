"""A device that is dead, or seems to be: an unmodified Linux notices, lets go of its pages, and starts anew.

The trouble comes while a page request is under way, and once the driver is loaded: while it loads, or unloads, Linux
holds the lock that its recovery needs until a command has timed out, which takes a minute.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from fwpages.auditor.audit import audit
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.lab import _BAD, PF, agree, scenario

START = 37 + 2000
OPEN = '[[step]]\ndo = "open"\n'
REQUEST = '[[step]]\ndo = "request"\nfunction = "vf0"\npages = 300\n'
HEALTH = '[[step]]\ndo = "health"\nreason = "syndrome 0x10"\nafter = "request vf1"\n'
LOSE = '[[step]]\ndo = "lose-link"\nafter = "request vf1"\n'


def loaded(lab: Lab, g: Guest) -> None:
    g.ok("load")
    lab.until({"self": START, "vf0": 300})
    agree(lab, g)


def said(lab: Lab, g: Guest, words: str) -> None:
    lab.wait(lambda: words in g.console())


def in_time(held: dict[str, int]) -> int:
    """All that was given before is there; of the request in which the trouble came, what the driver answered first."""
    assert held | {"vf1": 0} == {"self": START, "vf0": 300, "vf1": 0}
    assert held.get("vf1", 0) in (0, 50)
    return held.get("vf1", 0)


def ended(lab: Lab, g: Guest, trouble: str) -> None:
    """It recovered by itself, and what it had given is accounted for on both sides; then it is unloaded."""
    said(lab, g, "health recovery succeeded")
    lab.sessions(2)
    lab.until({"self": START})
    agree(lab, g)
    first = lab.serving.observer.sessions[0]
    assert (first.trouble, first.end, first.dropped) == (trouble, "reset", True)
    late = in_time({name: f.held for name, f in first.functions.items()})
    g.ok("unload")
    lab.wait(lambda: lab.session.end == "closed")
    assert lab.held() == {}
    assert all(s.clean for s in lab.serving.observer.sessions)
    assert lab.offences == lab.serving.unfollowed == []
    assert not lab.serving.missed
    assert not [row for row in g.console().splitlines() if _BAD.search(row)]
    trace = lab.folder / "trace.jsonl"
    trace.write_text(lab.trace())
    one, two = audit(trace).sessions
    given = START + 300 + late
    assert (one.totals.given, one.totals.discarded, one.totals.held) == (given, given, 0)
    assert (two.totals.given, two.totals.returned) == (START, START)
    assert [f.name for f in one.findings] == (["link-lost"] if trouble == "lost" else [])
    assert not two.findings
    assert {json.loads(row)["what"] for row in lab.trace().splitlines() if '"link"' in row} >= {trouble, "fenced"}
    g.off()


def test_fatal_syndrome(either: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(PF, steps=OPEN + REQUEST + HEALTH + OPEN), tmp_path) as lab, lab.guest(either) as g:
        loaded(lab, g)
        lab.want(vf1=50)
        said(lab, g, "Fatal error 5 detected")
        said(lab, g, "synd 0x10: High temperature")
        said(lab, g, "Issuing FW Reset")
        ended(lab, g, "health")


def test_lost_link(new: Kernel, tmp_path: Path) -> None:
    """Linux frees its pages while the link is lost: nothing proves then that the device will not write any more."""
    with Lab(scenario(PF, steps=OPEN + REQUEST + LOSE + OPEN), tmp_path) as lab, lab.guest(new) as g:
        loaded(lab, g)
        lab.want(vf1=50)
        said(lab, g, "Fatal error 1 detected")
        said(lab, g, "PCI slot is unavailable")
        lab.wait(lambda: g.pages()["fw_pages_total"] == 0)
        in_time(lab.held())
        assert lab.serving.device.stopped
        ended(lab, g, "lost")


def test_link_lost_for_a_moment(new: Kernel, tmp_path: Path) -> None:
    """No read gave all ones, and yet the device is not what it was: it says so in nic_interface."""
    with Lab(scenario(PF, steps=OPEN + REQUEST), tmp_path) as lab, lab.guest(new) as g:
        loaded(lab, g)
        time.sleep(1)  # until it is loaded
        lab.call(lab.serving.device.lose)
        lab.call(lab.serving.device.restore)
        assert lab.held() == {}
        said(lab, g, "Fatal error 3 detected")
        said(lab, g, "health recovery succeeded")
        lab.until({"self": START})
        agree(lab, g)
        g.ok("unload")
        lab.wait(lambda: lab.session.end == "closed")
        assert lab.session.clean
        assert lab.offences == []
        g.off()
