"""An unmodified kernel's mlx5_core probes, negotiates, gives its pages, and unloads: judged from both sides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fwpages.prm.identity import Identity, Mode, func_id, vhca_id
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.lab import ECPF, PF, agree, clean, scenario

START = 37 + 2000


def load_and_unload(lab: Lab, g: Guest, own: Identity) -> None:
    """Load, a few requests, unload; both sides count the same after each."""
    with g:
        g.ok("load")
        lab.until({"self": START})
        assert agree(lab, g) == {"self": START}
        assert lab.call(lambda: {k: v.size for k, v in lab.serving.firmware.holds().items()}) == {own: START}
        lab.want(self=1)
        lab.until({"self": START + 1})
        agree(lab, g)
        lab.want(self=3332)
        lab.until({"self": START + 3333})
        agree(lab, g)
        lab.want(self=-3000)
        lab.until({"self": START + 333})
        agree(lab, g)
        g.ok("unload")
        clean(lab, g)
        g.off()


def given_as(lab: Lab) -> list[tuple[int, int]]:
    """The functions that MANAGE_PAGES(GIVE) named, with how many pages, in order."""
    found = []
    for row in map(json.loads, lab.trace().splitlines()):
        if row["kind"] == "submit":
            data = bytes.fromhex(row["in"])
            if data[:2] == b"\x01\x08" and data[7] == 1:
                found.append((int.from_bytes(data[10:12]), int.from_bytes(data[12:16])))
    return found


@pytest.mark.parametrize("offered", [True, False])
def test_requests(new: Kernel, tmp_path: Path, offered: bool) -> None:
    """In VHCA_ID mode boot pages come as function 0, the rest as the own vhca_id, and all are found under it."""
    own = vhca_id(0x2A) if offered else func_id(0)
    with Lab(scenario(PF, offered=offered), tmp_path) as lab:
        load_and_unload(lab, lab.guest(new), own)
        assert lab.session.mode is (Mode.VHCA_ID if offered else Mode.FUNC_ID)
        assert given_as(lab)[:2] == [(0, 37), (own.number, 2000)]


@pytest.mark.parametrize("offered", [True, False])
def test_older_kernel_stays_in_func_id_mode(old: Kernel, tmp_path: Path, offered: bool) -> None:
    with Lab(scenario(PF, offered=offered), tmp_path) as lab:
        load_and_unload(lab, lab.guest(old), func_id(0))
        assert lab.session.mode is Mode.FUNC_ID
        assert {number for number, _ in given_as(lab)} == {0}


@pytest.mark.parametrize("offered", [True, False])
def test_embedded_cpu(new: Kernel, tmp_path: Path, offered: bool) -> None:
    with Lab(scenario(ECPF, offered=offered), tmp_path) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": START})
        agree(lab, g)
        own = vhca_id(lab.profile.vhca_id) if offered else func_id(0, ec=True)
        assert list(lab.call(lab.serving.firmware.holds)) == [own]
        want = {"host-pf": 500, "vf0": 100, "vf1": 200, "sf0": 10, "ec-vf0": 20}
        lab.want(**{name.replace("-", "_"): n for name, n in want.items()})
        lab.until({"self": START, **want})
        agree(lab, g)
        lab.want(host_pf=-100, ec_vf0=-20)
        lab.reset("vf1")
        lab.until({"self": START, "host-pf": 400, "vf0": 100, "sf0": 10})
        agree(lab, g)
        counters = g.pages()
        if not offered:
            assert counters["fw_pages_host_pf"] == 400
            assert counters["fw_pages_vfs"] == 100
            assert counters["fw_pages_ec_vfs"] == 0
            assert counters["fw_pages_sfs"] == 10
        # where Linux can tell types apart it waits for the pages of the host PF and of VFs before it goes
        for name in ("host-pf", "vf0"):
            lab.reset(name)
        lab.until({"self": START, "sf0": 10})
        g.ok("unload")
        clean(lab, g)
        assert lab.session.mode is (Mode.VHCA_ID if offered else Mode.FUNC_ID)
        g.off()
