"""What the device's side costs while a real driver loads: time per command and per page, and its share of the load.

make vm && PYTHONPATH=. .venv/bin/python bench/vm.py [LOADS]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from fwpages.device import Submitted
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.trial.guest import Guest
from fwpages.trial.kernels import Debian
from fwpages.trial.lab import Lab
from tests.vm.guest import built
from tests.vm.lab import PF, scenario

PAGES = 37 + 2000
MANY = 50_000


class Meter:
    """Takes the time of every command that the device executes, and of every access that it answers."""

    def __init__(self, lab: Lab) -> None:
        self.commands: list[float] = []
        self.accesses: list[float] = []
        self.gives: list[tuple[int, float]] = []
        self._pages = 0
        self._queue, self._endpoint = lab.serving.device.queue, lab.serving.device.endpoint
        self._step, self._write, self._read = self._queue.step, self._endpoint.write, self._endpoint.read
        self._watch = self._queue._watch
        self._queue.step, self._queue._watch = self.step, self.watch  # type: ignore[method-assign]
        self._endpoint.write, self._endpoint.read = self.write, self.read  # type: ignore[method-assign]

    def step(self, now: float) -> bool:
        self._pages, begun = 0, time.perf_counter()
        done = self._step(now)
        self.commands.append(time.perf_counter() - begun)
        self.gives.append((self._pages, self.commands[-1]))
        return done

    def watch(self, x: object) -> None:
        if isinstance(x, Submitted) and x.command.opcode == Opcode.MANAGE_PAGES:
            self._pages = x.command.pas.size if x.command.op_mod == ManagePages.GIVE else 0
        assert self._watch is not None
        self._watch(x)  # type: ignore[arg-type]

    def write(self, region: int, offset: int, data: bytes) -> None:
        begun = time.perf_counter()
        self._write(region, offset, data)
        self.accesses.append(time.perf_counter() - begun)

    def read(self, region: int, offset: int, length: int) -> bytes:
        begun = time.perf_counter()
        data = self._read(region, offset, length)
        self.accesses.append(time.perf_counter() - begun)
        return data


def load(lab: Lab, g: Guest, meter: Meter) -> tuple[float, float]:
    """Seconds of a load as the guest's user sees it, and the part of it on the device's side."""
    meter.accesses.clear()
    begun = time.perf_counter()
    g.ok("load")
    took = time.perf_counter() - begun
    lab.until({"self": PAGES})
    return took, sum(meter.accesses) / took


def main(loads: int) -> None:
    with tempfile.TemporaryDirectory() as folder, Lab(scenario(PF), Path(folder)) as lab:
        meter = Meter(lab)
        with lab.guest(built(Debian.NEW, Path(folder))) as g:
            rows = []
            for _ in range(loads):
                rows.append(load(lab, g, meter))
                g.ok("unload")
            load(lab, g, meter)
            lab.want(vf0=MANY)
            lab.until({"self": PAGES, "vf0": MANY})
            most, its = max(meter.gives)
            g.ok("unload")
            g.off()
    us = np.array(meter.commands) * 1e6
    took, share = np.median(np.array(rows), axis=0)
    print(f"{us.size} commands in {loads + 1} loads and unloads, {PAGES} pages each")
    print(f"a command, device's side: median {np.median(us):.0f} us, 99th percentile {np.percentile(us, 99):.0f} us")
    print(f"a page in a GIVE of {most}: {its / most * 1e9:.0f} ns")
    print(f"a load takes {took:.2f} s (median), {share:.1%} of it on the device's side")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
