from __future__ import annotations

import pytest

from fwpages.prm.health import (
    FatalSensor,
    HealthSyndrome,
    health_words,
    sensor_words,
    severity_name,
    syndrome_of,
)

#: health.c: hsynd_str
LINUX = {
    0x1: "firmware internal error",
    0x7: "irisc not responding",
    0x8: "unrecoverable hardware error",
    0x9: "firmware CRC error",
    0xA: "ICM fetch PCI error",
    0xB: "HW fatal error",
    0xC: "async EQ buffer overrun",
    0xD: "EQ error",
    0xE: "Invalid EQ referenced",
    0xF: "FFSER error",
    0x10: "High temperature",
    0x12: "ICM fetch PCI data poisoned error",
    0x13: "Trust lockdown error",
}


def test_a_syndrome_is_in_the_words_that_linux_prints() -> None:
    words = {number: health_words(number) for number in range(0x100)}
    assert {number: w for number, w in words.items() if w != "unrecognized error"} == LINUX


@pytest.mark.parametrize("number", LINUX)
def test_the_words_of_a_line_count_more_than_its_number(number: int) -> None:
    syndrome = HealthSyndrome(number)
    assert syndrome_of(LINUX[number], None) is syndrome
    assert syndrome_of(f" {LINUX[number].upper()}\n", 0x1) is syndrome
    assert syndrome_of("words that this package does not know", number) is syndrome


def test_a_syndrome_without_known_words_and_number_has_no_name() -> None:
    assert syndrome_of("unrecognized error", 0x11) is None
    assert syndrome_of("unrecognized error", None) is None


def test_every_sensor_has_words_of_its_own() -> None:
    assert [int(sensor) for sensor in FatalSensor] == [1, 2, 3, 4, 5]
    assert len({sensor_words(sensor) for sensor in FatalSensor}) == len(FatalSensor)
    assert sensor_words(9) == "sensor 9"


def test_a_severity_is_a_level_of_the_kernel_s_log() -> None:
    assert (severity_name(0), severity_name(3), severity_name(7)) == ("EMERGENCY", "ERROR", "DEBUG")
    assert severity_name(8) == "Unknown log level"
