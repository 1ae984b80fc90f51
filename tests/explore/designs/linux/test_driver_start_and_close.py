"""The Linux models' start, close and recovery. Each test names the function that it follows."""

from __future__ import annotations

import numpy as np
import pytest

from fwpages.device import Reset as DeviceReset
from fwpages.device import Want
from fwpages.explore.designs.linux.choices import MERGED, POSTED
from fwpages.explore.designs.linux.driver import Linux
from fwpages.explore.model.driver import DriverConfig, Run
from fwpages.host import Close, EnableVport, HealthFatal, LinkLost, Open, Reset, Tick
from fwpages.prm.identity import Mode, Supplier, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CapType, Opcode, QueryPages, Teardown
from fwpages.prm.status import Status
from tests.explore.designs.driver_run import BOUNDS, DriverRun, Fate, held
from tests.explore.designs.linux.test_driver import linux
from tests.explore.designs.linux.test_pages import BOTH, GIVE, TAKE, manages, opened


def refusing(opcode: Opcode) -> Fate:
    return Answer(opcode, Status.INTERNAL_ERR)


@BOTH
@pytest.mark.parametrize("how", [HealthFatal("synd"), LinkLost("gone")])
def test_recovery(name: str, how: HealthFatal) -> None:
    """mlx5_health_try_recover: pages are taken from the own trees and freed before the PCI device is cut off.

    So it is after a syndrome where the device cannot be reset by software, and after a lost link in any case.
    """
    run = opened(name, software_reset=isinstance(how, LinkLost))
    before = held(run)
    run.stopped = {"health"}
    run.do(how)
    assert run.driver.threads() == ("health",)
    run.do(run.request(0x31, 2))
    assert not run.sent, "what cannot be delivered looks done"
    run.feed(Run("health"))
    assert not run.findings, "not a word in the log about pages taken without firmware's"
    assert not run.mapped
    assert held(run) == before, "firmware is alive and has them all"
    assert run.driver.is_free(np.array(before, np.uint64)).all()
    assert run.to_device, "only now it is reset"
    run.stopped = set()
    run.settle()
    assert run.done[-2:] == [("close", True), ("open", True)]
    run.agree()
    run.do(Close())
    assert not run.mapped


@BOTH
def test_a_reset_by_software_comes_before_pages_are_taken(name: str) -> None:
    """health.c:mlx5_error_sw_reset, which mlx5_disable_device calls before mlx5_unload_one."""
    run = opened(name)
    before = set(run.mapped)
    run.stopped = {"health"}
    run.do(HealthFatal("synd"))
    effects = linux(run).feed(run.now, Run("health"))
    assert [str(e.reason) for e in effects if isinstance(e, Reset)] == ["health recovery: reset by software"]
    assert (set(run.mapped), run.driver.view().waiting["health"]) == (before, "the reset by software")


@BOTH
def test_a_reset_by_software_that_does_not_end_is_reported_and_the_pages_are_freed(name: str) -> None:
    run = opened(name)
    before = held(run)
    run.stopped = {"health"}
    run.do(HealthFatal("synd"))
    linux(run).feed(run.now, Run("health"))
    run.now = linux(run).deadline or 0.0
    run.feed(Tick())
    assert run.names() == ["reset-late"]
    assert not run.mapped
    assert held(run) == before, "firmware is alive and has them all"


@BOTH
def test_recovery_after_a_time_out_never_begins(name: str) -> None:
    """mlx5_cmd_flush spins for the slot of a command that was given up: nothing but its late completion ups it."""
    run = opened(name)
    run.fate = lambda c: "silent" if manages(c, GIVE) else None
    run.do(Want("vf0", 4), HealthFatal("synd"))
    assert run.driver.view().waiting["health"] == "the slot of a command that was given up"
    assert run.driver.deadline is None
    assert not run.to_device


@BOTH
def test_command_aborted(name: str) -> None:
    """mlx5_cmd_trigger_completions: a TAKE that ends with -ENXIO is answered from the own tree."""
    run = opened(name)
    run.fate = lambda c: "aborted" if manages(c, TAKE) else None
    run.do(Want("vf0", -2))
    assert not run.findings
    assert run.firmware.held("vf0") == 3
    with pytest.raises(AssertionError):
        run.safe()


@BOTH
def test_give_aborted(name: str) -> None:
    """mlx5_internal_err_ret_value: MANAGE_PAGES that was not delivered is OK, so the pages count as given."""
    run = opened(name)
    run.fate = lambda c: "aborted" if manages(c, GIVE) else None
    run.do(Want("vf0", 4))
    assert not run.findings
    assert run.driver.view().counters["vf"] == 7
    assert run.firmware.held("vf0") == 3


