"""The e-switch of an unmodified Linux: functions of every type come to life, and both sides count the same."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.device import HostVfs, PlannedFault
from fwpages.prm.identity import FunctionType
from fwpages.scenario.format import Scenario
from fwpages.trial.errors import MachineOffError
from fwpages.trial.guest import Guest
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.eswitch import (
    EC_VFS,
    HOST_PF,
    HOST_VFS,
    LOGGED,
    SPF,
    Difference,
    Function,
    books,
    ecpf,
    kernel_log,
    load,
    mode,
    quiet,
    settled,
    step,
    vfs,
    with_devlink,
)
from tests.vm.lab import PF, clean, scenario
from tests.vm.our_host import counts, ours

START = 37 + 2000
VFS = PF.replace("vhca_id = 0x31", "vhca_id = 0x31\npages = 700").replace(
    "vhca_id = 0x32", "vhca_id = 0x32\npages = 50"
)


@pytest.fixture
def new(new: Kernel, tmp_path: Path) -> Kernel:
    """The newest kernel, with devlink."""
    return with_devlink(new, tmp_path)


@pytest.fixture
def either(either: Kernel, tmp_path: Path) -> Kernel:
    """Either kernel, with devlink."""
    return with_devlink(either, tmp_path)


BOTH_MODES = pytest.mark.parametrize("offered", [True, False])


def capabilities(*more: str, offered: bool) -> str:
    return ", ".join([*more, *([] if offered else ["icm_mng_function_id_mode = 0"])])


def host_vfs(lab: Lab, n: int, *, heard: bool = True) -> None:
    """The external host has so many VFs on; the driver has ``heard`` of it when this returns."""
    lab.call(lambda: lab.serving.device.stir(HostVfs(n)))
    if heard:
        lab.wait(lambda: lab.serving.observer.inner.host_vfs == (n, n))


def audited(lab: Lab, g: Guest, **types: str) -> None:
    """The trace of a life that is over is clean, and its commands alone show the types of these functions.

    The kernel's log, with the dumps of its commands, says the same.
    """
    lab.trace()
    report = audit(lab.trace_file)
    assert [s.findings for s in report.sessions] == [[]] * len(report.sessions)
    found = {f.identity: f.type for s in report.sessions for f in s.functions}
    mine = lab.session.mode
    for spec in lab.serving.observer.inner.specs:
        who = spec.identity(mine)
        if spec.name.replace("-", "_") in types:
            assert found[str(who)] == types[spec.name.replace("-", "_")], (spec.name, found)
    log = lab.folder / "dmesg.txt"
    log.write_text(kernel_log(g))
    said = audit(log)
    assert [s.findings for s in said.sessions] == [[]] * len(report.sessions)
    assert [counts(s.functions) for s in said.sessions] == [counts(s.functions) for s in report.sessions]


@BOTH_MODES
def test_switchdev_and_back(either: Kernel, tmp_path: Path, offered: bool) -> None:
    with Lab(scenario(VFS, offered=offered), tmp_path, sriov=True) as lab, lab.guest(either, LOGGED) as g:
        load(g, dumps=True)
        books(lab, g, {"self": START})
        mode(g, "switchdev")
        vfs(g, 2)
        books(lab, g, {"self": START, "vf0": 700, "vf1": 50})
        lab.want(vf1=25, vf0=-100)
        books(lab, g, {"self": START, "vf0": 600, "vf1": 75})
        mode(g, "legacy")
        books(lab, g, {"self": START, "vf0": 600, "vf1": 75})
        vfs(g, 0)
        books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        audited(lab, g, vf0="vf", vf1="vf")
        g.off()


#: pages that functions want later
MORE = {"host-pf": 5, "vf1": 11, "ec-vf0": 7, "spf0": 9}


def switched(kinds: Sequence[str]) -> str:
    """Functions of each kind come to life, some want more pages, and all go."""
    on = [step("enable", kind) for kind in kinds]
    more = [step("request", name, f"pages = {n}") for kind in kinds for name, n in MORE.items() if fnmatch(name, kind)]
    off = [step("disable", kind) for kind in reversed(kinds)]
    return "".join([*on, *more, *off])


@BOTH_MODES
def test_one_life_in_five_accounts(either: Kernel, tmp_path: Path, offered: bool) -> None:
    """The steps of the scenario wait for the e-switch, and mean what they mean in a run.

    SPFs are of VHCA_ID mode alone, and Linux 6.12 does not know them. SFs: ``test_sf.py``.
    """
    spfs = offered and not either.name.startswith("6.12")
    kinds = ["host-pf", *(["spf0"] if spfs else []), "ec-vf*", "vf*"]
    functions = [HOST_PF, *([SPF] if spfs else []), *EC_VFS, *HOST_VFS]
    text = ecpf(*functions, steps=switched(kinds), capabilities=capabilities(offered=offered))
    given = {row[0]: row[4] + MORE.get(row[0], 0) for row in functions} | {"self": START}
    with Lab(text, tmp_path, sriov=True) as lab, lab.guest(either, LOGGED) as g:
        load(g, dumps=True)
        books(lab, g, {"self": START})
        mode(g, "switchdev")
        vfs(g, 2)
        lab.wait(lambda: "the host has 0 VFs on: the driver is told to ask" in lab.events)
        books(lab, g, {name: n for name, n in given.items() if not name.startswith("vf")})
        vfs(g, 0)
        mode(g, "legacy")
        books(lab, g, {"self": START})
        lab.wait(lambda: lab.call(lambda: lab.serving.finished))
        g.ok("unload")
        clean(lab, g)
        audited(lab, g, **{row[0].replace("-", "_"): row[1] for row in functions})
        g.off()
        books_of = {name: (f.given, f.returned + f.released) for name, f in lab.session.functions.items()}
        assert books_of == {name: (n, n) for name, n in given.items()}
    # five accounts: by an audit of what Linux did, by the server, and by our host on three links
    (session,) = audit(lab.trace_file).sessions
    linux = counts(session.functions)
    assert sorted(n for _, *n in linux.values()) == sorted([n, n] for n in given.values())
    assert ours(text, lab.session.mode, tmp_path) == dict.fromkeys(("direct", "queue", "drive"), linux)


@pytest.mark.parametrize("by_vhca_id", [False, True])
def test_every_function_of_an_ecpf(new: Kernel, tmp_path: Path, by_vhca_id: bool) -> None:
    """Host PF, host VFs, EC VFs, SPF, twice; with ``by_vhca_id`` commands of the e-switch name functions so."""
    text = ecpf(HOST_PF, *HOST_VFS, *EC_VFS, SPF, capabilities=f"function_id_type_vhca_id = {int(by_vhca_id)}")
    with Lab(text, tmp_path, sriov=True) as lab, lab.guest(new, LOGGED) as g:
        load(g, dumps=True)
        for _ in range(2):
            mode(g, "switchdev")
            books(lab, g, {"self": START, "host-pf": 300, "spf0": 80})
            host_vfs(lab, 2)
            vfs(g, 2)
            everything = {"self": START, "host-pf": 300, "vf0": 40, "vf1": 50, "ec-vf0": 60, "ec-vf1": 70, "spf0": 80}
            books(lab, g, everything)
            lab.want(host_pf=5, vf1=-10, ec_vf0=7, spf0=9)
            books(lab, g, everything | {"host-pf": 305, "vf1": 40, "ec-vf0": 67, "spf0": 89})
            vfs(g, 0)
            host_vfs(lab, 0)
            books(lab, g, {"self": START, "host-pf": 305, "spf0": 89})
            mode(g, "legacy")
            books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        audited(lab, g, host_pf="host_pf", vf0="vf", vf1="vf", ec_vf0="ec_vf", ec_vf1="ec_vf", spf0="spf")
        g.off()


def test_ecpf_without_a_host(new: Kernel, tmp_path: Path) -> None:
    """It says so, and Linux loads."""
    with Lab(ecpf(*EC_VFS), tmp_path, sriov=True) as lab, lab.guest(new) as g:
        load(g)
        vfs(g, 2)
        books(lab, g, {"self": START, "ec-vf0": 60, "ec-vf1": 70})
        mode(g, "switchdev")
        books(lab, g, {"self": START, "ec-vf0": 60, "ec-vf1": 70})
        vfs(g, 0)
        books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        g.off()


def test_ecpf_without_a_host_on_an_older_kernel(old: Kernel, tmp_path: Path) -> None:
    """docs/kernel-notes.md: it asks for the host PF's capabilities all the same, is refused, and does not load."""
    with Lab(ecpf(*EC_VFS), tmp_path) as lab, lab.guest(old) as g:
        g.run("load")
        lab.wait(lambda: "Failed to init eswitch -22" in g.console())
        assert g.run("bound").status != 0
        assert lab.session.refused > 0
        g.off()


