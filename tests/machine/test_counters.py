"""The counters of every function, from trees as kernels of each generation have them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

import fwpages as fw
from fwpages.custody.accounts import Verdict
from fwpages.machine.snapshot import PAGE_BYTES, TYPES, FunctionCounters, Snapshot
from fwpages.machine.tree import File, Tree, Unread
from tests.machine.trees import BLUEFIELD3, PAGES, PF, SF, VF, Machine, server


def function(snapshot: Snapshot, name: str = PF) -> FunctionCounters:
    return next(f for f in snapshot.functions if f.device == name)


@pytest.mark.parametrize("generation", PAGES)
def test_a_counter_is_known_where_the_driver_has_its_file_and_nowhere_else(generation: str, tmp_path: Path) -> None:
    server(tmp_path, generation)
    f = function(fw.machine.counters(tmp_path))
    values = {
        "total": f.pages,
        "vfs": f.by_type["vf"],
        "sfs": f.by_type["sf"],
        "host_pf": f.by_type["host_pf"],
        "ec_vfs": f.by_type["ec_vf"],
        "spfs": f.by_type["spf"],
        "alloc_failed": f.alloc_failed,
        "give_dropped": f.give_dropped,
        "reclaim_discard": f.reclaim_discarded,
    }
    assert {name for name, value in values.items() if value is not None} == set(PAGES[generation])


@pytest.mark.parametrize("generation", PAGES)
def test_each_figure_is_known_or_has_a_reason(generation: str, tmp_path: Path) -> None:
    server(tmp_path, generation)
    for f in fw.machine.counters(tmp_path).functions:
        figures = {"pages": f.pages, "vhca_id": f.vhca_id, "mode": f.mode, "fw_version": f.fw_version}
        figures |= {"numa_node": f.numa_node, "slots_inuse": f.slots_inuse, "alloc_failed": f.alloc_failed}
        figures |= dict(f.by_type)
        figures |= {f"commands.{key}": value for key, value in msgspec.structs.asdict(f.commands).items()}
        assert set(figures) - f.not_known.keys() == {key for key, value in figures.items() if value is not None}


def test_functions_are_found_with_their_kind_and_their_place(tmp_path: Path) -> None:
    server(tmp_path)
    snapshot = fw.machine.counters(tmp_path)
    places = {f.device: (f.kind, f.parent, f.numa_node) for f in snapshot.functions}
    assert places == {PF: ("pf", None, 1), VF: ("vf", PF, 1), SF: ("sf", PF, 1)}
    assert function(snapshot).net == ["ens3f0np0"]
    assert function(snapshot).pci_id == "15b3:1021"


def test_functions_are_sorted_by_their_pages_and_those_not_known_come_last(tmp_path: Path) -> None:
    m = server(tmp_path)
    shutil.rmtree(tmp_path / f"sys/kernel/debug/mlx5/{VF}")
    m.counters(SF, 90_000)
    assert [f.device for f in fw.machine.counters(tmp_path).functions] == [SF, PF, VF]


def test_the_rest_and_the_types_add_up_to_the_total(tmp_path: Path) -> None:
    server(tmp_path)
    f = function(fw.machine.counters(tmp_path))
    assert sum(n or 0 for n in f.by_type.values()) == f.pages
    assert set(f.by_type) == {*TYPES, "rest"}


def test_shares_are_of_the_memory_of_node_and_machine(tmp_path: Path) -> None:
    server(tmp_path)
    snapshot = fw.machine.counters(tmp_path)
    f = function(snapshot)
    assert snapshot.nodes[1].total is not None
    assert f.share_of_node is not None
    assert snapshot.machine.total == 2 * snapshot.nodes[1].total
    assert f.share_of_node == pytest.approx(15_237 * PAGE_BYTES / snapshot.nodes[1].total)
    assert f.share_of_machine == pytest.approx(f.share_of_node / 2)


# -- the mode, as far as the files show it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("generation", "mode"),
    [
        ("5.15", None),
        ("5.18", "func_id"),
        ("6.1", "func_id"),
        ("6.12", "func_id"),
        ("7.2", None),
        ("7.2 without types", "vhca_id"),
        ("vendor 5.8", None),
        ("vendor 23.10", None),
    ],
)
def test_the_mode_is_said_where_the_files_of_a_driver_show_it(generation: str, mode: str, tmp_path: Path) -> None:
    server(tmp_path, generation)
    assert function(fw.machine.counters(tmp_path)).mode == mode


def test_a_driver_that_still_starts_shows_no_mode_by_files_that_it_has_not_made_yet(tmp_path: Path) -> None:
    m = Machine(tmp_path, "7.2 without types")
    m.pci(PF)
    m.counters(PF, 37)
    shutil.rmtree(tmp_path / f"sys/devices/pci0000:00/{PF}/mlx5_core.eth.0")
    (tmp_path / "sys/bus/auxiliary/devices/mlx5_core.eth.0").unlink()
    assert function(fw.machine.counters(tmp_path)).mode is None


# -- what cannot be read -----------------------------------------------------------------------------------------------


def test_without_debugfs_the_total_is_that_of_the_rdma_device(tmp_path: Path) -> None:
    m = server(tmp_path)
    m.rdma("mlx5_0", of=PF, pages=15_000)
    shutil.rmtree(tmp_path / "sys/kernel/debug")
    snapshot = fw.machine.counters(tmp_path)
    f = function(snapshot)
    assert (f.pages, f.source, f.fw_version) == (15_000, "infiniband", "28.39.1002")
    assert f.alloc_failed is None
    assert f.not_known["alloc_failed"] == "debugfs is not mounted"
    assert snapshot.verdict is Verdict.NOT_KNOWN
    assert [row.what for row in snapshot.missing] == [f"the pages of {VF}, {SF}: debugfs is not mounted"]


def test_the_total_of_debugfs_is_preferred(tmp_path: Path) -> None:
    server(tmp_path).rdma("mlx5_0", of=PF, pages=15_000)
    f = function(fw.machine.counters(tmp_path))
    assert (f.pages, f.source) == (15_237, "debugfs")


def test_a_bonded_rdma_device_tells_nothing_of_the_other_function(tmp_path: Path) -> None:
    m = Machine(tmp_path)
    for n, name in enumerate(("0000:3b:00.0", "0000:3b:00.1")):
        m.pci(name, net=f"eth{n}")
        m.write("sys/devices/virtual/net/bond0/ifindex", 9)
        m.link(f"sys/devices/pci0000:00/{name}/net/eth{n}/master", "sys/devices/virtual/net/bond0")
    m.rdma("mlx5_bond_0", of="0000:3b:00.0", pages=4_000)
    snapshot = fw.machine.counters(tmp_path)
    assert function(snapshot, "0000:3b:00.0").pages == 4_000
    other = function(snapshot, "0000:3b:00.1")
    assert other.pages is None
    assert "mlx5_bond_0 counts 0000:3b:00.0 alone" in other.not_known["pages"]


@contextmanager
def _as_somebody_else() -> Iterator[None]:
    """Without root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_debugfs_that_only_root_may_read_is_no_zero() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        server(root).rdma("mlx5_0", of=PF, pages=15_000)
        (root / "sys/kernel/debug").chmod(0o700 if os.geteuid() == 0 else 0)
        with _as_somebody_else():
            snapshot = fw.machine.counters(root)
        (root / "sys/kernel/debug").chmod(0o700)
    assert function(snapshot).pages == 15_000
    assert function(snapshot).not_known["give_dropped"] == "permission denied"
    assert function(snapshot, VF).pages is None
    assert snapshot.verdict is Verdict.NOT_KNOWN


