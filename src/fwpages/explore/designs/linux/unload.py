"""Taking a device down (main.c): mlx5_unload, mlx5_function_close, and the parts that a failed load undoes."""

from __future__ import annotations

from dataclasses import dataclass

from fwpages.explore.designs.linux.cmd import execute
from fwpages.explore.designs.linux.eswitch import unloading
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.reclaim import ReclaimAll
from fwpages.explore.designs.linux.state import Vport
from fwpages.explore.designs.linux.threads import ForWorker, Frame, Kernel, Outcome
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode


@dataclass(frozen=True, slots=True)
class Unload(Frame):
    """mlx5_unload_one, under the devlink lock.

    mlx5_eswitch_disable, then mlx5_unload (sriov_detach, ec_cleanup, the event queues), then function_teardown.
    """

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Nothing where the device is not up."""
        if not kernel.up:
            return 0
        kernel.up = False
        kernel.push(FunctionTeardown())
        kernel.push(CleanupOnce())
        kernel.push(QueuesOff())
        for frame in reversed(unloading(kernel)):
            kernel.push(frame)
        return 0


@dataclass(frozen=True, slots=True)
class CleanupOnce(Frame):
    """main.c:mlx5_uninit_one: mlx5_cleanup_once, and with it mlx5_eswitch_cleanup, comes before function_teardown."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Only where the driver is removed."""
        if kernel.removes and kernel.thread == "driver":
            kernel.eswitch, kernel.types = False, {}
            kernel.vports = {n: Vport(v.info, v.info.vhca_id) for n, v in kernel.vports.items()}
        return 0


@dataclass(frozen=True, slots=True)
class QueuesOff(Frame):
    """mlx5_eq_table_destroy comes before mlx5_pagealloc_stop: work that is queued is carried out without a queue."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """The queues, the last one first, the worker, the UAR."""
        kernel.push(UarOff())
        kernel.push(PagesStop())
        for name, number in kernel.eqs:
            kernel.push(EqOff(name, number))
        return 0


@dataclass(frozen=True, slots=True)
class EqOff(Frame):
    """eq.c:cleanup_async_eq: its events are ignored from here on; an error of the command is only logged."""

    name: str
    number: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """DESTROY_EQ."""
        kernel.eqs = tuple(eq for eq in kernel.eqs if eq[0] != self.name)
        return execute(kernel, Command(Opcode.DESTROY_EQ, fields={"eq_number": self.number}))


@dataclass(frozen=True, slots=True)
class PagesStop(Frame):
    """mlx5_pagealloc_stop: flush_workqueue, which waits for page commands without a bound."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Wait where something is queued or being served."""
        kernel.notifier = False
        wait = ForWorker()
        return 0 if wait.over(kernel) else wait


@dataclass(frozen=True, slots=True)
class UarOff(Frame):
    """mlx5_free_bfreg."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """DEALLOC_UAR."""
        uar, kernel.uar = kernel.uar, None
        return 0 if uar is None else execute(kernel, Command(Opcode.DEALLOC_UAR, fields={"uar": uar}))


# -- function_close, function_disable ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FunctionTeardown(Frame):
    """mlx5_function_teardown: mlx5_function_close, then mlx5_function_disable."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """TEARDOWN_HCA."""
        kernel.push(TornDown())
        return execute(kernel, Command(Opcode.TEARDOWN_HCA))


@dataclass(frozen=True, slots=True)
class TornDown(Frame):
    """mlx5_function_close's end: where TEARDOWN_HCA failed, nothing more is done."""

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Disable the function."""
        if not result:
            return FunctionDisable().resume(kernel, 0)
        left = sum(kernel.blocks - page.free for page in kernel.pages.values())
        kernel.find(LinuxCause.TEARDOWN_FAILED, None, left, "no page is taken back, DISABLE_HCA is not sent")
        return result


@dataclass(frozen=True, slots=True)
class FunctionDisable(Frame):
    """mlx5_function_disable: pages first, then DISABLE_HCA."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Take every page back."""
        kernel.initialized = False
        kernel.push(DisableHca())
        return ReclaimAll().resume(kernel, 0)


@dataclass(frozen=True, slots=True)
class DisableHca(Frame):
    """mlx5_core_disable_hca for the device itself; then the command interface goes down."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """DISABLE_HCA."""
        kernel.push(CmdDown())
        ecpf = int(kernel.config.supplier.ecpf)
        return execute(kernel, Command(Opcode.DISABLE_HCA, fields={"embedded_cpu_function": ecpf}))


@dataclass(frozen=True, slots=True)
class CmdDown(Frame):
    """mlx5_cmd_disable."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """An error of DISABLE_HCA is only logged."""
        kernel.cmd_up = kernel.enabled = False
        return 0