MANY = tuple((f"vf{n}", "vf", n, 0x100 + n, 8) for n in range(127))


def test_127_host_vfs_in_one_step(new: Kernel, tmp_path: Path) -> None:
    text = ecpf(HOST_PF, *MANY, steps=step("enable", "vf*") + step("disable", "vf*"))
    with Lab(text, tmp_path) as lab, lab.guest(new) as g:
        load(g)
        mode(g, "switchdev")
        lab.wait(lambda: lab.call(lambda: lab.serving.finished), 600)
        assert [f.given for name, f in lab.session.functions.items() if name.startswith("vf")] == [8] * 127
        books(lab, g, {"self": START, "host-pf": 300})
        mode(g, "legacy")
        g.ok("unload")
        clean(lab, g)
        g.off()


def test_where_linux_counts_otherwise(new: Kernel, tmp_path: Path) -> None:
    """Pages have the type, or none, that the e-switch gave to their function when they were given."""
    with Lab(ecpf(HOST_PF, *HOST_VFS), tmp_path) as lab, lab.guest(new) as g:
        load(g)
        lab.want(host_pf=11)
        early = (Difference.EARLY, FunctionType.HOST_PF, 11)
        books(lab, g, {"self": START, "host-pf": 11}, early)
        mode(g, "switchdev")
        books(lab, g, {"self": START, "host-pf": 311}, early)
        host_vfs(lab, 2)
        books(lab, g, {"self": START, "host-pf": 311, "vf0": 40, "vf1": 50}, early)
        host_vfs(lab, 0)
        books(lab, g, {"self": START, "host-pf": 311}, early)
        settled(g)
        lab.want(vf0=9)
        after = (Difference.AFTER, FunctionType.VF, 9)
        books(lab, g, {"self": START, "host-pf": 311, "vf0": 9}, early, after)
        lab.reset("vf0")
        mode(g, "legacy")
        books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        g.off()


