"""The Linux models' start, close and recovery. Each test names the function that it follows."""

from __future__ import annotations

import numpy as np
import pytest

from fwpages.device import Reset, Want
from fwpages.explore.designs.linux.choices import MERGED, POSTED
from fwpages.explore.designs.linux.driver import Linux
from fwpages.explore.model.driver import DriverConfig, Run
from fwpages.host import Close, EnableVport, HealthFatal, LinkLost, Open
from fwpages.prm.identity import Mode, Supplier, func_id, vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import CapType, Opcode, QueryPages, Teardown
from fwpages.prm.status import Status
from tests.explore.designs.joined import BOUNDS, Fate, Joined, held
from tests.explore.designs.linux.test_pages import BOTH, GIVE, TAKE, manages, opened


def refusing(opcode: Opcode) -> Fate:
    return Answer(opcode, Status.INTERNAL_ERR)


@BOTH
@pytest.mark.parametrize("how", [HealthFatal("synd"), LinkLost("gone")])
def test_recovery(name: str, how: HealthFatal) -> None:
    """mlx5_health_try_recover: pages are taken from the own trees and freed before the PCI device is cut off."""
    life = opened(name)
    before = held(life)
    life.stopped = {"health"}
    life.do(how)
    assert life.driver.threads() == ("health",)
    life.do(life.request(0x31, 2))
    assert not life.sent, "what cannot be delivered looks done"
    life.feed(Run("health"))
    assert not life.findings, "not a word in the log about pages taken without firmware's"
    assert not life.mapped
    assert held(life) == before, "firmware is alive and has them all"
    assert life.driver.is_free(np.array(before, np.uint64)).all()
    assert life.to_device, "only now it is reset"
    life.stopped = set()
    life.settle()
    assert life.done[-2:] == [("close", True), ("open", True)]
    life.agree()
    life.do(Close())
    assert not life.mapped


@BOTH
def test_recovery_after_a_time_out_never_begins(name: str) -> None:
    """mlx5_cmd_flush spins for the slot of a command that was given up: nothing but its late completion ups it."""
    life = opened(name)
    life.fate = lambda c: "silent" if manages(c, GIVE) else None
    life.do(Want("vf0", 4), HealthFatal("synd"))
    assert life.driver.view().waiting["health"] == "the slot of a command that was given up"
    assert life.driver.deadline is None
    assert not life.to_device


@BOTH
def test_command_aborted(name: str) -> None:
    """mlx5_cmd_trigger_completions: a TAKE that ends with -ENXIO is answered from the own tree."""
    life = opened(name)
    life.fate = lambda c: "aborted" if manages(c, TAKE) else None
    life.do(Want("vf0", -2))
    assert not life.findings
    assert life.firmware.held("vf0") == 3
    with pytest.raises(AssertionError):
        life.safe()


@BOTH
def test_give_aborted(name: str) -> None:
    """mlx5_internal_err_ret_value: MANAGE_PAGES that was not delivered is OK, so the pages count as given."""
    life = opened(name)
    life.fate = lambda c: "aborted" if manages(c, GIVE) else None
    life.do(Want("vf0", 4))
    assert not life.findings
    assert life.driver.view().counters["vf"] == 7
    assert life.firmware.held("vf0") == 3


@BOTH
@pytest.mark.parametrize("mode", ["auto", "func_id"])
@pytest.mark.parametrize("fate", [Answer(Opcode.TEARDOWN_HCA, Status.BAD_SYS_STATE), "lost"])
def test_teardown_refused(name: str, mode: str, fate: Fate) -> None:
    """mlx5_function_teardown: no page is taken back, no DISABLE_HCA; the next load meets the trees of the last."""
    life = Joined(name)
    life.do(Open("func_id" if mode == "func_id" else "auto"))
    before = held(life)
    life.fate = lambda c: fate if c.opcode == Opcode.TEARDOWN_HCA else None
    life.do(Close())
    assert life.done[-1] == ("close", False)
    assert "teardown-failed" in life.names()
    assert held(life) == before == sorted(life.mapped)
    assert life.sent[-1].opcode == Opcode.TEARDOWN_HCA
    life.fate = lambda c: None
    life.do(Reset())
    life.findings.clear()
    life.do(Open("func_id" if mode == "func_id" else "auto"))
    if mode == "auto":  # migrate: the own vhca_id has a tree already
        assert life.done[-1] == ("open", False)
        assert "migrate-failed" in life.names()
        return
    assert life.done[-1] == ("open", True)
    assert life.driver.view().counters["total"] == 2 * len(held(life))
    life.do(Close())
    assert life.mapped
    assert "not-all-returned" in life.names()


