from __future__ import annotations

import copy
from dataclasses import fields

import pytest

from fwpages.host import Bounds, Close, Open, Phase
from fwpages.host.io import End
from fwpages.host.session import Program, Progress, Session
from fwpages.prm.identity import func_id
from fwpages.prm.opcodes import Teardown
from tests.host.fake import VF0, Fake, silent


def test_nothing_that_happens_to_a_session_happens_to_its_copy() -> None:
    """Every part that is changed in place is the copy's own."""
    f = Fake().open()
    f.enable(VF0)
    f.request(0x31, 2**30)
    s = f.host.session
    twin, then = s.copy(), copy.deepcopy(s)
    for name in ("vports", "findings", "eq_memory"):
        assert getattr(s, name), f"{name} has something in it"
        getattr(s, name).clear()
        assert getattr(twin, name).keys() == getattr(then, name).keys()
    for part in fields(Session):
        setattr(s, part.name, None)
    assert (twin.phase, twin.mode, twin.eqs, twin.caps) == (then.phase, then.mode, then.eqs, then.caps)


def test_capabilities_which_copies_share_are_replaced_and_not_changed() -> None:
    f = Fake()
    f.feed(Open())
    seen: list[tuple[dict[str, int], dict[str, int]]] = []
    while f.waiting or f.maps:
        seen += [(caps, dict(caps)) for caps in (f.host.session.caps, f.host.session.max_caps)]
        f.step()
    assert f.phase == Phase.OPEN
    assert all(caps == then for caps, then in seen)


@pytest.mark.parametrize("how", Teardown)
def test_a_close_that_takes_nothing_back_is_cut_off(how: Teardown) -> None:
    f = Fake().open()
    assert not f.host.session.cut_off
    f.script["TEARDOWN_HCA"] = silent
    f.feed(Close(how))
    assert f.host.session.cut_off is (how is not Teardown.GRACEFUL)
    ends: dict[bool, End] = {True: "forced", False: "closed"}
    assert f.host.session.end == ends[f.host.session.cut_off]


def test_page_requests_can_come_while_their_queue_exists() -> None:
    f = Fake()
    f.feed(Open())
    can = [f.host.session.events]
    f.run()
    can.append(f.host.session.events)
    f.feed(Close())
    f.run(until="TEARDOWN_HCA")
    assert [*can, f.host.session.events] == [False, True, False]


def test_an_operation_is_called_by_its_subject() -> None:
    assert str(Progress(Program.ENABLE, 0x2000, 1).operation) == "enable vport 0x2000"
    assert str(Progress(Program.FAST_CLOSE, 2).operation) == "close"


def test_a_session_begins_in_func_id_mode_and_knows_nothing() -> None:
    s = Session(3, "auto", func_id(0))
    assert (s.phase, s.mode, s.end) == ("opening", "func_id", "open")
    assert (s.events, s.cut_off, s.release_all) == (False, False, False)
    assert (s.eqs, s.vports, s.findings) == ((), {}, {})


def test_sessions_are_counted_and_share_nothing() -> None:
    f = Fake(bounds=Bounds(pages_per_command=100)).open()
    f.request(0x31, 2**30)
    f.run()
    first = f.host.session
    f.close()
    f.open("func_id")
    second = f.host.session
    assert (first.number, second.number) == (1, 2)
    assert (len(first.findings), len(second.findings), second.alloc_failed) == (1, 0, 0)
    assert (first.mode, second.mode) == ("vhca_id", "func_id")