def two_host_vfs(lab: Lab, g: Guest) -> None:
    """The driver is loaded, and its e-switch has the host PF and both VFs of the host."""
    load(g)
    mode(g, "switchdev")
    host_vfs(lab, 2)
    books(lab, g, {"self": START, "host-pf": 300, "vf0": 40, "vf1": 50})


def recovered(lab: Lab, g: Guest) -> None:
    lab.call(lambda: lab.serving.device.fail("syndrome 0x10"))
    lab.wait(lambda: "health recovery succeeded" in g.console())
    lab.sessions(2)


def test_after_a_health_recovery(new: Kernel, tmp_path: Path) -> None:
    """The mode is legacy then, and the host's functions do not come back by themselves."""
    with Lab(ecpf(HOST_PF, *HOST_VFS), tmp_path) as lab, lab.guest(new) as g:
        two_host_vfs(lab, g)
        recovered(lab, g)
        books(lab, g, {"self": START})
        mode(g, "switchdev")
        books(lab, g, {"self": START, "host-pf": 300})
        g.ok("unload")
        lab.wait(lambda: lab.session.end != "open")
        assert (lab.session.clean, lab.held(), lab.offences) == (True, {}, [])
        g.off()


def test_a_late_return_is_counted_by_the_type_that_the_pages_were_given_with(new: Kernel, tmp_path: Path) -> None:
    """Question 4 of the review: the vports go with switchdev mode, and the host has its VFs on still."""
    with Lab(ecpf(HOST_PF, *HOST_VFS), tmp_path) as lab, lab.guest(new) as g:
        two_host_vfs(lab, g)
        mode(g, "legacy")
        books(lab, g, {"self": START, "vf0": 40, "vf1": 50})
        host_vfs(lab, 0, heard=False)
        books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        g.off()


#: seconds that the device tells Linux to wait for pages of VFs, instead of 120
SHORT = "reclaim_vfs_pages=3"
GIVEN_UP = "aborting while there are"


@pytest.mark.parametrize("early", [False, True])
def test_an_unload_waits_for_the_host_s_pages_that_it_counts(new: Kernel, tmp_path: Path, early: bool) -> None:
    """Question 16 of the review: pages that were given early are in no counter of a type, and are not waited for."""
    with Lab(ecpf(HOST_PF, *HOST_VFS), tmp_path, timeouts=SHORT) as lab, lab.guest(new) as g:
        if early:
            load(g)
            lab.want(vf0=50)
            books(lab, g, {"self": START, "vf0": 50}, (Difference.EARLY, FunctionType.VF, 50))
        else:
            two_host_vfs(lab, g)
        g.ok("unload")
        lab.wait(lambda: lab.session.end != "open")
        assert (lab.held(), lab.session.clean, lab.offences) == ({}, True, []), "the teardown takes them all back"
        assert (GIVEN_UP in g.console()) is not early, "Linux gave up waiting for pages that it counts"
        g.off()


