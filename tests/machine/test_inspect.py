"""``inspect`` says who holds which pages of a kernel, and says *not known* where its lists do not hold together."""

from __future__ import annotations

import json
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fwpages as fw
from fwpages.cli import invoke
from fwpages.custody.accounts import Verdict
from fwpages.machine.holdings import DeviceHoldings, FunctionHoldings
from fwpages.machine.inspection import Inspection, inspect_source
from fwpages.machine.structures.errors import FileError, NotPossibleError
from fwpages.machine.structures.sources import running
from tests.machine.kernels import IMAGE, OTHER_OPS, SHAPES, Device, Entry, Kernel, Shape, pages

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
shape = pytest.mark.parametrize("shape", list(SHAPES.values()), ids=list(SHAPES))
ADDRESS = "0000:01:00.0"


def inspected(k: Kernel, folder: Path) -> Inspection:
    """The report of a core of this kernel."""
    k.finish()
    return fw.machine.inspect(k.write(folder / "core"), btf=k.blobs(folder), symbols=k.kallsyms(folder / "kallsyms"))


def only(i: Inspection) -> DeviceHoldings:
    (device,) = i.report.devices
    return device


def _mark(function: FunctionHoldings) -> tuple[str, int | None, bool | None]:
    return function.identity, function.vport, function.vport_enabled


@shape
def test_types_that_lack_a_part_are_not_known(shape: Shape, tmp_path: Path) -> None:
    k = Kernel(shape)
    k.add(Device(ADDRESS, {0: pages(0x1000000, 9)}))
    k.finish()
    core, (kernel, module), names = k.write(tmp_path / "core"), k.blobs(tmp_path), k.kallsyms(tmp_path / "kallsyms")
    whole = kernel.read_bytes()
    for word in (b"rb_root", b"rb_node", b"device", b"name", b"kobj", b"xarray", b"devlink"):
        kernel.write_bytes(whole.replace(b"\0" + word + b"\0", b"\0" + word.upper() + b"\0"))
        report = fw.machine.inspect(core, btf=[kernel, module], symbols=names).report
        assert report.verdict is Verdict.NOT_KNOWN, word
    kernel.write_bytes(whole)
    module.write_bytes(module.read_bytes().replace(b"\0cur\0", b"\0CUR\0"))
    assert only(fw.machine.inspect(core, btf=[kernel, module], symbols=names)).vhca_id is None


@shape
def test_each_function_has_its_pages(shape: Shape, tmp_path: Path) -> None:
    k = Kernel(shape)
    k.add(
        Device(
            ADDRESS, {0: pages(0x1000000, 100), 1: pages(0x2000000, 7, kind=1), 20: pages(0x3000000, 3, kind=2), 3: []}
        )
    )
    i = inspected(k, tmp_path)
    d = only(i)
    assert (i.report.verdict, d.readings) == (Verdict.CONSISTENT, 1)
    assert (d.device, d.mode, d.vhca_id, d.settled) == (ADDRESS, "func_id", 0x2A, True)
    assert [(f.identity, f.type.value, f.pages) for f in d.functions] == [
        ("func:0x0", "self", 100), ("func:0x1", "vf", 7), ("func:0x14", "sf", 3), ("func:0x3", "vf", 0),
    ]  # fmt: skip
    assert d.pages == d.fw_pages == 110
    assert i.addresses(ADDRESS, "func:0x1").tolist() == [0x2000000 + n * 4096 for n in range(7)]
    assert not len(i.addresses(ADDRESS, "func:0x3"))


def test_vhca_ids_are_told_by_the_mode_and_vports_by_the_e_switch(tmp_path: Path) -> None:
    k = Kernel(SHAPES["7.2"])
    trees = {0x2A: pages(0x1000000, 5), 0x31: pages(0x2000000, 4, kind=1), 0x90: pages(0x3000000, 2, kind=6)}
    k.add(Device(ADDRESS, trees, vhca_mode=True, vports={0xFFFF: 0xFFFFFFFF, 1: 0x31}))
    d = only(inspected(k, tmp_path))
    assert [(f.identity, f.type.value, f.vport) for f in d.functions] == [
        ("vhca:0x2a", "self", None), ("vhca:0x31", "vf", 1), ("vhca:0x90", "unknown", None),
    ]  # fmt: skip
    assert d.by_type == {"self": 5, "vf": 4, "unknown": 2}


