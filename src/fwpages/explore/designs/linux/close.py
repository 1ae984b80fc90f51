"""Linux's way down: mlx5_unload_one, the pages that are waited for and taken back, shutdown, and health recovery."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fwpages.custody.findings import Cause
from fwpages.explore.designs.linux import pages as tree
from fwpages.explore.designs.linux.eswitch import off_order
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.startup import run
from fwpages.explore.designs.linux.types import ENXIO, ETIMEDOUT, Reply, Vport, Wait
from fwpages.host import Reset
from fwpages.prm.identity import FunctionType
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, Teardown

if TYPE_CHECKING:
    from fwpages.explore.designs.linux.driver import Linux

#: pagealloc.c:optimal_reclaimed_pages: what fills twelve mailboxes
OPTIMAL = 768

_T = FunctionType


def close(d: Linux, _: Any) -> Any:
    """mlx5_unload_one, asked for by somebody."""
    d.push("closed")
    d.push("unload")
    return d.lock("devlink")


def cleanup_once(d: Linux, _: Any) -> int:
    """main.c:mlx5_uninit_one: mlx5_cleanup_once, and with it mlx5_eswitch_cleanup, comes before function_teardown."""
    if d.removes and d.thread == "driver":
        d.eswitch, d.types = False, {}
        d.vports = {n: Vport(v.info, v.info.vhca_id) for n, v in d.vports.items()}
    return 0


def closed(d: Linux, err: int) -> None:
    """Whether pages are left is not known to who asked: mlx5_unload_one returns nothing."""
    if d.removes:  # mlx5_mdev_uninit: what is left stays mapped, and nobody knows of it
        d.roots, d.pages, d.free_list = {}, {}, ()
        d.fw_pages, d.counters = 0, {}
    d.done("close", ok=not err, detail="closed" if not err else f"error {err}")
    d.unlock("devlink")


def unload(d: Linux, _: Any) -> int:
    """mlx5_eswitch_disable, then mlx5_unload: sriov_detach, ec_cleanup, the event queues; then function_teardown."""
    if not d.up:
        return 0
    d.up = False
    d.push("function-teardown")
    d.push("cleanup-once")
    d.push("queues-off")
    for frame in reversed(off_order(d)):
        d.push(*frame)
    return 0


def queues_off(d: Linux, _: Any) -> int:
    """mlx5_eq_table_destroy comes before mlx5_pagealloc_stop: work that is queued is carried out without a queue."""
    d.push("uar-off")
    d.push("pagealloc-stop")
    for name, number in d.eqs:
        d.push("eq-off", name, number)
    return 0


def eq_off(d: Linux, _: Any, name: str, number: int) -> Any:
    """eq.c:cleanup_async_eq: deaf from here on; whether the device let go of its memory is only logged."""
    d.eqs = tuple(eq for eq in d.eqs if eq[0] != name)
    return run(d, Command(Opcode.DESTROY_EQ, fields={"eq_number": number}))


def pagealloc_stop(d: Linux, _: Any) -> Any:
    """mlx5_pagealloc_stop: flush_workqueue, however long a page command may be waited for."""
    d.notifier = False
    return Wait("flush", "the page worker") if d.requests or "pages" in d.running else 0


def uar_off(d: Linux, _: Any) -> Any:
    """mlx5_free_bfreg."""
    uar, d.uar = d.uar, None
    return 0 if uar is None else run(d, Command(Opcode.DEALLOC_UAR, fields={"uar": uar}))


def function_teardown(d: Linux, _: Any) -> Any:
    """mlx5_function_close: refused or not answered, then nothing more is done."""
    d.push("torn-down")
    return run(d, Command(Opcode.TEARDOWN_HCA))


def torn_down(d: Linux, err: int) -> int:
    """mlx5_function_teardown."""
    if err:
        left = sum(d.blocks - p.free for p in d.pages.values())
        d.find(LinuxCause.TEARDOWN_FAILED, None, left, "no page is taken back, DISABLE_HCA is not sent")
        return err
    d.push("function-disable")
    return 0


def function_disable(d: Linux, _: Any) -> int:
    """mlx5_function_disable."""
    d.initialized = False
    d.push("disable-hca")
    d.push("reclaim-all")
    return 0


# -- taking pages back ------------------------------------------------------------------------------------------------


def reclaim_all(d: Linux, _: Any) -> int:
    """mlx5_reclaim_startup_pages: tree by tree, in the order of their keys; each is freed, empty or not."""
    if d.roots:
        key = min(d.roots)
        d.push("reclaim-all")
        d.push("root-done", key)
        d.push("reclaim-root", key)
        d.ends[d.thread] = d.now + d.config.bounds.reclaim_progress
        return 0
    warn_counters(d)
    return 0


def root_done(d: Linux, _: Any, key: int) -> int:
    """The tree is freed."""
    d.ends.pop(d.thread, None)
    tree.drop_root(d, key)
    return 0


def reclaim_root(d: Linux, _: Any, key: int) -> int:
    """mlx5_reclaim_root_pages: as long as pages come, or their time is not over."""
    if d.roots[key]:
        d.push("reclaimed", key)
        most = min(OPTIMAL, d.config.bounds.pages_per_command)
        d.push("reclaim", key & 0xFFFF, bool(key >> 16), most, False)
    return 0


def reclaimed(d: Linux, result: tuple[int, int], key: int) -> Any:
    """An error ends it at once; any number in an answer is progress, whatever the pages are.

    Between two fruitless tries Linux waits for nothing; here ``reclaim_retry`` passes, for the time that commands take.
    """
    err, claimed = result
    if err:
        return err
    if claimed:
        d.ends[d.thread] = d.now + d.config.bounds.reclaim_progress
    if d.now >= d.ends[d.thread]:
        d.find(LinuxCause.NOT_ALL_RETURNED, key, len(d.roots[key]), "firmware did not return all pages")
        return 0
    d.push("reclaim-root", key)
    return 0 if claimed else Wait("sleep", "the next TAKE", deadline=d.now + d.config.bounds.reclaim_retry)


def warn_counters(d: Linux) -> None:
    """The WARNs of mlx5_reclaim_startup_pages."""
    if d.fw_pages:
        d.find(LinuxCause.WARN_PAGES_LEFT, None, d.fw_pages, f"fw_pages is {d.fw_pages} after all was taken back")
    if d.choices.guard and d.vhca_mode and not d.eswitch:
        return
    for kind in (_T.VF, _T.HOST_PF, _T.SPF, _T.EC_VF):
        n = d.counters.get(kind, 0)
        if n:
            d.find(LinuxCause.WARN_COUNTER_LEFT, None, n, f"the counter of {kind} is {n} after all was taken back")


def wait_pages(d: Linux, _: Any, kind: str) -> Any:
    """mlx5_wait_for_pages: until the type's counter is 0, not in error state. The poll every 50 ms is a Run."""
    n = d.counters.get(kind, 0)
    if d.error or not n:
        return 0
    d.push("polled", kind)
    return Wait("poll", kind, n, d.now + d.config.bounds.wait_progress)