def with_heir(earlier: Function, *others: Function) -> Scenario:
    """A scenario in which an EC VF has the vhca_id of another function once that is disabled."""
    return ecpf(*others, earlier, ("ec-vf0", "ec_vf", 0, earlier[3], 60), more=f'reuses = "{earlier[0]}"\n')


def inherited(lab: Lab, g: Guest, fault: str, *, dumps: bool = False) -> None:
    """The EC VF has the vhca_id of the host's VF, whose pages are not back because of a fault."""
    load(g, dumps=dumps)
    mode(g, "switchdev")
    host_vfs(lab, 1)
    books(lab, g, {"self": START, "host-pf": 300, "vf0": 40})
    host_vfs(lab, 0)
    lab.wait(lambda: fault in lab.serving.observer.strikes)
    vfs(g, 1)
    assert "the driver enables ec-vf0" in lab.events


def test_a_vhca_id_used_again_while_a_take_is_out(new: Kernel, tmp_path: Path) -> None:
    """Question 5 of the review: the e-switch has the vhca_id as an EC VF's when the pages of the VF come back."""
    text, late = with_heir(HOST_VFS[0], HOST_PF), [PlannedFault("take-late")]
    with Lab(text, tmp_path, sriov=True, faults=late, timeouts="command=30") as lab, lab.guest(new, LOGGED) as g:
        inherited(lab, g, "take-late", dumps=True)
        counters = g.pages()
        assert (counters["fw_pages_vfs"], counters["fw_pages_ec_vfs"]) == (40, 0), (
            "the answer is out, the GIVE behind it"
        )
        books(lab, g, {"self": START, "host-pf": 300, "ec-vf0": 60})
        vfs(g, 0)
        mode(g, "legacy")
        g.ok("unload")
        clean(lab, g)
        audited(lab, g)
        g.off()


def test_a_vhca_id_used_again_while_firmware_keeps_pages(new: Kernel, tmp_path: Path) -> None:
    """Question 5 of the review: under one vhca_id each page is counted as of the type that it was given for."""
    text, keeps = with_heir(HOST_VFS[0], HOST_PF), [PlannedFault("take-nothing")]
    with Lab(text, tmp_path, sriov=True, faults=keeps) as lab, lab.guest(new) as g:
        inherited(lab, g, "take-nothing")
        both = {"self": START, "host-pf": 300, "vf0": 40, "ec-vf0": 60}
        books(lab, g, both)
        # pages of the earlier function come back first
        lab.want(ec_vf0=-15)
        books(lab, g, both | {"vf0": 25})
        lab.reset("ec-vf0")
        books(lab, g, {"self": START, "host-pf": 300, "ec-vf0": 60})
        vfs(g, 0)
        books(lab, g, {"self": START, "host-pf": 300})
        mode(g, "legacy")
        g.ok("unload")
        clean(lab, g)
        g.off()


def test_an_ec_vf_does_not_have_the_vhca_id_of_an_spf_that_was_disabled(new: Kernel, tmp_path: Path) -> None:
    """Question 5 of the review: Linux enables SPFs wherever it enables EC VFs, and refuses a vhca_id twice."""
    with Lab(with_heir(SPF, HOST_PF), tmp_path, sriov=True) as lab, lab.guest(new) as g:
        load(g)
        mode(g, "switchdev")
        books(lab, g, {"self": START, "host-pf": 300, "spf0": 80})
        mode(g, "legacy")
        books(lab, g, {"self": START})
        assert g.run("echo 1 > /sys/bus/pci/devices/$(address)/sriov_numvfs").status != 0
        assert "failed to enable eswitch SRIOV (-16)" in g.console()
        assert list(lab.events).count("the driver enables host-pf") == 2, "with switchdev mode, and for the EC VF"
        assert "the driver enables ec-vf0" not in lab.events
        books(lab, g, {"self": START})
        g.ok("unload")
        lab.wait(lambda: lab.session.end != "open")
        assert (lab.held(), lab.session.clean, lab.offences) == ({}, True, [])
        g.off()


FOUR = tuple((f"vf{n}", "vf", n, 0x31 + n, 8) for n in range(4))


def test_more_vfs_of_a_host_without_none_between_are_not_followed(new: Kernel, tmp_path: Path) -> None:
    """docs/kernel-notes.md: from 2 to 4."""
    with Lab(ecpf(HOST_PF, *FOUR), tmp_path) as lab, lab.guest(new) as g:
        load(g)
        mode(g, "switchdev")
        for n, loaded in ((2, 2), (4, 2), (0, 0), (4, 4)):
            host_vfs(lab, n)
            settled(g)
            books(lab, g, {"self": START, "host-pf": 300} | {f"vf{i}": 8 for i in range(loaded)})
        host_vfs(lab, 0)
        mode(g, "legacy")
        g.ok("unload")
        clean(lab, g)
        g.off()


