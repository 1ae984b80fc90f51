"""SFs of a kernel that has them: Debian's has not, so that these tests want modules that were built for it.

``vm/fixed.sh --sf`` builds them; FWPAGES_SF_MODULES names their folder.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from fwpages.prm.identity import FunctionType
from fwpages.trial.archives import Member, cpio
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.eswitch import Difference, books, devlink, ecpf, load, mode
from tests.vm.guest import PYTHON
from tests.vm.lab import complaints

START = 37 + 2000
SF = ("sf0", "sf", 0, 0x90, 10)


@pytest.fixture
def with_sfs(new: Kernel, tmp_path: Path) -> Kernel:
    """The newest kernel, with the driver that FWPAGES_SF_MODULES has in place of its own."""
    folder = os.environ.get("FWPAGES_SF_MODULES")
    if not folder:
        pytest.skip("FWPAGES_SF_MODULES names no modules with SFs (vm/fixed.sh --sf)")
    (driver,) = Path(folder).rglob("mlx5_core.ko")
    base, target = new.initrd.read_bytes(), tmp_path / "with-sfs"
    # Linux unpacks one archive after the other; the next begins at a multiple of four bytes
    more = cpio([Member("modules/mlx5_core.ko", driver.read_bytes())])
    target.write_bytes(base + b"\0" * (-len(base) % 4) + more)
    return replace(new, initrd=target)


def port(g: Guest, *words: str) -> str:
    """Add an SF's port, or change it; returns what devlink printed."""
    return devlink(g, "port", *words)


@pytest.mark.parametrize(("offered", "asks"), [(True, "alloc"), (True, "activate"), (False, "alloc")])
def test_an_sf(with_sfs: Kernel, tmp_path: Path, asks: str, offered: bool) -> None:
    """Pages asked for at ALLOC_SF come before the vport is known: in VHCA_ID mode they are in the total alone."""
    more = "" if offered else "icm_mng_function_id_mode = 0"
    text = ecpf(SF, capabilities=more, more=f'asks = "{asks}"\n')
    with Lab(text, tmp_path) as lab, lab.guest(with_sfs, PYTHON) as g:
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
        # a module of ours has no signature
        assert [row for row in complaints(g.console()) if "module verification failed" not in row] == []
        g.off()
