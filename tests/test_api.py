"""The Python interface as its users have it: sessions, functions, misuse, and what is left to read afterwards."""

from __future__ import annotations

import io
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pytest

import fwpages as fw
from fwpages.api import FunctionHandle
from fwpages.prm.identity import FunctionType
from fwpages.readers.inputs import InputError
from tests.conftest import GOLDEN, TRACES

MODES: tuple[Literal["func_id", "vhca_id"], ...] = ("func_id", "vhca_id")


@pytest.fixture
def device() -> fw.Device:
    return fw.Device("connectx7", each=2)


@pytest.mark.parametrize(
    ("profile", "each", "names"),
    [
        ("connectx7", 2, "vf0 vf1 sf0 sf1"),
        ("connectx7", 0, ""),
        ("connectx4-lx", 1, "vf0"),
        ("bluefield3", 3, "vf0 vf1 vf2 sf0 sf1 sf2 ec-vf0 ec-vf1 ec-vf2 spf0 spf1 host-pf0"),
    ],
)
def test_a_device_has_some_of_every_type_that_its_profile_allows(profile: str, each: int, names: str) -> None:
    d = fw.Device(profile, each=each)
    assert [f.name for f in d.functions] == names.split()
    assert (d.name, d.profile.name) == (profile, profile)


def test_no_two_functions_share_a_number() -> None:
    """Not with the supplier either; asked for more than there can be, a device has as many as it can."""
    d = fw.Device("bluefield3", each=1 << 16)
    assert sum(f.type is FunctionType.VF for f in d.functions) == d.profile.max_vfs
    assert len({f.vport for f in d.functions}) == len(d.functions)
    assert len({d.profile.vhca_id, *(f.vhca_id for f in d.functions)}) == len(d.functions) + 1


def test_a_profile_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ValueError, match="'connectx9'; there are bluefield3, connectx4,"):
        fw.Device("connectx9")


def test_nothing_is_shared_between_two_devices(device: fw.Device) -> None:
    other = fw.Device("connectx7", each=2)
    with fw.open(device) as one, fw.open(other) as two:
        device.request_pages("self", 7)
        one.run_until_idle()
        two.run_until_idle()
        assert one.accounts.totals.held == (two.accounts.totals.held or 0) + 7


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("profile", ["connectx7", "bluefield3"])
def test_a_session_gives_and_takes_for_every_function_and_leaves_nothing(
    profile: str, mode: Literal["func_id", "vhca_id"]
) -> None:
    d = fw.Device(profile, each=1)
    with fw.open(d, mode) as session:
        mine = [f.name for f in d.functions if mode == "vhca_id" or f.type is not FunctionType.SPF]
        for n, name in enumerate(mine, 3):
            d.request_pages(session.eswitch.enable(name), n)
        session.run_until_idle()
        a = session.accounts
        assert (a.mode, a.end, a.findings) == (mode, "open", [])
        types = {f.name: f.type for f in d.functions}
        assert {f.type: f.held for f in a.functions[1:]} == {types[name]: n for n, name in enumerate(mine, 3)}
        assert a.by_type["unknown"].held == 0
    r = session.result
    assert (r.end, r.clean, r.totals.held, r.totals.given) == ("closed", True, 0, a.totals.held)
    assert session.accounts == r


def test_what_firmware_wants_is_given_once_the_session_runs(device: fw.Device) -> None:
    with fw.open(device) as session:
        vf = session.eswitch.enable_vf(1)
        start = session.accounts.totals.given or 0
        device.request_pages(vf, 9)
        assert session.accounts.totals.given == start
        session.run_until_idle()
        device.request_pages("vf1", -100)
        session.run_until_idle()
        row = session.accounts.functions[-1]
        assert (row.given, row.returned, row.held, row.peak) == (9, 9, 0, 9), "no more than it had"


def test_the_next_session_starts_anew_and_the_last_keeps_its_result(device: fw.Device) -> None:
    with fw.open(device) as first:
        first.eswitch.enable_vf(0)
        device.request_pages("vf0", 5)
        first.run_until_idle()
    before = first.result
    with fw.open(device, "func_id") as second:
        second.eswitch.enable_vf(0)
        assert second.accounts.by_type["vf"].given == 0
    assert first.result is before
    assert (before.mode, second.result.mode) == ("vhca_id", "func_id")


def test_more_than_a_host_lends_is_a_finding_and_no_exception(device: fw.Device) -> None:
    """And a count that no device means: nothing is given for it."""
    with fw.open(device) as session:
        start = session.accounts.totals.held
        device.request_pages("self", 2**31 - 1)
        session.run_until_idle()
        (finding,) = session.accounts.findings
        assert (finding.blame, finding.function, finding.pages) == ("device", "vhca:0x2a", 2**31 - 1)
        assert session.accounts.totals.held == start
    assert (session.result.clean, session.result.totals.held) == (False, 0)


def test_an_exception_closes_the_device_and_goes_on(device: fw.Device) -> None:
    def work() -> None:
        device.request_pages(session.eswitch.enable_vf(0), 5)
        session.run_until_idle()
        raise LookupError("the user's own")

    with pytest.raises(LookupError, match="the user's own"), fw.open(device) as session:
        work()
    assert (session.result.end, session.result.clean, session.result.totals.held) == ("closed", True, 0)
    with fw.open(device):
        pass


def test_closed_early_is_closed_once(device: fw.Device) -> None:
    with fw.open(device) as session:
        with pytest.raises(RuntimeError, match="the session is still open"):
            _ = session.result
        session.close()
        result = session.result
        with pytest.raises(ValueError, match="enable vf0: session 1 of connectx7 is closed"):
            session.eswitch.enable_vf(0)
    session.close()
    assert session.result is result


