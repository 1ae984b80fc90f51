"""Each input of a Linux model: from the caller, who may be refused, or from the device, the link and time."""

from __future__ import annotations

from dataclasses import replace

from fwpages.explore.designs.linux import eswitch
from fwpages.explore.designs.linux.close import Close as CloseFrame
from fwpages.explore.designs.linux.close import Shutdown
from fwpages.explore.designs.linux.errors import ENOMEM, ENXIO, EREMOTEIO, ETIMEDOUT
from fwpages.explore.designs.linux.findings import LinuxCause
from fwpages.explore.designs.linux.page_commands import Work
from fwpages.explore.designs.linux.recovery import FatalReport, Reload
from fwpages.explore.designs.linux.startup import Load
from fwpages.explore.designs.linux.state import Vport
from fwpages.explore.designs.linux.threads import ForFence, ForMapping, Kernel, Reply
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
from fwpages.host.io import CLOSE, OPEN, Operation, OperationKind
from fwpages.prm.identity import Identity, vhca_id
from fwpages.prm.opcodes import Teardown, opcode_name


def runnable(kernel: Kernel) -> tuple[str, ...]:
    """Threads that Run lets go on: at a pause, at a poll that would find something new, and the worker with work."""
    found: list[str] = [n for n, t in kernel.running.items() if t.wait is not None and t.wait.runnable(kernel)]
    if kernel.requests and "pages" not in kernel.running:
        found.append("pages")
    return tuple(sorted(found))


def dispatch(kernel: Kernel, now: float, x: Input) -> None:
    """One input; Misuse, and nothing changed, where a caller may not ask for it now."""
    match x:
        case Open():
            _open(kernel, now, x)
        case Close():
            _close(kernel, now, x)
        case FunctionsChanged():
            _functions(kernel, now, x)
        case EnableVport():
            _vport(kernel, now, Operation(OperationKind.ENABLE, x.vport))
        case DisableVport():
            _vport(kernel, now, Operation(OperationKind.DISABLE, x.vport))
        case Run():
            _run(kernel, now, x)
        case _:
            kernel.now = now
            _event(kernel, x)


def _event(kernel: Kernel, x: Input) -> None:
    """An input of the device, the link or time, which may come at any time."""
    match x:
        case Answered():
            _answered(kernel, x)
        case Aborted():
            _aborted(kernel, x)
        case PageRequest():
            if kernel.listening:
                kernel.requests = (*kernel.requests, x)
        case NotQueued():
            _not_queued(kernel, x)
        case Mapped():
            _mapped(kernel, x)
        case Tick():
            _tick(kernel)
        case HealthFatal() | LinkLost():
            _fatal(kernel, asked=isinstance(x, HealthFatal))
        case Fenced():
            _fenced(kernel, x)


# -- what a caller asks for -------------------------------------------------------------------------------------------


def _reloading(kernel: Kernel) -> bool:
    """Recovery stands before mlx5_load_one, which the caller may ask for instead."""
    thread = kernel.running.get("health")
    return thread is not None and thread.stack != () and isinstance(thread.stack[-1], Reload)


def _busy(kernel: Kernel) -> bool:
    return "driver" in kernel.running or "health" in kernel.running


def _open(kernel: Kernel, now: float, x: Open) -> None:
    reloading = _reloading(kernel)
    if not reloading and (kernel.up or _busy(kernel)):
        raise Misuse(f"open: session {kernel.session} is open, or something is under way")
    kernel.now, kernel.wanted = now, x.mode
    if reloading:
        kernel.resume("health")
    else:
        kernel.locks["devlink"] = "driver"
        kernel.start("driver", OPEN, Load())


def _close(kernel: Kernel, now: float, x: Close) -> None:
    if not kernel.up or _busy(kernel):
        raise Misuse(f"close: session {kernel.session} is not open, or something is under way")
    kernel.now = now
    for operation in kernel.asked:
        kernel.done(operation, ok=False, detail="the device is being closed")
    kernel.asked = ()
    kernel.start("driver", CLOSE, CloseFrame() if x.how is Teardown.GRACEFUL else Shutdown())


def _pending(kernel: Kernel) -> tuple[Operation, ...]:
    """Operations on vports that have not ended, in order."""
    thread = kernel.running.get("eswitch")
    first = () if thread is None or thread.operation is None else (thread.operation,)
    return (*first, *kernel.asked)


def _functions(kernel: Kernel, now: float, x: FunctionsChanged) -> None:
    known = _distinct(x.vports)
    busy = {o.vport for o in _pending(kernel)}
    busy |= {n for n, v in kernel.vports.items() if v.enabled or v.hca}
    gone = [n for n in sorted(kernel.vports) if n in busy and known.get(n) != kernel.vports[n].info]
    if gone:
        raise Misuse(f"functions changed: vport {gone[0]:#x} is enabled and would be gone, or another")
    kernel.now = now
    eswitch.changed(kernel, x.vports)


def _distinct(vports: tuple[VportInfo, ...]) -> dict[int, VportInfo]:
    """The vports by number; Misuse where two have one number or one function."""
    known = {v.vport: v for v in vports}
    if len(known) != len(vports):
        raise Misuse("functions changed: a vport number is there twice")
    functions: dict[Identity, VportInfo] = {}
    for v in vports:
        who = v.identity if v.vhca_id is None else vhca_id(v.vhca_id)
        if functions.setdefault(who, v) is not v:
            raise Misuse(f"functions changed: two vports are both function {who}")
    return known