@pytest.mark.parametrize("version", ["6.1", "6.12"])
def test_an_embedded_cpu_tells_functions_apart_by_the_ec_bit(version: str, tmp_path: Path) -> None:
    k = Kernel(SHAPES[version])
    k.add(
        Device(
            ADDRESS,
            {0: pages(0x1000000, 3), 1 << 16: pages(0x2000000, 2), 1 << 16 | 1: pages(0x3000000, 1)},
            embedded=True,
        )
    )
    i = inspected(k, tmp_path)
    assert i.report.verdict is Verdict.CONSISTENT
    found = [(f.identity, f.type.value) for f in only(i).functions]
    assert found[:2] == [("func:0x0", "host_pf"), ("func:0x0/ec", "self")]
    assert found[2][0] == "func:0x1/ec"


@shape
def test_a_devlink_of_another_driver_is_no_device(shape: Shape, tmp_path: Path) -> None:
    k = Kernel(shape)
    k.add(Device("other", {0: pages(0x9000000, 1)}, ops=OTHER_OPS))
    k.add(Device(ADDRESS, {0: pages(0x1000000, 1)}))
    k.add(Device("mlx5_core.sf.4", {}))
    assert [d.device for d in inspected(k, tmp_path).report.devices] == [ADDRESS, "mlx5_core.sf.4"]


def test_the_node_is_the_one_that_the_page_lies_on(tmp_path: Path) -> None:
    k = Kernel(SHAPES["6.12"], spans=[(0, 100), (100, 100), (150, 100)])
    k.add(Device(ADDRESS, {0: [Entry(4096 * n, n) for n in range(90, 200)]}, numa_node=1))
    d = only(inspected(k, tmp_path))
    assert d.by_node == {"0": 10, "1": 50, "unknown": 50}  # two nodes span 150 to 199
    assert d.numa_node == 1


def test_without_a_table_of_pages_nodes_are_not_known_and_pages_are(tmp_path: Path) -> None:
    k = Kernel(SHAPES["6.12"], table=False)
    k.add(Device(ADDRESS, {0: pages(0x1000000, 9)}, numa_node=0xFFFFFFFF))
    i = inspected(k, tmp_path)
    assert only(i).pages == 9
    assert only(i).numa_node is None
    assert only(i).by_node == {"unknown": 9}
    assert "NUMA nodes" in i.report.notes[0]


@shape
def test_blocks_of_large_pages_that_firmware_does_not_have_are_idle(shape: Shape, tmp_path: Path) -> None:
    k = Kernel(shape, page_size=65536)
    entries = [Entry(0x10000000, 1, free=0b110), Entry(0x10010000, 2), Entry(0x10020000, 3, free=0x7FFF)]
    k.add(Device(ADDRESS, {0: entries}))
    i = inspected(k, tmp_path)
    assert (i.report.page_size, only(i).pages, only(i).idle) == (65536, 14 + 16 + 1, 2 + 15)
    addresses = set(i.addresses(ADDRESS, "func:0x0").tolist())
    assert {0x10000000, 0x10003000, 0x1002F000} <= addresses
    assert not {0x10001000, 0x10002000, 0x1002E000} & addresses


@pytest.mark.many_runs
@QUICK
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=20),
    version=st.sampled_from(list(SHAPES)),
    seed=st.integers(0, 1 << 30),
    large=st.booleans(),
)
def test_trees_of_any_shape_are_read_whole(
    sizes: list[int], version: str, seed: int, large: bool, tmp_path: Path
) -> None:
    k = Kernel(SHAPES[version], page_size=65536 if large else 4096, seed=seed)
    blocks, at, trees = k.page_size // 4096, 1, {}
    wanted: dict[str, list[int]] = {}
    for n, size in enumerate(sizes):
        key = n * 37 if version != "7.2" else n + 1
        trees[key] = [
            Entry((at + i) * k.page_size, at + i, n % 4, k.random.getrandbits(blocks) if large else 0)
            for i in range(size)
        ]
        k.random.shuffle(trees[key])
        at += size
        wanted[f"{'vhca' if version == '7.2' else 'func'}:{key:#x}"] = sorted(
            e.addr + b * 4096 for e in trees[key] for b in range(blocks) if not e.free >> b & 1
        )
    k.add(Device(ADDRESS, trees, vhca_mode=version == "7.2"))
    i = inspected(k, tmp_path)
    assert i.report.verdict is Verdict.CONSISTENT
    assert {f.identity: f.pages for f in only(i).functions} == {name: len(a) for name, a in wanted.items()}
    assert {name: i.addresses(ADDRESS, name).tolist() for name in wanted} == wanted