def polled(d: Linux, late: int | None, kind: str) -> Any:
    """One look: back, some progress, or too late; a counter below zero is waited for like any other."""
    n = d.counters.get(kind, 0)
    if n and late is not None and n >= late:
        d.find(Cause.WAIT_TIMEOUT, None, n, f"waiting for the pages of {kind}: the counter is still {n}")
        return ETIMEDOUT
    return wait_pages(d, None, kind)


# -- shutdown ---------------------------------------------------------------------------------------------------------


def shutdown(d: Linux, _: Any) -> Any:
    """mlx5_try_fast_unload: fast, then forced, where the device has them; else the whole way."""
    d.push("shut", ("fast_teardown", "force_teardown"))
    return d.lock("devlink")


def shut(d: Linux, _: Any, left: tuple[str, ...]) -> Any:
    """The next way that the device has."""
    ways = {"fast_teardown": Teardown.PREPARE_FAST, "force_teardown": Teardown.FORCE}
    for n, capability in enumerate(left):
        if d.caps.get(capability):
            d.push("shut-answer", left[n + 1 :])
            return d.command(Command(Opcode.TEARDOWN_HCA, fields={"profile": ways[capability]}))
    d.push("closed")
    d.push("unload")
    return 0


def shut_answer(d: Linux, reply: Reply, left: tuple[str, ...]) -> Any:
    """Done: error state, no page is taken back, pci_disable_device cuts the device off."""
    if reply.err or (reply.answer is not None and reply.answer["state"]):
        d.push("shut", left)
        return 0
    d.error, d.up, d.notifier, d.eqs = True, False, False, ()
    flush(d)
    d.emit(Reset(d.session, "shutdown: pci_disable_device"))
    d.push("shut-down")
    return Wait("fence", "bus mastering off", deadline=d.now + d.config.bounds.fence)


