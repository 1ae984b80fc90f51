"""Loading a device (main.c): function_enable, function_open, load; and the two rounds of start-up pages (pagealloc.c).

A load has three parts, each a row of actions that ends at the first error. What a part has done is undone where the
next fails, in the order of mlx5_load_one and mlx5_function_setup.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias

import numpy as np

from fwpages.explore.designs.linux import pages as tree
from fwpages.explore.designs.linux.cmd import Executed, execute
from fwpages.explore.designs.linux.errors import EBUSY, EIO
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.page_commands import Give
from fwpages.explore.designs.linux.threads import Frame, Kernel, Outcome, Paused
from fwpages.explore.designs.linux.unload import DisableHca, FunctionDisable, FunctionTeardown, QueuesOff
from fwpages.host.io import OPEN
from fwpages.pages import PAGE_SIZE
from fwpages.prm.capability import GENERAL, read_general
from fwpages.prm.event import EventType
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, HOST_ENDIANNESS, CapType, Opcode, QueryPages

MODE = "icm_mng_function_id_mode"

#: event queues in the order of eq.c:create_async_eqs; here of one page each
_EQS = (("commands", EventType.COMMAND), ("async", EventType.NIC_VPORT_CHANGE), ("pages", EventType.PAGE_REQUEST))

Action: TypeAlias = Callable[[Kernel], Outcome]


# -- mlx5_load_one ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Load(Frame):
    """mlx5_load_one, under the devlink lock."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Enable the function."""
        kernel.session += 1
        kernel.error = False
        kernel.push(Enabled())
        return EnableRow().resume(kernel, 0)


@dataclass(frozen=True, slots=True)
class Enabled(Frame):
    """mlx5_function_enable's end: without boot pages only DISABLE_HCA is due."""

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Open the function."""
        if not result:
            kernel.push(Opened())
            return OpenRow().resume(kernel, 0)
        kernel.push(LoadFailed(result))
        return DisableHca().resume(kernel, 0) if kernel.enabled else 0


@dataclass(frozen=True, slots=True)
class Opened(Frame):
    """mlx5_function_setup's end: the pages are taken back where the start cannot go on."""

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Load."""
        if not result:
            kernel.push(Loaded())
            return LoadRow().resume(kernel, 0)
        kernel.push(LoadFailed(result))
        return FunctionDisable().resume(kernel, 0)


@dataclass(frozen=True, slots=True)
class Loaded(Frame):
    """mlx5_load_one's end: up; or down again through TEARDOWN_HCA."""

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Report the open."""
        if result:
            kernel.push(LoadFailed(result))
            kernel.push(FunctionTeardown())
            return QueuesOff().resume(kernel, 0)
        kernel.up = True
        kernel.done(OPEN, ok=True)
        kernel.unlock("devlink")
        return 0


@dataclass(frozen=True, slots=True)
class LoadFailed(Frame):
    """err_function: the state is that of an internal error until the next load."""

    err: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Report the open."""
        kernel.error = True
        kernel.done(OPEN, ok=False, detail=f"error {self.err}")
        kernel.unlock("devlink")
        return 0


@dataclass(frozen=True, slots=True)
class Row(Frame):
    """The actions of a part of the load one after the other, up to the first that fails; ``n`` is the next one."""

    n: int = 0
    actions: ClassVar[tuple[Action, ...]] = ()

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """The next action."""
        if result or self.n == len(self.actions):
            return result
        kernel.push(replace(self, n=self.n + 1))
        return self.actions[self.n](kernel)


# -- function_enable, function_open -----------------------------------------------------------------------------------


def _enable(kernel: Kernel) -> Outcome:
    # mlx5_cmd_enable: the slots are as new, whatever earlier commands never came back
    kernel.cmd_up, kernel.enabled, kernel.initialized = True, False, False
    kernel.flights.clear()
    ecpf = int(kernel.config.supplier.ecpf)
    return execute(kernel, Command(Opcode.ENABLE_HCA, fields={"embedded_cpu_function": ecpf}), HcaEnabled)


@dataclass(frozen=True, slots=True)
class HcaEnabled(Executed):
    """mlx5_core_enable_hca's end."""

    def accept(self, kernel: Kernel, _: Answer) -> int:
        """From here on DISABLE_HCA is due."""
        kernel.enabled = True
        return 0


def _query_issi(kernel: Kernel) -> Outcome:
    return execute(kernel, Command(Opcode.QUERY_ISSI), IssiQueried)


@dataclass(frozen=True, slots=True)
class IssiQueried(Executed):
    """mlx5_core_set_issi: the answer to QUERY_ISSI."""

    def accept(self, kernel: Kernel, answer: Answer) -> int:
        """ISSI 1 if it is offered."""
        kernel.issi = 1 if answer["supported_issi_dw0"] & 2 else 0
        return 0