def test_a_host_s_vfs_that_come_while_the_eswitch_is_enabled_are_not_followed(new: Kernel, tmp_path: Path) -> None:
    """docs/kernel-notes.md: after ENABLE_HCA for the host PF."""
    at_once = step("enable", "vf[01]", 'after = "enable host-pf"')
    with Lab(ecpf(HOST_PF, *FOUR, steps=at_once), tmp_path) as lab, lab.guest(new) as g:
        load(g)
        mode(g, "switchdev")
        quiet(lab)
        assert lab.serving.observer.inner.host_vfs == (2, 0), "switched on meanwhile, and not asked about since"
        books(lab, g, {"self": START, "host-pf": 300})
        mode(g, "legacy")
        books(lab, g, {"self": START})
        g.ok("unload")
        clean(lab, g)
        g.off()


def test_an_ecpf_that_is_no_eswitch_manager(either: Kernel, tmp_path: Path) -> None:
    """docs/kernel-notes.md: 6.12 enables the host PF, 7.2 does not."""
    text = ecpf(HOST_PF, capabilities="eswitch_manager = 0")
    with Lab(text, tmp_path) as lab, lab.guest(either) as g:
        load(g)
        assert ("the driver enables host-pf" in lab.events) is either.name.startswith("6.12")
        g.ok("unload")
        clean(lab, g)
        g.off()


def test_a_representor_without_ethernet_is_a_bug(new: Kernel, tmp_path: Path) -> None:
    """docs/kernel-notes.md: the driver adds to a list that nobody has initialised."""
    text = VFS.replace("{capabilities}", "capabilities = {{ eth_net_offloads = 0 }}")
    with Lab(scenario(text), tmp_path, sriov=True) as lab, lab.guest(new) as g:
        load(g)
        mode(g, "switchdev")
        with pytest.raises(MachineOffError):
            vfs(g, 1)
        assert "kernel BUG at lib/list_debug.c" in g.console()
        assert "mlx5e_tir_init" in g.console()


#: the question for a vport's vhca_id that is the first VF's: those before it are about the host PF and the ECPF
FIRST_VF = PlannedFault("vhca-id-twice", at=7)


def test_two_functions_of_one_vhca_id(new: Kernel, tmp_path: Path) -> None:
    """docs/kernel-notes.md: no VF is loaded, and one vport too few counts as active from then on."""
    with Lab(ecpf(HOST_PF, *HOST_VFS), tmp_path, faults=[FIRST_VF]) as lab, lab.guest(new) as g:
        load(g)
        mode(g, "switchdev")
        host_vfs(lab, 2)
        settled(g)
        assert list(lab.serving.observer.strikes) == ["vhca-id-twice"]
        books(lab, g, {"self": START, "host-pf": 300})
        host_vfs(lab, 0)
        mode(g, "legacy")
        assert "Enable: mode(OFFLOADS), nvfs(0), necvfs(0), active vports(2)" in g.console()
        assert "Disable: mode(OFFLOADS), nvfs(0), necvfs(0), active vports(1)" in g.console()
        g.off()


#: an EC VF whose vhca_id changes once it was disabled
CHANGING = ("ec-vf0", "ec_vf", 0, 0x51, 60)


@pytest.mark.parametrize("by_vhca_id", [False, True])
def test_a_vhca_id_that_changes(new: Kernel, tmp_path: Path, by_vhca_id: bool) -> None:
    """docs/kernel-notes.md: by vhca_id Linux asks for the one that the vport had before; by its number all is well."""
    switched = f"function_id_type_vhca_id = {int(by_vhca_id)}"
    text = ecpf(CHANGING, capabilities=switched, more="next_vhca_id = 0x71\n")
    with Lab(text, tmp_path, sriov=True) as lab, lab.guest(new) as g:
        load(g)
        vfs(g, 1)
        books(lab, g, {"self": START, "ec-vf0": 60})
        vfs(g, 0)
        books(lab, g, {"self": START})
        again = g.run("echo 1 > /sys/bus/pci/devices/$(address)/sriov_numvfs")
        assert (again.status != 0, len(lab.offences)) == ((True, 1) if by_vhca_id else (False, 0)), again
        if by_vhca_id:
            assert lab.offences == ["unknown-function: no function with vhca_id 0x51, ec 0"]
            assert "failed to enable eswitch SRIOV (-22)" in g.console()
        books(lab, g, {"self": START} | ({} if by_vhca_id else {"ec-vf0": 60}))
        assert list(lab.session.functions) == ["self", "ec-vf0"]
        g.off()
