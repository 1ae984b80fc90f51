"""``top``, ``metrics`` and ``inspect`` in the guest, on its running kernel, equal the books of its firmware."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from fwpages.cli import cli
from fwpages.custody.accounts import Verdict
from fwpages.machine.snapshot import Snapshot
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from fwpages.trial.qemu import Machine
from tests.vm.guest import PYTHON, WITH_DUMPS, WITH_PYTHON, begin, finish, read_file
from tests.vm.lab import PF, agree, clean, scenario
from tests.vm.running import (
    Metrics,
    agree_in_counts,
    agree_in_pages,
    books,
    inspect,
    inspect_core,
    inspect_pages,
    supplier,
    top,
)

START = 37 + 2000
VFS = PF.replace("vhca_id = 0x31", "vhca_id = 0x31\npages = 700").replace(
    "vhca_id = 0x32", "vhca_id = 0x32\npages = 50"
)


@pytest.fixture(params=[("new", True), ("new", False), ("old", True), ("oldest", True)], ids=lambda p: f"{p[0]}-{p[1]}")
def case(request: pytest.FixtureRequest) -> tuple[Kernel, bool]:
    """A kernel, and if the device offers VHCA_ID mode: only the newest kernel takes it."""
    which, offered = request.param
    return request.getfixturevalue(which), offered


def counters_agree(lab: Lab, g: Guest, metrics: Metrics, *, vfs: int) -> None:
    """``top`` and ``metrics`` have the total that firmware has, and so many pages of VFs."""
    held = agree(lab, g)
    total = sum(held.values())
    pf = supplier(top(g))
    assert (pf.pages, pf.source, pf.give_dropped, pf.alloc_failed, pf.slots_inuse) == (total, "debugfs", 0, 0, 0)
    # what is asked before the vport is enabled has no type in VHCA_ID mode
    assert pf.by_type["vf"] == vfs
    assert sum(n for n in pf.by_type.values() if n is not None) == total
    seen = metrics.scrape()
    assert seen["mlx5_fw_memory_bytes"] == {"": total}
    assert seen["mlx5_scrape_success"] == {"": 1}
    assert seen["mlx5_fw_type_memory_bytes"] == {k: n for k, n in pf.by_type.items() if n is not None}


def test_the_running_kernel_has_the_pages_that_firmware_has(case: tuple[Kernel, bool], tmp_path: Path) -> None:
    """After load, VFs and requests, release_all, VFs off and unload; a core of the machine says the same as it does."""
    kernel, offered = case
    vhca_mode = offered and "7.2" in kernel.name
    one, two = ("vhca:0x31", "vhca:0x32") if vhca_mode else ("func:0x1", "func:0x2")
    with (
        Lab(scenario(VFS, offered=offered), tmp_path, sriov=True) as lab,
        lab.guest(kernel, Machine(more=(*WITH_PYTHON, *WITH_DUMPS))) as g,
    ):
        g.ok("load")
        lab.until({"self": START})
        g.ok("echo 0 > /sys/bus/pci/devices/$(address)/sriov_drivers_autoprobe")
        metrics = Metrics(g)
        counters_agree(lab, g, metrics, vfs=0)
        device = agree_in_counts(lab, inspect(g))
        assert (device.device, device.mode) == (g.ok("address").strip(), "vhca_id" if vhca_mode else "func_id")
        assert (device.vhca_id, device.notes) == (lab.profile.vhca_id, [])

        g.ok("echo 2 > /sys/bus/pci/devices/$(address)/sriov_numvfs")
        lab.until({"self": START, "vf0": 700, "vf1": 50})
        lab.want(vf0=-300, vf1=1000, sf0=7)
        lab.until({"self": START, "vf0": 400, "vf1": 1050, "sf0": 7})
        counters_agree(lab, g, metrics, vfs=1450)
        listed = inspect_pages(g)
        device = agree_in_pages(lab, listed)
        vports = {f.identity: (f.type, f.vport, f.vport_enabled) for f in device.functions}
        assert (vports[one], vports[two]) == (("vf", 1, True), ("vf", 2, True))
        assert [n.split(",")[0] for n in device.notes] == ["vhca:0x90: 7 pages"] * vhca_mode, "an SF without a vport"
        assert inspect_core(g, tmp_path).report.devices == listed.report.devices

        lab.reset("vf1")  # which asks for its first 50 pages again
        lab.reset("sf0")
        lab.until({"self": START, "vf0": 400, "vf1": 50})
        g.ok("echo 0 > /sys/bus/pci/devices/$(address)/sriov_numvfs")
        lab.until({"self": START})
        counters_agree(lab, g, metrics, vfs=0)
        g.ok("echo 2 > /proc/sys/kernel/kptr_restrict")
        device = agree_in_pages(lab, inspect_pages(g))
        _, *gone = device.functions
        assert [(f.pages, f.vport_enabled) for f in gone if f.identity in (one, two)] == [(0, False)] * 2
        (note,) = device.notes
        assert note.startswith("Lists without pages")
        assert len(gone) == 3
        metrics.end()
        g.ok("unload")
        clean(lab, g)
        none = top(g, status=4)
        assert (none.functions, none.verdict) == ([], Verdict.NOT_KNOWN)
        assert "mlx5_core is not loaded" in inspect(g, status=4).missing[0].what
        g.off()


@contextmanager
def churn(lab: Lab, pages: int) -> Iterator[list[int]]:
    """Firmware asks for so many pages for a VF and gives them back, again and again; yields the number of rounds."""
    rounds, stop = [0], threading.Event()

    def work() -> None:
        held = lab.held()
        while not stop.is_set():
            lab.want(vf0=pages)
            lab.until({**held, "vf0": pages})
            lab.want(vf0=-pages)
            lab.until(held)
            rounds[0] += 1

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield rounds
    finally:
        stop.set()
        worker.join()


CHURN = 1500


@pytest.mark.parametrize("which", ["new", "old"])
def test_while_pages_come_and_go_a_reading_is_whole_or_not_known(
    request: pytest.FixtureRequest, which: str, tmp_path: Path
) -> None:
    """Each report has the pages before or after a request: torn readings are seen, and made again.

    The driver of 7.2 takes a page off its counters as it takes it off its list, so that the two agree in between too.
    """
    kernel: Kernel = request.getfixturevalue(which)
    between = range(CHURN + 1) if which == "new" else (0, CHURN)
    with Lab(scenario(PF, offered=False), tmp_path) as lab, lab.guest(kernel, PYTHON) as g:
        g.ok("load")
        lab.until({"self": START})
        readings: list[int] = []
        with churn(lab, CHURN) as rounds:
            # chance decides whether a reading is torn. 6.12's counters and list disagree while pages come or go: there
            # some more are made until one was. Those of 7.2 agree at almost every moment
            for patience in ("0.1", "10", "10", *(["10"] * 6 if which == "old" else [])):
                if len(readings) >= 3 and max(readings) > 1:
                    break
                before = rounds[0]
                (device,) = inspect(g, "--max-seconds", patience, status=None).devices
                readings.append(device.readings or 0)
                assert rounds[0] > before, "nothing came and went"
                if device.pages is None:
                    assert (device.verdict, device.functions) == (Verdict.NOT_KNOWN, [])
                    continue
                found = {f.identity: f.pages or 0 for f in device.functions}
                assert found["func:0x0"] == START
                assert found.get("func:0x1", 0) in between
                assert (device.pages, device.verdict) == (sum(found.values()), Verdict.CONSISTENT)
            job = begin(g, ["top", "--record", "/tmp/top", "--interval", "0.1", "--count", "40", "--plain"])
            assert finish(g, job, stop="").status == 0
        assert which == "new" or max(readings) > 1, "no reading was torn"
        counted = [supplier(msgspec.json.decode(row, type=Snapshot)) for row in read_file(g, "/tmp/top").splitlines()]
        assert len({f.pages for f in counted}) > 1, "nothing came and went"
        for f in counted:
            assert f.pages is not None
            assert f.pages - START in between
            # the total and the type's count are of one moment, or the rest is not known
            assert f.by_type["rest"] in (START, None)
            assert f.by_type["sf"] in between
        agree(lab, g)
        lab.reset("vf0")
        lab.until({"self": START})
        g.ok("unload")
        clean(lab, g)
        g.off()


def audited(g: Guest, folder: Path) -> dict[str, int]:
    """The pages of each function that the kernel's log so far leaves with firmware, by ``fwpages audit``."""
    log = folder / "console.log"
    log.write_text(g.console().replace("\r\n", "\n"))
    result = CliRunner().invoke(cli, ["audit", "--json", str(log)], standalone_mode=False)
    (session,) = json.loads(result.stdout)["sessions"]
    return {f["identity"]: f["held"] for f in session["functions"] if f["held"]}


