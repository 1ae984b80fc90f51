"""Linux's own page allocator as a peer: the library that ``make peer`` builds, driven by a program in C.

Calls from Python would cost more than what they measure, so the program runs whole rounds, one line in, one line out.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from fwpages.bench.shape import Case, Round

SOURCE = Path(__file__).with_suffix(".c")
LIBRARY = Path(__file__).parents[1] / "build" / "linux-pagealloc"
PROGRAM = LIBRARY.parent / "linux-rounds"


class LinuxPeer:
    """One process that runs a round of Linux's code each time that it is asked."""

    name = "linux"

    def __init__(self) -> None:
        self._process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, case: Case) -> Round | None:
        """The same pages, batches and functions, in the same order; None for what Linux's code has nothing of."""
        family = case.name.split("-")[0]
        if family in ("ledger", "turns", "scale", "path"):
            give, take, _ = self._ask("take", case)
            return {"give": give / 1e9, "take": take / 1e9, "both": (give + take) / 1e9}
        if case.name == "release-all":
            return {"release_all": self._ask("release", case)[1] / 1e9}
        if case.name == "forced-close":
            return {"forced": self._ask("forced", case)[1] / 1e9}
        if case.name == "memory":
            return {"memory": self._ask("release", case)[2]}
        return None

    def _ask(self, what: str, case: Case) -> tuple[float, float, float]:
        """Nanoseconds to give, nanoseconds to have all back, bytes while all were out."""
        s = case.shape
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what} {s.pages} {s.batch} {s.functions}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{PROGRAM.name} ended in the case {case.name}, exit code {self._process.wait()}")
        give, back, size = map(float, line.split())
        return give, back, size

    def close(self) -> None:
        """End the process."""
        self._process.communicate(timeout=60)


def build() -> str:
    """Compile the program; returns why it cannot be, or nothing."""
    if not (LIBRARY / "liboracle.so").exists():
        return "Linux's allocator is not built (make peer)"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "there is no C compiler"
    library = [str(LIBRARY / "liboracle.so"), f"-I{LIBRARY / 'shim'}", f"-Wl,-rpath,{LIBRARY}"]
    command = [compiler, "-O2", str(SOURCE), *library, "-o", str(PROGRAM)]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False).stderr
