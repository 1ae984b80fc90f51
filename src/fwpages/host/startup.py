"""Start-up as a table: ENABLE_HCA to the event queues, in the order in which Linux 7.2 was seen to do it.

One step is ours: the capabilities are read back after SET_HCA_CAP, because only that shows the mode.
"""

from __future__ import annotations

from fwpages.custody.findings import Cause
from fwpages.host import functions
from fwpages.host.page_path import enqueue, take_back, type_of
from fwpages.host.page_queue import Origin
from fwpages.host.state import HostState
from fwpages.host.steps import Refused, Step
from fwpages.pages import PAGE_SIZE
from fwpages.pages.words import many
from fwpages.prm import registers
from fwpages.prm.capability import GENERAL, read_general
from fwpages.prm.event import EQE_SIZE, EventType
from fwpages.prm.identity import FunctionType, Mode, named, vhca_id
from fwpages.prm.layout import LayoutError
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CAP_CURRENT, HOST_ENDIANNESS, CapType, Opcode, QueryPages
from fwpages.prm.timeouts import DTOR, decode_dtor

_MODE = "icm_mng_function_id_mode"

#: queues in the order of their making: name, log2 of entries, events (bits of event_bitmask_0), interrupt
_EQS = (
    ("commands", 8, 1 << EventType.COMMAND),
    ("async", 13, 1 << EventType.NIC_VPORT_CHANGE | 1 << EventType.VHCA_STATE_CHANGE),
    ("pages", 8, 1 << EventType.PAGE_REQUEST),
)


def _enable(h: HostState, _: int) -> Command:
    return Command(Opcode.ENABLE_HCA, fields={"embedded_cpu_function": int(h.config.supplier.ecpf)})


def _enabled(h: HostState, _: int, __: Answer) -> None:
    h.session.enabled = True


def _issi(h: HostState, _: int, answer: Answer) -> None:
    h.session.issi = 1 if answer["supported_issi_dw0"] & 2 else 0


def _set_issi(h: HostState, _: int) -> Command | None:
    return Command(Opcode.SET_ISSI, fields={"current_issi": 1}) if h.session.issi else None


def _query_pages(which: QueryPages) -> Step:
    def send(h: HostState, _: int) -> Command:
        s = h.session
        # only the ec bit names the supplier itself in FUNC_ID mode, only the number in VHCA_ID mode
        return Command(Opcode.QUERY_PAGES, which, s.own.fields)

    def answered(h: HostState, _: int, answer: Answer) -> None:
        _startup_pages(h, which, answer)

    def denied(h: HostState) -> None:
        """Refused under the name of the new mode: firmware is in the other one, whatever its capabilities say."""
        s = h.session
        if s.mode is Mode.VHCA_ID:
            detail = f"QUERY_PAGES({which.name.lower()}) for {s.own} was refused, its capabilities say VHCA_ID mode"
            h.find(Cause.MODE_DISAGREEMENT, s.own, detail=detail)

    # a TAKE would be refused alike, so what was given is fenced off
    refused = Refused.FENCE if which is QueryPages.INIT else Refused.FAIL
    return Step(f"query {which.name.lower()} pages", send, answered, denied=denied, refused=refused)


def _startup_pages(h: HostState, which: QueryPages, answer: Answer) -> None:
    """Give what the device asked for to the function that it named, even if that is not the supplier."""
    s, pages = h.session, answer["num_pages"]
    assert s.mode is not None
    # the ec bit of the answer is not looked at, as in Linux: the supplier knows whether it is an ECPF
    who = named(s.mode, answer["function_id"], h.config.supplier.ecpf)
    if who != s.own:
        h.find(
            Cause.STARTUP_IDENTITY,
            who,
            pages,
            f"QUERY_PAGES({which.name.lower()}) names {who}, the supplier is {s.own}; the pages go to {who}",
        )
    if which is QueryPages.BOOT:
        s.boot = who
        h.records.open(who, type_of(h, who))
    if pages < 0:
        take_back(h, who, -pages, f"QUERY_PAGES({which.name.lower()})")
    elif pages > h.config.bounds.memory:
        h.find(
            Cause.ABSURD_STARTUP,
            who,
            pages,
            f"QUERY_PAGES({which.name.lower()}) wants {many(pages)}, {h.config.bounds.memory} are lent in all",
        )
        h.fail(f"the device wants {many(pages, f'{which.name.lower()} page')}")
    elif pages:
        enqueue(h, who, pages, Origin.STARTUP)


def _settled(h: HostState, _: int) -> bool:
    return h.path.idle


def _query_times(h: HostState, _: int) -> Command | None:
    if not h.config.asks_times:
        return None
    return Command(Opcode.ACCESS_REG, registers.READ, {"register_id": registers.DTOR}, data=bytes(DTOR.size))


def _times(h: HostState, _: int, answer: Answer) -> None:
    """Take the times for pages to come back; a time of 0 is none, and the own one is waited then."""
    try:
        told = decode_dtor(answer.data)
    except LayoutError as e:
        h.find(Cause.ANSWER_MALFORMED, detail=f"ACCESS_REG of the time-outs (DTOR): {e}")
        return
    b = h.config.bounds
    h.session.told = told["reclaim_pages"] or b.reclaim_progress, told["reclaim_vfs_pages"] or b.wait_progress


def _host_endianness(h: HostState, _: int) -> Command | None:
    if h.config.supplier.ecpf:
        return None  # a PF's alone (Linux: set_hca_ctrl)
    return Command(Opcode.ACCESS_REG, fields={"register_id": HOST_ENDIANNESS}, data=bytes(16))


def _query_cap(current: int) -> Command:
    return Command(Opcode.QUERY_HCA_CAP, CapType.GENERAL << 1 | current)