@pytest.mark.many_runs
@shape
def test_many_pages_are_read_in_large_pieces(shape: Shape, tmp_path: Path) -> None:
    """More than are read at one time, in no order; a node that is torn among them is found."""
    k = Kernel(shape, spans=[(0, 100_000), (100_000, 1 << 30)])
    k.add(Device(ADDRESS, {1: pages(0x7000_0000_0000, 3, kind=1)}, large={0: 300_000}))
    i = inspected(k, tmp_path)
    assert (only(i).pages, only(i).by_node) == (300_003, {"0": 100_003, "1": 200_000})
    assert np.array_equal(i.addresses(ADDRESS, "func:0x0"), np.arange(1, 300_001, dtype=np.uint64) * 4096)
    ((_, slab),) = k.slabs
    slab[-40:] ^= 0x10
    assert only(inspected(k, tmp_path)).pages is None


def test_a_function_that_is_gone_is_told_by_its_vport(tmp_path: Path) -> None:
    """In VHCA_ID mode by a vhca_id that no vport has; its pages and the empty lists stand in notes."""
    trees = {0x2A: pages(0x1000000, 5), 0x31: pages(0x2000000, 7, kind=1), 0x32: pages(0x3000000, 3, kind=1), 0x33: []}
    k = Kernel(SHAPES["7.2"])
    k.add(Device(ADDRESS, trees, vhca_mode=True, vports={0: 0, 1: 0x31, 2: 0xFFFFFFFF}, off=frozenset({2})))
    d = only(inspected(k, tmp_path))
    assert [_mark(f) for f in d.functions] == [
        ("vhca:0x31", 1, True), ("vhca:0x2a", None, None), ("vhca:0x32", None, False), ("vhca:0x33", None, False),
    ]  # fmt: skip
    assert d.verdict is Verdict.CONSISTENT
    assert d.notes == [
        "vhca:0x32: 3 pages, and no enabled vport: the function was disabled, or is not enabled yet.",
        "Lists without pages, of functions that had some: vhca:0x33.",
    ]


def test_an_enabled_vport_that_names_no_function_may_be_that_of_any(tmp_path: Path) -> None:
    """A device that does not tell vhca_ids leaves them invalid."""
    k = Kernel(SHAPES["7.2"])
    trees = {0x2A: pages(0x1000000, 5), 0x31: pages(0x2000000, 7, kind=1)}
    k.add(Device(ADDRESS, trees, vhca_mode=True, vports={0: 0xFFFFFFFF, 1: 0xFFFFFFFF}))
    d = only(inspected(k, tmp_path))
    assert ([f.vport_enabled for f in d.functions], d.notes) == ([None, None], [])


@shape
def test_a_functions_number_is_that_of_its_vport_in_func_id_mode(shape: Shape, tmp_path: Path) -> None:
    k = Kernel(shape)
    trees = {0: pages(0x1000000, 9), 1: pages(0x2000000, 7, kind=1), 2: pages(0x3000000, 3, kind=1)}
    trees[0x8000] = pages(0x4000000, 2, kind=2)
    k.add(Device(ADDRESS, trees, vports=dict.fromkeys((0, 1, 2, 0xFFFF, 0x8000), 0), off=frozenset({2})))
    d = only(inspected(k, tmp_path))
    assert [_mark(f) for f in d.functions] == [
        ("func:0x0", None, None), ("func:0x1", 1, True), ("func:0x2", 2, False), ("func:0x8000", 0x8000, True),
    ]  # fmt: skip
    (note,) = d.notes
    assert note.startswith("func:0x2: 3 pages, and no enabled vport")


