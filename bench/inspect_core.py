"""``fwpages inspect`` on a core with 8 million pages, against its bounds (``make bench-inspect``).

The core is made up, by the tests' writer; it has 1 GiB in a scratch folder. The exit code is 1 where a bound is broken.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

from tests.machine.kernels import SHAPES, Device, Kernel

PAGES = 8_000_000
#: seconds of processor time, and MB at most, that such a core may cost
MOST_SECONDS, MOST_MEGABYTES = 30.0, 500.0


def make(folder: Path) -> None:
    """Write the core, and the files of types and symbols beside it."""
    k = Kernel(SHAPES["7.2"], spans=((0, 1 << 24),))
    k.add(Device("0000:01:00.0", {}, large={0: PAGES}))
    k.finish()
    k.write(folder / "core")
    k.kallsyms(folder / "kallsyms")
    k.blobs(folder)


def main() -> int:
    """Make the core, read it in another process, and compare what that cost with the bounds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # a process of its own: what a process had at its fork counts for its program too
        maker = get_context("spawn").Process(target=make, args=(folder,))
        maker.start()
        maker.join()
        core = folder / "core"
        options = ["--symbols", str(folder / "kallsyms")]
        for blob in ("vmlinux", "mlx5_core"):
            options += ["--btf", str(folder / blob)]
        command = [sys.executable, "-m", "fwpages", "inspect", "--json", "--core", str(core), *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        with process.stdout:
            printed = process.stdout.read()
        _, process.returncode, used = os.wait4(process.pid, 0)
    seconds, megabytes = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6
    held = json.loads(printed)["devices"][0]["pages"]
    print(f"{held:,} pages: {seconds:.1f} s of {MOST_SECONDS:.0f}, {megabytes:.0f} MB of {MOST_MEGABYTES:.0f}")
    return int(held != PAGES or seconds > MOST_SECONDS or megabytes > MOST_MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())