@BOTH
@pytest.mark.parametrize("mode", ["auto", "func_id"])
@pytest.mark.parametrize("fate", [Answer(Opcode.TEARDOWN_HCA, Status.BAD_SYS_STATE), "lost"])
def test_teardown_refused(name: str, mode: str, fate: Fate) -> None:
    """mlx5_function_teardown: no page is taken back, no DISABLE_HCA; the next load meets the trees of the last."""
    run = DriverRun(name)
    run.do(Open("func_id" if mode == "func_id" else "auto"))
    before = held(run)
    run.fate = lambda c: fate if c.opcode == Opcode.TEARDOWN_HCA else None
    run.do(Close())
    assert run.done[-1] == ("close", False)
    assert "teardown-failed" in run.names()
    assert held(run) == before == sorted(run.mapped)
    assert run.sent[-1].opcode == Opcode.TEARDOWN_HCA
    run.fate = lambda c: None
    run.do(DeviceReset())
    run.findings.clear()
    run.do(Open("func_id" if mode == "func_id" else "auto"))
    if mode == "auto":  # migrate: the own vhca_id has a tree already
        assert run.done[-1] == ("open", False)
        assert "migrate-failed" in run.names()
        return
    assert run.done[-1] == ("open", True)
    assert run.driver.view().counters["total"] == 2 * len(held(run))
    run.do(Close())
    assert run.mapped
    assert "not-all-returned" in run.names()


@BOTH
@pytest.mark.parametrize("ecpf", [False, True])
def test_boot_pages_of_another_function(name: str, ecpf: bool) -> None:
    """mlx5_pagealloc_migrate_pf_to_vhca_id: only the tree of function 0 moves."""
    run = DriverRun(name, ecpf=ecpf)

    def fate(c: Command) -> Fate:
        if (c.opcode, c.op_mod) == (Opcode.QUERY_PAGES, QueryPages.BOOT):
            return Answer(c.opcode, fields={"function_id": 5, "num_pages": 2})
        if manages(c, GIVE) and c["function_id"] == 5:
            real = Command(c.opcode, c.op_mod, {**c.fields, "function_id": 0}, c.pas)
            return run.execute(real)
        return None

    run.fate = fate
    run.do(Open())
    assert run.done == [("open", True)]
    assert run.names() == []
    mine = run.driver.held()
    assert mine is not None
    assert {who: p.size for who, p in mine.items()} == {
        vhca_id(0x2A): 3,
        func_id(5, ec=True) if ecpf else vhca_id(5): 2,
    }
    run.do(Close())
    assert len(run.mapped) == 2
    # posted counts what the answers say, and they name all five: its total is 0, and it does not complain
    assert ("warn-pages-left" in run.names()) == (name == "merged")


@BOTH
def test_migration_can_be_interrupted(name: str) -> None:
    """posted: the old key goes before the pages are renamed; merged: after. Nothing else could run then."""
    run = DriverRun(name)
    run.stopped = {"driver"}
    run.do(Open())
    d = run.driver
    assert isinstance(d, Linux)
    assert d.threads() == ("driver",)
    assert sorted(d.roots) == ([0, 0x2A] if name == "merged" else [0x2A])
    assert {p.function for p in d.pages.values()} == ({0x2A} if name == "merged" else {0})
    run.do(run.request(0, -2))
    assert d.threads() == ("driver",), "no notifier: a page request is not received"
    run.stopped = set()
    run.settle()
    assert run.done == [("open", True)]
    run.agree()


@BOTH
def test_mode_by_max_capability(name: str) -> None:
    """mlx5_satisfy_startup_pages reads *max*: what SET_HCA_CAP really did is not asked."""
    run = DriverRun(name)
    run.fate = lambda c: Answer(c.opcode) if c.opcode == Opcode.SET_HCA_CAP else None
    run.do(Open())
    assert run.firmware.mode is Mode.FUNC_ID
    assert run.driver.view().mode is Mode.VHCA_ID
    assert run.done == [("open", False)]
    assert run.mapped, "the boot pages, which moved to a name that firmware does not know"


@BOTH
def test_later_step_of_capabilities_fails(name: str) -> None:
    """set_hca_cap: firmware has switched, the driver takes its boot pages back by their old name."""
    run = DriverRun(name)

    run.fate = lambda c: (
        refusing(Opcode.QUERY_HCA_CAP) if c.opcode == Opcode.QUERY_HCA_CAP and c.op_mod >> 1 == CapType.ATOMIC else None
    )
    run.do(Open())
    assert run.done == [("open", False)]
    assert run.firmware.mode is Mode.VHCA_ID
    assert run.driver.view().mode is Mode.FUNC_ID
    assert run.names() == ["command-failed", "reclaim-failed", "warn-pages-left"]


