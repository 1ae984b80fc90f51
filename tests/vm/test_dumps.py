"""The dumps that QEMU and makedumpfile write of one and the same machine name the same pages."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

import fwpages as fw
from fwpages.custody.accounts import Verdict
from fwpages.machine.structures import kdump
from fwpages.machine.structures.errors import FileError
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from fwpages.trial.qemu import Machine
from tests.vm.guest import WITH_DUMPS, dump
from tests.vm.lab import PF, agree, scenario

START = 37 + 2000


@pytest.fixture
def makedumpfile() -> str:
    """The program; with libkdumpfile beside it."""
    found = shutil.which("makedumpfile")
    if found is not None and kdump.library() is not None:
        return found
    lacking = "makedumpfile and libkdumpfile are needed: apt install makedumpfile libkdumpfile-dev"
    if os.environ.get("FWPAGES_REQUIRE_VM"):
        pytest.fail(lacking)
    pytest.skip(lacking)


def for_makedumpfile(core: Path, to: Path) -> Path:
    """A copy of QEMU's ELF core with the program headers behind the ELF header, where makedumpfile looks for them."""
    shutil.copyfile(core, to)
    with to.open("r+b") as f:
        head = bytearray(f.read(64))
        offset, count = struct.unpack_from("<Q", head, 32)[0], struct.unpack_from("<H", head, 56)[0]
        f.seek(offset)
        rows = f.read(56 * count)
        struct.pack_into("<QQ", head, 32, 64, 0)
        struct.pack_into("<H", head, 52, 64)
        struct.pack_into("<HHH", head, 58, 0, 0, 0)
        f.seek(0)
        f.write(head + rows)
    return to


def test_dumps_of_every_kind_have_the_pages_that_firmware_has(new: Kernel, makedumpfile: str, tmp_path: Path) -> None:
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new, Machine(memory=512, more=WITH_DUMPS)) as g:
        g.ok("insmod /more/qemu_fw_cfg.ko")
        g.ok("load")
        lab.want(vf0=600, sf0=7)
        lab.until({"self": START, "vf0": 600, "sf0": 7})
        agree(lab, g)
        elf = dump(g, tmp_path / "elf")
        raw = dump(g, tmp_path / "raw", "kdump-raw-zlib")
        flat = dump(g, tmp_path / "flat", "kdump-zlib")
        holds = lab.call(lab.serving.observer.inner.holds)
        g.off()

    def agrees(core: Path) -> None:
        i = fw.machine.inspect(core)
        assert i.report.verdict is Verdict.CONSISTENT, i.report
        (device,) = i.report.devices
        for who, addresses in holds.items():
            assert np.array_equal(i.addresses(device.device, str(who)), np.sort(addresses))
        assert device.pages == START + 607
        core.unlink()

    def made(name: str, source: Path, *options: str) -> Path:
        """The dump that makedumpfile makes of the source, which it also has as its standard input."""
        file = tmp_path / name
        words = [] if "-R" in options else [str(source)]
        with source.open("rb") as f:
            subprocess.run([makedumpfile, *options, *words, str(file)], stdin=f, check=True, capture_output=True)
        return file

    cut = tmp_path / "cut"
    cut.write_bytes(raw.read_bytes()[: raw.stat().st_size // 2])
    with pytest.raises(FileError, match="cannot read all of this dump"):
        fw.machine.inspect(cut)
    agrees(raw)
    with pytest.raises(FileError, match="makedumpfile -R"):
        fw.machine.inspect(flat)
    agrees(made("put-together", flat, "-R"))
    source = for_makedumpfile(elf, tmp_path / "input")
    agrees(elf)
    for name, *options in (("zlib", "-c", "-d", "1"), ("lzo", "-l", "-d", "17"), ("small-elf", "-E", "-d", "1")):
        agrees(made(name, source, *options))