LEAK = """
[[step]]
do = "open"
[[fault]]
name = "take-twice-kept"
"""


@pytest.mark.parametrize("which", ["new", "old"])
def test_a_page_that_a_device_keeps_is_found(request: pytest.FixtureRequest, which: str, tmp_path: Path) -> None:
    """The list of a VF that is gone has it; the audit of the kernel's log counts as ``inspect`` does.

    The driver of 6.12 goes by the count of an answer, and its counters miss the page. That of 7.2 goes by its lists:
    its counters have the page, and it waits two minutes for it.
    """
    kernel: Kernel = request.getfixturevalue(which)
    with Lab(scenario(VFS, steps=LEAK), tmp_path, sriov=True) as lab, lab.guest(kernel, PYTHON) as g:
        g.ok("load dyndbg=+p")
        lab.until({"self": START})
        g.ok("echo 0 > /sys/bus/pci/devices/$(address)/sriov_drivers_autoprobe")
        g.ok("echo 1 > /sys/bus/pci/devices/$(address)/sriov_numvfs")
        lab.want(vf0=300)
        lab.until({"self": START, "vf0": 1000})
        agree(lab, g)
        device = agree_in_counts(lab, inspect(g))
        assert {f.identity: f.pages for f in device.functions} == audited(g, tmp_path)

        g.ok("(echo 0 > /sys/bus/pci/devices/$(address)/sriov_numvfs) &")
        lab.until({"self": START, "vf0": 1})
        listed = inspect_pages(g, status=0 if which == "new" else 1)
        held = books(lab)
        assert {who: list(pages) for who, pages in listed.addresses.items()} == {
            who: list(pages) for who, pages in held.items()
        }
        device = listed.device
        (vf,) = (f for f in device.functions if f.type == "vf")
        assert (vf.pages, vf.vport, vf.vport_enabled) == (1, 1, False)
        assert device.notes[0].startswith(f"{vf.identity}: 1 page, and no enabled vport")
        assert (device.pages, device.fw_pages) == (START + 1, START + 1 if which == "new" else START)
        assert [f.pages for f in device.findings] == ([] if which == "new" else [1, 1])
        assert {f.identity: f.pages for f in device.functions} == audited(g, tmp_path)