@BOTH
def test_open_fails_where_init_is_refused(name: str) -> None:
    """mlx5_function_setup: pages are taken back and the HCA is disabled."""
    run = DriverRun(name)
    run.fate = lambda c: refusing(Opcode.INIT_HCA) if c.opcode == Opcode.INIT_HCA else None
    run.do(Open())
    assert run.done == [("open", False)]
    assert not run.mapped
    assert not held(run)
    run.fate = lambda c: None
    run.do(Open())
    assert run.done[-1] == ("open", True)


@BOTH
@pytest.mark.parametrize("opcode", [Opcode.ALLOC_UAR, Opcode.CREATE_EQ])
def test_open_fails_in_load(name: str, opcode: Opcode) -> None:
    """mlx5_load_one: what was loaded is undone, and the function torn down."""
    run = DriverRun(name)
    run.fate = lambda c: refusing(opcode) if c.opcode == opcode else None
    run.do(Open())
    assert run.done == [("open", False)]
    assert not run.mapped
    assert not held(run)


@BOTH
def test_requests_after_the_queue_are_not_received(name: str) -> None:
    """eq.c:cleanup_async_eq stops listening first; mlx5_pagealloc_stop then carries out what was queued."""
    run = DriverRun(name)
    run.do(Open())
    run.stopped = {"pages"}
    run.do(Want("self", 2))
    run.do(Close(), until=run.now)
    assert run.driver.view().waiting == {"driver": "the page worker"}
    run.do(run.request(0x2A, 1))
    assert run.driver.threads() == ("pages",)
    run.stopped = set()
    run.settle()
    assert [c.opcode for c in run.sent if c.opcode in (Opcode.DESTROY_EQ, Opcode.TEARDOWN_HCA)][
        -1
    ] == Opcode.TEARDOWN_HCA
    assert run.done[-1] == ("close", True)
    assert not run.mapped
    run.do(run.request(0x2A, 1))
    assert not run.driver.threads()


@BOTH
def test_stale_mode(name: str) -> None:
    """page_mgt_mode stays after a close; nothing reads it until boot pages set it anew."""
    run = opened(name)
    run.do(Close())
    assert run.driver.view().mode is Mode.VHCA_ID
    run.do(Open("func_id"))
    assert run.driver.view().mode is Mode.FUNC_ID
    run.agree()


@BOTH
@pytest.mark.parametrize("how", [Teardown.FORCE, Teardown.PREPARE_FAST])
def test_shutdown(name: str, how: Teardown) -> None:
    """mlx5_try_fast_unload: the trees stay as they are, the device is cut off."""
    run = opened(name)
    run.do(Close(how))
    assert run.done[-1] == ("close", True)
    assert run.sent[-1]["profile"] == Teardown.PREPARE_FAST
    assert run.mapped


@BOTH
def test_removal_without_eswitch(name: str) -> None:
    """mlx5_uninit_one: mlx5_cleanup_once makes the e-switch go before pages are taken back and counters looked at."""
    choices = POSTED if name == "posted" else MERGED
    driver = Linux(choices, DriverConfig(Supplier(max_vfs=4), BOUNDS), removes=True)
    run = opened(name, driver=driver)
    run.fate = lambda c: (
        Answer(c.opcode, Status.INTERNAL_ERR) if manages(c, TAKE) and c["function_id"] == 0x31 else None
    )
    run.do(Close())
    reported = [f.detail for f in run.findings if f.name == "warn-counter-left"]
    assert bool(reported) == (name == "merged"), "posted leaves the checks out where there is no e-switch"
    assert "warn-pages-left" in run.names(), "the total is looked at in both"


@BOTH
def test_health_while_a_vport_is_enabled(name: str) -> None:
    """The e-switch's command ends as not delivered, and recovery waits for the devlink lock until it has let go."""
    run = opened(name)
    run.fate = lambda c: "lost" if c.opcode == Opcode.QUERY_HCA_CAP and c["other_function"] else None
    run.do(EnableVport(2), until=run.now)
    assert tuple(map(str, run.driver.view().busy)) == ("enable vport 0x2",)
    run.do(HealthFatal("synd"))
    assert ("enable vport 0x2", False) in run.done
    assert run.done[-1] == ("open", True)
