"""Requests for several functions: give, take and release_all, interleaved, and as much as one request may be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fwpages.prm.event import decode_page_request
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.lab import PF, agree, clean, scenario

START = 37 + 2000


@pytest.mark.parametrize("offered", [True, False])
def test_interleaved(new: Kernel, tmp_path: Path, offered: bool) -> None:
    with Lab(scenario(PF, offered=offered), tmp_path) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": START})
        lab.want(vf0=600, vf1=50, sf0=7)
        lab.until({"self": START, "vf0": 600, "vf1": 50, "sf0": 7})
        agree(lab, g)
        lab.want(vf0=-300, sf0=1000, vf1=1)
        lab.until({"self": START, "vf0": 300, "vf1": 51, "sf0": 1007})
        agree(lab, g)
        # one function lets go of everything while another asks
        lab.reset("vf0")
        lab.want(vf1=2000, self=10)
        lab.until({"self": START + 10, "vf1": 2051, "sf0": 1007})
        agree(lab, g)
        lab.want(vf0=5)
        lab.reset("sf0")
        lab.want(sf0=3, vf1=-2051)
        lab.until({"self": START + 10, "vf0": 5, "sf0": 3})
        agree(lab, g)
        counters = g.pages()
        if not offered:
            # without SR-IOV, which a virtual machine hides, Linux takes every other number for that of an SF
            assert (counters["fw_pages_vfs"], counters["fw_pages_sfs"]) == (0, 8)
        assert counters["fw_pages_give_dropped"] == counters["fw_pages_alloc_failed"] == 0
        g.ok("unload")
        clean(lab, g)
        g.off()


MOMENTS = """
[[step]]
do = "open"
[[step]]
do = "request"
function = "vf0"
pages = 600
[[step]]
do = "request"
function = "vf1"
pages = 50
at = 4.0
[[step]]
do = "request"
function = "sf0"
pages = 7
after = "request vf1"
[[step]]
do = "reset"
function = "vf0"
after = "request sf0"
[[step]]
do = "close"
"""


def test_steps_at_their_moment(new: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(PF, steps=MOMENTS), tmp_path) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": START, "vf1": 50, "sf0": 7})
        agree(lab, g)
        g.ok("unload")
        clean(lab, g)
        lab.wait(lambda: lab.call(lambda: lab.serving.finished))
        g.off()
    rows = [row for row in map(json.loads, lab.trace().splitlines()) if row["kind"] == "event"]
    events = [(row["t"] - lab.session.begun, decode_page_request(bytes.fromhex(row["eqe"]))) for row in rows]
    assert [(e.number, e.num_pages) for _, e in events if e] == [(0x31, 600), (0x32, 50), (0x90, 7), (0x31, 0)]
    assert events[0][0] < 4.0 <= events[1][0]


def test_fifty_thousand_in_one_request(new: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": START})
        lab.want(vf0=50_000)
        lab.until({"self": START, "vf0": 50_000})
        assert agree(lab, g) == {"self": START, "vf0": 50_000}
        pages = lab.call(lambda: np.concatenate(list(lab.serving.firmware.holds().values())))
        assert np.unique(pages).size == pages.size == START + 50_000
        lab.want(vf0=-50_000)
        lab.until({"self": START})
        agree(lab, g)
        g.ok("unload")
        clean(lab, g)
        g.off()
