"""``fwpages drive`` in a guest: our own driver on ``/dev/vfio``, behind a virtual IOMMU, on the served device."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.guest import VFIO, Job, Ran, begin, finish, fwpages, with_vfio
from tests.vm.lab import OPEN, PF, scenario

START = 37 + 2000


@contextmanager
def driven(k: Kernel, folder: Path, steps: str = OPEN) -> Iterator[tuple[Lab, Guest, str]]:
    """A device in a machine whose kernel hands it to programs; its address there."""
    with Lab(scenario(PF, steps=steps), folder) as lab, lab.guest(k, VFIO) as g:
        yield lab, g, with_vfio(g)


def start(g: Guest, address: str, *options: str) -> Job:
    return begin(g, ["drive", address, "--bind", "--i-know", address, "--json", *options])


def opened(lab: Lab) -> None:
    """Wait until the driver has opened the device and takes page requests."""
    lab.until({"self": START})
    lab.wait(lambda: lab.serving.observer.open)


def verdict(ran: Ran) -> tuple[int, str, list[str]]:
    """Its exit code, verdict, and the ends of its sessions."""
    report = json.loads(ran.stdout)
    return ran.status, report["verdict"], [s["end"] for s in report["sessions"]]


def test_a_life_from_the_bind_to_the_restore(new: Kernel, tmp_path: Path) -> None:
    """Refused first; then page requests, 50,000 pages in a command, and a close; the function is given back."""
    with driven(new, tmp_path) as (lab, g, address):
        looked = fwpages(g, ["drive", address, "--dry-run", "--json"])
        prospect = json.loads(looked.stdout)
        assert (looked.status, prospect["reset"], prospect["driver"]) == (1, "flr", "")
        assert len(prospect["against"]) == 2
        refused = fwpages(g, ["drive", address])
        assert (refused.status, refused.stdout) == (2, "")
        assert "is a physical function" in refused.stderr
        assert "is bound to no driver, not to vfio-pci: --bind takes it there" in refused.stderr

        job = start(g, address)
        lab.until({"self": START})
        lab.want(vf0=50_000, sf0=50)
        lab.until({"self": START, "vf0": 50_000, "sf0": 50})
        busy = fwpages(g, ["drive", address, "--i-know", address])
        assert (busy.status, busy.stdout) == (2, "")
        assert f"it is in use, by process {job.pid}" in busy.stderr
        lab.want(vf0=-20_000)
        lab.until({"self": START, "vf0": 30_000, "sf0": 50})
        lab.reset("sf0")
        lab.until({"self": START, "vf0": 30_000})
        ran = finish(g, job, stop="TERM")
        assert verdict(ran) == (0, "clean", ["closed"]), ran
        assert lab.session.clean
        assert lab.offences == []  # no page was unmapped while firmware held it
        assert g.run(f"[ -e /sys/bus/pci/devices/{address}/driver ]").status == 1
        assert g.ok("ls /host/run/fwpages").strip() == ""


def test_a_driver_that_is_killed_leaves_nothing_to_the_next(new: Kernel, tmp_path: Path) -> None:
    """The kernel resets the function; it is given back without the process; another one opens it clean."""
    with driven(new, tmp_path) as (lab, g, address):
        job = start(g, address)
        lab.until({"self": START})
        lab.want(vf0=300)
        lab.until({"self": START, "vf0": 300})
        finish(g, job, stop="KILL")
        lab.wait(lambda: lab.session.end == "reset")
        assert lab.held() == {}
        assert lab.offences == []
        back = fwpages(g, ["drive", "--restore"])
        assert (back.status, back.stdout) == (0, f"{address} is given back to no driver\n"), back
        job = start(g, address)
        lab.until({"self": START})
        assert verdict(finish(g, job)) == (0, "clean", ["closed"])
        assert lab.session.clean


def test_a_fatal_syndrome_and_a_lost_link_end_a_session_each(new: Kernel, tmp_path: Path) -> None:
    """The device is reset, and opened anew once that is proven; what was lent is discarded, not unmapped early."""
    with driven(new, tmp_path) as (lab, g, address):
        job = start(g, address)
        opened(lab)
        lab.call(lambda: lab.serving.device.fail("syndrome 0x1"))
        lab.sessions(2)
        opened(lab)
        lab.call(lab.serving.device.lose)
        lab.wait(lambda: lab.serving.device.stopped)
        g.ok("sleep 2")
        lab.call(lab.serving.device.restore)
        lab.sessions(3)
        opened(lab)
        ran = finish(g, job)
        report = json.loads(ran.stdout)
        assert verdict(ran) == (1, "findings", ["reset", "lost", "closed"]), ran
        assert [[f["name"] for f in s["findings"]] for s in report["sessions"]] == [[], ["link-lost"], []]
        assert [s["totals"]["discarded"] for s in report["sessions"]] == [START, START, 0]
        assert lab.offences == []
