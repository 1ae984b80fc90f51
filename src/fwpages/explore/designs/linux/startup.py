"""Linux's way up (main.c): function_enable, function_open, load; and the two rounds of start-up pages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from fwpages.explore.designs.linux import pages as tree
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.types import EBUSY, EIO, ENOLINK, ENXIO, EREMOTEIO, Reply
from fwpages.pages import PAGE_SIZE
from fwpages.prm.capability import GENERAL, read_general
from fwpages.prm.event import EventType
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, HOST_ENDIANNESS, CapType, Opcode, QueryPages, opcode_name

if TYPE_CHECKING:
    from fwpages.explore.designs.linux.driver import Linux

MODE = "icm_mng_function_id_mode"

#: event queues in the order of eq.c:create_async_eqs; here of one page each
_EQS = (("commands", EventType.COMMAND), ("async", EventType.NIC_VPORT_CHANGE), ("pages", EventType.PAGE_REQUEST))

#: commands that look done where they cannot be delivered (cmd.c:mlx5_internal_err_ret_value); the others -ENOLINK
_PRETENDED = frozenset(
    {
        Opcode.TEARDOWN_HCA,
        Opcode.DISABLE_HCA,
        Opcode.MANAGE_PAGES,
        Opcode.DESTROY_EQ,
        Opcode.DEALLOC_UAR,
        Opcode.DEALLOC_SF,
    }
)

Action: TypeAlias = Callable[["Linux"], Any]
Handler: TypeAlias = Callable[["Linux", Answer], int | None]


def run(d: Linux, c: Command, then: str = "") -> Any:
    """mlx5_cmd_exec, to be returned: the error, 0 where it was carried out; ``then`` is given the answer."""
    d.push("checked", int(c.opcode), then)
    return d.command(c)


def checked(d: Linux, reply: Reply, opcode: int, then: str) -> int:
    """cmd.c:mlx5_cmd_check, mlx5_cmd_exec."""
    if reply.err == ENXIO:
        return 0 if opcode in _PRETENDED else ENOLINK
    if reply.err:
        name = opcode_name(opcode)
        how = f"refused: {reply.answer}" if reply.err == EREMOTEIO else f"ended with {reply.err}"
        d.find(LinuxCause.COMMAND_FAILED, detail=f"{name} {how}")
        return EIO if reply.err == EREMOTEIO else reply.err
    assert reply.answer is not None
    return (HANDLERS[then](d, reply.answer) or 0) if then else 0


# -- a row of actions -------------------------------------------------------------------------------------------------


def row(d: Linux, err: Any, name: str, n: int) -> Any:
    """The actions of a row one after the other, up to the first that fails."""
    if err or n == len(ROWS[name]):
        return err or 0
    d.push("row", name, n + 1)
    return ROWS[name][n](d)


def load(d: Linux, _: Any) -> None:
    """mlx5_load_one: each of the three parts is undone where it fails."""
    d.session += 1
    d.error = False
    d.push("enabled")
    d.push("row", "enable", 0)


def enabled(d: Linux, err: int) -> None:
    """mlx5_function_enable's end: without boot pages only DISABLE_HCA is due."""
    d.push("opened" if not err else "load-failed", err)
    if not err:
        d.push("row", "open", 0)
    elif d.enabled:
        d.push("disable-hca")


def opened(d: Linux, err: int, _: int) -> None:
    """mlx5_function_setup: what was given is taken back where the start cannot go on."""
    d.push("loaded" if not err else "load-failed", err)
    d.push(*(("row", "load", 0) if not err else ("function-disable",)))


def loaded(d: Linux, err: int, _: int) -> None:
    """mlx5_load_one: up; or down again through TEARDOWN_HCA."""
    if err:
        d.push("load-failed", err)
        d.push("function-teardown")
        d.push("queues-off")
        return
    d.up = True
    d.done("open", ok=True)
    d.unlock("devlink")


def load_failed(d: Linux, _: Any, err: int) -> None:
    """err_function: the state is that of an internal error until the next load."""
    d.error = True
    d.done("open", ok=False, detail=f"error {err}")
    d.unlock("devlink")


# -- function_enable, function_open -----------------------------------------------------------------------------------


def _hca(opcode: Opcode, d: Linux) -> Command:
    return Command(opcode, fields={"embedded_cpu_function": int(d.config.supplier.ecpf)})


