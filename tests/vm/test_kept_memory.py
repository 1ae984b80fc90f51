"""A machine whose memory its QEMU does not share: the device reaches it by messages alone, which QEMU answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from fwpages.trial.qemu import Machine
from tests.vm.lab import PF, agree, clean, scenario

START = 37 + 2000


@pytest.mark.parametrize("posted", [True, False])
def test_load_requests_and_unload(new: Kernel, tmp_path: Path, posted: bool) -> None:
    """Whether a processor waits for the reply to its doorbell or not: while it waits, QEMU answers nothing."""
    with Lab(scenario(PF), tmp_path) as lab:
        with lab.guest(new, Machine(shared=False, posted=posted)) as g:
            g.ok("load dyndbg=+p")
            lab.until({"self": START})
            lab.want(self=5000)
            lab.until({"self": START + 5000})
            agree(lab, g)
            lab.want(self=-5000)
            lab.until({"self": START})
            g.ok("unload")
            clean(lab, g)
            g.off()
        assert "vfio" not in g.qemu_said()


def test_a_machine_that_is_cut_off_while_its_driver_loads(new: Kernel, tmp_path: Path) -> None:
    """The device waits for an answer that never comes, and is there for the next machine."""
    with Lab(scenario(PF), tmp_path) as lab:
        with lab.guest(new, Machine(shared=False)) as g:
            g.start("load")
            lab.sessions(1)
            g.kill()
        lab.wait(lambda: lab.session.end != "open")
        assert (lab.session.end, lab.held(), lab.offences) == ("gone", {}, [])
        with lab.guest(new, Machine(shared=False)) as g:
            g.ok("load")
            lab.until({"self": START})
            g.ok("unload")
            clean(lab, g, sessions=2)
            g.off()