@BOTH
@pytest.mark.parametrize("ecpf", [False, True])
def test_boot_pages_of_another_function(name: str, ecpf: bool) -> None:
    """mlx5_pagealloc_migrate_pf_to_vhca_id: only the tree of function 0 moves."""
    life = Joined(name, ecpf=ecpf)

    def fate(c: Command) -> Fate:
        if (c.opcode, c.op_mod) == (Opcode.QUERY_PAGES, QueryPages.BOOT):
            return Answer(c.opcode, fields={"function_id": 5, "num_pages": 2})
        if manages(c, GIVE) and c["function_id"] == 5:
            real = Command(c.opcode, c.op_mod, {**c.fields, "function_id": 0}, c.pas)
            return life.execute(real)
        return None

    life.fate = fate
    life.do(Open())
    assert life.done == [("open", True)]
    assert life.names() == []
    mine = life.driver.held()
    assert mine is not None
    assert {who: p.size for who, p in mine.items()} == {
        vhca_id(0x2A): 3,
        func_id(5, ec=True) if ecpf else vhca_id(5): 2,
    }
    life.do(Close())
    assert len(life.mapped) == 2
    # posted counts what the answers say, and they name all five: its total is 0, and it does not complain
    assert ("warn-pages-left" in life.names()) == (name == "merged")


@BOTH
def test_migration_can_be_interrupted(name: str) -> None:
    """posted: the old key goes before the pages are renamed; merged: after. Nothing else could run then."""
    life = Joined(name)
    life.stopped = {"driver"}
    life.do(Open())
    d = life.driver
    assert isinstance(d, Linux)
    assert d.threads() == ("driver",)
    assert sorted(d.roots) == ([0, 0x2A] if name == "merged" else [0x2A])
    assert {p.function for p in d.pages.values()} == ({0x2A} if name == "merged" else {0})
    life.do(life.request(0, -2))
    assert d.threads() == ("driver",), "no notifier: a page request is not heard"
    life.stopped = set()
    life.settle()
    assert life.done == [("open", True)]
    life.agree()


@BOTH
def test_mode_by_max_capability(name: str) -> None:
    """mlx5_satisfy_startup_pages reads *max*: what SET_HCA_CAP really did is not asked."""
    life = Joined(name)
    life.fate = lambda c: Answer(c.opcode) if c.opcode == Opcode.SET_HCA_CAP else None
    life.do(Open())
    assert life.firmware.mode is Mode.FUNC_ID
    assert life.driver.view().mode is Mode.VHCA_ID
    assert life.done == [("open", False)]
    assert life.mapped, "the boot pages, which moved to a name that firmware does not know"


@BOTH
def test_later_step_of_capabilities_fails(name: str) -> None:
    """set_hca_cap: firmware has switched, the driver takes its boot pages back by their old name."""
    life = Joined(name)

    life.fate = lambda c: (
        refusing(Opcode.QUERY_HCA_CAP) if c.opcode == Opcode.QUERY_HCA_CAP and c.op_mod >> 1 == CapType.ATOMIC else None
    )
    life.do(Open())
    assert life.done == [("open", False)]
    assert life.firmware.mode is Mode.VHCA_ID
    assert life.driver.view().mode is Mode.FUNC_ID
    assert life.names() == ["command-failed", "reclaim-failed", "warn-pages-left"]


