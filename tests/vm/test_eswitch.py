"""The e-switch of an unmodified Linux: functions of every type come to life, and both sides count the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.device import HostVfs
from fwpages.prm.identity import FunctionType
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.eswitch import EC_VFS, HOST_PF, HOST_VFS, SPF, Difference, books, ecpf, load, mode, quiet, step, vfs
from tests.vm.guest import PYTHON
from tests.vm.lab import PF, clean, scenario

START = 37 + 2000
VFS = PF.replace("vhca_id = 0x31", "vhca_id = 0x31\npages = 700").replace(
    "vhca_id = 0x32", "vhca_id = 0x32\npages = 50"
)
BOTH_MODES = pytest.mark.parametrize("offered", [True, False])


def capabilities(*more: str, offered: bool) -> str:
    return ", ".join([*more, *([] if offered else ["icm_mng_function_id_mode = 0"])])


def host_vfs(lab: Lab, n: int) -> None:
    lab.call(lambda: lab.serving.device.stir(HostVfs(n)))


def audited(lab: Lab, **types: str) -> None:
    """The trace of a life that is over is clean, and its commands alone show the types of these functions."""
    lab.trace()
    report = audit(lab.trace_file)
    assert [s.findings for s in report.sessions] == [[]] * len(report.sessions)
    found = {f.identity: f.type for s in report.sessions for f in s.functions}
    mine = lab.session.mode
    for spec in lab.serving.observer.inner.specs:
        who = spec.identity(mine)
        if spec.name.replace("-", "_") in types:
            assert found[str(who)] == types[spec.name.replace("-", "_")], (spec.name, found)


@BOTH_MODES
def test_switchdev_and_back(either: Kernel, tmp_path: Path, offered: bool) -> None:
    with Lab(scenario(VFS, offered=offered), tmp_path, sriov=True) as lab, lab.guest(either, PYTHON) as g:
        load(g)
        books(lab, g, {"self": START})
        mode(g, "switchdev")
        vfs(g, 2)
        books(lab, g, {"self": START, "vf0": 700, "vf1": 50})
        lab.want(vf1=25, vf0=-100)
        books(lab, g, {"self": START, "vf0": 600, "vf1": 75})
        mode(g, "legacy")
        books(lab, g, {"self": START, "vf0": 600, "vf1": 75})
        vfs(g, 0)
        books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        audited(lab, vf0="vf", vf1="vf")
        g.off()


STEPS = "".join(
    [
        step("enable", "host-pf"),
        step("enable", "vf*"),
        step("request", "vf1", "pages = 11"),
        step("disable", "vf*"),
        step("disable", "host-pf"),
    ]
)


@BOTH_MODES
def test_host_of_an_ecpf(either: Kernel, tmp_path: Path, offered: bool) -> None:
    """The steps of the scenario wait for the e-switch, and mean what they mean in a run."""
    text = ecpf(HOST_PF, *HOST_VFS, steps=STEPS, capabilities=capabilities(offered=offered))
    with Lab(text, tmp_path) as lab, lab.guest(either, PYTHON) as g:
        load(g)
        books(lab, g, {"self": START})
        mode(g, "switchdev")
        lab.wait(lambda: "the host has 0 VFs on: the driver is told to ask" in lab.events)
        books(lab, g, {"self": START, "host-pf": 300})
        mode(g, "legacy")
        books(lab, g, {"self": START})
        lab.wait(lambda: lab.call(lambda: lab.serving.finished))
        given = {name: f.given for name, f in lab.session.functions.items()}
        assert given == {"self": START, "host-pf": 300, "vf0": 40, "vf1": 61}
        g.ok("unload")
        clean(lab, g)
        audited(lab, host_pf="host_pf", vf0="vf", vf1="vf")
        g.off()


@pytest.mark.parametrize("by_vhca_id", [False, True])
def test_every_function_of_an_ecpf(new: Kernel, tmp_path: Path, by_vhca_id: bool) -> None:
    """Host PF, host VFs, EC VFs, SPF, twice; with ``by_vhca_id`` commands of the e-switch name functions so."""
    text = ecpf(HOST_PF, *HOST_VFS, *EC_VFS, SPF, capabilities=f"function_id_type_vhca_id = {int(by_vhca_id)}")
    with Lab(text, tmp_path, sriov=True) as lab, lab.guest(new, PYTHON) as g:
        load(g)
        for _ in range(2):
            mode(g, "switchdev")
            books(lab, g, {"self": START, "host-pf": 300, "spf0": 80})
            host_vfs(lab, 2)
            vfs(g, 2)
            everything = {"self": START, "host-pf": 300, "vf0": 40, "vf1": 50, "ec-vf0": 60, "ec-vf1": 70, "spf0": 80}
            books(lab, g, everything)
            lab.want(host_pf=5, vf1=-10, ec_vf0=7, spf0=9)
            books(lab, g, everything | {"host-pf": 305, "vf1": 40, "ec-vf0": 67, "spf0": 89})
            vfs(g, 0)
            host_vfs(lab, 0)
            books(lab, g, {"self": START, "host-pf": 305, "spf0": 89})
            mode(g, "legacy")
            books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        audited(lab, host_pf="host_pf", vf0="vf", vf1="vf", ec_vf0="ec_vf", ec_vf1="ec_vf", spf0="spf")
        g.off()


def test_ecpf_without_a_host(new: Kernel, tmp_path: Path) -> None:
    """It says so; Linux 6.12 does not know that, and does not load."""
    with Lab(ecpf(*EC_VFS), tmp_path, sriov=True) as lab, lab.guest(new, PYTHON) as g:
        load(g)
        vfs(g, 2)
        books(lab, g, {"self": START, "ec-vf0": 60, "ec-vf1": 70})
        mode(g, "switchdev")
        books(lab, g, {"self": START, "ec-vf0": 60, "ec-vf1": 70})
        vfs(g, 0)
        books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        g.off()


MANY = tuple((f"vf{n}", "vf", n, 0x100 + n, 8) for n in range(127))


def test_127_host_vfs_in_one_step(new: Kernel, tmp_path: Path) -> None:
    text = ecpf(HOST_PF, *MANY, steps=step("enable", "vf*") + step("disable", "vf*"))
    with Lab(text, tmp_path) as lab, lab.guest(new, PYTHON) as g:
        load(g)
        mode(g, "switchdev")
        lab.wait(lambda: lab.call(lambda: lab.serving.finished), 600)
        assert [f.given for name, f in lab.session.functions.items() if name.startswith("vf")] == [8] * 127
        books(lab, g, {"self": START, "host-pf": 300})
        mode(g, "legacy")
        g.ok("unload")
        clean(lab, g)
        g.off()


def test_where_linux_counts_otherwise(new: Kernel, tmp_path: Path) -> None:
    """Pages have the type, or none, that the e-switch gave to their function when they were given."""
    with Lab(ecpf(HOST_PF, *HOST_VFS), tmp_path) as lab, lab.guest(new, PYTHON) as g:
        load(g)
        lab.want(host_pf=11)
        early = (Difference.EARLY, FunctionType.HOST_PF, 11)
        books(lab, g, {"self": START, "host-pf": 11}, early)
        mode(g, "switchdev")
        books(lab, g, {"self": START, "host-pf": 311}, early)
        host_vfs(lab, 2)
        books(lab, g, {"self": START, "host-pf": 311, "vf0": 40, "vf1": 50}, early)
        host_vfs(lab, 0)
        books(lab, g, {"self": START, "host-pf": 311}, early)
        quiet(lab)
        lab.want(vf0=9)
        after = (Difference.AFTER, FunctionType.VF, 9)
        books(lab, g, {"self": START, "host-pf": 311, "vf0": 9}, early, after)
        lab.reset("vf0")
        mode(g, "legacy")
        books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        g.off()


def recovered(lab: Lab, g: Guest) -> None:
    lab.call(lambda: lab.serving.device.fail("syndrome 0x10"))
    lab.wait(lambda: "health recovery succeeded" in g.console())
    lab.sessions(2)


def test_after_a_health_recovery(new: Kernel, tmp_path: Path) -> None:
    """The mode is legacy then, and the host's functions do not come back by themselves."""
    with Lab(ecpf(HOST_PF, *HOST_VFS), tmp_path) as lab, lab.guest(new, PYTHON) as g:
        load(g)
        mode(g, "switchdev")
        host_vfs(lab, 2)
        books(lab, g, {"self": START, "host-pf": 300, "vf0": 40, "vf1": 50})
        recovered(lab, g)
        books(lab, g, {"self": START})
        mode(g, "switchdev")
        books(lab, g, {"self": START, "host-pf": 300})
        g.ok("unload")
        lab.wait(lambda: lab.session.end != "open")
        assert (lab.session.clean, lab.held(), lab.offences) == (True, {}, [])
        g.off()
