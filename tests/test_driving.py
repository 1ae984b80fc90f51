"""``fw.drive``: the session of ``fw.open``, on a device behind a socket."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import fwpages as fw
from fwpages.device import Want
from fwpages.link.vfio_user.server import Server
from fwpages.scenario import load
from fwpages.scenario.served_runner import ServedRun
from tests.sockets import short

PLAN = """
[device]
profile = "connectx7"
init_pages = 20
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
pages = 8
[[step]]
do = "open"
"""
OF_HOST = (
    PLAN.replace("connectx7", "bluefield3").replace(
        "[[step]]", '[[function]]\nname = "host-pf"\ntype = "host_pf"\nvhca_id = 1\npages = 6\n[[step]]'
    )
    + """
[[step]]
do = "enable"
function = "vf0"
[[step]]
do = "disable"
function = "vf0"
"""
)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    with short(tmp_path) as folder:
        yield folder


@contextmanager
def served(path: Path, text: str = PLAN, *, sriov: bool = False) -> Iterator[ServedRun]:
    serving = ServedRun(load("test", text=text), sriov=sriov)
    with Server(path, serving) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        yield serving
        server.stop()
        thread.join(30)


def test_the_session_of_a_device_behind_a_socket(tmp_path: Path) -> None:
    with served(tmp_path / "s") as serving:
        with fw.drive(socket=tmp_path / "s", profile="connectx7") as session:
            vf = session.eswitch.enable_vf(0)
            session.run_until_idle()
            assert {f.identity: f.held for f in session.accounts.functions} == {"vhca:0x2a": 57, "vhca:0x31": 8}
            with pytest.raises(ValueError, match="no function 'vf99'"):
                session.eswitch.enable("vf99")
            with pytest.raises(fw.OperationError, match="already enabled"):
                session.eswitch.enable(vf.name)
            with pytest.raises(RuntimeError, match="still open"):
                _ = session.result
            session.eswitch.disable(vf)
        assert (session.result.end, session.result.clean, session.result.totals.returned) == ("closed", True, 65)
        assert session.accounts is session.result
        session.close()
        with pytest.raises(ValueError, match="is closed; drive the device anew"):
            session.run_until_idle()
        assert serving.observer.sessions[0].clean
        with fw.drive(socket=tmp_path / "s", mode="func_id") as second:
            assert second.accounts.mode == "func_id"
            serving.firmware.feed(0.0, Want("self", 0))
        assert second.result.clean


def test_without_a_profile_the_device_tells_its_functions(tmp_path: Path) -> None:
    with served(tmp_path / "s", sriov=True):
        with fw.drive(socket=tmp_path / "s") as session:
            vf = session.eswitch.enable_vf(0)
            session.run_until_idle()
            found = {(f.identity, f.name, f.type.value): f.held for f in session.accounts.functions}
            assert found == {("vhca:0x2a", "", "self"): 57, ("vhca:0x31", "vf0", "vf"): 8}
            with pytest.raises(ValueError, match="no function 'vf1'"):
                session.eswitch.enable_vf(1)
            session.eswitch.disable(vf)
        assert session.result.clean
        more = pytest.raises(fw.OperationError, match="connectx7 has vf1 to vf15: the device has 1 VF, by SR-IOV")
        with more, fw.drive(socket=tmp_path / "s", profile="connectx7"):
            pass


def test_vfs_of_an_external_host_come_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host switches them on; the driver enables one; it is gone when the host switches it off."""
    monkeypatch.setattr("fwpages.scenario.served_steps.QUIET", 0.05)
    with served(tmp_path / "s", OF_HOST) as serving:
        with fw.drive(socket=tmp_path / "s", mode="func_id") as session:
            pf = session.eswitch.enable("host-pf0")
            assert pf.vport == 0
            while "vf0" not in session.eswitch._infos():
                session.run_until_idle()
            session.eswitch.enable_vf(0)
            while "vf0" in session.eswitch._infos():
                session.run_until_idle()
            while session.accounts.totals.held != 57 + 6:
                session.run_until_idle()
            assert {f.name: (f.given, f.returned) for f in session.accounts.functions if f.name} == {
                "host-pf0": (6, 0),
                "vf0": (8, 8),
            }
        assert session.result.clean, session.result.findings
        assert serving.observer.sessions[0].clean


def test_a_device_that_cannot_be_driven(tmp_path: Path) -> None:
    with pytest.raises(fw.OperationError, match="there is no socket"), fw.drive(socket=tmp_path / "s"):
        pass
    with pytest.raises(fw.OperationError, match="there is no such PCI function"), fw.drive("ffff:00:00.7"):
        pass
    other = fw.drive(socket=tmp_path / "t", profile="bluefield3")
    wrong = pytest.raises(fw.OperationError, match="the device is a PF, the profile bluefield3")
    with served(tmp_path / "t"), wrong, other:
        pass


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "an address or a socket"),
        ({"address": "0000:00:00.0", "socket": "s"}, "an address or a socket"),
        ({"socket": "s", "bind": True}, "bind and on_purpose are about a function"),
        ({"socket": "s", "mode": "vhca"}, "did you mean 'vhca_id'"),
    ],
)
def test_misuse(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fw.drive(**arguments)  # type: ignore[arg-type]
