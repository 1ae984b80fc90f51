"""Faults at the moments of a session, to an unmodified Linux: what the device did, where its pages are, and what
the kernel made of it. Both the served device and the audit of its trace say the same.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import SessionAccount
from fwpages.scenario.fault_syntax import fault
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.guest import STRICT
from tests.vm.lab import PF, scenario

BOOT, INIT = 37, 2000
SHORT = "command=2,reclaim_pages=1,reclaim_vfs_pages=3"


def audited(lab: Lab, folder: Path) -> SessionAccount:
    """The first session by the audit of the trace; the server has stopped."""
    path = folder / "trace.jsonl"
    path.write_text(lab.trace())
    return audit(path).sessions[0]


def agree(lab: Lab, folder: Path) -> SessionAccount:
    """The account of the audit, once it has the pages of the served device's first session."""
    mine, theirs = lab.serving.observer.sessions[0], audited(lab, folder)
    figures = theirs.totals.given, theirs.totals.returned, theirs.totals.released
    assert figures == (mine.total("given"), mine.total("returned"), mine.total("released"))
    return theirs


@pytest.mark.parametrize(("moment", "pages"), [("boot", BOOT), ("init", INIT)])
def test_a_give_of_the_load_that_is_done_and_not_answered(new: Kernel, tmp_path: Path, moment: str, pages: int) -> None:
    """Linux gives up, the load fails, and the pages of this GIVE are unmapped while firmware has them."""
    held = pages if moment == "boot" else BOOT + INIT
    planned = fault(f"give-unanswered-done@{moment}")
    with Lab(scenario(PF), tmp_path, faults=[planned], timeouts=SHORT) as lab, lab.guest(new, STRICT) as g:
        g.start("load")
        lab.wait(lambda: any(words.startswith(f"memory-let-go: {pages:,} pages of ") for words in lab.offences))
        assert lab.session.total("given") == held
        assert lab.serving.missed_faults == ()
        assert "MANAGE_PAGES(0x108) timeout" in g.console()
        g.kill()
        lab.wait(lambda: not lab.server.busy)
    account = agree(lab, tmp_path)
    found = {f.detail for f in account.findings if f.name == "memory-let-go"}
    assert {f"memory-let-go: {detail}" for detail in found} == {w for w in lab.offences if w.startswith("memory")}


def test_takes_of_the_close_that_are_refused(new: Kernel, tmp_path: Path) -> None:
    """Linux warns, leaves the pages with firmware, and disables the function all the same."""
    with Lab(scenario(PF), tmp_path, faults=[fault("take-refused@teardownx*")]) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": BOOT + INIT})
        g.run("unload")
        lab.wait(lambda: lab.session.end == "closed")
        assert lab.session.total("held") == BOOT + INIT
        assert "WARNING:" in g.console()
        g.kill()
        lab.wait(lambda: not lab.server.busy)
    account = agree(lab, tmp_path)
    assert ("pages-left", BOOT + INIT) in {(f.name, f.pages) for f in account.findings}


def test_takes_of_the_close_that_name_nothing_end_after_a_second_without_progress(new: Kernel, tmp_path: Path) -> None:
    """The device tells its own time-out for it; without one Linux waits five seconds."""
    planned = fault("take-nothing@teardownx*")
    with Lab(scenario(PF), tmp_path, faults=[planned], timeouts=SHORT) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": BOOT + INIT})
        g.run("unload")
        lab.wait(lambda: lab.session.end == "closed")
        assert "FW did not return all pages. giving up" in g.console()
        [strike] = lab.serving.observer.strikes.values()
        assert strike.times > 1
        g.kill()
        lab.wait(lambda: not lab.server.busy)
    account = agree(lab, tmp_path)
    assert ("pages-left", BOOT + INIT) in {(f.name, f.pages) for f in account.findings}


def test_a_teardown_that_is_refused_leaves_the_device_with_its_pages(new: Kernel, tmp_path: Path) -> None:
    """Linux goes away, and the next load fails."""
    with Lab(scenario(PF), tmp_path, faults=[fault("teardown-refused")]) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": BOOT + INIT})
        g.run("unload")
        assert "TEARDOWN_HCA(0x103)" in g.console()
        assert lab.held() == {"self": BOOT + INIT}
        g.ok("load")
        assert "mlx5_init_one failed with error code -5" in g.console()
        g.kill()
        lab.wait(lambda: not lab.server.busy)
    agree(lab, tmp_path)
