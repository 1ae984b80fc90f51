"""A close that a caller asked for: mlx5_unload_one, or a shutdown (main.c)."""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.explore.designs.linux.threads import ForFence, Frame, Kernel, Outcome, Reply, ReplyFrame
from fwpages.explore.designs.linux.unload import Unload
from fwpages.host import Reset
from fwpages.host.io import CLOSE
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, Teardown

#: mlx5_try_fast_unload: the teardowns that it tries in this order, with the capability that each needs
_TEARDOWNS = (("fast_teardown", Teardown.PREPARE_FAST), ("force_teardown", Teardown.FORCE))


@dataclass(frozen=True, slots=True)
class Close(Frame):
    """mlx5_unload_one."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """As soon as no other thread has the devlink lock."""
        kernel.push(Closed())
        kernel.push(Unload())
        return kernel.lock("devlink")


@dataclass(frozen=True, slots=True)
class Closed(Frame):
    """The device is unloaded. The caller does not learn if pages are left: mlx5_unload_one returns nothing."""

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """After a removal (mlx5_mdev_uninit) what is left stays mapped, and no list has it."""
        if kernel.removes:
            kernel.roots, kernel.pages, kernel.free_list = {}, {}, ()
            kernel.fw_pages, kernel.counters = 0, {}
        kernel.done(CLOSE, ok=not result, detail="closed" if not result else f"error {result}")
        kernel.unlock("devlink")
        return 0


# -- shutdown ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shutdown(Frame):
    """main.c:shutdown: mlx5_try_fast_unload, and where that fails mlx5_unload_one."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """As soon as no other thread has the devlink lock."""
        kernel.push(TryTeardown(0))
        return kernel.lock("devlink")


@dataclass(frozen=True, slots=True)
class TryTeardown(Frame):
    """mlx5_try_fast_unload; the first ``tried`` teardowns have failed or are not offered."""

    tried: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """The next teardown that the device offers."""
        return _try(kernel, self.tried)


def _try(kernel: Kernel, tried: int) -> Outcome:
    for n, (capability, profile) in enumerate(_TEARDOWNS[tried:], tried + 1):
        if kernel.caps.get(capability):
            return kernel.command(Command(Opcode.TEARDOWN_HCA, fields={"profile": profile}), Torn(n))
    kernel.push(Closed())
    return Unload().resume(kernel, 0)


@dataclass(frozen=True, slots=True)
class Torn(ReplyFrame):
    """mlx5_cmd_fast_teardown_hca, mlx5_cmd_force_teardown_hca: a state of 1 in the answer is a refusal too."""

    tried: int

    def resume(self, kernel: Kernel, reply: Reply) -> Outcome:
        """Error state; no page is taken back, pci_disable_device cuts the device off."""
        if reply.err or (reply.answer is not None and reply.answer["state"]):
            return _try(kernel, self.tried)
        kernel.error, kernel.up, kernel.notifier, kernel.eqs = True, False, False, ()
        kernel.flush_commands()
        kernel.emit(Reset(kernel.session, "shutdown: pci_disable_device"))
        kernel.push(ShutDown())
        return ForFence("bus mastering off", kernel.now + kernel.config.bounds.fence)


@dataclass(frozen=True, slots=True)
class ShutDown(Frame):
    """The trees stay as they are: the kernel is about to end."""

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Report the close."""
        kernel.cmd_up = False
        kernel.done(CLOSE, ok=not result, detail="forced")
        kernel.unlock("devlink")
        return 0
