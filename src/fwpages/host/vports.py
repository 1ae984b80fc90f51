"""The e-switch: enable a vport, learn its vhca_id, publish its type; disable it and wait for its pages.

In FUNC_ID mode a vport's function has a name as soon as it is there. In VHCA_ID mode its name is read from its
capabilities after ENABLE_HCA, while firmware may ask for pages under that vhca_id already. Such pages are counted
under the type *unknown*; once the vhca_id is learned, the record moves whole to the vport's type.

The page path waits for none of this: it reads the map that is published when an answer is in. A disabled function's
record is retired, whatever is still out; what comes back later credits that record. After the last function of a type
is disabled, the operation waits until the type's pages are back, with a limit that is renewed by progress and one that
is not.
"""

from __future__ import annotations

from dataclasses import replace

from fwpages.custody.findings import Cause
from fwpages.custody.judgements import patience
from fwpages.custody.records import Record
from fwpages.host.io import Misuse, Operation, VportInfo
from fwpages.host.session import Phase, Program, Session, VportState, Wait, not_open
from fwpages.host.state import HostState
from fwpages.host.steps import Refused, Step
from fwpages.pages.words import many
from fwpages.prm.capability import read_general
from fwpages.prm.identity import FunctionType, Identity, Mode, vhca_id
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CapType, Opcode


def changed(h: HostState, infos: tuple[VportInfo, ...]) -> None:
    """Replace the known vports. Misuse where they contradict each other, or what is enabled."""
    known = {v.vport: v for v in infos}
    if len(known) != len(infos):
        raise Misuse("functions changed: a vport number is there twice")
    _check_functions(infos, h.config.supplier.own)
    named = {n for program, n in _asked(h.session) if program in (Program.ENABLE, Program.DISABLE)}
    gone = [n for n in sorted({*h.session.vports, *named}) if known.get(n) != h.vports[n]]
    if gone:
        raise Misuse(
            f"functions changed: vport {gone[0]:#x} is enabled and would be gone, or another; disable it first"
        )
    h.vports, h.named = known, True


def _check_functions(infos: tuple[VportInfo, ...], own: Identity) -> None:
    """Each vport is a function of its own, and none is the supplier; else Misuse."""
    functions: dict[Identity, int] = {}
    for v in infos:
        who = v.identity if v.vhca_id is None else vhca_id(v.vhca_id)
        other = functions.setdefault(who, v.vport)
        if other != v.vport:
            raise Misuse(f"functions changed: vports {other:#x} and {v.vport:#x} are both function {who}")
        if who == own:
            raise Misuse(f"functions changed: vport {v.vport:#x} is the supplier itself")


def ask(h: HostState, program: Program, vport: int) -> None:
    """Queue the enabling or disabling of a vport. Misuse where it cannot be."""
    s, what = h.session, program.operation(vport)
    if s.phase is not Phase.OPEN:
        raise Misuse(f"{what}: {not_open(s)}")
    info = h.vports.get(vport)
    if info is None:
        raise Misuse(f"{what}: there is no such vport; there are {', '.join(f'{n:#x}' for n in h.vports) or 'none'}")
    if info.vhca_id is not None and s.mode is Mode.FUNC_ID:
        raise Misuse(f"{what}: FUNC_ID mode has no name for a function of type {info.type}")
    enabled = _will_be_enabled(s, vport)
    if enabled is (program is Program.ENABLE):
        raise Misuse(f"{what}: it is {'already ' if enabled else 'not '}enabled")
    s.queue = (*s.queue, (program, vport))


def _will_be_enabled(s: Session, vport: int) -> bool:
    """The vport is enabled once all that was asked for is done."""
    before = [p for p, n in _asked(s) if n == vport and p in (Program.ENABLE, Program.DISABLE)]
    return before[-1] is Program.ENABLE if before else vport in s.vports


def _asked(s: Session) -> list[tuple[Program, int]]:
    """The operation in progress and those that wait, each with its subject."""
    return [*([(s.progress.program, s.progress.subject)] if s.progress else []), *s.queue]


def _switch(on: Opcode, on_sf: Opcode, info: VportInfo) -> Command:
    if info.type is FunctionType.SF:
        return Command(on_sf, fields={"function_id": info.function_id})
    if info.vhca_id is not None:
        return Command(on, fields={"function_id": info.vhca_id, "function_id_type": 1})
    return Command(on, fields=info.identity.fields)


def _enable(h: HostState, vport: int) -> Command:
    return _switch(Opcode.ENABLE_HCA, Opcode.ALLOC_SF, h.vports[vport])


def _enabled(h: HostState, vport: int, _: Answer) -> None:
    info, s = h.vports[vport], h.session
    if s.mode is Mode.FUNC_ID:
        publish(h, vport, info.identity)
    elif info.vhca_id is not None:
        _claim(h, vport, vhca_id(info.vhca_id))
    else:
        maybe_enabled(h, vport)