def test_an_ecpf_sees_the_vports_of_the_external_host(tmp_path: Path) -> None:
    """Its own EC VFs have vports whose numbers no structure tells."""
    k = Kernel(SHAPES["6.12"])
    ec = 1 << 16
    trees = {ec: pages(0x1000000, 9), 0: pages(0x2000000, 7, kind=3), 1: pages(0x3000000, 5, kind=1)}
    trees[ec | 1] = pages(0x4000000, 3, kind=4)
    trees[ec | 0x8000] = pages(0x5000000, 2, kind=2)
    k.add(Device(ADDRESS, trees, embedded=True, vports=dict.fromkeys((0, 1, 0xFFFE, 0x8000), 0)))
    assert [_mark(f) for f in only(inspected(k, tmp_path)).functions] == [
        ("func:0x0/ec", None, None), ("func:0x0", 0, True), ("func:0x1", 1, True), ("func:0x1/ec", None, None),
        ("func:0x8000/ec", 0x8000, True),
    ]  # fmt: skip


def test_an_ecpf_serves_its_host_without_an_e_switch_at_work(tmp_path: Path) -> None:
    k = Kernel(SHAPES["6.12"])
    ec, numbers = 1 << 16, (0, 1, 0xFFFE)
    trees = {ec: pages(0x1000000, 9), 0: pages(0x2000000, 7, kind=3), 1: pages(0x3000000, 5, kind=1)}
    k.add(Device(ADDRESS, trees, embedded=True, vports=dict.fromkeys(numbers, 0), off=frozenset({0, 1})))
    d = only(inspected(k, tmp_path))
    assert [_mark(f) for f in d.functions] == [
        ("func:0x0/ec", None, None), ("func:0x0", 0, None), ("func:0x1", 1, None),
    ]  # fmt: skip
    assert d.notes == []


def test_many_functions_that_are_gone_are_summed_up(tmp_path: Path) -> None:
    k = Kernel(SHAPES["7.2"])
    gone = {0x100 + n: pages(0x2000000 + n * 0x10000, n, kind=1) for n in range(1, 10)}
    empty: dict[int, list[Entry]] = {0x200 + n: [] for n in range(6)}
    trees = {0x2A: pages(0x1000000, 5), **gone, **empty}
    k.add(Device(ADDRESS, trees, vhca_mode=True, vports={1: 0xFFFFFFFF}, off=frozenset({1})))
    notes = only(inspected(k, tmp_path)).notes
    assert notes[-2:] == [
        "9 functions without an enabled vport have 45 pages in all.",
        "Lists without pages, of functions that had some: vhca:0x200, vhca:0x201, vhca:0x202, vhca:0x203 and 2 more.",
    ]


# -- what is wrong, and what is not known -----------------------------------------------------------------------------


@shape
def test_a_counter_that_the_lists_do_not_add_up_to_is_a_finding(shape: Shape, tmp_path: Path) -> None:
    k = Kernel(shape)
    k.add(Device(ADDRESS, {0: pages(0x1000000, 10)}, fw_pages=7))
    i = inspected(k, tmp_path)
    (finding,) = only(i).findings
    assert i.report.verdict is Verdict.FINDINGS
    assert (finding.name, finding.pages) == ("counters-disagree", 3)
    assert only(i).pages == 10  # the lists are what memory is out by


def test_a_counter_of_a_type_is_compared_too(tmp_path: Path) -> None:
    k = Kernel(SHAPES["7.2"])
    k.add(Device(ADDRESS, {0: pages(0x1000000, 4), 1: pages(0x2000000, 4, kind=1)}, by_type={0: 8, 1: 0}))
    assert {f.detail.split("type ")[1] for f in only(inspected(k, tmp_path)).findings} == {
        "self is 8, the lists have 4 pages",
        "vf is 0, the lists have 4 pages",
    }


def test_counters_below_zero_are_shown_so(tmp_path: Path) -> None:
    k = Kernel(SHAPES["6.12"])
    k.add(Device(ADDRESS, {0: pages(0x1000000, 4)}, fw_pages=-3 & 0xFFFFFFFF))
    assert only(inspected(k, tmp_path)).fw_pages == -3


