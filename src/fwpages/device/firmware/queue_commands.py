"""The commands for UARs and event queues, and those that firmware only answers with OK."""

from __future__ import annotations

from fwpages.device.firmware.offences import OffenceName, RefusedError
from fwpages.device.firmware.state import EqContext, State
from fwpages.pages import PAGE_SHIFT
from fwpages.pages.words import many
from fwpages.prm import registers
from fwpages.prm.event import EQE_SIZE, EventType
from fwpages.prm.message import Answer, Command

#: eq_number has 8 bits, and 0 is not used
MOST_EQS = 255
#: entries of a queue, in bits: ``log_max_eq_sz`` of every device whose capabilities are known
MOST_LOG_EQ_SIZE = 22
#: a UAR's number is that of its page in BAR 0: the first pages are the initialization segment's and MSI-X tables'
FIRST_UAR = 16
#: enough for any driver's start; with the pages before them they make 4 MiB
MOST_UARS = 1024 - FIRST_UAR
#: bytes of the answer to QUERY_ADAPTER (Linux: ``query_adapter_out``)
ADAPTER_SIZE = 256


def _lowest_free(taken: set[int], most: int, what: str, first: int = 1) -> int:
    if len(taken) >= most:
        raise RefusedError(OffenceName.TOO_MANY_RESOURCES, f"all {most} {what} are in use")
    return next(n for n in range(first, first + most) if n not in taken)


def alloc_uar(s: State, c: Command) -> Answer:
    """Allocate the lowest free UAR."""
    uar = _lowest_free(s.uars, MOST_UARS, "UARs", FIRST_UAR)
    s.uars.add(uar)
    return Answer(c.opcode, fields={"uar": uar})


def dealloc_uar(s: State, c: Command) -> Answer:
    """Free a UAR; refused while an EQ has its doorbell there."""
    uar = c["uar"]
    if uar not in s.uars:
        raise RefusedError(OffenceName.UNKNOWN_RESOURCE, f"UAR {uar:#x}")
    if any(uar == eq.uar for eq in s.eqs.values()):
        raise RefusedError(OffenceName.RESOURCE_IN_USE, f"UAR {uar:#x}")
    s.uars.remove(uar)
    return Answer(c.opcode)


def create_eq(s: State, c: Command) -> Answer:
    """Create an event queue; the one whose bitmask has PAGE_REQUEST takes page requests, pending ones included."""
    uar, mask, log_size = c["uar_page"], c["event_bitmask_0"], c["log_eq_size"]
    if uar not in s.uars:
        raise RefusedError(OffenceName.UNKNOWN_RESOURCE, f"UAR {uar:#x}")
    if log_size > MOST_LOG_EQ_SIZE:
        raise RefusedError(OffenceName.BAD_PARAMETER, f"log_eq_size {log_size}, {MOST_LOG_EQ_SIZE} at most")
    bits = c["log_page_size"] + PAGE_SHIFT
    pages = max(1, (EQE_SIZE << log_size) >> bits)
    if pages != c.pas.size:
        raise RefusedError(OffenceName.COUNT_MISMATCH, f"{c.pas.size} addresses for {many(pages)} of {1 << bits} bytes")
    if mask >> EventType.PAGE_REQUEST & 1 and s.pages_eqn is not None:
        raise RefusedError(OffenceName.SECOND_PAGES_EQ, f"EQ {s.pages_eqn} takes page requests already")
    eqn = _lowest_free(set(s.eqs), MOST_EQS, "EQs")
    eq = EqContext(mask, uar, log_size, 1 << bits, c["intr"], tuple(c.pas.tolist()))
    s.store.occupy(eq.blocks)
    s.eqs[eqn] = eq
    return Answer(c.opcode, fields={"eq_number": eqn})


def destroy_eq(s: State, c: Command) -> Answer:
    """Destroy an event queue; its memory is the driver's again."""
    eq = s.eqs.pop(c["eq_number"], None)
    if eq is None:
        raise RefusedError(OffenceName.UNKNOWN_RESOURCE, f"EQ {c['eq_number']}")
    s.store.vacate(eq.blocks)
    return Answer(c.opcode)


def access_reg(s: State, c: Command) -> Answer:
    """Read time-outs and a function's pages from registers that the device has, others as zero; write without effect.

    RefusedError ``unknown-function`` for a vhca_id that no function has.
    """
    size = len(c.data)
    content = _register(s, c) if c.op_mod == registers.READ else b""
    return Answer(c.opcode, data=content[:size].ljust(size, b"\0"))


def _register(s: State, c: Command) -> bytes:
    told = s.device.profile.timeouts
    match c["register_id"]:
        case registers.DTOR if told is not None:
            return told.dtor
        case registers.NIC_CAP if s.current.get("nic_cap_reg"):
            return registers.NIC_CAP_LAYOUT.pack({"vhca_icm_ctrl": 1})
        case registers.VHCA_ICM_CTRL if s.current.get("nic_cap_reg"):
            return _pages_of_function(s, c.data)
        case _:
            return b""


def _pages_of_function(s: State, asked: bytes) -> bytes:
    layout = registers.VHCA_ICM_CTRL_LAYOUT
    named = layout.unpack(asked.ljust(layout.size, b"\0"))
    slot = s.home_of(named["vhca_id"]) if named["vhca_id_valid"] else 0
    if slot is None:
        raise RefusedError(OffenceName.UNKNOWN_FUNCTION, f"no function with vhca_id {named['vhca_id']:#x}")
    return layout.pack(named | {"cur_alloc_icm": s.held(s.home(slot))})


def query_adapter(_s: State, c: Command) -> Answer:
    """Answer an adapter description of zeros."""
    return Answer(c.opcode, data=bytes(ADAPTER_SIZE))


def done(_s: State, c: Command) -> Answer:
    """Answer OK and do nothing."""
    return Answer(c.opcode)
