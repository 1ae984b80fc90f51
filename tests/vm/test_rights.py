"""What the commands say where a kernel is locked down, and to a user who is not root."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import pytest

from fwpages.machine.doctor import Diagnosis
from fwpages.machine.holdings import Holdings
from fwpages.machine.snapshot import Snapshot
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from fwpages.trial.qemu import Machine
from tests.vm.guest import PYTHON, WITH_PYTHON, begin_program, finish
from tests.vm.lab import PF, clean, scenario

START = 37 + 2000
NOBODY = ("/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def said(g: Guest, words: list[str], *by: str) -> bytes:
    """The JSON that a command prints in the guest, started by this program."""
    ran = finish(g, begin_program(g, [*by, str(Path(sys.prefix) / "bin" / "fwpages"), *words, "--json"]), stop="")
    assert ran.stderr == "", ran
    return ran.stdout.encode()


def states(g: Guest, *by: str) -> dict[str, str]:
    """What doctor says that each command could say."""
    found = msgspec.json.decode(said(g, ["doctor"], *by), type=Diagnosis)
    return {a.name: a.state.value for a in found.abilities}


@pytest.mark.parametrize("level", ["integrity", "confidentiality"])
def test_lockdown_closes_kcore_for_confidentiality_and_no_counter(level: str, new: Kernel, tmp_path: Path) -> None:
    with (
        Lab(scenario(PF), tmp_path) as lab,
        lab.guest(new, Machine(more=WITH_PYTHON, append=f"lockdown={level}")) as g,
    ):
        g.ok("load")
        lab.until({"self": START})
        open_ = level == "integrity"
        report = msgspec.json.decode(said(g, ["inspect"]), type=Holdings)
        assert [d.pages for d in report.devices] == ([START] if open_ else [])
        if not open_:
            (missing,) = report.missing
            assert "locked down for confidentiality" in missing.what
        (pf,) = msgspec.json.decode(said(g, ["top"]), type=Snapshot).functions
        assert (pf.pages, pf.source) == (START, "debugfs")
        assert pf.commands.n
        able = states(g)
        assert able["fwpages inspect"] == ("yes" if open_ else "no")
        assert able["fwpages top"] == "yes"
        # where doctor says that audit works, its switch does: debugfs's own is closed at either level
        g.ok("echo 'module mlx5_core file pagealloc.c +p' > /proc/dynamic_debug/control")
        assert g.run("echo 'module mlx5_core -p' > /sys/kernel/debug/dynamic_debug/control").status
        g.ok("unload")
        clean(lab, g)
        g.off()


def test_a_user_who_is_not_root_is_told_what_root_would_see(new: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new, PYTHON) as g:
        g.ok("load")
        g.ok("echo 2 > /proc/sys/kernel/kptr_restrict")
        lab.until({"self": START})
        inspected = msgspec.json.decode(said(g, ["inspect"], *NOBODY), type=Holdings)
        assert [m.command for m in inspected.missing] == ["sudo fwpages inspect"]
        top = msgspec.json.decode(said(g, ["top"], *NOBODY), type=Snapshot)
        assert [(f.pages, f.not_known["pages"]) for f in top.functions] == [(None, "permission denied")]
        assert [m.command for m in top.missing] == ["sudo fwpages top --once"]
        able = states(g, *NOBODY)
        assert able["fwpages inspect"] == able["fwpages audit"] == "no"
        assert states(g)["fwpages inspect"] == "yes"
        g.ok("unload")
        clean(lab, g)
        g.off()
