"""The counters of a running kernel, as ``top`` and ``metrics`` have them, equal the books of its firmware."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import fwpages as fw
from fwpages.custody.accounts import Verdict
from fwpages.machine.metrics import exposition
from fwpages.machine.snapshot import PAGE_BYTES, FunctionCounters, Snapshot
from fwpages.machine.tree import File
from tests.vm.guest import Guest, Kernel
from tests.vm.lab import PF, Lab, scenario

START = 37 + 2000
VFS = PF.replace("vhca_id = 0x31", "vhca_id = 0x31\npages = 700").replace(
    "vhca_id = 0x32", "vhca_id = 0x32\npages = 50"
)
_FILES = " ".join("/" + file.value.format(device="*", name="*") for file in File)
_LINKS = (
    "/sys/bus/pci/devices/* /sys/bus/pci/drivers/mlx5_core/* /sys/bus/pci/devices/*/physfn /sys/bus/auxiliary/devices/*"
)
#: prints every file of the list and every link, a line each, with the content in base64
_COPY = (
    f'for f in {_FILES}; do [ -f "$f" ] && echo "F $(readlink -f $f) $(base64 <$f | tr -d "\\n")"; done; '
    f'for l in {_LINKS}; do [ -L "$l" ] && echo "L $l $(readlink $l)"; done; true'
)


def copied(g: Guest, root: Path) -> Path:
    """A copy of the guest's files, as somebody would bring it from another machine."""
    for row in g.ok(_COPY).splitlines():
        kind, path, *rest = row.split()
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind == "L":
            file.symlink_to(rest[0])
        else:
            file.write_bytes(base64.b64decode("".join(rest)))
    return root


def snapshot(g: Guest, root: Path) -> Snapshot:
    return fw.machine.counters(copied(g, root))


def supplier(s: Snapshot) -> FunctionCounters:
    [pf] = [f for f in s.functions if f.kind == "pf"]
    return pf


@pytest.fixture(params=["new", "old", "oldest"])
def every(request: pytest.FixtureRequest) -> Kernel:
    """Each of the kernels: their drivers have different files."""
    found: Kernel = request.getfixturevalue(request.param)
    return found


def test_the_counters_equal_the_firmwares_books(every: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(VFS), tmp_path, sriov=True) as lab, lab.guest(every) as g:
        g.ok("load")
        lab.until({"self": START})
        first = snapshot(g, tmp_path / "loaded")
        pf = supplier(first)
        assert (pf.pages, pf.source, pf.give_dropped, pf.slots_inuse) == (START, "debugfs", 0, 0)
        assert pf.vhca_id in (None, lab.profile.vhca_id)
        assert pf.mode in (None, "func_id")
        assert pf.commands.n is not None
        assert pf.commands.n > 0
        assert first.verdict is Verdict.CONSISTENT

        g.ok("echo 0 > /sys/bus/pci/devices/$(address)/sriov_drivers_autoprobe")
        g.ok("echo 2 > /sys/bus/pci/devices/$(address)/sriov_numvfs")
        held = {"self": START, "vf0": 700, "vf1": 50}
        lab.until(held)
        lab.agree(g)
        second = snapshot(g, tmp_path / "vfs")
        pf = supplier(second)
        assert pf.pages == sum(held.values())
        assert (pf.by_type["vf"], pf.by_type["rest"]) == (750, START)
        text, _ = exposition(lambda: second)
        types = next(f for f in text_string_to_metric_families(text) if f.name == "mlx5_fw_type_memory_bytes")
        memory = {row.labels["type"]: row.value for row in types.samples}
        assert (memory["vf"], sum(memory.values())) == (750 * PAGE_BYTES, sum(held.values()) * PAGE_BYTES)

        g.ok("echo 0 > /sys/bus/pci/devices/$(address)/sriov_numvfs")
        lab.until({"self": START})
        lab.agree(g)
        assert supplier(snapshot(g, tmp_path / "off")).by_type["vf"] == 0
        g.ok("unload")
        lab.clean(g)
        gone = snapshot(g, tmp_path / "unloaded")
        assert (gone.functions, gone.verdict) == ([], Verdict.NOT_KNOWN)
        g.off()