def _caps_in(h: HostState, answer: Answer) -> dict[str, int] | None:
    try:
        return read_general(answer.data)
    except LayoutError as e:
        h.find(Cause.ANSWER_MALFORMED, detail=f"QUERY_HCA_CAP: {e}")
        h.fail("the device's general capabilities cannot be read")
        return None


def _current(h: HostState, _: int, answer: Answer) -> None:
    h.session.cap_page = answer.data
    h.session.caps = _caps_in(h, answer) or {}


def _max(h: HostState, _: int, answer: Answer) -> None:
    s = h.session
    caps = _caps_in(h, answer)
    if caps is None:
        return
    s.max_caps = caps
    if s.wanted == "vhca_id" and not caps[_MODE]:
        h.fail(f"VHCA_ID mode was asked for, and the device does not offer it ({_MODE} is 0 in its maximum)")


def _set_cap(h: HostState, _: int) -> Command:
    s = h.session
    want = {
        "release_all_pages": s.max_caps["release_all_pages"],
        "cmdif_checksum": 0,
        _MODE: int(s.wanted != "func_id" and bool(s.max_caps[_MODE])),
    }
    # from here until the answer is read the device may be in either mode
    s.mode = None
    s.caps = {**s.caps, **want}
    return Command(Opcode.SET_HCA_CAP, CapType.GENERAL << 1, data=GENERAL.patch(s.cap_page, want))


def _not_set(h: HostState) -> None:
    h.session.mode = Mode.FUNC_ID  # the device said no: nothing changed


def _confirm(h: HostState, _: int, answer: Answer) -> None:
    """The mode is VHCA_ID if we set the bit, the device said OK, and its current value says so too."""
    s = h.session
    now = _caps_in(h, answer)
    if now is None:
        return
    was, s.caps, s.release_all = s.caps, now, bool(now["release_all_pages"])
    switched = was[_MODE] and now[_MODE]
    s.mode = Mode.VHCA_ID if switched else Mode.FUNC_ID
    if switched:
        new = vhca_id(now["vhca_id"])
        if s.boot is not None:
            h.records.rename(s.boot, new, FunctionType.SELF)
        s.own = new
    for name, words in ((_MODE, "FUNC_ID names go on to be used"), ("release_all_pages", "what it reads is believed")):
        if was[name] != now[name]:
            h.find(
                Cause.MODE_DISAGREEMENT if name == _MODE else Cause.CAPABILITY_DISAGREEMENT,
                s.own,  # as its accounts have it from here on
                detail=f"{name} was set to {was[name]} and answered OK, its current value is {now[name]}; {words}",
            )


def _init(h: HostState, _: int, __: Answer) -> None:
    h.session.initialized = True


def _driver_version(h: HostState, _: int) -> Command:
    # 64 bytes of text behind the command's first 16, the last of them 0 (set_driver_version_in)
    return Command(Opcode.SET_DRIVER_VERSION, data=h.config.driver_version.encode()[:63].ljust(64, b"\0"))


def _uar(h: HostState, _: int, answer: Answer) -> None:
    h.session.uar = answer["uar"]


def _eq_pages(log_size: int) -> int:
    return max(1, (EQE_SIZE << log_size) // PAGE_SIZE)


def _memory_for_eqs(h: HostState, _: int) -> bool:
    """Memory for the queues is mapped before the first is made, so that no CREATE_EQ waits for it."""
    short = h.pool.shortfall(sum(_eq_pages(log_size) for _, log_size, _ in _EQS))
    if short and h.pool.asked is None:
        h.map(short)
    return not short


def _create_eq(name: str, log_size: int, events: int) -> Step:
    def send(h: HostState, _: int) -> Command:
        index = h.pool.take(_eq_pages(log_size))
        h.session.eq_memory[name] = index
        mask = events | (functions.events(h) if name == "async" else 0)
        fields = {"log_eq_size": log_size, "uar_page": h.session.uar or 0, "event_bitmask_0": mask}
        return Command(Opcode.CREATE_EQ, fields=fields, pas=h.pool.space.address(index))

    def answered(h: HostState, _: int, answer: Answer) -> None:
        h.session.eqs = (*h.session.eqs, (name, answer["eq_number"]))

    def denied(h: HostState) -> None:
        h.pool.put(h.session.eq_memory.pop(name))

    return Step(f"create {name} event queue", send, answered, denied=denied)


STARTUP = (
    Step("enable", _enable, _enabled),
    Step("query issi", lambda h, _: Command(Opcode.QUERY_ISSI), _issi),
    Step("set issi", _set_issi),
    _query_pages(QueryPages.BOOT),
    Step("give boot pages", until=_settled),
    Step("time-outs", _query_times, _times, refused=Refused.GO_ON),
    Step("host endianness", _host_endianness),
    Step("current capabilities", lambda h, _: _query_cap(CAP_CURRENT), _current),
    Step("maximal capabilities", lambda h, _: _query_cap(0), _max),
    Step("set capabilities", _set_cap, denied=_not_set),
    Step("capabilities as set", lambda h, _: _query_cap(CAP_CURRENT), _confirm, refused=Refused.FENCE),
    _query_pages(QueryPages.INIT),
    Step("give init pages", until=_settled),
    Step("init", lambda h, _: Command(Opcode.INIT_HCA, data=bytes(16)), _init),
    Step("driver version", _driver_version, refused=Refused.GO_ON),
    Step("query adapter", lambda h, _: Command(Opcode.QUERY_ADAPTER), refused=Refused.GO_ON),
    Step("allocate uar", lambda h, _: Command(Opcode.ALLOC_UAR), _uar),
    Step("memory for event queues", until=_memory_for_eqs),
    *(_create_eq(*eq) for eq in _EQS),
)