@shape
def test_while_a_page_command_is_pending_a_difference_proves_nothing(shape: Shape, tmp_path: Path) -> None:
    k = Kernel(shape)
    k.add(Device(ADDRESS, {0: pages(0x1000000, 10)}, fw_pages=7, pending=True))
    i = inspected(k, tmp_path)
    assert (i.report.verdict, only(i).pages, only(i).settled) == (Verdict.NOT_KNOWN, None, False)
    assert only(i).functions == []


def _swap_parent(k: Kernel) -> None:
    k.set("rb_node", k.nodes[0][3], __rb_parent_color=k.nodes[0][4])


def _cut(k: Kernel) -> None:
    """A page of the core that cannot be read is zeros."""
    k.put(k.nodes[0][5], bytes(k.types.structure("fw_page").size))


def _foreign(k: Kernel) -> None:
    k.set("fw_page", k.nodes[0][2], function=1)


def _outside(k: Kernel) -> None:
    node = next(n for n in k.nodes[0] if not k.get(n + k.member("rb_node", "rb_left")))
    k.set("rb_node", node, rb_left=0xFFFF_8990_0000_0000)


def _low(k: Kernel) -> None:
    node = next(n for n in k.nodes[0] if not k.get(n + k.member("rb_node", "rb_left")))
    k.set("rb_node", node, rb_left=8)


def _twice(k: Kernel) -> None:
    k.set("fw_page", k.nodes[0][2], addr=k.get(k.nodes[0][6] + k.member("fw_page", "addr")))


def _count(k: Kernel) -> None:
    k.set("fw_page", k.nodes[0][2], free_count=1)


def _no_page(k: Kernel) -> None:
    k.set("fw_page", k.nodes[0][2], page=0)


def _odd_page(k: Kernel) -> None:
    k.set("fw_page", k.nodes[0][2], page=IMAGE)


def _loop(k: Kernel) -> None:
    """The two children of a node are one."""
    node = next(n for n in k.nodes[0] if k.get(n + k.member("rb_node", "rb_left")))
    k.set("rb_node", node, rb_right=k.get(node + k.member("rb_node", "rb_left")))


def _array(k: Kernel) -> None:
    array = k.devices[ADDRESS] + k.member("mlx5_core_dev", "priv.page_root_xa")
    head = k.get(array + k.member("xarray", "xa_head")) & ~3
    k.set("xa_node", head, array=0)


def _retry(k: Kernel) -> None:
    array = k.devices[ADDRESS] + k.member("mlx5_core_dev", "priv.page_root_xa")
    head = k.get(array + k.member("xarray", "xa_head")) & ~3
    k.put(head + k.member("xa_node", "slots") + 8 * 9, struct.pack("<Q", 256 << 2 | 2))


def _no_lists(k: Kernel) -> None:
    k.put(k.devices[ADDRESS] + k.member("mlx5_core_dev", "priv.free_list"), bytes(16))


TORN: list[Callable[[Kernel], None]] = [
    _swap_parent, _cut, _foreign, _outside, _low, _twice, _count, _no_page, _odd_page, _loop, _array, _retry, _no_lists,
]  # fmt: skip


@pytest.mark.many_runs
@shape
@pytest.mark.parametrize("tear", TORN)
def test_lists_that_do_not_hold_together_are_not_known(
    shape: Shape, tear: Callable[[Kernel], None], tmp_path: Path
) -> None:
    """And the other devices are."""
    k = Kernel(shape)
    k.add(Device(ADDRESS, {0: pages(0x1000000, 30), 1: pages(0x2000000, 30, kind=1)}))
    tear(k)
    k.add(Device("0000:02:00.0", {0: pages(0x4000000, 5)}))
    report = inspected(k, tmp_path).report
    torn, whole = report.devices
    assert (torn.device, torn.verdict, torn.pages, torn.functions) == (ADDRESS, Verdict.NOT_KNOWN, None, [])
    assert torn.missing
    assert (whole.verdict, whole.pages) == (Verdict.CONSISTENT, 5)
    assert report.verdict is Verdict.NOT_KNOWN