def maybe_enabled(h: HostState, vport: int) -> None:
    """The function may be enabled, under a vhca_id that is not known: the close disables it."""
    h.session.vports = {**h.session.vports, vport: VportState(None)}


def _query(h: HostState, vport: int) -> Command | None:
    info = h.vports[vport]
    if h.session.mode is not Mode.VHCA_ID or info.vhca_id is not None:
        return None
    fields = {"other_function": 1, "ec_vf_function": int(info.type is FunctionType.EC_VF)}
    # the maximum, as Linux asks (mlx5_vport_get_other_func_general_cap)
    return Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL << 1, {**fields, "function_id": info.function_id})


def _learn(h: HostState, vport: int, answer: Answer) -> None:
    """The vport's vhca_id, as the device says."""
    if not answer.ok:
        return  # enabled, under a vhca_id that is not known
    try:
        who = vhca_id(read_general(answer.data)["vhca_id"])
    except LayoutError as e:
        h.find(Cause.ANSWER_MALFORMED, detail=f"vport {vport:#x}: QUERY_HCA_CAP: {e}")
        return
    _claim(h, vport, who)


def _claim(h: HostState, vport: int, who: Identity) -> None:
    """The vport's vhca_id: published, unless another function of ours has it already."""
    s = h.session
    users = [f"vport {n:#x}" for n, v in s.vports.items() if v.identity == who and n != vport]
    if who == s.own:
        users.append("the supplier itself")
    if users:
        h.find(
            Cause.VHCA_ID_TWICE,
            who,
            detail=f"vport {vport:#x} is said to have {who}, which {users[0]} has; its pages stay with that",
        )
        maybe_enabled(h, vport)
        return
    publish(h, vport, who)


def publish(h: HostState, vport: int, who: Identity) -> None:
    """From now on this identity is this vport: the record that it may have moves whole to the vport's type."""
    s = h.session
    h.records.announce(who, h.vports[vport].type)
    s.vports = {**s.vports, vport: VportState(who)}


def disable(h: HostState, vport: int) -> Command:
    """The command that takes this vport's function away."""
    return _switch(Opcode.DISABLE_HCA, Opcode.DEALLOC_SF, h.vports[vport])


def _disable(h: HostState, vport: int) -> Command | None:
    """The command, or None where the enabling before it has failed."""
    return disable(h, vport) if vport in h.session.vports else None


def disabled(h: HostState, vport: int, _: Answer) -> None:
    """The device has disabled the function."""
    gone(h, vport)


def gone(h: HostState, vport: int) -> None:
    """The function is gone: its record is retired, whatever is still out; what comes back credits that record."""
    s = h.session
    state = s.vports[vport]
    if state.identity is not None:
        h.records.retire(state.identity)
    s.vports = {n: v for n, v in s.vports.items() if n != vport}


def start_wait(h: HostState, operation: Operation, types: frozenset[FunctionType]) -> None:
    """Wait until no page of disabled functions of these types, nor of functions not known, is out."""
    limits = patience(_left(h, types), h.now, h.bounds)
    h.session.waits = (*h.session.waits, Wait(operation, types, limits))
    look_at_waits(h)  # there may be nothing to wait for


def _awaited(h: HostState, types: frozenset[FunctionType]) -> list[tuple[Record, int]]:
    """The records and pages that a wait for these types waits for; those of a pending GIVE may be firmware's."""
    op = h.path.op
    offered = {op.record: op.index.size} if op is not None and not h.flights[op.flight].overdue else {}
    rows = h.records.awaited(types, *offered)
    return [(r, n) for r in rows if (n := r.outstanding + offered.get(r.number, 0))]


def _left(h: HostState, types: frozenset[FunctionType]) -> int:
    return sum(n for _, n in _awaited(h, types))


def look_at_waits(h: HostState) -> None:
    """Renew the limit where pages came back, end the waits that are over, give up those whose time is over."""
    s, still = h.session, []
    for w in s.waits:
        left = _left(h, w.types)
        if left == 0:
            h.done(w.operation, ok=True)
        elif w.patience.exhausted(left, h.now):
            _give_up(h, w, left)
        else:
            still.append(replace(w, patience=w.patience.looked_at(left, h.now, h.bounds)))
    s.waits = tuple(still)


def _give_up(h: HostState, w: Wait, left: int) -> None:
    """One finding for each function whose pages are out."""
    owed: dict[Identity, tuple[FunctionType, int]] = {}
    for row, n in _awaited(h, w.types):
        owed[row.identity] = row.type, n + owed.get(row.identity, (row.type, 0))[1]
    for who, (kind, n) in owed.items():
        h.find(
            Cause.WAIT_TIMEOUT,
            who,
            n,
            f"{w.operation}: {many(n)} of {who} ({kind}) did not come back in time",
        )
    h.done(w.operation, ok=False, detail=f"{many(left)} still out")


ENABLE = (
    Step("enable", _enable, _enabled, unanswered=maybe_enabled),
    Step("learn vhca_id", _query, _learn, refused=Refused.GO_ON),
)

DISABLE = (Step("disable", _disable, disabled),)