def _set_issi(kernel: Kernel) -> Outcome:
    return execute(kernel, Command(Opcode.SET_ISSI, fields={"current_issi": 1})) if kernel.issi else 0


def _set_host_endianness(kernel: Kernel) -> Outcome:
    """set_hca_ctrl: only a PF does."""
    if kernel.config.supplier.ecpf:
        return 0
    return execute(kernel, Command(Opcode.ACCESS_REG, fields={"register_id": HOST_ENDIANNESS}, data=bytes(16)))


def _query_current(kernel: Kernel) -> Outcome:
    return execute(kernel, Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL << 1 | CAP_CURRENT), CurrentQueried)


@dataclass(frozen=True, slots=True)
class CurrentQueried(Executed):
    """mlx5_core_get_caps: the current capabilities."""

    def accept(self, kernel: Kernel, answer: Answer) -> int:
        """main.c:mlx5_init_once, mlx5_eswitch_init: an e-switch for the manager of one or of a vport group."""
        try:
            kernel.cap_page, kernel.caps = (b"" if kernel.initialized else answer.data), read_general(answer.data)
        except LayoutError:
            return EIO
        _tag(kernel)
        kernel.eswitch = bool(kernel.caps["eswitch_manager"] or kernel.caps["vport_group_manager"])
        return 0


def _query_max(kernel: Kernel) -> Outcome:
    return execute(kernel, Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL << 1), MaxQueried)


@dataclass(frozen=True, slots=True)
class MaxQueried(Executed):
    """mlx5_core_get_caps: the max capabilities."""

    def accept(self, kernel: Kernel, answer: Answer) -> int:
        """Take them over; a caller that wants FUNC_ID mode makes VHCA_ID mode look as if it were not offered."""
        try:
            kernel.max_caps = read_general(answer.data)
        except LayoutError:
            return EIO
        if kernel.wanted == "func_id":
            kernel.max_caps[MODE] = 0
        _tag(kernel)
        return 0


def _tag(kernel: Kernel) -> None:
    """The capabilities in a few characters, for comparing states."""
    kernel.caps_tag = hashlib.blake2b(repr((kernel.caps, kernel.max_caps)).encode(), digest_size=8).hexdigest()


def _set_cap(kernel: Kernel) -> Outcome:
    """handle_hca_cap: what max offers of the two is switched on; nothing is read back before the init pages."""
    page, kernel.cap_page = kernel.cap_page, b""
    offered = kernel.max_caps
    want = {"release_all_pages": offered["release_all_pages"], "cmdif_checksum": 0, MODE: offered[MODE]}
    return execute(kernel, Command(Opcode.SET_HCA_CAP, CapType.GENERAL << 1, data=GENERAL.patch(page, want)))


def _query_atomic(kernel: Kernel) -> Outcome:
    """set_hca_cap goes on with five other pages of capabilities; one query stands for them."""
    return execute(kernel, Command(Opcode.QUERY_HCA_CAP, CapType.ATOMIC << 1 | CAP_CURRENT))


def _init_hca(kernel: Kernel) -> Outcome:
    return execute(kernel, Command(Opcode.INIT_HCA, data=bytes(16)), Initialized)


@dataclass(frozen=True, slots=True)
class Initialized(Executed):
    """mlx5_cmd_init_hca's end."""

    def accept(self, kernel: Kernel, _: Answer) -> int:
        """The capabilities are not set any more."""
        kernel.initialized = True
        return 0


def _set_driver_version(kernel: Kernel) -> Outcome:
    """mlx5_set_driver_version returns nothing."""
    kernel.push(Ignored())
    return execute(kernel, Command(Opcode.SET_DRIVER_VERSION, data=b"Linux,mlx5_core".ljust(64, b"\0")))


@dataclass(frozen=True, slots=True)
class Ignored(Frame):
    """A function that returns nothing."""

    def resume(self, kernel: Kernel, _: int) -> Outcome:  # noqa: ARG002  # a frame's signature
        """No error."""
        return 0


# -- start-up pages ---------------------------------------------------------------------------------------------------


def _boot_pages(kernel: Kernel) -> Outcome:
    """mlx5_satisfy_startup_pages: the mode is set before the question."""
    kernel.vhca_mode = False
    return _query_pages(kernel, QueryPages.BOOT)


def _init_pages(kernel: Kernel) -> Outcome:
    """mlx5_satisfy_startup_pages: the *max* capability decides on the mode."""
    if not kernel.max_caps[MODE]:
        return _query_pages(kernel, QueryPages.INIT)
    kernel.push(VhcaMode())
    return _migrate(kernel)


@dataclass(frozen=True, slots=True)
class VhcaMode(Frame):
    """From now on, until the next boot pages, the mode is VHCA_ID, whatever happens afterwards."""

    def resume(self, kernel: Kernel, result: int) -> Outcome:
        """Ask for the init pages."""
        if result:
            return result
        kernel.vhca_mode = True
        return _query_pages(kernel, QueryPages.INIT)


