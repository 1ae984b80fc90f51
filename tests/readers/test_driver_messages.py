"""Each line of mlx5_core's is one observation, in the words of each kernel."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import fields
from string import printable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.prm.event import PageRequestEvent
from fwpages.prm.identity import FunctionType, Mode
from fwpages.prm.status import status_words
from fwpages.readers.driver_messages import MAX_MESSAGE, WORDINGS, Wording, read_message
from fwpages.readers.observations import (
    AllocationFailed,
    AllPagesReleased,
    CantGiveFailed,
    CommandNotDone,
    CommandNotSent,
    CommandRefused,
    CommandTimedOut,
    CompletionsRecovered,
    DeviceInError,
    DriverMessage,
    FirmwareVersion,
    GiveFailed,
    LateCompletion,
    MissingInput,
    Observation,
    PageRequestDropped,
    PagesGiven,
    PagesLeft,
    PagesPending,
    PagesRequested,
    Place,
    StartupPagesRequested,
    TakeBegun,
    TakeFailed,
    TeardownSkipped,
    TooManyReturned,
    UnknownPageReturned,
)
from tests.auditor.logs import dmesg

AT = Place("log.txt", 3, 1.25)
CMD = "MANAGE_PAGES(0x108)"


def _read(message: str, function: str | None = None) -> Observation | None:
    return read_message(AT, "dut", function, message)


def _own_fields(v: Observation) -> dict[str, Any]:
    """The fields that the line filled in, beside its place."""
    given = {f.name: getattr(v, f.name) for f in fields(v)}
    return {k: x for k, x in given.items() if k not in ("place", "device", "text") and x is not None}


def test_examples_name_each_status_by_its_number() -> None:
    named = [m for w in WORDINGS for m in re.findall(r"status ([a-z ]+)\(0x([0-9a-f]+)\)", w.example)]
    assert named
    assert all(status_words(int(number, 16)).startswith(f"{words} (") for words, number in named)


@pytest.mark.parametrize("wording", WORDINGS, ids=lambda w: w.example)
def test_every_wording_reads_its_own_example(wording: Wording) -> None:
    assert wording.pattern.match(wording.example)
    assert next(w for w in WORDINGS if w.needle in wording.example and w.pattern.match(wording.example)) is wording
    v = _read(wording.example, next(iter(wording.printed_by), None))
    assert isinstance(v, DriverMessage | PagesRequested)
    assert (v.place, v.device) == (AT, "dut")


@pytest.mark.parametrize(
    ("message", "kind", "content"),
    [
        ("firmware version: 28.39.1002", FirmwareVersion, {"all_ones": False}),
        ("firmware version: 65535.65535.65535", FirmwareVersion, {"all_ones": True}),
        ("requested 6 boot pages for func_id 0x0", StartupPagesRequested, {"pages": 6, "number": 0, "boot": True}),
        (
            "requested -9 init pages for func_vhca_id 0x2a",
            StartupPagesRequested,
            {"pages": -9, "number": 0x2A, "boot": False},
        ),
        ("npages 7, err 0", PagesGiven, {"pages": 7}),
        ("npages 7, ec_function 1, func_id 0x3, err 0", PagesGiven, {"pages": 7, "ec": True, "number": 3}),
        (
            "npages 7, ec_function 0, func 0x31, mode 1, err 0",
            PagesGiven,
            {"pages": 7, "ec": False, "number": 0x31, "mode": Mode.VHCA_ID},
        ),
        (
            "npages 7, ec_function 0, func 0x31, mode 0, err -5",
            GiveFailed,
            {"pages": 7, "ec": False, "number": 0x31, "mode": Mode.FUNC_ID, "err": -5},
        ),
        ("npages 7, err -110", GiveFailed, {"pages": 7, "err": -110}),
        ("func_id 0x3, npages 7, err -5", GiveFailed, {"pages": 7, "number": 3, "err": -5}),
        ("func_id 0x3, npages 7, status -121", GiveFailed, {"pages": 7, "number": 3, "err": -121}),
        ("npages 54, ec_function 0, func_id 0x31", AllPagesReleased, {"pages": 54, "ec": False, "number": 0x31}),
        ("func 0x31, npages 768, outlen 6160", TakeBegun, {"pages": 768, "number": 0x31}),
        (
            "func 0x31, npages 768, outlen 6160 mode 1",
            TakeBegun,
            {"pages": 768, "number": 0x31, "mode": Mode.VHCA_ID},
        ),
        ("npages 3, outlen 40", TakeBegun, {"pages": 3}),
        ("reclaim_pages err (-22) func_id=0x3 ec_func=0x1", TakeFailed, {"err": -22, "number": 3, "ec": True}),
        ("failed reclaiming pages: err -22", TakeFailed, {"err": -22}),
        ("failed reclaiming pages (-110)", TakeFailed, {"err": -110}),
        ("failed reclaiming pages (-110) for func id 0x3", TakeFailed, {"err": -110, "number": 3}),
        # Linux 3.11, and its spelling
        ("failed recliaming pages", TakeFailed, {}),
        ("FW reported unknown DMA address 0x1234000", UnknownPageReturned, {}),
        ("failed to allocate pages request", PageRequestDropped, {}),
        (
            "Device state = 1 health sensors: 0 pci_status: 0. Enter, pci channel state = 3",
            DeviceInError,
            {"link": True},
        ),
        ("fw returned 60, driver asked 50 => corruption", TooManyReturned, {"pages": 60, "asked": 50}),
        ("page notify failed func_id(12) err(-5)", CantGiveFailed, {"number": 12, "err": -5}),
        ("page notify failed", CantGiveFailed, {}),
        ("give fail -12", AllocationFailed, {"err": -12}),
        ("failed to allocate page", AllocationFailed, {}),
        (
            f"{CMD} op_mod(0x2) failed, status bad system state(0x4), syndrome (0x1), err(-5)",
            CommandRefused,
            {"opcode": 0x108, "op_mod": 2, "status": 4, "frees": False},
        ),
        (
            f"cmd[31]: {CMD} Async, timeout. Will cause a leak of a command resource",
            CommandTimedOut,
            {"opcode": 0x108, "slot": 31},
        ),
        (f"cmd[31]: {CMD} No done completion", CommandNotDone, {"opcode": 0x108, "slot": 31}),
        (f"cmd[0]: {CMD} Async, recovered after timeout", CompletionsRecovered, {"opcode": 0x108}),
        ("Command completion arrived after timeout (entry idx = 31).", LateCompletion, {"slot": 31}),
        (f"{CMD} timeout while waiting for command semaphore.", CommandNotSent, {"opcode": 0x108}),
        ("FW pages counter is 42 after reclaiming all pages", PagesLeft, {"pages": 42}),
        (
            "EC VFs FW pages counter is -7 after reclaiming all pages",
            PagesLeft,
            {"pages": -7, "kind": FunctionType.EC_VF},
        ),
        (
            "Peer PF FW pages counter is 1 after reclaiming all pages",
            PagesLeft,
            {"pages": 1, "kind": FunctionType.HOST_PF},
        ),
        (
            "cmd[7]: DESTROY_MKEY(0x202) op_mod(0x0) failed, status bad resource state(0x9), syndrome (0x1), err(-22)",
            CommandRefused,
            {"opcode": 0x202, "op_mod": 0, "status": 9, "slot": 7, "frees": True},
        ),
        ("aborting while there are 12 pending pages", PagesPending, {"pages": 12}),
        ("tear_down_hca failed, skip cleanup", TeardownSkipped, {}),
    ],
)
def test_a_line_gives_one_observation_with_its_fields(
    message: str, kind: type[DriverMessage], content: dict[str, Any]
) -> None:
    v = _read(message)
    assert isinstance(v, DriverMessage)
    assert (type(v), _own_fields(v)) == (kind, content)
    assert (v.place, v.device, v.text) == (AT, "dut", message)


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        ("page request for func 0x31, npages -10", PageRequestEvent(0x31, -10)),
        ("page request for func 0x2, napges 5", PageRequestEvent(2, 5)),
        ("page request for func 0x31, npages 7, release_all 0", PageRequestEvent(0x31, 7)),
        ("page request for func 0x31, npages 0, release_all 1", PageRequestEvent(0x31, 0, release_all=True)),
    ],
)
def test_the_line_of_a_page_request_is_a_request_whose_ec_bit_is_not_known(
    message: str, request_: PageRequestEvent
) -> None:
    assert _read(message) == PagesRequested(place=AT, device="dut", request=request_, ec_known=False)


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
def test_a_line_that_only_resembles_a_wording_is_none(message: str) -> None:
    assert _read(message) is None


def test_a_bare_error_is_a_give_where_give_pages_prints_it() -> None:
    assert _read("err 0", "give_pages") == PagesGiven(place=AT, device="dut", text="err 0")
    assert _read("err -12", "give_pages") == GiveFailed(place=AT, device="dut", text="err -12", err=-12)
    assert _read("err -12", "mlx5_load_one") is None
    assert _read("err -12") is None


def test_every_line_about_pages_of_a_recorded_kernel_is_understood() -> None:
    lines = [line for line in dmesg() if "npages" in line or "pages for func" in line]
    kinds = Counter(type(_read(line.split("): ", 1)[1])) for line in lines)
    assert kinds == {StartupPagesRequested: 2, PagesRequested: 6, PagesGiven: 5, TakeBegun: 7, AllPagesReleased: 1}


@given(
    st.sampled_from([None, "give_pages"]),
    st.text(printable, max_size=60),
    st.sampled_from(["", "npages 3, err 0", "page not found"]),
)
def test_any_words_are_an_observation_or_none(function: str | None, text: str, tail: str) -> None:
    """Its text is the line's, without the driver's function where a writer put that in front."""
    v, said = _read(text + tail, function), text + tail
    if isinstance(v, DriverMessage):
        assert v.text == said or (function is None and said.endswith(v.text))


# -- numbers that no driver prints

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
def test_a_line_is_believed_as_far_as_the_drivers_variables_reach(line: str, most: int, base: str) -> None:
    for number, fine in ((0, True), (most, True), (most + 1, False), (10**200, False)):
        v = _read(line.format(f"{number:{base}}"))
        assert v is not None
        assert isinstance(v, MissingInput) is not fine


def test_a_message_longer_than_the_kernel_prints_is_none() -> None:
    line = "npages {}, err 0"
    fits = line.format("7".zfill(MAX_MESSAGE - len(line) + 2))
    assert len(fits) == MAX_MESSAGE
    assert _read(fits) == PagesGiven(place=AT, device="dut", text=fits, pages=7)
    assert _read(line.format("7".zfill(MAX_MESSAGE - len(line) + 3))) is None


@pytest.mark.parametrize("function", ["mlx5_error_sw_reset", "mlx5_load_one", None])
@pytest.mark.parametrize("message", ["start", "end", "start over"])
def test_a_reset_of_a_device_in_error_begins_where_its_function_says_so(function: str | None, message: str) -> None:
    in_error = isinstance(_read(message, function), DeviceInError)
    assert in_error is ((function, message) == ("mlx5_error_sw_reset", "start"))