def test_a_machine_without_a_function_is_not_known(tmp_path: Path) -> None:
    Machine(tmp_path)
    snapshot = fw.machine.counters(tmp_path)
    assert (snapshot.functions, snapshot.pages, snapshot.verdict) == ([], None, Verdict.NOT_KNOWN)
    assert [row.command for row in snapshot.missing] == ["lspci -nnk -d 15b3:"]


def test_a_root_that_is_no_folder_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        fw.machine.counters(tmp_path / "nothing")


@pytest.mark.parametrize("text", ["", "many", "4294967290", "1_0", "0b1", "٣", "9" * 5000, "0x" + "f" * 5000])
def test_a_file_that_holds_no_count_is_not_known(text: str, tmp_path: Path) -> None:
    server(tmp_path).write(f"sys/kernel/debug/mlx5/{PF}/pages/fw_pages_vfs", text)
    f = function(fw.machine.counters(tmp_path))
    assert f.by_type["vf"] is None
    assert f.not_known["vf"]


@pytest.mark.parametrize("path", ["proc/meminfo", "sys/devices/system/node/node1/meminfo"])
def test_memory_that_no_machine_has_is_not_known(path: str, tmp_path: Path) -> None:
    server(tmp_path).write(path, f"MemTotal: {'9' * 5000} kB\nNode 1 MemTotal: {'9' * 30} kB")
    f = function(fw.machine.counters(tmp_path))
    assert None in (f.share_of_machine, f.share_of_node)


