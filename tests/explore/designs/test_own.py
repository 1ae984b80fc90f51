"""Our host in the explorer's words."""

from __future__ import annotations

import pytest

from fwpages.device import Want
from fwpages.explore.model.driver import NotQueued, Run
from fwpages.host import Close, EnableVport, FunctionsChanged, HealthFatal, Misuse, Open
from fwpages.prm.identity import vhca_id
from fwpages.prm.opcodes import ManagePages
from tests.explore.designs.driver_run import DriverRun


def opened() -> DriverRun:
    run = DriverRun("fwpages")
    run.do(Open())
    run.do(FunctionsChanged(run.vports))
    run.do(EnableVport(1))
    return run


def test_no_threads() -> None:
    run = opened()
    assert run.driver.ordered
    assert run.driver.threads() == ()
    with pytest.raises(Misuse, match="no thread"):
        run.feed(Run("pages"))


def test_request_not_queued() -> None:
    run = opened()
    run.do(NotQueued(run.request(0x31, 2)))
    assert run.names() == ["request-dropped"]
    assert run.sent[-1].op_mod == ManagePages.CANT_GIVE
    run.do(Want("vf0", 1))
    run.agree()


def test_view() -> None:
    run = opened()
    view = run.driver.view()
    assert view.open
    assert {k: n for k, n in view.counters.items() if n} == {"total": 8, "self": 5, "vf": 3}
    assert view.busy == ()
    assert run.driver.counted_as(vhca_id(0x31)) == "vf"
    assert run.driver.counted_as(vhca_id(0x99)) == "unknown"
    run.fate = lambda c: "lost"
    run.feed(Close())
    assert tuple(map(str, run.driver.view().busy)) == ("close",)
    assert len(run.driver.view().waiting) == 1


def test_fence() -> None:
    run = opened()
    run.feed(HealthFatal("synd"))
    assert tuple(map(str, run.driver.view().busy)) == ("close",)
    run.settle()
    assert run.done[-1] == ("close", True)
    assert run.driver.view().counters["total"] == 0
    assert run.driver.held() == {}
    assert run.driver.is_free(run.ids[-1].command.pas).all()