def shut_down(d: Linux, fenced: bool) -> None:
    """The trees stay as they are: the kernel is about to end."""
    d.cmd_up = False
    d.done("close", ok=fenced, detail="forced")
    d.unlock("devlink")


# -- health (health.c) ------------------------------------------------------------------------------------------------


def fatal(d: Linux, _: Any) -> Wait:
    """poll_health set the error state; the work that it queued comes later."""
    d.push("flush")
    return d.pause("fatal_report_work")


def flush(d: Linux) -> None:
    """cmd.c:mlx5_cmd_trigger_completions: commands under way end as not delivered, whatever firmware did with them."""
    for n, f in list(d.flights.items()):
        if not f.late:
            del d.flights[n]
            d.resume(f.thread, Reply(ENXIO, None))


def flushed(d: Linux, _: Any) -> Any:
    """cmd.c:mlx5_cmd_flush wants every slot: that of a command given up comes free by its late answer alone."""
    flush(d)
    d.push("recover")
    return Wait("late", "the slot of a command that was given up") if d.flights else 0


def recover(d: Linux, _: Any) -> Any:
    """mlx5_health_try_recover: mlx5_disable_device unloads with firmware out of reach, before the PCI device is cut."""
    d.push("recover-locked")
    return d.lock("devlink")


def recover_locked(d: Linux, _: Any) -> int:
    """A device that is not up is not unloaded, but cut off and loaded all the same."""
    d.push("cut-off", d.up)
    d.push("unload")
    return 0


def cut_off(d: Linux, _: Any, was_up: bool) -> Wait:
    """mlx5_recover_device: pci_disable_device, and the slot is enabled anew."""
    d.cmd_up = False
    d.emit(Reset(d.session, "health recovery: pci_disable_device"))
    d.push("recovered", was_up)
    return Wait("fence", "the PCI device", deadline=d.now + d.config.bounds.fence)


def recovered(d: Linux, fenced: bool, was_up: bool) -> Any:
    """mlx5_load_one follows, upon Run or when the caller opens."""
    if was_up:
        d.done("close", ok=fenced, detail="reset")
    d.unlock("devlink")
    if not fenced:
        d.find(LinuxCause.RECOVERY_FAILED, detail="the device did not come back")
        return 0
    d.becomes("open")
    d.push("reload")
    return d.pause("health recovery loads the device")


def reload(d: Linux, _: Any) -> Any:
    """As at any load: priv is the old one, with what is in its trees and its counters."""
    d.push("load")
    return d.lock("devlink")


STEPS: dict[str, Callable[..., Any]] = {
    "close": close,
    "cleanup-once": cleanup_once,
    "closed": closed,
    "unload": unload,
    "queues-off": queues_off,
    "eq-off": eq_off,
    "pagealloc-stop": pagealloc_stop,
    "uar-off": uar_off,
    "function-teardown": function_teardown,
    "torn-down": torn_down,
    "function-disable": function_disable,
    "reclaim-all": reclaim_all,
    "root-done": root_done,
    "reclaim-root": reclaim_root,
    "reclaimed": reclaimed,
    "wait-pages": wait_pages,
    "polled": polled,
    "shutdown": shutdown,
    "shut": shut,
    "shut-answer": shut_answer,
    "shut-down": shut_down,
    "fatal": fatal,
    "flush": flushed,
    "recover": recover,
    "recover-locked": recover_locked,
    "cut-off": cut_off,
    "recovered": recovered,
    "reload": reload,
}
