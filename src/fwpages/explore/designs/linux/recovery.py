"""Health recovery (health.c, main.c): a device whose firmware is out of reach is unloaded, cut off and loaded again.

mlx5_disable_device comes before pci_disable_device: the unload takes pages from the driver's own trees and frees them
while the device can still write into them. Only a reset by software comes before it, where firmware asks for one and
the device supports it; a reset that is not done in time is logged, and the unload follows all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.startup import Load
from fwpages.explore.designs.linux.threads import ForFence, ForLateAnswers, Frame, Kernel, Outcome, Paused
from fwpages.explore.designs.linux.unload import Unload
from fwpages.host import Reset
from fwpages.host.io import CLOSE, OPEN


@dataclass(frozen=True, slots=True)
class FatalReport(Frame):
    """health.c:poll_health has set the error state; the work that it queued comes later.

    ``asked``: a syndrome for which firmware asks for a reset (``rfr``), and not a device that cannot be reached.
    """

    asked: bool

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Other threads may go on before the work."""
        kernel.push(FlushCommands(self.asked))
        return Paused("fatal_report_work")


@dataclass(frozen=True, slots=True)
class FlushCommands(Frame):
    """cmd.c:mlx5_cmd_flush wants every slot: that of a command given up comes free by its late answer alone."""

    asked: bool

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """End what is under way, and wait for the rest."""
        kernel.flush_commands()
        kernel.push(Recover(self.asked))
        wait = ForLateAnswers()
        return 0 if wait.over(kernel) else wait


@dataclass(frozen=True, slots=True)
class Recover(Frame):
    """mlx5_health_try_recover: mlx5_disable_device unloads with firmware out of reach, before the PCI device is cut."""

    asked: bool

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """As soon as no other thread has the devlink lock."""
        kernel.push(RecoverLocked(self.asked))
        return kernel.lock("devlink")


@dataclass(frozen=True, slots=True)
class RecoverLocked(Frame):
    """Under the devlink lock. A device that is not up is not unloaded, but cut off and loaded all the same."""

    asked: bool

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """mlx5_error_sw_reset, and unload it. Where the reset is not supported, Linux waits, and nothing else."""
        kernel.push(CutOff(kernel.up))
        kernel.push(Unload())
        if not (self.asked and kernel.config.software_reset):
            return 0
        kernel.emit(Reset(kernel.session, "health recovery: reset by software"))
        kernel.push(SoftwareReset())
        return ForFence("the reset by software", kernel.now + kernel.config.bounds.fence)


@dataclass(frozen=True, slots=True)
class SoftwareReset(Frame):
    """mlx5_error_sw_reset's end: the NIC interface is disabled, or the time for it is over (PCI_TOGGLE, 2 s)."""

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """The unload follows either way."""
        if result:
            kernel.find(LinuxCause.RESET_LATE, detail="the reset by software was not done in time")
        return 0


@dataclass(frozen=True, slots=True)
class CutOff(Frame):
    """mlx5_recover_device: pci_disable_device, and the slot is enabled anew."""

    was_up: bool

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Wait for it."""
        kernel.cmd_up = False
        kernel.emit(Reset(kernel.session, "health recovery: pci_disable_device"))
        kernel.push(Recovered(self.was_up))
        return ForFence("the PCI device", kernel.now + kernel.config.bounds.fence)


@dataclass(frozen=True, slots=True)
class Recovered(Frame):
    """The device came back, or it did not in time."""

    was_up: bool

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """mlx5_load_one follows, upon Run or when the caller opens."""
        if self.was_up:
            kernel.done(CLOSE, ok=not result, detail="reset")
        kernel.unlock("devlink")
        if result:
            kernel.find(LinuxCause.RECOVERY_FAILED, detail="the device did not come back")
            return 0
        kernel.becomes(OPEN)
        kernel.push(Reload())
        return Paused("health recovery loads the device")


@dataclass(frozen=True, slots=True)
class Reload(Frame):
    """As at any load: priv is the old one, with what is in its trees and its counters."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """As soon as no other thread has the devlink lock."""
        kernel.push(Load())
        return kernel.lock("devlink")
