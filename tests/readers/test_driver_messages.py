"""What a line of mlx5_core's states, in the words of each kernel."""

from __future__ import annotations

from collections import Counter
from string import printable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.prm.identity import FunctionType, Mode
from fwpages.readers.driver_messages import MAX_MESSAGE, plausible, said, understand
from fwpages.readers.observations import Place, Said, What
from tests.auditor.logs import dmesg

AT = Place("log.txt", 3, 1.25)
#: the fields that a line fills in, beside what it states
FIELDS = ("number", "ec", "mode", "pages", "asked", "err", "opcode", "op_mod", "status", "slot", "kind")
CMD = "MANAGE_PAGES(0x108)"


def _said(message: str, function: str | None = None) -> Said | None:
    statement = understand(function, message)
    return None if statement is None else said(statement, AT, "dut", message)


def _told(v: Said | None) -> dict[str, Any]:
    assert v is not None
    fields = {name: getattr(v, name) for name in FIELDS}
    return {"what": v.what} | {name: value for name, value in fields.items() if value is not None}


@pytest.mark.parametrize(
    ("message", "what", "fields"),
    [
        ("firmware version: 28.39.1002", What.FIRMWARE, {}),
        ("requested 6 boot pages for func_id 0x0", What.REQUESTED, {"pages": 6, "number": 0}),
        ("requested -9 init pages for func_vhca_id 0x2a", What.REQUESTED, {"pages": -9, "number": 0x2A}),
        ("page request for func 0x31, npages -10", What.REQUEST, {"pages": -10, "number": 0x31}),
        ("page request for func 0x2, napges 5", What.REQUEST, {"pages": 5, "number": 2}),
        ("page request for func 0x31, npages 7, release_all 0", What.REQUEST, {"pages": 7, "number": 0x31}),
        ("page request for func 0x31, npages 0, release_all 1", What.RELEASE_REQUEST, {"pages": 0, "number": 0x31}),
        ("npages 7, err 0", What.GAVE, {"pages": 7, "err": 0}),
        (
            "npages 7, ec_function 1, func_id 0x3, err 0",
            What.GAVE,
            {"pages": 7, "ec": True, "number": 3, "err": 0},
        ),
        (
            "npages 7, ec_function 0, func 0x31, mode 1, err 0",
            What.GAVE,
            {"pages": 7, "ec": False, "number": 0x31, "mode": Mode.VHCA_ID, "err": 0},
        ),
        (
            "npages 7, ec_function 0, func 0x31, mode 0, err -5",
            What.GIVE_FAILED,
            {"pages": 7, "ec": False, "number": 0x31, "mode": Mode.FUNC_ID, "err": -5},
        ),
        ("npages 7, err -110", What.GIVE_FAILED, {"pages": 7, "err": -110}),
        ("func_id 0x3, npages 7, err -5", What.GIVE_FAILED, {"pages": 7, "number": 3, "err": -5}),
        ("func_id 0x3, npages 7, status -121", What.GIVE_FAILED, {"pages": 7, "number": 3, "err": -121}),
        ("npages 54, ec_function 0, func_id 0x31", What.RELEASED, {"pages": 54, "ec": False, "number": 0x31}),
        ("func 0x31, npages 768, outlen 6160", What.TAKING, {"pages": 768, "number": 0x31}),
        (
            "func 0x31, npages 768, outlen 6160 mode 1",
            What.TAKING,
            {"pages": 768, "number": 0x31, "mode": Mode.VHCA_ID},
        ),
        ("npages 3, outlen 40", What.TAKING, {"pages": 3}),
        (
            "reclaim_pages err (-22) func_id=0x3 ec_func=0x1",
            What.RECLAIM_FAILED,
            {"err": -22, "number": 3, "ec": True},
        ),
        ("failed reclaiming pages: err -22", What.RECLAIM_FAILED, {"err": -22}),
        ("failed reclaiming pages (-110)", What.RECLAIM_FAILED, {"err": -110}),
        ("failed reclaiming pages (-110) for func id 0x3", What.RECLAIM_FAILED, {"err": -110, "number": 3}),
        # Linux 3.11, and its spelling
        ("failed recliaming pages", What.RECLAIM_FAILED, {}),
        ("FW reported unknown DMA address 0x1234000", What.NOT_FOUND, {}),
        ("failed to allocate pages request", What.REQUEST_DROPPED, {}),
        (
            "Device state = 1 health sensors: 0 pci_status: 0. Enter, pci channel state = 3",
            What.DEVICE_ERROR,
            {},
        ),
        ("fw returned 60, driver asked 50 => corruption", What.OVER_ASKED, {"pages": 60, "asked": 50}),
        ("page notify failed func_id(12) err(-5)", What.NOTIFY_FAILED, {"number": 12, "err": -5}),
        ("page notify failed", What.NOTIFY_FAILED, {}),
        ("give fail -12", What.ALLOC_FAILED, {"err": -12}),
        ("failed to allocate page", What.ALLOC_FAILED, {}),
        (
            f"{CMD} op_mod(0x2) failed, status bad system state(0x5f), syndrome (0x1), err(-22)",
            What.REFUSED,
            {"opcode": 0x108, "op_mod": 2, "status": 0x5F},
        ),
        (
            f"cmd[31]: {CMD} Async, timeout. Will cause a leak of a command resource",
            What.TIMEOUT,
            {"opcode": 0x108, "slot": 31},
        ),
        (f"cmd[31]: {CMD} No done completion", What.NO_DONE, {"opcode": 0x108, "slot": 31}),
        (f"cmd[0]: {CMD} Async, recovered after timeout", What.LATE, {"opcode": 0x108, "slot": 0}),
        ("Command completion arrived after timeout (entry idx = 31).", What.LATE, {"slot": 31}),
        (f"{CMD} timeout while waiting for command semaphore.", What.NOT_SENT, {"opcode": 0x108}),
        ("FW pages counter is 42 after reclaiming all pages", What.LEFT, {"pages": 42}),
        (
            "EC VFs FW pages counter is -7 after reclaiming all pages",
            What.LEFT,
            {"pages": -7, "kind": FunctionType.EC_VF},
        ),
        (
            "Peer PF FW pages counter is 1 after reclaiming all pages",
            What.LEFT,
            {"pages": 1, "kind": FunctionType.HOST_PF},
        ),
        ("aborting while there are 12 pending pages", What.PENDING, {"pages": 12}),
        ("tear_down_hca failed, skip cleanup", What.NO_TEARDOWN, {}),
    ],
)
def test_what_a_line_states(message: str, what: What, fields: dict[str, Any]) -> None:
    v = _said(message)
    assert _told(v) == {"what": what, **fields}
    assert v is not None
    assert (v.place, v.device, v.text) == (AT, "dut", message)


