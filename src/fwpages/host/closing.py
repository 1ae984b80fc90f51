"""The close as a table: functions disabled, event queues destroyed, TEARDOWN_HCA, every page taken back, DISABLE_HCA.

A step that is refused where it must not be, or not answered, leads to the fence: nothing else gets pages back then.
"""

from __future__ import annotations

from fwpages.custody.findings import Cause
from fwpages.host import fencing
from fwpages.host.io import Operation, OperationKind
from fwpages.host.page_path import enqueue
from fwpages.host.page_queue import Origin
from fwpages.host.session import Reclaim
from fwpages.host.state import HostState
from fwpages.host.steps import Refused, Step
from fwpages.host.vports import disable, disabled, start_wait
from fwpages.pages.words import many
from fwpages.prm.capability import TEARDOWN_NEEDS
from fwpages.prm.identity import Identity
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode, Teardown


def _note_types(h: HostState, _: int) -> None:
    s = h.session
    s.closing_types = frozenset(h.vports[n].type for n in s.vports)


def _disable_next(h: HostState, _: int) -> Command | None:
    enabled = h.session.vports
    return disable(h, max(enabled)) if enabled else None


def _disabled(h: HostState, _: int, answer: Answer) -> None:
    disabled(h, max(h.session.vports), answer)


def _wait_for_types(h: HostState, _: int) -> None:
    if h.session.closing_types:
        start_wait(h, Operation(OperationKind.WAIT), h.session.closing_types)


def _waited(h: HostState, _: int) -> bool:
    return not h.session.waits


def _destroy_eq(name: str) -> Step:
    def send(h: HostState, _: int) -> Command | None:
        number = dict(h.session.eqs).get(name)
        return None if number is None else Command(Opcode.DESTROY_EQ, fields={"eq_number": number})

    def answered(h: HostState, _: int, __: Answer) -> None:
        h.pool.put(h.session.eq_memory.pop(name))

    # a queue that the device does not let go of is memory that it may write into
    return Step(f"destroy {name} event queue", send, answered, refused=Refused.FENCE)


def _dealloc_uar(h: HostState, _: int) -> Command | None:
    uar = h.session.uar
    return None if uar is None else Command(Opcode.DEALLOC_UAR, fields={"uar": uar})


def _drained(h: HostState, _: int) -> bool:
    op = h.path.op
    if op is not None and h.flights[op.flight].overdue:
        fencing.ask(h, "a page command was never answered: the page path does not drain", "forced")
    return h.path.idle


def _teardown(h: HostState, profile: int) -> Command | None:
    """The profile asked for, or where the device does not have it the other one that fences; else none at all."""
    s = h.session
    if not s.initialized:
        return None
    if profile == Teardown.GRACEFUL:
        return Command(Opcode.TEARDOWN_HCA, fields={"profile": profile})
    wanted = [Teardown(profile), *(t for t in TEARDOWN_NEEDS if t != profile)]
    offered = [t for t in wanted if s.caps.get(TEARDOWN_NEEDS[t])]
    if offered:
        return Command(Opcode.TEARDOWN_HCA, fields={"profile": offered[0]})
    h.note("the device has neither a fast nor a forced teardown: it is fenced without one")
    return None


def _torn_down(h: HostState, profile: int, answer: Answer) -> None:
    h.session.initialized = False
    if profile != Teardown.GRACEFUL and answer["state"]:
        h.find(Cause.TEARDOWN_STATE, detail=f"TEARDOWN_HCA(profile {profile}) answered state 1: not done")


def _reclaimed_all(h: HostState, _: int) -> bool:
    """Ask the next function that owes pages for them; true once none is left that has not been given up."""
    s = h.session
    if not h.path.idle:
        return False
    if s.reclaim_until is None:
        s.reclaim_until = h.now + h.config.bounds.reclaim_overall
    _end_reclaim(h, s.reclaim_until)
    owing = _owing(h)
    if not owing:
        return True
    if s.reclaim is None:
        s.reclaim = Reclaim(owing[0], h.now + h.bounds.reclaim_progress, h.now)
    if h.now >= s.reclaim.next_try:
        enqueue(h, s.reclaim.identity, -h.config.bounds.pages_per_command, Origin.CLOSE)
    return False


def _owing(h: HostState) -> list[Identity]:
    """The functions that owe pages and have not been given up."""
    return [who for who in h.records.owing() if who not in h.session.stubborn]


def _end_reclaim(h: HostState, until: float) -> None:
    """Ask the present function no more where it has returned everything, or where its time is over."""
    s, r = h.session, h.session.reclaim
    if r is None:
        return
    owes = r.identity in _owing(h)
    if owes and h.now < min(r.progress, until):
        return
    if owes:
        give_up(h, r.identity)
    s.reclaim = None


def give_up(h: HostState, who: Identity) -> None:
    """This function does not return its pages: say so and go on with the others; the fence gets these back."""
    s, left = h.session, h.records.outstanding(who)
    s.stubborn = (*s.stubborn, who)
    h.find(
        Cause.PAGES_NOT_RETURNED,
        who,
        left,
        f"after TEARDOWN_HCA {many(left)} did not come back: no progress for "
        f"{h.bounds.reclaim_progress:g} s, or refused",
    )


def _disable_hca(h: HostState, _: int) -> Command | None:
    if not h.session.enabled:
        return None
    return Command(Opcode.DISABLE_HCA, fields={"embedded_cpu_function": int(h.config.supplier.ecpf)})


CLOSE = (
    Step("disable functions", _disable_next, _disabled, _note_types, refused=Refused.GO_ON, again=True),
    Step("wait for their pages", enter=_wait_for_types, until=_waited),
    _destroy_eq("pages"),
    Step("drain the page path", until=_drained),
    _destroy_eq("async"),
    _destroy_eq("commands"),
    Step("free uar", _dealloc_uar, refused=Refused.GO_ON),
    Step("tear down", _teardown, _torn_down, refused=Refused.FENCE),
    Step("take pages back", until=_reclaimed_all),
    Step("disable", _disable_hca, refused=Refused.GO_ON),
)

#: subject: the TEARDOWN_HCA profile; pages are fenced, not taken
FAST_CLOSE = (Step("tear down", _teardown, _torn_down, refused=Refused.FENCE),)