@pytest.mark.many_runs
@QUICK
@given(data=st.data(), seed=st.integers(0, 1 << 30))
def test_no_change_of_bytes_in_entries_makes_a_smaller_number(data: st.DataObject, seed: int, tmp_path: Path) -> None:
    """Whatever an entry's bytes become: either every page is counted, or the pages are not known."""
    k = Kernel(SHAPES["7.2"], seed=seed)
    k.add(Device(ADDRESS, {0: pages(0x1000000, 40)}))
    size = k.types.structure("fw_page").size
    entry = data.draw(st.sampled_from(k.nodes[0]))
    at = data.draw(st.integers(0, size - 1))
    k.put(entry + at, data.draw(st.binary(min_size=1, max_size=size - at)))
    d = only(inspected(k, tmp_path))
    assert d.pages in (None, 40) or d.findings


# -- the running kernel -----------------------------------------------------------------------------------------------


def host(k: Kernel, root: Path, *, release: str = "6.12.1", hidden: bool = False) -> Path:
    """The files of a machine that runs this kernel."""
    for folder in ("proc/sys/kernel", "sys/module/mlx5_core", "sys/kernel/btf", "sys/kernel/security"):
        (root / folder).mkdir(parents=True)
    if "devlinks" not in k.symbols and "devlink_list" not in k.symbols:
        k.finish()
    (root / "proc/sys/kernel/osrelease").write_text(release + "\n")
    k.write(root / "proc/kcore")
    k.kallsyms(root / "proc/kallsyms", hidden=hidden)
    k.blobs(root / "sys/kernel/btf")
    return root


def small(**options: object) -> Kernel:
    k = Kernel(SHAPES["6.12"])
    k.add(Device(ADDRESS, {0: pages(0x1000000, 50)}, **options))  # type: ignore[arg-type]  # a few of its fields
    return k


def test_types_of_another_kernel_than_the_running_one_are_refused(tmp_path: Path) -> None:
    root = host(small(), tmp_path)
    types = tmp_path / "sys/kernel/btf/vmlinux"
    with running([types], root=root) as source:
        assert inspect_source(source).report.verdict is Verdict.CONSISTENT
    other = tmp_path / "vmlinux"
    other.write_bytes(types.read_bytes().replace(b"kobj", b"kabj"))
    with pytest.raises(FileError, match="another kernel than the running kernel"):
        running([other], root=root)


def test_types_of_another_kernel_than_the_cores_are_refused(tmp_path: Path) -> None:
    k = small()
    k.finish()
    types, module = k.blobs(tmp_path)
    blob = types.read_bytes()
    start = k.room(len(blob))
    k.put(start, blob)
    k.symbols.update(__start_BTF=start, __stop_BTF=start + len(blob))
    core, names = k.write(tmp_path / "core"), k.kallsyms(tmp_path / "kallsyms")
    for btf in ([module], [types, module]):
        assert fw.machine.inspect(core, btf=btf, symbols=names).report.verdict is Verdict.CONSISTENT
    types.write_bytes(blob.replace(b"kobj", b"kabj"))
    with pytest.raises(FileError, match=r"another kernel than .*core"):
        fw.machine.inspect(core, btf=[types, module], symbols=names)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    core = small()
    core.finish()
    core.write(tmp_path / "core")
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(FileError, match="not a file"):
            fw.machine.inspect(place)
        with pytest.raises(FileError, match="not a file"):
            fw.machine.inspect(tmp_path / "core", btf=[place])
        with pytest.raises(FileError, match="not a file"):
            fw.machine.inspect(tmp_path / "core", symbols=place)


def test_addresses_of_another_kernel_are_refused(tmp_path: Path) -> None:
    k = small()
    k.finish()
    at = k.room(4096)
    k.symbols.update(__start_BTF=at, __stop_BTF=at + 4096)
    core, names = k.write(tmp_path / "core"), k.kallsyms(tmp_path / "kallsyms")
    with pytest.raises(FileError, match="kallsyms: not the addresses of the kernel in"):
        fw.machine.inspect(core, symbols=names)


def test_the_running_kernel_is_read_by_its_own_files(tmp_path: Path) -> None:
    with running(root=host(small(), tmp_path)) as source:
        assert only(inspect_source(source)).pages == 50


