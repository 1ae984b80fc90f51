"""Kernels from folders: the image, the modules in the order in which they load, and the initramfs with them."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import libarchive
import pytest

from fwpages.trial.archives import Member, cpio, member
from fwpages.trial.busybox import busybox, is_static
from fwpages.trial.errors import MissingError
from fwpages.trial.initramfs import with_present_init
from fwpages.trial.kernels import Debian, debian, of_image, of_tree, release_of
from fwpages.trial.modules import modules_in

RELEASE = "7.2.0-rc1+"


def module(*needs: str, release: str = RELEASE) -> bytes:
    """As much of a module as tells what it needs, and what it was built for."""
    return b"\x7fELF\0" + f"depends={','.join(needs)}\0vermagic={release} SMP preempt mod_unload \0".encode() + b"\0end"


def image(release: str = RELEASE) -> bytes:
    """The head of a bzImage."""
    data = bytearray(0x400)
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x100)
    data[0x300:] = f"{release} (somebody@somewhere) #1 SMP\0".encode()
    return bytes(data)


def program(*, interpreter: bool) -> bytes:
    """The head of a 64-bit x86 program in ELF, with one program header."""
    head = bytearray(64 + 56)
    head[:5] = b"\x7fELF\x02"
    struct.pack_into("<H", head, 18, 62)
    struct.pack_into("<Q", head, 32, 64)
    struct.pack_into("<HH", head, 54, 56, 1)
    struct.pack_into("<I", head, 64, 3 if interpreter else 1)
    return bytes(head)


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def content(archive: Path) -> dict[str, bytes]:
    """The files of an archive, by name."""
    with libarchive.file_reader(str(archive)) as entries:
        return {e.pathname: b"".join(e.get_blocks()) for e in entries if e.isreg}


def zstd(data: bytes) -> bytes:
    parts: list[bytes] = []

    def write(part: bytes) -> int:
        parts.append(bytes(part))
        return len(part)

    with libarchive.custom_writer(write, "raw", "zstd") as archive:
        archive.add_file_from_memory("module", len(data), data)
    return b"".join(parts)


@pytest.fixture(autouse=True)
def _static_busybox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, {"busybox": program(interpreter=False)})
    monkeypatch.setenv("FWPAGES_BUSYBOX", str(tmp_path / "busybox"))


TREE = {
    "arch/x86/boot/bzImage": image(),
    ".config": b"CONFIG_MLX5_CORE=m\n",
    "drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko": module("mlxfw", "pci-hyperv-intf"),
    "drivers/net/ethernet/mellanox/mlxfw/mlxfw.ko": module(),
    "drivers/pci/controller/pci-hyperv-intf.ko": module(),
}


def test_a_built_tree_becomes_a_kernel_with_every_module_behind_those_that_it_needs(tmp_path: Path) -> None:
    kernel = of_tree(put(tmp_path / "linux", TREE), tmp_path / "out")
    assert (kernel.name, kernel.config) == (RELEASE, tmp_path / "linux" / ".config")
    files = content(kernel.initrd)
    assert files["modules/order"].split() == [b"mlxfw.ko", b"pci_hyperv_intf.ko", b"mlx5_core.ko"]
    assert files["modules/mlx5_core.ko"] == TREE["drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko"]
    assert files["bin/busybox"] == program(interpreter=False)
    assert files["init"].startswith(b"#!/bin/busybox sh\n")


@pytest.mark.parametrize(
    ("place", "suffix", "packed"),
    [
        ("", "", bytes),
        (f"lib/modules/{RELEASE}", ".gz", gzip.compress),
        (f"usr/lib/modules/{RELEASE}", ".xz", lzma.compress),
        (RELEASE, ".zst", zstd),
    ],
)
def test_installed_modules_are_unpacked(
    tmp_path: Path, place: str, suffix: str, packed: Callable[[bytes], bytes]
) -> None:
    files = {
        f"kernel/{n}.ko{suffix}": packed(module(*needs)) for n, needs in (("mlxfw", ()), ("mlx5_core", ("mlxfw",)))
    }
    put(tmp_path / "root" / place, files)
    put(tmp_path, {"boot/vmlinuz": image(), f"boot/config-{RELEASE}": b"CONFIG_X=y\n"})
    kernel = of_image(tmp_path / "boot" / "vmlinuz", tmp_path / "root", tmp_path / "out")
    found = content(kernel.initrd)
    assert found["modules/order"].split() == [b"mlxfw.ko", b"mlx5_core.ko"]
    assert found["modules/mlx5_core.ko"] == module("mlxfw")
    assert kernel.config == tmp_path / "boot" / f"config-{RELEASE}"


def test_a_driver_that_is_built_in_needs_no_module(tmp_path: Path) -> None:
    files = {"arch/x86/boot/bzImage": image(), "modules.builtin": b"kernel/drivers/net/mlx5/core/mlx5_core.ko\n"}
    kernel = of_tree(put(tmp_path / "linux", files), tmp_path / "out")
    assert content(kernel.initrd)["modules/order"] == b""


def test_of_a_module_that_is_installed_twice_the_update_is_on_trial(tmp_path: Path) -> None:
    files = {f"{place}/mlx5_core.ko": module(place) for place in ("kernel/drivers/net", "extra", "updates/dkms")}
    folder = put(tmp_path / "m", files)
    assert modules_in(folder).files["mlx5_core"] == folder / "updates/dkms/mlx5_core.ko"
    (folder / "updates/dkms/mlx5_core.ko").unlink()
    assert modules_in(folder).files["mlx5_core"] == folder / "extra/mlx5_core.ko"


def test_a_module_that_depends_on_a_built_in_one_is_loaded_alone(tmp_path: Path) -> None:
    files = {"mlx5_core.ko": module("mlxfw"), "modules.builtin": b"kernel/drivers/net/mlxfw/mlxfw.ko\n"}
    assert [m.name for m in modules_in(put(tmp_path / "m", files)).in_order("mlx5_core")] == ["mlx5_core"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"arch/x86/boot/bzImage": None}, "make -j"),
        ({"arch/x86/boot/bzImage": b"\x7fELF" + bytes(0x400)}, "is no bzImage"),
        ({"drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko": None}, "no module mlx5_core, and it is not built in"),
        ({"drivers/net/ethernet/mellanox/mlxfw/mlxfw.ko": None}, "no module mlxfw, which mlx5_core needs"),
        ({"drivers/net/ethernet/mellanox/mlxfw/mlxfw.ko": module(release="6.1.0")}, "mlxfw was built for 6.1.0, and"),
    ],
)
def test_a_kernel_of_which_a_part_is_missing_is_refused_with_words(
    tmp_path: Path, change: Mapping[str, bytes | None], words: str
) -> None:
    files = {name: data for name, data in {**TREE, **change}.items() if data is not None}
    with pytest.raises(MissingError, match=words):
        of_tree(put(tmp_path / "linux", files), tmp_path / "out")


def test_a_damaged_module_is_refused_with_its_name(tmp_path: Path) -> None:
    put(tmp_path / "m", {"mlx5_core.ko.xz": lzma.compress(module())[:40]})
    with pytest.raises(MissingError, match=r"mlx5_core\.ko\.xz: it cannot be unpacked"):
        modules_in(tmp_path / "m").in_order("mlx5_core")


def test_modules_that_need_each_other_end(tmp_path: Path) -> None:
    put(tmp_path / "m", {"a.ko": module("b"), "b.ko": module("a")})
    assert {m.name for m in modules_in(tmp_path / "m").in_order("a")} == {"a", "b"}


def test_links_to_other_trees_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path, {"m/mlx5_core.ko": module(), "other/mlxfw.ko": module()})
    (tmp_path / "m" / "build").symlink_to(tmp_path / "other")
    (tmp_path / "m" / "loop").symlink_to(tmp_path / "m")
    assert set(modules_in(tmp_path / "m").files) == {"mlx5_core"}


def test_the_release_is_that_of_the_image(tmp_path: Path) -> None:
    put(tmp_path, {"bzImage": image("6.12.0")})
    assert release_of(tmp_path / "bzImage") == "6.12.0"
    with pytest.raises(MissingError, match="No such file"):
        release_of(tmp_path / "nothing")


def test_a_busybox_that_needs_libraries_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_static(program(interpreter=False))
    assert not is_static(program(interpreter=True))
    assert not is_static(b"#!/bin/sh\n")
    put(tmp_path, {"dynamic": program(interpreter=True)})
    monkeypatch.setenv("FWPAGES_BUSYBOX", str(tmp_path / "dynamic"))
    with pytest.raises(MissingError, match="busybox-static"):
        busybox()


def test_the_present_init_follows_an_earlier_archive(tmp_path: Path) -> None:
    old = cpio([Member("init", b"old", 0o755), Member("bin/busybox", b"b", 0o755)])
    put(tmp_path, {"old": gzip.compress(old), "new": b""})
    data = with_present_init(tmp_path / "old")
    (tmp_path / "new").write_bytes(data[-len(data) + (len((tmp_path / "old").read_bytes()) + 3) // 4 * 4 :])
    assert member(tmp_path / "old", "init") == b"old"
    inside = member(tmp_path / "new", "init")
    assert inside is not None
    assert inside.startswith(b"#!/bin/busybox sh\n")


def test_a_kernel_that_make_vm_did_not_make_names_what_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fwpages.trial.kernels.BUILD", tmp_path)
    with pytest.raises(MissingError, match="make vm"):
        debian(Debian.NEW, tmp_path / "out")


def test_a_module_goes_into_the_machine_without_its_debug_information(tmp_path: Path) -> None:
    compiler = shutil.which("gcc")
    if compiler is None:
        # .ci/run installs one
        assert os.environ.get("FWPAGES_REQUIRE_PEER") != "1"
        pytest.skip("there is no gcc to compile a module with debug information")
    source = put(
        tmp_path, {"m.c": b'__attribute__((section(".modinfo"))) const char m[] = "depends=";int f(void){return 1;}'}
    )
    built = tmp_path / "m.o"
    subprocess.run([compiler, "-g", "-c", "m.c", "-o", built], cwd=source, check=True)
    tree = put(
        tmp_path / "tree",
        {"arch/x86/boot/bzImage": image(), "drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko": built.read_bytes()},
    )
    made = content(of_tree(tree, tmp_path / "made").initrd)["modules/mlx5_core.ko"]
    assert b"debug_info" in built.read_bytes()
    assert b"debug_info" not in made
    assert b"depends=" in made


def test_a_module_with_debug_information_needs_strip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"arch/x86/boot/bzImage": image(), "drivers/mlx5_core.ko": module() + b"\0.rela.debug_info\0"}
    tree = put(tmp_path / "tree", files)
    with pytest.raises(MissingError, match="mlx5_core: "):
        of_tree(tree, tmp_path / "made")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="package binutils"):
        of_tree(tree, tmp_path / "made")
