"""The client of a hostile server: for each line of its input it drives what is at a socket, and prints how that ended.

python -m tests.fuzz.victim SOCKET
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

from fwpages.link.driving.opening import begun
from fwpages.link.driving.pci_device import DeviceError
from fwpages.link.vfio_user.client import VfioUserDevice
from fwpages.scenario import ScenarioError, load
from fwpages.scenario.driven_runner import DrivenRun

#: seconds that a reply may take: a server that says nothing costs so long
TIMEOUT = 0.2
SCENARIO = """
[device]
profile = "connectx7"
init_pages = 40
[bounds]
command = 0.3
fence = 0.1
reclaim_progress = 0.2
reclaim_overall = 0.5
wait_progress = 0.2
wait_overall = 0.5
[[step]]
do = "open"
[[step]]
do = "close"
"""


def drive(path: Path) -> str:
    """Drive the device once, from the connection to the close; return how it ended."""
    try:
        device = VfioUserDevice(path, TIMEOUT)
        try:
            with DrivenRun(device, begun(device), load("victim", text=SCENARIO), checked=True) as run:
                result = run.run()
        finally:
            device.close()
    except (DeviceError, ScenarioError):
        return "refused"
    return str(result.verdict)


def main() -> None:
    """Drive once for each line."""
    for _ in sys.stdin:
        ended = drive(Path(sys.argv[1]))
        # the memory of a device goes with the last array over it, and some of these are in cycles
        gc.collect()
        print(ended, flush=True)


if __name__ == "__main__":
    main()
