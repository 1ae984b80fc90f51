"""Misuse of the Python interface is refused at the call, whole, and with what would have been right."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import fwpages as fw
from fwpages.api import OpenDevice


@pytest.fixture
def device() -> fw.Device:
    return fw.Device("connectx7", each=2)


@pytest.mark.parametrize(
    "act",
    [
        lambda s: s.eswitch.enable("vf0"),
        lambda s: s.eswitch.enable_vf(0),
        lambda s: s.eswitch.enable_sf(1),
        lambda s: s.eswitch.disable("vf1"),
        lambda s: s.run_until_idle(),
    ],
)
def test_a_closed_session_does_not_act_on_the_next(device: fw.Device, act: Callable[[OpenDevice], object]) -> None:
    with fw.open(device, "func_id") as first:
        device.request_pages("self", 5)
        first.run_until_idle()
    with fw.open(device) as second:
        second.eswitch.enable_vf(1)
        device.request_pages("vf1", 3)
        before = second.accounts
        with pytest.raises(ValueError, match="session 1 of connectx7 is closed; open the device anew"):
            act(first)
        assert (first.accounts, second.accounts) == (first.result, before)
        first.close()
        second.run_until_idle()
        assert (second.accounts.end, second.accounts.by_type["vf"].held) == ("open", 3)
    assert second.result.clean


def test_a_session_whose_close_failed_is_over_and_keeps_its_accounts(device: fw.Device) -> None:
    with ExitStack() as stack:
        session = stack.enter_context(fw.open(device))
        session.eswitch.enable_vf(0)
        device.request_pages("vf1", 3)
        session.run_until_idle()
        with pytest.raises(fw.OperationError, match="pages of disabled functions"):
            session.close()
    with fw.open(device):
        assert [f.name for f in session.accounts.findings] == ["wait-timeout"]
        with pytest.raises(ValueError, match="session 1 of connectx7 is closed"):
            session.eswitch.enable_vf(0)
    assert session.result.end == session.accounts.end


@pytest.mark.parametrize("mode", ["VHCA_ID", "bad", "", None, 3, ["auto"]])
def test_a_mode_that_is_none_is_refused_before_anything_is_opened(device: fw.Device, mode: Any) -> None:
    with pytest.raises(ValueError, match="mode: expected 'auto', 'func_id', 'vhca_id', not "):
        fw.open(device, mode)
    with fw.open(device) as session:
        assert session.accounts.mode == "vhca_id"


@pytest.mark.parametrize("pages", [1.5, True, float("nan"), "3", None])
def test_pages_are_whole_numbers(device: fw.Device, pages: Any) -> None:
    with fw.open(device) as session:
        vf = session.eswitch.enable_vf(0)
        with pytest.raises(TypeError, match="pages: expected a whole number, not "):
            device.request_pages(vf, pages)
        session.run_until_idle()
        assert session.accounts.by_type["vf"].held == 0
    assert session.result.clean


@pytest.mark.parametrize("pages", [1 << 31, -(1 << 31) - 1, 10**30])
def test_pages_fit_a_page_request(device: fw.Device, pages: int) -> None:
    with pytest.raises(ValueError, match="pages: expected -2,147,483,648 to 2,147,483,647, not "):
        device.request_pages("vf0", pages)


def test_a_count_may_be_numpys(device: fw.Device) -> None:
    nine: Any = np.int64(9)
    with fw.open(device) as session:
        device.request_pages(session.eswitch.enable_vf(1), nine)
        session.run_until_idle()
        assert session.accounts.by_type["vf"].held == 9


@pytest.mark.parametrize("wrong", [None, 7, b"connectx7"])
def test_a_profile_is_named_by_text(wrong: Any) -> None:
    with pytest.raises(TypeError, match="profile: expected the name of one, such as 'connectx7', not "):
        fw.Device(wrong)


def test_each_counts_functions() -> None:
    wrong: Any = 1.5
    with pytest.raises(ValueError, match=r"each: expected how many .* 0 or more, not -1"):
        fw.Device("connectx7", each=-1)
    with pytest.raises(TypeError, match=r"each: expected a whole number, not 1\.5"):
        fw.Device("connectx7", each=wrong)


def test_only_a_device_is_opened() -> None:
    wrong: Any = "connectx7"
    with pytest.raises(TypeError, match=r"device: expected a Device, such as Device\('connectx7'\), not 'connectx7'"):
        fw.open(wrong)


def test_a_function_is_a_name_or_what_the_eswitch_returned(device: fw.Device) -> None:
    wrong: Any = 3
    none: Any = None
    words = "function: expected a name, such as 'vf0'.* not 3"
    with fw.open(device) as session:
        before = session.accounts
        for act in (session.eswitch.enable, session.eswitch.disable, device.reset_function):
            with pytest.raises(TypeError, match=words):
                act(wrong)
        with pytest.raises(TypeError, match=words):
            device.request_pages(wrong, 1)
        with pytest.raises(TypeError, match="index: expected a whole number, not None"):
            session.eswitch.enable_vf(none)
        assert session.accounts == before


def test_the_supplier_is_not_reset_like_a_function(device: fw.Device) -> None:
    with pytest.raises(ValueError, match=r"'self' is the supplier itself: .*; there are vf0, vf1, sf0, sf1") as caught:
        device.reset_function("self")
    assert "feed" not in str(caught.value)


def test_help_shows_what_the_package_offers() -> None:
    text = pydoc.plain(pydoc.render_doc(fw))
    for name in fw.__all__:
        offered = getattr(fw, name)
        first = (offered.__doc__ or "").splitlines()[0]
        assert first
        # of a package in this one help shows the name, and the rest when it is asked for
        assert (name if inspect.ismodule(offered) else first) in text
