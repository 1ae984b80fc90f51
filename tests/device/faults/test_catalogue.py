from __future__ import annotations

import pytest

from fwpages.device import DEVICE_FAULTS, Firmware, Input, PlannedFault, Profile, faulty
from fwpages.device.faults.effects import Delay
from fwpages.host import Bounds
from fwpages.prm.timeouts import COMMAND_OF_LINUX
from tests.device.conftest import SF, VF, VF2
from tests.device.recorded_sessions import recorded_session


def test_late_is_in_time_for_the_host_and_too_late_is_not() -> None:
    delays = [delay.seconds(COMMAND_OF_LINUX) for delay in (Delay.IN_TIME, Delay.TOO_LATE)]
    assert delays == [30, 100]
    assert delays[0] < Bounds().command < delays[1]


@pytest.fixture(scope="module")
def recorded(small: Profile) -> list[list[Input]]:
    return [recorded_session(small, release_all=release) for release in (True, False)]


@pytest.mark.parametrize("name", DEVICE_FAULTS)
def test_every_fault_takes_effect_in_a_recorded_session(name: str, small: Profile, recorded: list[list[Input]]) -> None:
    """Up to then nothing is seen of it; from then on something is."""
    for inputs in recorded:
        sound = Firmware(small, [VF, VF2, SF])
        wrong = faulty(Firmware(small, [VF, VF2, SF]), [PlannedFault(name)])
        for x in inputs:
            expected, effects = sound.feed(0.0, x), wrong.feed(0.0, x)
            wrong.check()
            if wrong.took:
                assert wrong.took == (name,)
                assert effects != expected or sound.key() != wrong.inner.key()
                return
            assert effects == expected
            assert sound.key() == wrong.inner.key()
    pytest.fail("it never took effect")