def _migrate(kernel: Kernel) -> Outcome:
    """mlx5_pagealloc_migrate_pf_to_vhca_id: the tree of function 0 moves. Other trees stay, without a message."""
    new, old = kernel.caps["vhca_id"], kernel.config.supplier.ecpf << 16
    root = kernel.roots.get(old)
    if root is None or old == new:
        return 0
    if new in kernel.roots:
        kernel.find(LinuxCause.MIGRATE_FAILED, new, detail="the own vhca_id has a tree already")
        return EBUSY
    kernel.roots[new] = root
    kernel.push(Migrated(old, new))
    if kernel.choices.rename_first:
        tree.rename(kernel, root, new)
        return Paused("the new key is there; the old one too")
    del kernel.roots[old]
    return Paused("the new key is there; pages carry the old")


@dataclass(frozen=True, slots=True)
class Migrated(Frame):
    """The second half of the migration."""

    old: int
    new: int

    def resume(self, kernel: Kernel, _: int) -> Outcome:
        """Whichever of the two is missing."""
        if kernel.choices.rename_first:
            del kernel.roots[self.old]
        else:
            tree.rename(kernel, kernel.roots[self.new], self.new)
        return 0


def _query_pages(kernel: Kernel, which: QueryPages) -> Outcome:
    """mlx5_cmd_query_pages names the own vhca_id, or function 0 with the ec bit of an ECPF."""
    ecpf = int(kernel.config.supplier.ecpf)
    fields = {"function_id": kernel.caps["vhca_id"]} if kernel.vhca_mode else {"embedded_cpu_function": ecpf}
    return execute(kernel, Command(Opcode.QUERY_PAGES, which, fields), PagesQueried)


@dataclass(frozen=True, slots=True)
class PagesQueried(Executed):
    """mlx5_satisfy_startup_pages: the answer to QUERY_PAGES."""

    def accept(self, kernel: Kernel, answer: Answer) -> int:
        """The function is the answer's, its ec bit the driver's own; the count goes on unchecked."""
        n = answer["num_pages"]
        if n:
            ec = kernel.config.supplier.ecpf and not kernel.vhca_mode
            kernel.push(Give(answer["function_id"], ec, n, event=False))
        return 0


# -- load -------------------------------------------------------------------------------------------------------------


def _alloc_uar(kernel: Kernel) -> Outcome:
    return execute(kernel, Command(Opcode.ALLOC_UAR), UarAllocated)


@dataclass(frozen=True, slots=True)
class UarAllocated(Executed):
    """mlx5_alloc_bfreg's end."""

    def accept(self, kernel: Kernel, answer: Answer) -> int:
        """Its number."""
        kernel.uar = answer["uar"]
        return 0


def _pagealloc_start(kernel: Kernel) -> Outcome:
    kernel.notifier = True
    return 0


def _create_eq(kernel: Kernel, n: int) -> Outcome:
    name, event = _EQS[n]
    if name == "pages" and kernel.caps.get("page_request_disable"):
        return 0
    fields = {"log_eq_size": 6, "uar_page": kernel.uar or 0, "event_bitmask_0": 1 << event}
    # queue memory is left out of the model: addresses below all that is lent
    pas = np.array([kernel.config.base - (n + 1) * PAGE_SIZE], np.uint64)
    return kernel.command(Command(Opcode.CREATE_EQ, fields=fields, pas=pas), EqCreated(Opcode.CREATE_EQ, name))


@dataclass(frozen=True, slots=True)
class EqCreated(Executed):
    """mlx5_eq_create's end."""

    name: str

    def accept(self, kernel: Kernel, answer: Answer) -> int:
        """Its number."""
        kernel.eqs = (*kernel.eqs, (self.name, answer["eq_number"]))
        return 0


# -- the rows ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EnableRow(Row):
    """mlx5_function_enable."""

    actions: ClassVar[tuple[Action, ...]] = (_enable, _query_issi, _set_issi, _boot_pages)


@dataclass(frozen=True, slots=True)
class OpenRow(Row):
    """mlx5_function_open."""

    actions: ClassVar[tuple[Action, ...]] = (
        _set_host_endianness,
        _query_current,
        _query_max,
        _set_cap,
        _query_atomic,
        _init_pages,
        _init_hca,
        _set_driver_version,
        _query_current,
        _query_max,
    )


@dataclass(frozen=True, slots=True)
class LoadRow(Row):
    """mlx5_load, as far as pages go."""

    actions: ClassVar[tuple[Action, ...]] = (
        _alloc_uar,
        _pagealloc_start,
        lambda kernel: _create_eq(kernel, 0),
        lambda kernel: _create_eq(kernel, 1),
        lambda kernel: _create_eq(kernel, 2),
    )
