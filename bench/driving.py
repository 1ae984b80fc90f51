"""The time to open a device over a vfio-user socket, beside the same open in one process.

PYTHONPATH=. .venv/bin/python bench/driving.py [ROUNDS]

In each round: our host and the firmware joined directly; joined by the command queue, all in one process; and our host
over a socket on ``fwpages serve``, which is a process of its own. The three opens of a round follow each other, so a
ratio is of what the machine did at that time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType

import msgspec

from fwpages.device import Firmware, profile
from fwpages.host import Close, Config, Host, Open, Phase
from fwpages.link.driving.driven import Driven
from fwpages.link.driving.opening import begun
from fwpages.link.inprocess import InProcess
from fwpages.link.queue.inprocess import InProcessQueue
from fwpages.link.vfio_user.client import VfioUserDevice
from fwpages.scenario.driven_runner import Roles, host_for

LINKS = MappingProxyType({"direct": InProcess, "queue": InProcessQueue})
#: init pages of the profile, and those of `bench/vm.py`, where an unmodified Linux loads on the same server
INIT_PAGES = (2000, 12868)
ROUNDS = 15
PLAN = '[device]\nprofile = "connectx7"\ninit_pages = {}\n[[step]]\ndo = "open"\n'


def in_process(link: str, init_pages: int) -> float:
    """Seconds of an open in one process."""
    p = msgspec.structs.replace(profile("connectx7"), init_pages=init_pages)
    host = Host(Config(p.supplier))
    joined = LINKS[link](host, Firmware(p))
    start = time.perf_counter()
    joined.feed(Open())
    joined.run_until_idle()
    took = time.perf_counter() - start
    assert host.session.phase is Phase.OPEN
    return took


def over_socket(path: Path) -> tuple[float, float, int]:
    """Seconds from the connection to a device that is fenced and ready, those of the open, and the open's messages."""
    start = time.perf_counter()
    device = VfioUserDevice(path)
    with closing(device):
        described = begun(device)
        host, memory = host_for(device, described, Roles(described.supplier))
        with Driven(host, device, memory) as link:
            ready = time.perf_counter()
            before = device._next
            settled(link, Open())
            done, messages = time.perf_counter(), device._next - before
            assert host.session.phase is Phase.OPEN, host.session.failure
            settled(link, Close())
    return ready - start, done - ready, messages


def settled(link: Driven, x: Open | Close) -> None:
    """Feed this, and go on until nothing is pending."""
    link.feed(x)
    while not link.idle:
        link.step()


@contextmanager
def served(folder: Path, init_pages: int) -> Iterator[Path]:
    """A server in a process of its own, until the end of the block."""
    path, plan = folder / "s", folder / "plan.toml"
    plan.write_text(PLAN.format(init_pages))
    command = [sys.executable, "-m", "fwpages", "serve", "--socket", str(path), "--eswitch", str(plan)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            while not path.exists():
                time.sleep(0.01)
            yield path
        finally:
            server.terminate()


def milliseconds(values: list[float]) -> str:
    """The median, the least and the most."""
    return f"{statistics.median(values) * 1e3:.1f} ({min(values) * 1e3:.1f} to {max(values) * 1e3:.1f})"


def main(rounds: int) -> None:
    """Print a row for each number of pages."""
    print("| pages | direct, ms | queue, ms | socket, ms | socket : queue | connection and fence, ms | messages |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for pages in INIT_PAGES:
        with tempfile.TemporaryDirectory() as folder, served(Path(folder), pages) as path:
            rows = [
                (in_process("direct", pages), in_process("queue", pages), *over_socket(path)) for _ in range(rounds)
            ]
        direct, queue, fence, socket, messages = (list(column) for column in zip(*rows, strict=True))
        ratio = statistics.median(s / q for s, q in zip(socket, queue, strict=True))
        print(
            f"| {37 + pages:,} | {milliseconds(direct)} | {milliseconds(queue)} | {milliseconds(socket)} "
            f"| {ratio:.1f} | {milliseconds(fence)} | {statistics.median(messages):.0f} |"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
