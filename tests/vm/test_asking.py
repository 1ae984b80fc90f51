"""``top --ask-firmware`` asks the firmware through an unmodified kernel's devlink, and only then sends it a command."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import pytest

from fwpages.machine.snapshot import FunctionCounters, Snapshot, Untold
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.guest import PYTHON, begin_program, finish
from tests.vm.lab import PF, clean, scenario

START = 37 + 2000
QUERY_VNIC_ENV = bytes.fromhex("076f")


#: ``fwpages top`` with more patience than a machine without emulation needs
_TOP = (
    "import sys; from fwpages.cli import invoke; from fwpages.machine import asking, sampling; "
    "sampling.ASKER = asking.Asker(limit=100, start=100); sys.exit(invoke(['top', '--json', *sys.argv[1:]]))"
)


def top(g: Guest, *options: str, status: int = 0) -> FunctionCounters:
    """The PF in a snapshot that Python took in the machine."""
    ran = finish(g, begin_program(g, [sys.executable, "-c", _TOP, *options]), stop="")
    assert ran.status == status, ran
    (pf,) = msgspec.json.decode(ran.stdout, type=Snapshot).functions
    return pf


def asked(lab: Lab) -> int:
    """How often the driver has sent the command that each question needs."""
    rows = map(json.loads, lab.trace().splitlines())
    return sum(bytes.fromhex(row["in"])[:2] == QUERY_VNIC_ENV for row in rows if row["kind"] == "submit")


@pytest.mark.parametrize("version", ["new", "old"])
def test_firmware_tells_the_pages_of_the_function_itself(
    version: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kernel: Kernel = request.getfixturevalue(version)
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(kernel, PYTHON) as g:
        g.ok("load")
        lab.want(vf0=600)
        lab.until({"self": START, "vf0": 600})
        before = asked(lab)
        assert top(g).firmware is None
        assert asked(lab) == before
        if version == "new":
            pf = top(g, "--ask-firmware")
            assert pf.firmware is not None
            assert (pf.pages, pf.firmware.pages) == (START + 600, START)
        else:  # older than Linux 6.15
            pf = top(g, "--ask-firmware", status=4)
            assert pf.firmware is not None
            assert (pf.pages, pf.firmware.pages, pf.firmware.not_known) == (START + 600, None, Untold.ABSENT)
        assert asked(lab) == before + 1
        g.ok("unload")
        clean(lab, g)
        g.off()
