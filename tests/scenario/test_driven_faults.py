"""Every fault of the device, met by our host over a socket: what it finds is what it finds in one process.

Each once here; ``every_fault_driven`` has each in both modes and for both suppliers, and the storm of page requests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fwpages.device import DEVICE_FAULTS
from fwpages.host import WantedMode
from fwpages.scenario import load
from fwpages.scenario.fault_syntax import fault
from tests.scenario.driving import FUNCTIONS, FUNCTIONS_OF_ECPF, STEPS, agrees, step
from tests.sockets import short

#: suppliers and modes in turn
KINDS: tuple[tuple[str, WantedMode], ...] = (
    (FUNCTIONS, "vhca_id"),
    (FUNCTIONS_OF_ECPF, "func_id"),
    (FUNCTIONS, "func_id"),
    (FUNCTIONS_OF_ECPF, "vhca_id"),
)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    with short(tmp_path) as folder:
        yield folder


@pytest.mark.parametrize("name", [name for name in DEVICE_FAULTS if name != "request-storm"])
def test_a_fault_is_found_as_in_one_process(name: str, tmp_path: Path) -> None:
    head, mode = KINDS[list(DEVICE_FAULTS).index(name) % len(KINDS)]
    plan, planned = load("test", text=head + STEPS), fault(name)
    agrees(step(plan, tmp_path, mode=mode, faults=[planned]), plan, mode, planned)