def test_a_difference_of_a_running_kernel_must_stand_to_be_a_finding(tmp_path: Path) -> None:
    """A page command changes the lists and the counters one after the other."""
    k = small(fw_pages=49)
    root = host(k, tmp_path)
    counter = k.devices[ADDRESS] + k.member("mlx5_core_dev", "priv.fw_pages")

    def settle() -> None:
        time.sleep(0.3)
        k.put(counter, struct.pack("<I", 50))
        _write_over(k, root)

    later = threading.Thread(target=settle)
    later.start()
    with running(root=root) as source:
        d = only(inspect_source(source))
    later.join()
    assert (d.verdict, d.pages) == (Verdict.CONSISTENT, 50)


def _write_over(k: Kernel, root: Path) -> None:
    """Change the core in its place, as memory changes."""
    new = root / "new"
    k.write(new)
    with (root / "proc/kcore").open("r+b") as file:
        file.write(new.read_bytes())


def test_a_difference_that_stands_is_a_finding(tmp_path: Path) -> None:
    with running(root=host(small(fw_pages=49), tmp_path)) as source:
        d = only(inspect_source(source))
    assert (d.verdict, d.pages) == (Verdict.FINDINGS, 50)


def test_lists_that_never_settle_are_not_known_when_the_time_is_over(tmp_path: Path) -> None:
    k = small()
    _swap_parent(k)
    began = time.monotonic()
    with running(root=host(k, tmp_path)) as source:
        d = only(inspect_source(source, max_seconds=0.5))
    assert (d.verdict, d.pages) == (Verdict.NOT_KNOWN, None)
    assert "--max-seconds" in d.missing[0].command
    assert 0.3 < time.monotonic() - began < 5


def test_lists_that_settle_later_are_read_again(tmp_path: Path) -> None:
    k = small()
    good = k.get(k.nodes[0][3])
    _swap_parent(k)
    root = host(k, tmp_path)

    def mend() -> None:
        time.sleep(0.3)
        k.put(k.nodes[0][3], struct.pack("<Q", good))
        _write_over(k, root)

    later = threading.Thread(target=mend)
    later.start()
    with running(root=root) as source:
        d = only(inspect_source(source))
    later.join()
    assert (d.verdict, d.pages) == (Verdict.CONSISTENT, 50)
    assert d.readings is not None
    assert d.readings > 1


def _reason(root: Path) -> str:
    with pytest.raises(NotPossibleError) as e, running(root=root):
        pass
    return str(e.value)


def test_only_one_reads_a_machine_at_a_time(tmp_path: Path) -> None:
    root = host(small(), tmp_path)
    with running(root=root):
        assert "another fwpages inspect" in _reason(root)
    with running(root=root):
        pass


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("proc/kcore", "CONFIG_PROC_KCORE"),
        ("sys/kernel/btf/vmlinux", "this kernel has no BTF"),
        ("sys/kernel/btf/mlx5_core", "mlx5_core has no BTF"),
        ("proc/sys/kernel/osrelease", "version of the running kernel"),
    ],
)
def test_a_machine_that_lacks_a_file_is_told_which(lost: str, words: str, tmp_path: Path) -> None:
    root = host(small(), tmp_path)
    (root / lost).unlink()
    assert words in _reason(root)


def test_a_driver_that_is_not_loaded_holds_nothing_that_could_be_read(tmp_path: Path) -> None:
    root = host(small(), tmp_path)
    (root / "sys/module/mlx5_core").rmdir()
    assert "not loaded" in _reason(root)


@pytest.mark.parametrize(
    ("release", "allowed"), [("5.13.19", False), ("4.18.0-553.el8", False), ("5.14.0-1.el9", True), ("10.0", True)]
)
def test_kernels_before_5_14_are_not_read_while_they_run(release: str, allowed: bool, tmp_path: Path) -> None:
    root = host(small(), tmp_path, release=release)
    if allowed:
        with running(root=root):
            pass
    else:
        assert "5.14" in _reason(root)