@pytest.mark.parametrize(
    "message",
    [
        "Link up",
        "about a page request for func 0x31, npages 7",
        "npages 7, err 0, and more",
        "npages seven, err 0",
        "func 0x31, npages 7, outlen 40 mode one",
        "failed to allocate pages for the queue",
        "failed reclaiming pages of the queue",
        # a channel in order is no error
        "Device state = 1 pci_status: 0. Enter, pci channel state = 1",
        f"{CMD} op_mod(0x2) failed, status ok, as it were",
        "",
    ],
)
def test_what_only_looks_like_a_statement_is_none(message: str) -> None:
    assert _said(message) is None


def test_a_bare_error_is_a_give_where_give_pages_says_it() -> None:
    assert _told(_said("err 0", "give_pages")) == {"what": What.GAVE, "err": 0}
    assert _told(_said("err -12", "give_pages")) == {"what": What.GIVE_FAILED, "err": -12}
    assert _said("err -12", "mlx5_load_one") is None
    assert _said("err -12") is None


def test_boot_pages_are_told_from_those_of_init() -> None:
    told = [_said(f"requested 6 {which} pages for func_id 0x0") for which in ("boot", "init")]
    assert [v is not None and v.boot for v in told] == [True, False]


def test_every_line_about_pages_of_a_recorded_kernel_is_understood() -> None:
    lines = [line for line in dmesg() if "npages" in line or "pages for func" in line]
    told = Counter(v.what if v else None for v in (_said(line.split("): ", 1)[1]) for line in lines))
    assert told == {
        What.REQUESTED: 2,
        What.REQUEST: 5,
        What.RELEASE_REQUEST: 1,
        What.GAVE: 5,
        What.TAKING: 7,
        What.RELEASED: 1,
    }


@given(
    st.sampled_from([None, "give_pages"]),
    st.text(printable, max_size=60),
    st.sampled_from(["", "npages 3, err 0", "page not found"]),
)
def test_any_words_are_a_statement_or_none(function: str | None, text: str, tail: str) -> None:
    v = _said(text + tail, function)
    assert v is None or v.text == text + tail


# -- numbers that no driver says

#: where each field of a line is, and the most that it can be
LIMITS = [
    ("npages {}, ec_function 0, func_id 0x3, err 0", 2**32 - 1, "d"),
    ("npages 7, ec_function 0, func_id 0x{}, err 0", 0xFFFF, "x"),
    ("func_id 0x3, npages 7, err -{}", 2**32 - 1, "d"),
    ("page notify failed func_id({}) err(-5)", 0xFFFF, "d"),
    ("fw returned {}, driver asked 50 => corruption", 2**32 - 1, "d"),
    ("fw returned 60, driver asked {} => corruption", 2**32 - 1, "d"),
    ("MANAGE_PAGES(0x{}) timeout. Will cause a leak of a command resource", 2**32 - 1, "x"),
    ("Command completion arrived after timeout (entry idx = {}).", 2**32 - 1, "d"),
]


@pytest.mark.parametrize(("line", "most", "base"), LIMITS, ids=range(len(LIMITS)))
def test_a_line_is_believed_as_far_as_its_fields_can_count(line: str, most: int, base: str) -> None:
    for number, fine in ((0, True), (most, True), (most + 1, False), (10**200, False)):
        v = _said(line.format(f"{number:{base}}"))
        assert v is not None
        assert plausible(v) is fine


def test_what_is_longer_than_any_line_of_the_kernels_states_nothing() -> None:
    line = "npages {}, err 0"
    fits = line.format("7".zfill(MAX_MESSAGE - len(line) + 2))
    assert len(fits) == MAX_MESSAGE
    assert _told(_said(fits)) == {"what": What.GAVE, "pages": 7, "err": 0}
    assert _said(line.format("7".zfill(MAX_MESSAGE - len(line) + 3))) is None


@pytest.mark.parametrize("function", ["mlx5_error_sw_reset", "mlx5_load_one", None])
@pytest.mark.parametrize("message", ["start", "end", "start over"])
def test_a_reset_of_a_device_in_error_begins_where_its_function_says_so(function: str | None, message: str) -> None:
    v = _said(message, function)
    assert (v is not None and v.what is What.DEVICE_ERROR) is ((function, message) == ("mlx5_error_sw_reset", "start"))
