"""The data of one mlx5_core as far as pages go: plain values under Linux's names, and no behaviour of its own.

Everything that Linux's functions read and write lies here: ``dev->priv``, the page allocator's trees, lists and
counters, the e-switch's vports. The threads that work on it are in ``threads``; the functions of Linux that they run
are in the other files, one for each concern. They all take this state; it knows none of them.

Values are frozen and containers are copied at a clone, so two states share what neither has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from fwpages.custody.findings import Causes
from fwpages.explore.designs.linux.choices import Choices
from fwpages.explore.model.driver import DriverConfig
from fwpages.host import Done, Effect, Finding, PageRequest, Unmap, VportInfo
from fwpages.host.io import Operation
from fwpages.pages import PAGE_SHIFT
from fwpages.prm.identity import Identity, func_id, vhca_id


class FwPage(NamedTuple):
    """struct fw_page: a system page lent in blocks of 4 KiB. Bit n of ``bits``: block n is free.

    ``free`` is counted apart from the bits, as in Linux, and may disagree with them.
    """

    iova: int
    function: int
    type: str | None
    bits: int
    free: int


@dataclass(frozen=True, slots=True)
class Vport:
    """struct mlx5_vport. ``vhca_id`` None is MLX5_VHCA_ID_INVALID; it stays when the vport is disabled."""

    info: VportInfo
    vhca_id: int | None = None
    #: the e-switch enabled the vport; the function's HCA is enabled (or its SF allocated)
    enabled: bool = False
    hca: bool = False


class State:
    """One device's state in the driver. Names of fields follow Linux's."""

    def __init__(self, choices: Choices, config: DriverConfig | None = None, *, removes: bool = False) -> None:
        self.choices = choices
        #: a close is the driver's removal (main.c:remove_one), not mlx5_unload_one: the e-switch is gone before the
        #: pages are taken back, and the next open is a probe that knows nothing
        self.removes = removes
        #: dev->priv.eswitch is there
        self.eswitch = True
        self.config = config or DriverConfig()
        self.now = 0.0
        self.session = 0
        self.wanted = "auto"
        #: dev->priv.page_mgt_mode: never reset, only set (pagealloc.c:mlx5_satisfy_startup_pages)
        self.vhca_mode = False
        #: MLX5_INTERFACE_STATE_UP, MLX5_DEVICE_STATE_INTERNAL_ERROR, MLX5_CMDIF_STATE_UP
        self.up = self.error = self.cmd_up = False
        #: pagealloc_start was called; ENABLE_HCA was carried out; INIT_HCA was carried out
        self.notifier = self.enabled = self.initialized = False
        self.caps: dict[str, int] = {}
        self.max_caps: dict[str, int] = {}
        self.cap_page = b""
        #: a digest of the two: a state's key has no room for them
        self.caps_tag = ""
        self.issi = 0
        self.uar: int | None = None
        #: event queues by purpose, with their numbers, in the order in which they were created
        self.eqs: tuple[tuple[str, int], ...] = ()
        # the page allocator (pagealloc.c)
        self.shift = self.config.page_shift
        self.blocks = 1 << (self.shift - PAGE_SHIFT)
        self.pages: dict[int, FwPage] = {}
        self.mapped: frozenset[int] = frozenset()
        self.roots: dict[int, frozenset[int]] = {}
        self.free_list: tuple[int, ...] = ()
        self.fw_pages = 0
        self.counters: dict[str, int] = {}
        self.alloc_failed = self.give_dropped = self.reclaim_discard = 0
        self.requests: tuple[PageRequest, ...] = ()
        #: mlx5_reclaim_root_pages: ``end``, the time at which the tree that is being emptied is given up
        self.reclaim_end: float | None = None
        # the e-switch: its vports, merged's vhca_type_map, and operations that wait for their turn
        self.vports: dict[int, Vport] = {}
        self.types: dict[int, str] = {}
        self.asked: tuple[Operation, ...] = ()
        self._out: list[Effect] = []

    @property
    def down(self) -> bool:
        """cmd.c:mlx5_cmd_is_down: nothing is handed to the device."""
        return self.error or not self.cmd_up

    @property
    def listening(self) -> bool:
        """Page requests reach req_pages_handler: it is registered, and the pages EQ is there."""
        return self.notifier and any(name == "pages" for name, _ in self.eqs)

    def identity(self, key: int) -> Identity:
        """The function of a tree, as a command would name it now. ``key`` is that of get_function_key."""
        if self.vhca_mode and key <= 0xFFFF:
            return vhca_id(key)
        return func_id(key & 0xFFFF, ec=bool(key >> 16))

    def unmap(self, iova: int) -> None:
        """dma_unmap_page and __free_page."""
        self.mapped -= {iova}
        self.emit(Unmap(iova, self.blocks))

    # -- effects ------------------------------------------------------------------------------------------------------

    def emit(self, effect: Effect) -> None:
        """Hand this effect back when the input is done."""
        self._out.append(effect)

    def done(self, operation: Operation, *, ok: bool, detail: str = "") -> None:
        """An operation that the caller asked for has ended."""
        self.emit(Done(self.session, operation, ok, detail))

    def find(self, cause: Causes, key: int | None = None, n: int = 0, detail: str = "") -> None:
        """A message of the kernel log; docs/reference/designs.md names the functions that print it."""
        who = None if key is None else self.identity(key)
        self.emit(Finding(cause, who, n, detail, session=self.session, at=self.now))
