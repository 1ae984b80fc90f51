"""Again and again, and in the middle of things: no page is lost on our side, and memory is let go of."""

from __future__ import annotations

import time
from pathlib import Path

from fwpages.prm.opcodes import Teardown
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.lab import PF, agree, clean, complaints, scenario

START = 37 + 2000


def test_unload_and_load_ten_times(new: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new) as g:
        for n in range(10):
            g.ok("load")
            lab.until({"self": START})
            lab.want(vf0=100 + n)
            lab.until({"self": START, "vf0": 100 + n})
            agree(lab, g)
            g.ok("unload")
            clean(lab, g, sessions=n + 1)
        assert {s.commands for s in lab.serving.observer.sessions[1:]} <= {
            s.commands for s in lab.serving.observer.sessions
        }
        g.off()


def test_unbind_with_requests_in_flight(new: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": START})
        for n in range(3):
            g.start("echo $(address) > /sys/bus/pci/drivers/mlx5_core/unbind")
            lab.want(vf0=3000, vf1=3000, sf0=3000)
            lab.sessions(n + 1)
            lab.wait(lambda: lab.session.end == "closed")
            g.ok("true")
            assert lab.held() == {}
            g.ok("echo $(address) > /sys/bus/pci/drivers/mlx5_core/bind")
            lab.sessions(n + 2)
            lab.until({"self": START})
            agree(lab, g)
        g.ok("unload")
        clean(lab, g, sessions=4)
        g.off()


def test_guest_is_killed_and_another_comes(new: Kernel, tmp_path: Path) -> None:
    with Lab(scenario(PF), tmp_path) as lab:
        device = lab.serving.device
        for n in range(2):
            with lab.guest(new) as g:
                g.ok("load")
                lab.until({"self": START})
                lab.want(vf0=10_000)
                if n:
                    lab.until({"self": START, "vf0": 10_000})
                g.kill()
            lab.wait(lambda: lab.session.end == "gone")
            assert lab.held() == {}
            assert lab.call(lambda: lab.serving.observer.inner.kept.size) == 0
            assert len(device.memory) == 0
            assert device.irqs.armed == ()
            lab.call(lab.serving.observer.inner.check)
        with lab.guest(new) as g:
            g.ok("load")
            lab.until({"self": START})
            agree(lab, g)
            g.ok("unload")
            clean(lab, g, sessions=3)
            g.off()


def test_stays_healthy_and_starts_from_nothing_after_a_reset(new: Kernel, tmp_path: Path) -> None:
    """The driver looks at the health counter every two seconds, and complains when it has stood still three times.

    The reset is a function-level one by the guest, with no driver bound.
    """
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": START})
        g.ok("sleep 9")
        agree(lab, g)
        assert complaints(g.console()) == []
        assert "health" not in g.console().split("mlx5_core", 1)[1]
        g.ok("unload")
        clean(lab, g)
        before = lab.serving.device.endpoint.resets
        g.ok("echo 1 > /sys/bus/pci/devices/$(address)/reset")
        assert lab.serving.device.endpoint.resets > before
        g.ok("load")
        lab.until({"self": START})
        agree(lab, g)
        g.ok("unload")
        clean(lab, g, sessions=2)
        assert complaints(g.console()) == []
        g.off()


def test_power_off_with_the_driver_loaded(new: Kernel, tmp_path: Path) -> None:
    """Linux tears the device down fast: pages stay where they are until it disables the interface."""
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": START})
        g.start("poweroff -f")
        # a command that is not completed would take Linux 60 s to give up
        begun = time.monotonic()
        lab.wait(lambda: lab.session.end != "open")
        assert time.monotonic() - begun < 50
        # the device lets go when Linux disables the interface, before the machine is off
        assert (lab.session.end, lab.session.torn) == ("reset", Teardown.PREPARE_FAST)
        assert lab.session.clean
        assert lab.held() == {}
        assert lab.offences == []
        assert complaints(g.console()) == []