def _enable(d: Linux) -> Any:
    # mlx5_cmd_enable: the slots are as new, whatever earlier commands never came back
    d.cmd_up, d.enabled, d.initialized = True, False, False
    d.flights.clear()
    return run(d, _hca(Opcode.ENABLE_HCA, d), "enabled")


def disable_hca(d: Linux, _: Any) -> Any:
    """mlx5_core_disable_hca, and the command interface goes down."""
    d.push("cmd-down")
    return run(d, _hca(Opcode.DISABLE_HCA, d))


def cmd_down(d: Linux, _: Any) -> int:
    """mlx5_cmd_disable."""
    d.cmd_up = d.enabled = False
    return 0


def _set_issi(d: Linux) -> Any:
    return run(d, Command(Opcode.SET_ISSI, fields={"current_issi": 1})) if d.issi else 0


def _host_endianness(d: Linux) -> Any:
    if d.config.supplier.ecpf:
        return 0  # set_hca_ctrl: a PF's alone; PROTOCOL says so too
    return run(d, Command(Opcode.ACCESS_REG, fields={"register_id": HOST_ENDIANNESS}, data=bytes(16)))


def _query_cap(current: int, then: str) -> Action:
    return lambda d: run(d, Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL << 1 | current), then)


def _set_cap(d: Linux) -> Any:
    """handle_hca_cap: whatever max offers of the two is switched on; nothing is read back before the init pages."""
    page, d.cap_page = d.cap_page, b""
    want = {"release_all_pages": d.max_caps["release_all_pages"], "cmdif_checksum": 0, MODE: d.max_caps[MODE]}
    return run(d, Command(Opcode.SET_HCA_CAP, CapType.GENERAL << 1, data=GENERAL.patch(page, want)))


def _current(d: Linux, a: Answer) -> int:
    try:
        d.cap_page, d.caps = (b"" if d.initialized else a.data), read_general(a.data)
    except LayoutError:
        return EIO
    _tag(d)
    # main.c:mlx5_init_once, mlx5_eswitch_init: one for the manager of the e-switch or of a vport group
    d.eswitch = bool(d.caps["eswitch_manager"] or d.caps["vport_group_manager"])
    return 0


def _max(d: Linux, a: Answer) -> int:
    try:
        d.max_caps = read_general(a.data)
    except LayoutError:
        return EIO
    if d.wanted == "func_id":
        d.max_caps[MODE] = 0  # a switch of the explorer: as if it were not offered
    _tag(d)
    return 0


def _tag(d: Linux) -> None:
    """The capabilities in a few characters, for comparing states."""
    d.caps_tag = hashlib.blake2b(repr((d.caps, d.max_caps)).encode(), digest_size=8).hexdigest()


def _enabled_hca(d: Linux, _: Answer) -> None:
    d.enabled = True


def _issi(d: Linux, a: Answer) -> None:
    d.issi = 1 if a["supported_issi_dw0"] & 2 else 0


def _initialized(d: Linux, _: Answer) -> None:
    d.initialized = True


def _ignored(action: Action) -> Action:
    def go(d: Linux) -> Any:
        d.push("ignore")
        return action(d)

    return go


def _version(d: Linux) -> Any:
    return run(d, Command(Opcode.SET_DRIVER_VERSION, data=b"\0" * 4 + b"Linux,mlx5_core".ljust(60, b"\0")))


# -- start-up pages ---------------------------------------------------------------------------------------------------


def _startup_pages(boot: bool) -> Action:
    """mlx5_satisfy_startup_pages: the mode is set before the question, by the *max* capability."""

    def go(d: Linux) -> Any:
        d.push("query-pages", boot)
        if boot:
            d.vhca_mode = False
        elif d.max_caps[MODE]:
            d.push("vhca-mode")
            d.push("migrate")
        return 0

    return go


def vhca_mode(d: Linux, err: int) -> int:
    """From now on, until the next boot pages, the mode is VHCA_ID: set in this order, whatever happens afterwards."""
    if not err:
        d.vhca_mode = True
    return err


def migrate(d: Linux, _: Any) -> Any:
    """mlx5_pagealloc_migrate_pf_to_vhca_id: the tree of function 0 moves, and of no other; nothing is said of those."""
    new, old = d.caps["vhca_id"], d.config.supplier.ecpf << 16
    root = d.roots.get(old)
    if root is None or old == new:
        return 0
    if new in d.roots:
        d.find(LinuxCause.MIGRATE_FAILED, new, detail="the own vhca_id has a tree already")
        return EBUSY
    d.roots[new] = root
    if d.choices.rename_first:
        tree.rename(d, root, new)
    else:
        del d.roots[old]
    d.push("migrated", old, new)
    return d.pause("the new key is there; " + ("the old one too" if d.choices.rename_first else "pages carry the old"))