def _vport(kernel: Kernel, now: float, operation: Operation) -> None:
    vport = None if operation.vport is None else kernel.vports.get(operation.vport)
    if not kernel.up or _busy(kernel):
        raise Misuse(f"{operation}: session {kernel.session} is not open")
    if vport is None:
        raise Misuse(f"{operation}: there is no such vport")
    if vport.info.vhca_id is not None and not kernel.vhca_mode:
        raise Misuse(f"{operation}: FUNC_ID mode has no name for this function")
    enabled = _will_be_enabled(kernel, operation.vport, vport)
    if enabled is (operation.kind is OperationKind.ENABLE):
        raise Misuse(f"{operation}: it is {'already ' if enabled else 'not '}enabled")
    kernel.now = now
    eswitch.ask(kernel, operation)


def _will_be_enabled(kernel: Kernel, n: int | None, vport: Vport) -> bool:
    """After the operations that have not ended."""
    last = [o.kind for o in _pending(kernel) if o.vport == n]
    return last[-1] is OperationKind.ENABLE if last else vport.enabled or vport.hca


def _run(kernel: Kernel, now: float, x: Run) -> None:
    thread = next((n for n in ("driver", "eswitch", "pages", "health") if n == x.thread), None)
    if thread is None or thread not in runnable(kernel):
        raise Misuse(f"{x.thread} cannot go on by itself")
    kernel.now = now
    if thread in kernel.running:
        kernel.resume(thread)
    else:
        kernel.start("pages", None, Work())


# -- what the device, the link and time bring -------------------------------------------------------------------------


def _answered(kernel: Kernel, x: Answered) -> None:
    flight = kernel.flights.get(x.id)
    if flight is None or flight.command.opcode != x.answer.opcode:
        return  # its slot is as new, or it never was: no command is waiting for this completion
    del kernel.flights[x.id]
    if flight.late:
        name = opcode_name(flight.command.opcode)
        kernel.find(LinuxCause.LATE_COMPLETION, detail=f"{name} was completed after its time")
        return
    kernel.reply(flight.thread, Reply(0 if x.answer.ok else EREMOTEIO, x.answer))


def _aborted(kernel: Kernel, x: Aborted) -> None:
    """As cmd.c:mlx5_cmd_trigger_completions does with each command: -ENXIO, whatever firmware did with it."""
    flight = kernel.flights.get(x.id)
    if flight is not None and not flight.late:
        del kernel.flights[x.id]
        kernel.reply(flight.thread, Reply(ENXIO, None))


def _not_queued(kernel: Kernel, x: NotQueued) -> None:
    """pagealloc.c:req_pages_handler: kzalloc failed; the event is forgotten."""
    if kernel.listening:
        event = x.request.event
        n = abs(event.num_pages)
        kernel.find(LinuxCause.REQUEST_LOST, event.number, n, "no memory to queue a page request")


def _mapped(kernel: Kernel, x: Mapped) -> None:
    for name, thread in list(kernel.running.items()):
        if isinstance(thread.wait, ForMapping) and thread.wait.iova == x.iova:
            if x.at == 0:
                # pagealloc.c:alloc_system_page: firmware has no page at 0, so it is mapped once more
                kernel.emit(Unmap(0, x.pages))
                kernel.emit(Map(x.iova, x.pages))
                return
            # wherever it lies: dma_map_page promises no address
            kernel.mapped = kernel.mapped - {x.iova} | ({x.at} if x.at is not None else set())
            kernel.resume(name, ENOMEM if x.at is None else x.at)
            return


def _tick(kernel: Kernel) -> None:
    for n, flight in list(kernel.flights.items()):
        if not flight.late and kernel.now >= flight.deadline and n in kernel.flights:
            # cmd.c:wait_func_handle_exec_timeout: the slot stays taken
            kernel.flights[n] = replace(flight, late=True)
            name = opcode_name(flight.command.opcode)
            kernel.find(LinuxCause.COMMAND_TIMEOUT, detail=f"{name}: its slot is leaked")
            kernel.reply(flight.thread, Reply(ETIMEDOUT, None))
    for thread_name, thread in list(kernel.running.items()):
        wait = thread.wait
        if wait is None or wait.until is None or kernel.running.get(thread_name) is not thread:
            continue  # another thread has let it go on
        if kernel.now >= wait.until:
            kernel.resume(thread_name, wait.late)


def _fatal(kernel: Kernel, *, asked: bool) -> None:
    """health.c:poll_health. While the device is closed by its driver, works of health are not permitted."""
    if kernel.error or not kernel.cmd_up:
        return
    kernel.error = True
    driver = kernel.running.get("driver")
    closing = driver is not None and driver.operation == CLOSE
    if not closing and "health" not in kernel.running:
        kernel.start("health", CLOSE, FatalReport(asked))


def _fenced(kernel: Kernel, x: Fenced) -> None:
    """Linux notices a reset only where it waits for one."""
    for name, thread in list(kernel.running.items()):
        if x.scope is Scope.SUPPLIER and isinstance(thread.wait, ForFence):
            kernel.resume(name)
