"""A profile from what a device said at its start: a device made of it says the same."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import pytest

from fwpages.device.profiles import DERIVED, parse
from fwpages.prm.capability import general
from fwpages.prm.identity import Supplier
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CapType, Opcode, QueryPages
from fwpages.readers.inputs import InputError
from fwpages.readers.profile_import import profile_of
from fwpages.readers.trace_writer import TraceWriter
from fwpages.scenario import ScenarioRun as Played
from fwpages.scenario import load
from fwpages.scenario.topology import device_profile
from tests.auditor.logs import DMESG, FUNC, VHCA, write_trace
from tests.auditor.written_traces import OWN_VHCA, WrittenTrace

MOST = {"vhca_id": OWN_VHCA, "release_all_pages": 1, "icm_mng_function_id_mode": 1, "log_max_eq": 8}
NOW = {"vhca_id": OWN_VHCA, "release_all_pages": 1, "log_max_eq": 5}


def _started(boot: int = 10, init: int = 20, *, ecpf: bool = False, supplier: Supplier | None = None) -> WrittenTrace:
    trace = WrittenTrace(supplier, ecpf=ecpf).enable()
    trace.query(QueryPages.BOOT, boot)
    trace.caps(MOST, current=False)
    trace.caps(NOW)
    trace.query(QueryPages.INIT, init)
    return trace


def _profile(tmp: Path, trace: WrittenTrace) -> dict[str, object]:
    return tomllib.loads(profile_of(write_trace(tmp, trace.lines), "mine"))


def test_a_profile_has_the_devices_answers(tmp_path: Path) -> None:
    p = parse(profile_of(write_trace(tmp_path, _started().lines), "mine"), "test")
    assert (p.name, p.boot_pages, p.init_pages, p.vhca_id, p.ecpf) == ("mine", 10, 20, OWN_VHCA, False)
    assert p.max == {"release_all_pages": 1, "icm_mng_function_id_mode": 1, "log_max_eq": 8}
    assert p.current == {"release_all_pages": 1, "log_max_eq": 5}
    assert p.capability_pages == {(0, False): general(MOST), (0, True): general(NOW)}


@pytest.mark.parametrize("name", ["connectx7", "bluefield3"])
def test_a_profile_of_an_embedded_device_is_the_one_that_it_was_made_of(name: str, tmp_path: Path) -> None:
    scenario = load("test", text=f'[device]\nprofile = "{name}"\n[[step]]\ndo = "open"\n')
    made, out = device_profile(scenario), io.StringIO()
    writer = TraceWriter(out, device=name, supplier=made.supplier)
    Played(scenario, tap=writer).run()
    writer.end()
    path = tmp_path / "run.jsonl"
    path.write_text(out.getvalue())
    read = parse(profile_of(path, name), "test")
    for key in ("boot_pages", "init_pages", "vhca_id", "ecpf", "sf_base_id", "max_sf", "max"):
        assert getattr(read, key) == getattr(made, key), key
    chosen = {"icm_mng_function_id_mode"}
    assert {k: v for k, v in made.current.items() if v and k not in chosen} == read.current


@pytest.mark.parametrize("path", [VHCA, FUNC, DMESG], ids=lambda path: path.name)
def test_recordings_of_a_real_driver_can_be_used(path: Path) -> None:
    p = parse(profile_of(path, "recorded"), "test")
    assert p.boot_pages > 0
    assert p.init_pages > p.boot_pages
    # what a session chose is not what the device starts with
    assert "icm_mng_function_id_mode" not in p.current
    assert not {*p.max, *p.current} & {*DERIVED}


def test_the_first_word_of_the_device_counts(tmp_path: Path) -> None:
    """Later it says what it was set to say, or what it still wants."""
    trace = WrittenTrace().enable()
    trace.query(QueryPages.REGULAR, 99)
    trace.query(QueryPages.BOOT, 10)
    trace.caps(MOST, current=False)
    trace.caps(NOW)
    trace.query(QueryPages.INIT, 20)
    trace.query(QueryPages.BOOT, 99)
    trace.query(QueryPages.INIT, 99)
    trace.caps({**NOW, "icm_mng_function_id_mode": 1, "log_max_eq": 3})
    p = _profile(tmp_path, trace)
    assert (p["boot_pages"], p["init_pages"], p["current"]) == (10, 20, {"release_all_pages": 1, "log_max_eq": 5})


def test_pages_to_take_back_are_none_to_start_with(tmp_path: Path) -> None:
    p = _profile(tmp_path, _started(-5, -1))
    assert (p["boot_pages"], p["init_pages"]) == (0, 0)


@pytest.mark.parametrize("supplier", [None, Supplier(ecpf=True)])
def test_an_ecpf_is_recognised_by_its_boot_query(supplier: Supplier | None, tmp_path: Path) -> None:
    assert _profile(tmp_path, _started(ecpf=True, supplier=supplier))["ecpf"] is True
    assert _profile(tmp_path, _started())["ecpf"] is False


def test_a_current_value_beyond_what_is_offered_is_left_out(tmp_path: Path) -> None:
    trace = WrittenTrace().enable()
    trace.query(QueryPages.BOOT, 10)
    trace.caps({**MOST, "log_max_eq": 4}, current=False)
    trace.caps(NOW)
    trace.query(QueryPages.INIT, 20)
    assert _profile(tmp_path, trace)["current"] == {"release_all_pages": 1}


@pytest.mark.parametrize(
    ("caps", "base", "most"),
    [
        ({}, 0, 0),
        ({"sf": 1, "sf_base_id": 0x80, "log_max_sf": 5}, 0x80, 32),
        ({"sf": 1, "sf_base_id": 0x80, "log_max_sf": 5, "max_num_sf": 20}, 0x80, 20),
        ({"sf_base_id": 0x80, "log_max_sf": 5}, 0x80, 0),
    ],
)
def test_how_many_sub_functions_there_can_be(caps: dict[str, int], base: int, most: int, tmp_path: Path) -> None:
    trace = WrittenTrace().enable()
    trace.query(QueryPages.BOOT, 10)
    trace.caps({**MOST, **caps}, current=False)
    trace.caps(NOW)
    trace.query(QueryPages.INIT, 20)
    p = _profile(tmp_path, trace)
    assert (p["sf_base_id"], p["max_sf"]) == (base, most)


def test_capability_pages_of_other_types_come_along_and_other_functions_do_not(tmp_path: Path) -> None:
    trace = WrittenTrace().enable()
    trace.caps({"vhca_id": 0x31}, current=False, other_function=1, function_id=3)
    for kind, data in ((CapType.ETHERNET_OFFLOADS, b"\x01\x02"), (0x77, b"\x03"), (CapType.ROCE, b"\0")):
        page = data.ljust(4096, b"\0")
        trace.cmd(Command(Opcode.QUERY_HCA_CAP, int(kind) << 1), Answer(Opcode.QUERY_HCA_CAP, data=page))
    trace.lines += _started().lines[1:]
    for i, line in enumerate(trace.lines[1:]):
        line["id"] = i // 2
    p = _profile(tmp_path, trace)
    assert isinstance(p["pages"], dict)
    assert {k: v for k, v in p["pages"].items() if "general" not in k} == {
        "ethernet_offloads.max": "0102",
        "0x77.max": "03",
    }
    assert p["vhca_id"] == OWN_VHCA


def test_of_two_devices_the_first_whole_start_is_taken(tmp_path: Path) -> None:
    half, whole = WrittenTrace().enable(), _started()
    half.query(QueryPages.BOOT, 99)
    whole.lines[0]["device"] = "whole"
    path = write_trace(tmp_path, half.lines + whole.lines)
    assert tomllib.loads(profile_of(path, "mine"))["description"] == "as whole said of itself"


@pytest.mark.parametrize("missing", range(1, 5))
def test_half_a_start_is_refused(missing: int, tmp_path: Path) -> None:
    lines = _started().lines
    at = 1 + 2 * missing
    path = write_trace(tmp_path, [*lines[:at], *lines[at + 2 :]])
    with pytest.raises(InputError, match="does not show the start of a device: QUERY_PAGES and QUERY_HCA_CAP"):
        profile_of(path, "mine")


def test_a_refused_query_adds_nothing(tmp_path: Path) -> None:
    trace = WrittenTrace().enable()
    trace.plain(Opcode.QUERY_PAGES, 3, QueryPages.BOOT)
    trace.caps(MOST, current=False)
    trace.caps(NOW)
    trace.query(QueryPages.INIT, 20)
    with pytest.raises(InputError):
        _profile(tmp_path, trace)


def test_an_answer_that_is_cut_short_is_passed_over(tmp_path: Path) -> None:
    lines = _started().lines
    cut = {**lines[4], "out": lines[4]["out"][:8]}
    with pytest.raises(InputError):
        profile_of(write_trace(tmp_path, [*lines[:4], cut, *lines[5:]]), "mine")


@pytest.mark.parametrize("name", ['a "quoted" name', "back\\slash", "two\nlines", "tab\t", "é ☃", "#", "\x7f\x1b"])
def test_any_name_of_a_device_or_profile_can_be_read_back(name: str, tmp_path: Path) -> None:
    trace = _started()
    trace.lines[0]["device"] = name
    text = profile_of(write_trace(tmp_path, trace.lines), name)
    p = tomllib.loads(text)
    assert (p["name"], p["description"]) == (name, f"as {name} said of itself")
    assert parse(text, "test").init_pages == 20