def test_a_close_whose_wait_ends_in_vain_fails_and_the_device_can_be_opened_again(device: fw.Device) -> None:
    """Pages of a function that was not enabled might be the disabled VF's: they are waited for, and named."""
    stack = ExitStack()
    session = stack.enter_context(fw.open(device))
    session.eswitch.enable_vf(0)
    device.request_pages("vf1", 3)
    session.run_until_idle()
    assert session.accounts.by_type["unknown"].held == 3
    with pytest.raises(fw.OperationError, match="pages of disabled functions: 3 pages"):
        stack.close()
    assert [f.name for f in session.accounts.findings] == ["wait-timeout"]
    with fw.open(device) as again:
        pass
    assert again.result.clean


def test_a_device_that_cannot_be_opened_as_asked_can_be_opened_otherwise() -> None:
    old = fw.Device("connectx4-lx", each=1)
    with pytest.raises(fw.OperationError, match=r"open: VHCA_ID mode was asked for.*icm_mng_function_id_mode is 0"):
        fw.open(old, "vhca_id").__enter__()
    with fw.open(old) as session:
        pass
    assert (session.result.mode, session.result.clean, session.result.findings) == ("func_id", True, [])


def test_a_device_has_one_session_at_a_time_and_keeps_it(device: fw.Device) -> None:
    with fw.open(device) as session:
        before = session.accounts
        with pytest.raises(ValueError, match="session 1 is still open"):
            fw.open(device).__enter__()
        assert session.accounts == before
    assert session.result.clean


@pytest.mark.parametrize(
    ("verb", "name", "words"),
    [
        ("enable", "vf2", r"no function 'vf2'; there are vf0, vf1, sf0, sf1"),
        ("enable", "self", "no function 'self'"),
        ("disable", "absent", "no function 'absent'"),
        ("enable", "vf0", "it is already enabled"),
        ("disable", "vf1", "it is not enabled"),
        ("enable_vf", 2, "no function 'vf2'"),
        ("enable_vf", -1, "no function 'vf-1'"),
        ("enable_sf", 2, "no function 'sf2'"),
    ],
)
def test_a_function_that_is_not_there_or_is_so_already(
    device: fw.Device, verb: str, name: str | int, words: str
) -> None:
    with fw.open(device) as session:
        session.eswitch.enable("vf0")
        before = session.accounts
        with pytest.raises(ValueError, match=words):
            getattr(session.eswitch, verb)(name)
        assert session.accounts == before
    assert session.result.clean


def test_a_function_of_another_device_is_none_of_this_one(device: fw.Device) -> None:
    other = FunctionHandle("ec-vf0", 0x1000, FunctionType.EC_VF)
    with pytest.raises(ValueError, match="no function 'ec-vf0'; there are self, sf0, sf1, vf0, vf1"):
        device.request_pages(other, 1)
    with pytest.raises(ValueError, match="'ec-vf0'"):
        device.reset_function(other)
    with pytest.raises(ValueError, match="supplier itself"):
        device.reset_function("self")
    with fw.open(fw.Device("connectx7", each=0)) as session, pytest.raises(ValueError, match="there are none"):
        session.eswitch.enable_vf(0)


def test_an_spf_has_no_name_in_func_id_mode() -> None:
    words = "FUNC_ID mode has no name for a function of type spf"
    with fw.open(fw.Device("bluefield3", each=1), "func_id") as session, pytest.raises(ValueError, match=words):
        session.eswitch.enable("spf0")
    assert session.result.clean


def test_a_device_that_is_not_open_wants_nothing(device: fw.Device) -> None:
    device.request_pages("vf0", 40)
    device.reset_function("vf0")
    with fw.open(device) as session:
        assert [f.type for f in session.accounts.functions] == [FunctionType.SELF]


@pytest.mark.parametrize("mode", MODES)
def test_a_function_that_comes_again_is_another_generation_of_its_name(
    device: fw.Device, mode: Literal["func_id", "vhca_id"]
) -> None:
    with fw.open(device, mode) as session:
        for pages in (6, 4):
            vf = session.eswitch.enable_vf(0)
            device.request_pages(vf, pages)
            session.run_until_idle()
            session.eswitch.disable(vf)
        rows = [(f.generation, f.given, f.returned, f.held) for f in session.accounts.functions[1:]]
    assert rows == [(0, 6, 6, 0), (1, 4, 4, 0)]
    assert session.result.clean


def test_inputs_stand_for_themselves_and_come_in_their_order() -> None:
    paths: list[str | Path] = [GOLDEN / f"{name}.jsonl" for name in TRACES]
    report = fw.audit(*paths, str(paths[0]))
    assert report.clean
    assert [s.mode for s in report.sessions] == ["func_id", "vhca_id", "func_id"]
    assert report.sessions[0] == report.sessions[2]
    with pytest.raises(InputError, match="nothing to audit"):
        fw.audit()


def test_an_open_file_is_audited_as_the_file_is_and_stays_open() -> None:
    path = Path(__file__).parent / "golden" / "linux-7.2.13-pf-func_id.jsonl"
    by_name = fw.audit(path)
    with path.open(encoding="utf-8") as text, path.open("rb") as binary, path.open("rb") as source:
        for file in (text, binary, io.BytesIO(source.read())):
            assert fw.audit(file).sessions[0].totals == by_name.sessions[0].totals
            assert not file.closed
