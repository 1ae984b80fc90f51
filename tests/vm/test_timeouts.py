"""Time-outs that the device tells: an unmodified Linux gives a command up by them, and not after its own minute."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fwpages.scenario.fault_syntax import fault
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.lab import PF, scenario

START = 37 + 2000
SHORT = "command=2,reclaim_pages=1,reclaim_vfs_pages=3"
GIVEN_UP = "MANAGE_PAGES(0x108) timeout. Will cause a leak of a command resource"
LATE = "Command completion arrived after timeout"


def test_a_give_is_given_up_before_an_answer_that_is_too_late_by_the_device_s_time(
    either: Kernel, tmp_path: Path
) -> None:
    """The answer comes after 13 s. A driver that waited its own 65 s would take it."""
    with (
        Lab(scenario(PF), tmp_path, faults=[fault("give-too-late@runtime")], timeouts=SHORT) as lab,
        lab.guest(either) as g,
    ):
        g.ok("load")
        lab.until({"self": START})
        lab.want(vf0=30)
        lab.wait(lambda: LATE in g.console())
        assert g.console().index(GIVEN_UP) < g.console().index(LATE)
        assert lab.serving.missed_faults == ()
        assert lab.held() == {"self": START, "vf0": 30}, "firmware has them, and Linux has freed them"
        g.off()


def test_a_device_that_cannot_be_reset_by_software_is_not_and_keeps_what_linux_frees(
    new: Kernel, tmp_path: Path
) -> None:
    """A fatal syndrome is enough then: Linux unmaps every page while firmware has it."""
    whole = files("fwpages.device").joinpath("profiles", "connectx7.toml").read_text("utf-8")
    mine = tmp_path / "mine.toml"
    mine.write_text(whole.replace("\ninit_pages", "\nsoftware_reset = false\ninit_pages", 1))
    steps = '[[step]]\ndo = "open"\n[[step]]\ndo = "health"\n'
    plan = scenario(PF.replace('"connectx7"', f'"{mine}"'), steps=steps)
    with Lab(plan, tmp_path) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.wait(lambda: "Fatal error 5 detected" in g.console())
        lab.wait(lambda: "NIC IFC still 0" in g.console())
        lab.wait(lambda: g.pages()["fw_pages_total"] == 0)
        assert "Issuing FW Reset" not in g.console()
        assert lab.held() == {"self": START}
