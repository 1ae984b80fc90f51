"""What a Linux model does with each input, and which inputs may not come now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fwpages.explore.designs.linux import eswitch
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.types import ENXIO, EREMOTEIO, ETIMEDOUT, Reply
from fwpages.explore.model.driver import Input, NotQueued, Run
from fwpages.host import (
    Aborted,
    Answered,
    Close,
    DisableVport,
    EnableVport,
    Fenced,
    FunctionsChanged,
    HealthFatal,
    LinkLost,
    Map,
    Mapped,
    Misuse,
    Open,
    PageRequest,
    Scope,
    Tick,
    Unmap,
    VportInfo,
)
from fwpages.prm.identity import Identity, vhca_id
from fwpages.prm.opcodes import Teardown, opcode_name

if TYPE_CHECKING:
    from fwpages.explore.designs.linux.driver import Linux


def dispatch(d: Linux, now: float, x: Input) -> None:  # noqa: C901, PLR0912  # one row for each input
    """One input; Misuse, and nothing changed, where it may not come."""
    match x:
        case Open():
            _open(d, now, x)
        case Close():
            _close(d, now, x)
        case FunctionsChanged():
            _functions(d, x)
            d.now = now
            eswitch.changed(d, x.vports)
        case EnableVport() | DisableVport():
            _vport(d, now, x)
        case Run():
            _run(d, now, x)
        case Answered():
            d.now = now
            _answered(d, x)
        case Aborted():
            d.now = now
            _aborted(d, x)
        case PageRequest():
            d.now = now
            if listening(d):
                d.requests = (*d.requests, x)
        case NotQueued():
            d.now = now
            if listening(d):
                # pagealloc.c:req_pages_handler: kzalloc failed; the event is forgotten
                e = x.request.event
                d.find(LinuxCause.REQUEST_LOST, e.number, abs(e.num_pages), "no memory to queue a page request")
        case Mapped():
            d.now = now
            _mapped(d, x)
        case Tick():
            d.now = now
            _tick(d)
        case HealthFatal() | LinkLost():
            d.now = now
            _fatal(d)
        case Fenced():
            d.now = now
            _fenced(d, x)


def listening(d: Linux) -> bool:
    """Page requests reach req_pages_handler: it is registered, and the queue is not being taken away."""
    return d.notifier and any(name == "pages" for name, _ in d.eqs)


def _reloading(d: Linux) -> bool:
    t = d.running.get("health")
    return t is not None and t.stack[-1:] != () and t.stack[-1].step == "reload"


def _open(d: Linux, now: float, x: Open) -> None:
    if _reloading(d):
        d.now, d.wanted = now, x.mode
        d.resume("health", None)
        return
    if d.up or "driver" in d.running or "health" in d.running:
        raise Misuse(f"open: session {d.session} is open, or something is under way")
    d.now, d.wanted = now, x.mode
    d.locks["devlink"] = "driver"
    d.start("driver", "open", "load")


def _close(d: Linux, now: float, x: Close) -> None:
    if not d.up or "driver" in d.running or "health" in d.running:
        raise Misuse(f"close: session {d.session} is not open, or something is under way")
    d.now = now
    for verb, n in d.asked:
        d.done(f"{verb} vport {n:#x}", ok=False, detail="the device is being closed")
    d.asked = ()
    d.start("driver", "close", "close" if x.how is Teardown.GRACEFUL else "shutdown")


def _functions(d: Linux, x: FunctionsChanged) -> None:
    known = {v.vport: v for v in x.vports}
    if len(known) != len(x.vports):
        raise Misuse("functions changed: a vport number is there twice")
    functions: dict[Identity, VportInfo] = {}
    for v in x.vports:
        who = v.identity if v.vhca_id is None else vhca_id(v.vhca_id)
        if functions.setdefault(who, v) is not v:
            raise Misuse(f"functions changed: two vports are both function {who}")
    busy = {n for _, n in d.asked} | {n for n, v in d.vports.items() if v.enabled or v.hca}
    thread = d.running.get("eswitch")
    if thread is not None:
        busy |= {n for n in d.vports if thread.what.endswith(f" {n:#x}")}
    gone = [n for n in sorted(busy) if n not in known or known[n] != d.vports[n].info]
    if gone:
        raise Misuse(f"functions changed: vport {gone[0]:#x} is enabled and would be gone, or another")


def _vport(d: Linux, now: float, x: EnableVport | DisableVport) -> None:
    verb, n = ("enable" if isinstance(x, EnableVport) else "disable"), x.vport
    what = f"{verb} vport {n:#x}"
    if not d.up or "driver" in d.running or "health" in d.running:
        raise Misuse(f"{what}: session {d.session} is not open")
    if n not in d.vports:
        raise Misuse(f"{what}: there is no such vport")
    if d.vports[n].info.vhca_id is not None and not d.vhca_mode:
        raise Misuse(f"{what}: FUNC_ID mode has no name for this function")
    under_way = d.running.get("eswitch")
    last = [v for v, m in d.asked if m == n]
    if not last and under_way is not None and under_way.what.endswith(f" vport {n:#x}"):
        last = [under_way.what.split()[0]]
    enabled = last[-1] == "enable" if last else d.vports[n].enabled or d.vports[n].hca
    if enabled is (verb == "enable"):
        raise Misuse(f"{what}: it is {'already ' if enabled else 'not '}enabled")
    d.now = now
    eswitch.ask(d, verb, n)


def _run(d: Linux, now: float, x: Run) -> None:
    if x.thread not in d.threads():
        raise Misuse(f"{x.thread} cannot go on by itself")
    d.now = now
    if x.thread == "pages" and "pages" not in d.running:
        d.start("pages", "", "work")
    else:
        d.resume(x.thread, None)


def _answered(d: Linux, x: Answered) -> None:
    f = d.flights.get(x.id)
    if f is None or f.command.opcode != x.answer.opcode:
        return  # its slot is as new, or it never was: the completion finds nobody
    del d.flights[x.id]
    if f.late:
        d.find(LinuxCause.LATE_COMPLETION, detail=f"{opcode_name(f.command.opcode)} was completed after its time")
        return
    d.resume(f.thread, Reply(0 if x.answer.ok else EREMOTEIO, x.answer))


def _aborted(d: Linux, x: Aborted) -> None:
    """As cmd.c:mlx5_cmd_trigger_completions does with each command: -ENXIO, whatever firmware did with it."""
    f = d.flights.get(x.id)
    if f is not None and not f.late:
        del d.flights[x.id]
        d.resume(f.thread, Reply(ENXIO, None))


def _mapped(d: Linux, x: Mapped) -> None:
    for name, t in list(d.running.items()):
        if t.wait is not None and t.wait.kind == "map" and t.wait.count == x.iova:
            if x.at == 0:
                # pagealloc.c:alloc_system_page: firmware has no page at 0, so it is mapped once more
                d.emit(Unmap(0, x.pages))
                d.emit(Map(x.iova, x.pages))
                return
            # wherever it lies: dma_map_page promises no address
            d.mapped = d.mapped - {x.iova} | ({x.at} if x.at is not None else set())
            d.resume(name, x.at)
            return


def _tick(d: Linux) -> None:
    for n, f in list(d.flights.items()):
        if not f.late and d.now >= f.deadline and n in d.flights:
            # cmd.c:wait_func_handle_exec_timeout: the slot stays taken
            d.flights[n] = replace(f, late=True)
            d.find(LinuxCause.COMMAND_TIMEOUT, detail=f"{opcode_name(f.command.opcode)}: its slot is leaked")
            d.resume(f.thread, Reply(ETIMEDOUT, None))
    for name, t in list(d.running.items()):
        w = t.wait
        if w is not None and w.deadline is not None and d.now >= w.deadline and d.running.get(name) is t:
            d.resume(name, w.count if w.kind == "poll" else False)


def _fatal(d: Linux) -> None:
    """health.c:poll_health. While the device is closed by its driver, works of health are not permitted."""
    if d.error or not d.cmd_up:
        return
    d.error = True
    closing = d.running.get("driver")
    if closing is not None and closing.what == "close":
        return
    if "health" not in d.running:
        d.start("health", "close", "fatal")


def _fenced(d: Linux, x: Fenced) -> None:
    """Linux hears of a reset only where it waits for one."""
    for name, t in list(d.running.items()):
        if x.scope is Scope.SUPPLIER and t.wait is not None and t.wait.kind == "fence":
            d.resume(name, True)