def test_a_pci_id_that_no_device_has_is_not_known(tmp_path: Path) -> None:
    server(tmp_path).write(f"sys/bus/pci/devices/{PF}/vendor", "-1")
    assert function(fw.machine.counters(tmp_path)).pci_id is None


def test_names_and_texts_that_the_kernel_does_not_have_are_not_shown(tmp_path: Path) -> None:
    m = server(tmp_path)
    m.write("proc/sys/kernel/osrelease", "6.1\x1b[2J")
    for name in (b"\x1b[2J", b"two\nlines", b"\xff\xfe"):
        (tmp_path / os.fsdecode(b"sys/kernel/debug/mlx5/" + name)).mkdir()
    found = fw.machine.counters(tmp_path)
    assert [f.device for f in found.functions] == [PF, VF, SF]
    assert found.kernel == "6.1 [2J"
    assert msgspec.json.encode(found)


@pytest.mark.parametrize(("changes", "rest"), [(1, 100), (2, 100), (99, None)])
def test_counts_that_change_while_they_are_read_are_read_again(
    changes: int, rest: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A total and counts by type of two moments have no rest."""
    m = Machine(tmp_path)
    m.pci(PF)
    m.counters(PF, 100, vfs=0)
    left, real = [changes], Tree.counter

    def counter(self: Tree, file: File, **names: str) -> int | Unread:
        value = real(self, file, **names)
        if file is File.TOTAL and left[0]:
            left[0] -= 1
            m.counters(PF, 100 + 300 * left[0], vfs=300 * left[0])
        return value

    monkeypatch.setattr(Tree, "counter", counter)
    f = function(fw.machine.counters(tmp_path))
    assert f.by_type["rest"] == rest
    assert ("while the counts" in f.not_known.get("rest", "")) is (rest is None)


def test_types_that_exceed_the_total_leave_the_rest_not_known(tmp_path: Path) -> None:
    m = Machine(tmp_path)
    m.pci(PF)
    m.counters(PF, 100, vfs=101)
    f = function(fw.machine.counters(tmp_path))
    assert (f.pages, f.by_type["vf"], f.by_type["rest"]) == (100, 101, None)


def test_a_pipe_in_a_copied_tree_does_not_stop_the_reader(tmp_path: Path) -> None:
    server(tmp_path)
    file = tmp_path / f"sys/kernel/debug/mlx5/{PF}/pages/fw_pages_total"
    file.unlink()
    os.mkfifo(file)
    assert function(fw.machine.counters(tmp_path)).pages is None


# -- counters that show that something went wrong ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "value", "name"),
    [
        ("alloc_failed", 12, "alloc-failed"),
        ("give_dropped", 300, "give-dropped"),
        ("reclaim_discard", 768, "take-discarded"),
        ("vfs", 4294967290, "counters-disagree"),
    ],
)
def test_pages_that_a_driver_could_not_move_are_findings(counter: str, value: int, name: str, tmp_path: Path) -> None:
    server(tmp_path).counters(PF, 15_237, **{counter: value})
    snapshot = fw.machine.counters(tmp_path)
    assert [(f.name, f.function) for f in snapshot.findings] == [(name, PF)]
    assert (snapshot.verdict, snapshot.clean) == (Verdict.FINDINGS, False)


def test_without_failures_the_counters_are_consistent_and_never_clean(tmp_path: Path) -> None:
    server(tmp_path)
    snapshot = fw.machine.counters(tmp_path)
    assert (snapshot.verdict, snapshot.clean) == (Verdict.CONSISTENT, None)


# -- functions that come and go ----------------------------------------------------------------------------------------


def _when_read(monkeypatch: pytest.MonkeyPatch, file: str, then: Callable[[], None]) -> None:
    """Do this when a file with this end is about to be opened, once."""
    real = os.open
    done: list[str] = []

    def spy(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if str(path).endswith(file) and not done:
            done.append(path)
            then()
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", spy)


def test_a_function_that_goes_while_it_is_read_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server(tmp_path)
    _when_read(monkeypatch, f"{PF}/pages/fw_pages_sfs", lambda: shutil.rmtree(tmp_path / f"sys/kernel/debug/mlx5/{PF}"))
    f = function(fw.machine.counters(tmp_path))
    assert f.by_type["vf"] == 512
    assert f.by_type["sf"] is None
    assert f.not_known["sf"] == "the function went away while it was read"


def test_types_that_go_with_their_function_are_no_mode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    server(tmp_path, "7.2 without types")
    _when_read(
        monkeypatch, f"{PF}/pages/fw_pages_vfs", lambda: shutil.rmtree(tmp_path / f"sys/devices/pci0000:00/{PF}")
    )
    assert function(fw.machine.counters(tmp_path)).mode is None


def test_a_function_that_is_only_left_in_debugfs_is_reported(tmp_path: Path) -> None:
    m = server(tmp_path)
    m.counters("0000:5e:00.0", 77)
    f = function(fw.machine.counters(tmp_path), "0000:5e:00.0")
    assert (f.kind, f.pages) == (None, 77)
    assert f.notes


def test_a_function_without_a_folder_in_debugfs_is_not_known(tmp_path: Path) -> None:
    server(tmp_path).pci("0000:5e:00.0")
    f = function(fw.machine.counters(tmp_path), "0000:5e:00.0")
    assert (f.kind, f.pages) == ("pf", None)


# -- places where the pages are not ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("device", "pages", "said"), [(BLUEFIELD3, 0, True), (BLUEFIELD3, 4_000, False)])
def test_a_bluefield_without_pages_is_said_to_have_them_in_its_arm_cores(
    device: int, pages: int, said: bool, tmp_path: Path
) -> None:
    m = Machine(tmp_path)
    m.pci(PF, device=device)
    m.counters(PF, pages)
    assert any("Arm" in note for note in function(fw.machine.counters(tmp_path)).notes) == said


def test_a_machine_with_one_node_has_its_functions_on_it(tmp_path: Path) -> None:
    m = Machine(tmp_path, nodes=1)
    m.pci(PF, node=-1)
    m.counters(PF, 10)
    assert function(fw.machine.counters(tmp_path)).numa_node == 0


# -- nothing else is read ----------------------------------------------------------------------------------------------


def test_only_files_of_the_list_are_opened_and_none_for_writing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server(tmp_path).rdma("mlx5_0", of=PF, pages=1)
    opened: list[tuple[str, int]] = []
    real = os.open

    def spy(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append((str(Path(path).relative_to(tmp_path)), flags))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", spy)
    fw.machine.counters(tmp_path)
    names = [PF, VF, SF]
    allowed = {
        file.value.format(device=name, name=other)
        for file in File
        for name in names
        for other in ("mlx5_0", "node0", "node1")
    }
    assert {path for path, _ in opened} <= allowed
    assert all(flags & (os.O_WRONLY | os.O_RDWR) == 0 for _, flags in opened)


def test_a_function_costs_few_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """128 functions every 5 s are to cost less than 1 % of a core: about 10 µs a file."""

    def opened(functions: int) -> int:
        m = Machine(tmp_path / str(functions))
        for n in range(functions):
            m.pci(f"0000:{n:02x}:00.0")
            m.counters(f"0000:{n:02x}:00.0", n)
        paths: list[str] = []
        real = os.open

        def spy(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            paths.append(path)
            return real(path, flags, mode, dir_fd=dir_fd)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", spy)
            fw.machine.counters(m.root)
        return len(paths)

    assert opened(12) - opened(2) <= 10 * 25


@pytest.mark.parametrize("part", ["QPs", "EQs", "CQs", "reset", "SRQs", "DCTs"])
def test_files_that_ask_firmware_or_change_it_are_not_in_the_list(part: str) -> None:
    assert not any(part in file.value.split("/") for file in File)