@BOTH
def test_open_fails_where_init_is_refused(name: str) -> None:
    """mlx5_function_setup: pages are taken back and the HCA is disabled."""
    life = Joined(name)
    life.fate = lambda c: refusing(Opcode.INIT_HCA) if c.opcode == Opcode.INIT_HCA else None
    life.do(Open())
    assert life.done == [("open", False)]
    assert not life.mapped
    assert not held(life)
    life.fate = lambda c: None
    life.do(Open())
    assert life.done[-1] == ("open", True)


@BOTH
@pytest.mark.parametrize("opcode", [Opcode.ALLOC_UAR, Opcode.CREATE_EQ])
def test_open_fails_in_load(name: str, opcode: Opcode) -> None:
    """mlx5_load_one: what was loaded is undone, and the function torn down."""
    life = Joined(name)
    life.fate = lambda c: refusing(opcode) if c.opcode == opcode else None
    life.do(Open())
    assert life.done == [("open", False)]
    assert not life.mapped
    assert not held(life)


@BOTH
def test_requests_after_the_queue_are_not_heard(name: str) -> None:
    """eq.c:cleanup_async_eq is deaf first; mlx5_pagealloc_stop then carries out what was queued."""
    life = Joined(name)
    life.do(Open())
    life.stopped = {"pages"}
    life.do(Want("self", 2))
    life.do(Close(), until=life.now)
    assert life.driver.view().waiting == {"driver": "the page worker"}
    life.do(life.request(0x2A, 1))
    assert life.driver.threads() == ("pages",)
    life.stopped = set()
    life.settle()
    assert [c.opcode for c in life.sent if c.opcode in (Opcode.DESTROY_EQ, Opcode.TEARDOWN_HCA)][
        -1
    ] == Opcode.TEARDOWN_HCA
    assert life.done[-1] == ("close", True)
    assert not life.mapped
    life.do(life.request(0x2A, 1))
    assert not life.driver.threads()


@BOTH
def test_stale_mode(name: str) -> None:
    """page_mgt_mode stays after a close; nothing reads it until boot pages set it anew."""
    life = opened(name)
    life.do(Close())
    assert life.driver.view().mode is Mode.VHCA_ID
    life.do(Open("func_id"))
    assert life.driver.view().mode is Mode.FUNC_ID
    life.agree()


@BOTH
@pytest.mark.parametrize("how", [Teardown.FORCE, Teardown.PREPARE_FAST])
def test_shutdown(name: str, how: Teardown) -> None:
    """mlx5_try_fast_unload: the trees stay as they are, the device is cut off."""
    life = opened(name)
    life.do(Close(how))
    assert life.done[-1] == ("close", True)
    assert life.sent[-1]["profile"] == Teardown.PREPARE_FAST
    assert life.mapped


@BOTH
def test_removal_without_eswitch(name: str) -> None:
    """mlx5_uninit_one: mlx5_cleanup_once makes the e-switch go before pages are taken back and counters looked at."""
    choices = POSTED if name == "posted" else MERGED
    driver = Linux(choices, DriverConfig(Supplier(max_vfs=4), BOUNDS), removes=True)
    life = opened(name, driver=driver)
    life.fate = lambda c: (
        Answer(c.opcode, Status.INTERNAL_ERR) if manages(c, TAKE) and c["function_id"] == 0x31 else None
    )
    life.do(Close())
    told = [f.detail for f in life.findings if f.name == "warn-counter-left"]
    assert bool(told) == (name == "merged"), "posted leaves the checks out where there is no e-switch"
    assert "warn-pages-left" in life.names(), "the total is looked at in both"


@BOTH
def test_health_while_a_vport_is_enabled(name: str) -> None:
    """The e-switch's command ends as not delivered, and recovery waits for the devlink lock until it has let go."""
    life = opened(name)
    life.fate = lambda c: "lost" if c.opcode == Opcode.QUERY_HCA_CAP and c["other_function"] else None
    life.do(EnableVport(2), until=life.now)
    assert tuple(map(str, life.driver.view().busy)) == ("enable vport 0x2",)
    life.do(HealthFatal("synd"))
    assert ("enable vport 0x2", False) in life.done
    assert life.done[-1] == ("open", True)