@pytest.mark.skipif(os.geteuid() == 0 and not hasattr(os, "seteuid"), reason="needs another user")
@pytest.mark.parametrize(
    ("lockdown", "words"),
    [("none [integrity] confidentiality", "root"), ("none integrity [confidentiality]", "locked down")],
)
def test_who_may_not_read_memory_is_told_why(
    lockdown: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = host(small(), tmp_path)
    (root / "sys/kernel/security/lockdown").write_text(lockdown + "\n")
    real = os.open

    def refuse(path: object, flags: int, *rest: int) -> int:
        if str(path).endswith("kcore"):
            raise PermissionError(1, "Operation not permitted")
        return real(path, flags, *rest)  # type: ignore[arg-type]  # os.open's own

    monkeypatch.setattr(os, "open", refuse)
    assert words in _reason(root)


def test_hidden_addresses_are_not_taken_for_addresses(tmp_path: Path) -> None:
    with running(root=host(small(), tmp_path, hidden=True)) as source:
        assert source.symbols.get("devlinks") is None


# -- the command ------------------------------------------------------------------------------------------------------


def command(k: Kernel, folder: Path, *more: str) -> int:
    k.finish()
    types = [word for file in k.blobs(folder) for word in ("--btf", str(file))]
    return invoke(
        ["inspect", "--core", str(k.write(folder / "core")), *types, "--symbols", str(k.kallsyms(folder / "s")), *more]
    )


@pytest.mark.parametrize(("options", "code"), [({}, 0), ({"fw_pages": 1}, 1), ({"fw_pages": 1, "pending": True}, 4)])
def test_the_exit_code_is_that_of_the_verdict(options: dict[str, object], code: int, tmp_path: Path) -> None:
    assert command(small(**options), tmp_path) == code


def test_the_report_as_json_is_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(small(), tmp_path, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["schema"] == "inspect/1"
    assert printed["devices"][0]["functions"][0]["pages"] == 50


def test_the_table_has_the_functions_and_their_sum(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    k = Kernel(SHAPES["7.2"])
    k.add(
        Device(
            ADDRESS,
            {0x2A: pages(0x1000000, 300), 0x31: pages(0x2000000, 84, kind=1), 0x32: pages(0x3000000, 5, kind=1)},
            vhca_mode=True,
            vports={1: 0x31},
        )
    )
    command(k, tmp_path)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["vhca:0x31", "VF", "1", "84", "0.328", "84"] in rows
    assert ["vhca:0x32", "VF", "off", "5", "0.02", "5"] in rows
    assert ["total", "389", "1.52", "389"] in rows


def test_a_core_that_is_not_there_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["inspect", "--core", str(tmp_path / "none")]) == 2
    assert "No such file" in capsys.readouterr().err


def test_a_core_without_types_is_not_known_and_says_what_to_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    k = small()
    k.finish()
    assert invoke(["inspect", "--core", str(k.write(tmp_path / "core"))]) == 4
    assert "--btf" in capsys.readouterr().out


def test_symbols_of_another_file_are_refused(tmp_path: Path) -> None:
    k = small()
    k.finish()
    (tmp_path / "s").write_text("nothing here\n")
    with pytest.raises(FileError, match="none of the symbols"):
        fw.machine.inspect(k.write(tmp_path / "core"), btf=k.blobs(tmp_path), symbols=tmp_path / "s")


def test_addresses_as_linked_are_moved_to_where_the_kernel_is(tmp_path: Path) -> None:
    """As System.map has them, where the kernel chose its place by chance."""
    k = small()
    k.finish()
    moved = 0x1200000
    rows = [f"{at - moved:016x} d {name}\n" for name, at in {**k.symbols, "_stext": IMAGE}.items()]
    (tmp_path / "System.map").write_text("".join(rows))
    i = fw.machine.inspect(k.write(tmp_path / "core"), btf=k.blobs(tmp_path), symbols=tmp_path / "System.map")
    assert only(i).pages == 50


def test_the_addresses_of_a_function_that_is_not_there_are_an_error(tmp_path: Path) -> None:
    i = inspected(small(), tmp_path)
    assert i.addresses(ADDRESS, "func:0x0").dtype == np.uint64
    with pytest.raises(KeyError):
        i.addresses(ADDRESS, "func:0x5")
