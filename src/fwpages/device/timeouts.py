"""The time-outs that a device tells its driver, as data: seconds by the names of the fields that carry them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from fwpages.prm.timeouts import COMMAND_OF_LINUX, DTOR, DTOR_OF_LINUX, INIT_OF_LINUX, encode_dtor

#: a day: no driver is to wait longer for anything, and Linux's own longest wait is two hours
_DAY = 86_400
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=_DAY)]
#: one millisecond is the least that is not "not told"
_Told = Annotated[float, msgspec.Meta(ge=0.001, le=_DAY)]


class Timeouts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Seconds that a driver waits, as the device tells it; what is not named is what Linux takes by itself.

    ``command`` is ``cmd_exec_to`` and ``init`` is ``cmd_q_init_to`` of the initialization segment; the others are those
    of the register DTOR. They go as whole milliseconds, above 17 minutes as whole seconds.
    """

    command: _Seconds = COMMAND_OF_LINUX
    init: _Told = INIT_OF_LINUX
    pcie_toggle: _Seconds = DTOR_OF_LINUX["pcie_toggle"]
    health_poll: _Seconds = DTOR_OF_LINUX["health_poll"]
    full_crdump: _Seconds = DTOR_OF_LINUX["full_crdump"]
    fw_reset: _Seconds = DTOR_OF_LINUX["fw_reset"]
    flush_on_err: _Seconds = DTOR_OF_LINUX["flush_on_err"]
    pci_sync_update: _Seconds = DTOR_OF_LINUX["pci_sync_update"]
    tear_down: _Seconds = DTOR_OF_LINUX["tear_down"]
    fsm_reactivate: _Seconds = DTOR_OF_LINUX["fsm_reactivate"]
    reclaim_pages: _Seconds = DTOR_OF_LINUX["reclaim_pages"]
    reclaim_vfs_pages: _Seconds = DTOR_OF_LINUX["reclaim_vfs_pages"]
    reset_unload: _Seconds = DTOR_OF_LINUX["reset_unload"]

    @property
    def dtor(self) -> bytes:
        """The content of the register DTOR."""
        return encode_dtor({f.name: getattr(self, f.name) for f in DTOR})
