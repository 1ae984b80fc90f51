"""Our host in the explorer's words."""

from __future__ import annotations

import pytest

from fwpages.device import Want
from fwpages.explore.model.driver import NotQueued, Run
from fwpages.host import Close, EnableVport, FunctionsChanged, HealthFatal, Misuse, Open
from fwpages.prm.identity import vhca_id
from fwpages.prm.opcodes import ManagePages
from tests.explore.designs.joined import Joined


def opened() -> Joined:
    life = Joined("fwpages")
    life.do(Open())
    life.do(FunctionsChanged(life.vports))
    life.do(EnableVport(1))
    return life


def test_no_threads() -> None:
    life = opened()
    assert life.driver.ordered
    assert life.driver.threads() == ()
    with pytest.raises(Misuse, match="no thread"):
        life.feed(Run("pages"))


def test_request_not_queued() -> None:
    life = opened()
    life.do(NotQueued(life.request(0x31, 2)))
    assert life.names() == ["request-dropped"]
    assert life.sent[-1].op_mod == ManagePages.CANT_GIVE
    life.do(Want("vf0", 1))
    life.agree()


def test_view() -> None:
    life = opened()
    view = life.driver.view()
    assert view.open
    assert {k: n for k, n in view.counters.items() if n} == {"total": 8, "self": 5, "vf": 3}
    assert view.busy == ()
    assert life.driver.counted_as(vhca_id(0x31)) == "vf"
    assert life.driver.counted_as(vhca_id(0x99)) == "unknown"
    life.fate = lambda c: "lost"
    life.feed(Close())
    assert tuple(map(str, life.driver.view().busy)) == ("close",)
    assert len(life.driver.view().waiting) == 1


def test_fence() -> None:
    life = opened()
    life.feed(HealthFatal("synd"))
    assert tuple(map(str, life.driver.view().busy)) == ("close",)
    life.settle()
    assert life.done[-1] == ("close", True)
    assert life.driver.view().counters["total"] == 0
    assert life.driver.held() == {}
    assert life.driver.is_free(life.ids[-1].command.pas).all()
