"""The functions that the e-switch may enable, as the device itself tells them (``Config.asks_functions``).

It is asked once it is open, and again at each event ESW_FUNCTIONS_CHANGED. A PF that manages an e-switch has VFs: as
many as its SR-IOV capability says (``Supplier.max_vfs``), and SFs, by its general capabilities. An ECPF has the
external host's PF, and those VFs that this host has on now, by QUERY_ESW_FUNCTIONS; further PFs, by the answer with an
entry for each function, where the device offers that; and VFs of its own (EC VFs), by its SR-IOV capability, from
``ec_vf_vport_base`` on. So does Linux 7.2 (``mlx5_esw_query_functions``, ``mlx5_sriov_init``).

Functions that the caller has named stay as they are: of what the device tells, ``Session.others`` is noted then.

No command takes a VF of an external host away: it is gone when the device no longer names it. One that was enabled is
treated as if it had been disabled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fwpages.custody.findings import Cause
from fwpages.host.io import EswFunctionsChanged, VportInfo
from fwpages.host.session import Phase, Program
from fwpages.host.state import HostState
from fwpages.host.steps import Refused, Step
from fwpages.host.vports import gone
from fwpages.prm.esw_functions import OtherFunctions, other_functions
from fwpages.prm.eswitch_capabilities import GENERAL, GENERAL_2
from fwpages.prm.event import EventType
from fwpages.prm.identity import SPF_VPORTS, FunctionType, Identity, Vport, vhca_id
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, CapType, EswFunctions, Opcode

#: vports and functions have numbers of 16 bits
_NUMBERS = 1 << 16


def ask(h: HostState) -> None:
    """Ask the device next, where the configuration says so; a question that waits already will do."""
    s = h.session
    if h.config.asks_functions and (Program.FUNCTIONS, 0) not in s.queue:
        s.queue = ((Program.FUNCTIONS, 0), *s.queue)


def changed(h: HostState, x: EswFunctionsChanged) -> None:
    """Ask again. While the device is being opened that comes anyhow, and a session that ends needs no functions."""
    if x.session == h.session.number and h.session.phase is Phase.OPEN:
        ask(h)


def events(h: HostState) -> int:
    """The events that the device is asked to send for this, as bits of ``event_bitmask_0``."""
    return 1 << EventType.ESW_FUNCTIONS_CHANGED if h.config.asks_functions and _has_other_hosts(h) else 0


def _has_other_hosts(h: HostState) -> bool:
    """The supplier is an embedded CPU that manages the e-switch (Linux: ``mlx5_core_is_ecpf_esw_manager``)."""
    return h.config.supplier.ecpf and bool(h.session.caps.get("eswitch_manager"))


def _query_general_2(h: HostState, _: int) -> Command | None:
    known = h.named or h.session.ec_vport_base is not None
    if known or not _has_other_hosts(h) or not GENERAL.unpack(h.session.cap_page)["hca_cap_2"]:
        return None
    return Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL_2 << 1 | CAP_CURRENT)


def _general_2(h: HostState, _: int, answer: Answer) -> None:
    if answer.ok:
        try:
            h.session.ec_vport_base = GENERAL_2.unpack(answer.data)["ec_vf_vport_base"]
        except LayoutError as e:
            h.find(Cause.ANSWER_MALFORMED, detail=f"QUERY_HCA_CAP(general_2): {e}")


def _layout(h: HostState) -> EswFunctions:
    """The layout of the answer about other hosts: an entry for each function, where the device offers that."""
    each = GENERAL.unpack(h.session.cap_page)["query_host_net_function_v1"]
    return EswFunctions.NETWORK_FUNCTIONS if each else EswFunctions.HOST


def _query_others(h: HostState, _: int) -> Command | None:
    return Command(Opcode.QUERY_ESW_FUNCTIONS, _layout(h)) if _has_other_hosts(h) else None


def _others(h: HostState, _: int, answer: Answer) -> None:
    if not answer.ok:
        return
    try:
        h.session.others = other_functions(_layout(h), answer["net_function_num"], answer.data)
    except LayoutError as e:
        h.find(Cause.ANSWER_MALFORMED, detail=f"QUERY_ESW_FUNCTIONS: {e}")


def _take(h: HostState, _: int) -> None:
    """Take what the device told for the functions that there are, unless the caller has named them."""
    s = h.session
    if h.named:
        return
    if s.others is not None:
        h.config = replace(h.config, supplier=replace(h.config.supplier, max_vfs=s.others.total_vfs))
    told = _without_doubles(h)
    _lose(h, {n for n in h.vports if told.get(n) != h.vports[n]})
    h.vports = told


def _lose(h: HostState, lost: set[int]) -> None:
    """These vports are gone, or are other functions: what is enabled, or waits to be, ends."""
    s = h.session
    for n in sorted(lost & s.vports.keys()):
        gone(h, n)
    unable = [x for x in s.queue if x[0] in (Program.ENABLE, Program.DISABLE) and x[1] in lost]
    s.queue = tuple(x for x in s.queue if x not in unable)
    for program, n in unable:
        h.done(program.operation(n), ok=False, detail="the device has no such function any more")


def _without_doubles(h: HostState) -> dict[int, VportInfo]:
    """The functions by their vports; of two with one vport or one name the first, and a remark."""
    found: dict[int, VportInfo] = {}
    names: set[Identity] = {h.config.supplier.own, h.session.own}
    for v in _told(h):
        who = v.identity if v.vhca_id is None else vhca_id(v.vhca_id)
        if v.vport in found or who in names:
            h.note(f"the device has two functions with vport {v.vport:#x} or the name {who}: a {v.type} is left out")
            continue
        found[v.vport] = v
        names.add(who)
    return found


def _told(h: HostState) -> Iterator[VportInfo]:
    """Every function of which the device tells; none where it manages no e-switch."""
    if not h.session.caps.get("eswitch_manager"):
        return
    if not h.config.supplier.ecpf:
        yield from _vfs(h.config.supplier.max_vfs)
    elif h.session.others is not None:
        yield from _of_other_hosts(h.session.others)
    yield from _ec_vfs(h)
    yield from _sfs(h)


def _vfs(count: int) -> Iterator[VportInfo]:
    return (VportInfo(Vport.FIRST_VF + n, FunctionType.VF, 1 + n) for n in range(count))


def _of_other_hosts(others: OtherFunctions) -> Iterator[VportInfo]:
    if others.host_pf:
        yield VportInfo(Vport.HOST_PF, FunctionType.HOST_PF, 0)
    yield from _vfs(others.vfs)
    for n, vhca in enumerate(others.further):
        yield VportInfo(SPF_VPORTS + n, FunctionType.SPF, SPF_VPORTS + n, vhca_id=vhca)


def _ec_vfs(h: HostState) -> Iterator[VportInfo]:
    """The VFs of the embedded CPU; without a number for the first vport there are none."""
    base, supplier = h.session.ec_vport_base, h.config.supplier
    if base and supplier.ecpf:
        for n in range(min(supplier.max_ec_vfs, _NUMBERS - base)):
            yield VportInfo(base + n, FunctionType.EC_VF, 1 + n, ec=True)


def _sfs(h: HostState) -> Iterator[VportInfo]:
    """The SFs that can be allocated (Linux: ``mlx5_sf_max_functions``)."""
    caps = h.session.caps
    if caps["sf"]:
        first = caps["sf_base_id"]
        for number in range(first, min(first + (caps["max_num_sf"] or 1 << caps["log_max_sf"]), _NUMBERS)):
            yield VportInfo(number, FunctionType.SF, number, ec=h.config.supplier.ecpf)


ASK = (
    Step("second page of capabilities", _query_general_2, _general_2, refused=Refused.GO_ON),
    Step("functions of other hosts", _query_others, _others, refused=Refused.GO_ON),
    Step("functions", enter=_take),
)