def migrated(d: Linux, _: Any, old: int, new: int) -> int:
    """The second half of the migration."""
    if d.choices.rename_first:
        del d.roots[old]
    else:
        tree.rename(d, d.roots[new], new)
    return 0


def query_pages(d: Linux, err: int, boot: bool) -> Any:
    """mlx5_cmd_query_pages names the own vhca_id, or function 0 with the ec bit of an ECPF."""
    if err:
        return err
    ecpf = int(d.config.supplier.ecpf)
    fields = {"function_id": d.caps["vhca_id"]} if d.vhca_mode else {"embedded_cpu_function": ecpf}
    d.push("startup-give")
    return run(d, Command(Opcode.QUERY_PAGES, QueryPages.BOOT if boot else QueryPages.INIT, fields), "pages")


def _pages(d: Linux, a: Answer) -> None:
    d.ends["number"], d.ends["pages"] = a["function_id"], a["num_pages"]


def startup_give(d: Linux, err: int) -> Any:
    """The function is the answer's, its ec bit the driver's own; the count goes on unchecked."""
    if err:
        return err
    number, n = int(d.ends.pop("number")), int(d.ends.pop("pages"))
    if n:
        d.push("give", number, d.config.supplier.ecpf and not d.vhca_mode, n, False)
    return 0


# -- load -------------------------------------------------------------------------------------------------------------


def _pagealloc_start(d: Linux) -> int:
    d.notifier = True
    return 0


def _uar(d: Linux, a: Answer) -> None:
    d.uar = a["uar"]


def _create_eq(n: int, name: str, event: EventType) -> Action:
    def go(d: Linux) -> Any:
        if name == "pages" and d.caps.get("page_request_disable"):
            return 0
        fields = {"log_eq_size": 6, "uar_page": d.uar or 0, "event_bitmask_0": 1 << event}
        # queue memory is left out of the model: addresses below all that is lent
        pas = np.array([d.config.base - (n + 1) * PAGE_SIZE], np.uint64)
        return run(d, Command(Opcode.CREATE_EQ, fields=fields, pas=pas), f"eq {name}")

    return go


def _made(name: str) -> Handler:
    def made(d: Linux, a: Answer) -> None:
        d.eqs = (*d.eqs, (name, a["eq_number"]))

    return made


ROWS: dict[str, tuple[Action, ...]] = {
    "enable": (
        _enable,
        lambda d: run(d, Command(Opcode.QUERY_ISSI), "issi"),
        _set_issi,
        _startup_pages(boot=True),
    ),
    "open": (
        _host_endianness,
        _query_cap(CAP_CURRENT, "current"),
        _query_cap(0, "max"),
        _set_cap,
        # set_hca_cap goes on with five other pages of capabilities; one query stands for them
        lambda d: run(d, Command(Opcode.QUERY_HCA_CAP, CapType.ATOMIC << 1 | CAP_CURRENT)),
        _startup_pages(boot=False),
        lambda d: run(d, Command(Opcode.INIT_HCA, data=bytes(16)), "init"),
        _ignored(_version),
        _query_cap(CAP_CURRENT, "current"),
        _query_cap(0, "max"),
    ),
    "load": (
        lambda d: run(d, Command(Opcode.ALLOC_UAR), "uar"),
        _pagealloc_start,
        *(_create_eq(n, name, event) for n, (name, event) in enumerate(_EQS)),
    ),
}

HANDLERS: dict[str, Handler] = {
    "enabled": _enabled_hca,
    "issi": _issi,
    "current": _current,
    "max": _max,
    "init": _initialized,
    "uar": _uar,
    "pages": _pages,
    **{f"eq {name}": _made(name) for name, _ in _EQS},
}

STEPS: dict[str, Callable[..., Any]] = {
    "checked": checked,
    "row": row,
    "load": load,
    "enabled": enabled,
    "opened": opened,
    "loaded": loaded,
    "load-failed": load_failed,
    "disable-hca": disable_hca,
    "cmd-down": cmd_down,
    "ignore": lambda d, _: 0,
    "vhca-mode": vhca_mode,
    "migrate": migrate,
    "migrated": migrated,
    "query-pages": query_pages,
    "startup-give": startup_give,
}
