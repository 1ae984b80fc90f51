"""SFs of a kernel that has them: Debian's has not, so that these tests want modules that were built for it.

``vm/fixed.sh --sf`` builds them; FWPAGES_SF_MODULES names their folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from fwpages.auditor.audit import audit
from fwpages.prm.identity import FunctionType
from fwpages.trial.archives import Member
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.eswitch import Difference, books, devlink, ecpf, load, mode, step, with_devlink, with_files
from tests.vm.lab import complaints
from tests.vm.our_host import counts, ours

START = 37 + 2000
SF = ("sf0", "sf", 0, 0x90, 10)


@pytest.fixture
def with_sfs(new: Kernel, tmp_path: Path) -> Kernel:
    """The newest kernel, with the driver that FWPAGES_SF_MODULES has in place of its own."""
    folder = os.environ.get("FWPAGES_SF_MODULES")
    if not folder:
        pytest.skip("FWPAGES_SF_MODULES names no modules with SFs (vm/fixed.sh --sf)")
    (driver,) = Path(folder).rglob("mlx5_core.ko")
    files = [Member("modules/mlx5_core.ko", driver.read_bytes())]
    return with_files(with_devlink(new, tmp_path), tmp_path / "with-sfs", files)


def port(g: Guest, *words: str) -> str:
    """Add an SF's port, or change it; returns what devlink printed."""
    return devlink(g, "port", *words)


@pytest.mark.parametrize(("offered", "asks"), [(True, "alloc"), (True, "activate"), (False, "alloc")])
def test_an_sf(with_sfs: Kernel, tmp_path: Path, asks: str, offered: bool) -> None:
    """Pages asked for at ALLOC_SF come before the vport is known: in VHCA_ID mode they are in the total alone."""
    more = "" if offered else "icm_mng_function_id_mode = 0"
    text = ecpf(SF, capabilities=more, more=f'asks = "{asks}"\n')
    with Lab(text, tmp_path) as lab, lab.guest(with_sfs) as g:
        load(g)
        mode(g, "switchdev")
        address = f"pci/{g.ok('address').strip()}"
        early = (Difference.EARLY, FunctionType.SF, 10 if asks == "alloc" and offered else 0)
        added = port(g, "add", address, "flavour", "pcisf", "pfnum", "0", "sfnum", "88")
        name = added.split()[0].rstrip(":")
        held = {"self": START, "sf0": 10}
        books(lab, g, held if asks == "alloc" else {"self": START}, *([early] if asks == "alloc" else []))
        port(g, "function", "set", name, "state", "active")
        books(lab, g, held, early)
        lab.want(sf0=7)
        books(lab, g, held | {"sf0": 17}, early)
        port(g, "function", "set", name, "state", "inactive")
        books(lab, g, {"self": START})
        port(g, "del", name)
        mode(g, "legacy")
        g.ok("unload")
        lab.wait(lambda: lab.session.end != "open")
        assert (lab.held(), lab.session.clean, lab.offences, lab.session.refused) == ({}, True, [], 0)
        lab.trace()
        # a module of ours has no signature
        assert [row for row in complaints(g.console()) if "module verification failed" not in row] == []
        g.off()
    if asks == "alloc":
        steps = step("enable", "sf0") + step("request", "sf0", "pages = 7") + step("disable", "sf0")
        plan = msgspec.structs.replace(text, step=(*text.step, *ecpf(SF, steps=steps).step[1:]))
        (session,) = audit(lab.trace_file).sessions
        linux = counts(session.functions)
        assert ours(plan, lab.session.mode, tmp_path) == dict.fromkeys(("direct", "queue", "drive"), linux)
