"""The health buffer of the initialization segment: its syndromes and severities in words.

Words and numbers follow ``mlx5_ifc.h`` (``MLX5_INITIAL_SEG_HEALTH_SYNDROME_*``) and Linux's ``health.c``.
"""

from __future__ import annotations

from enum import IntEnum


class HealthSyndrome(IntEnum):
    """The error that firmware reports of itself. This is not the syndrome of a command's answer."""

    FIRMWARE = 0x1
    IRISC = 0x7
    HARDWARE = 0x8
    CRC = 0x9
    ICM_FETCH_PCI = 0xA
    ICM_PAGE = 0xB
    ASYNC_EQ_OVERRUN = 0xC
    EQ_IN_ERROR = 0xD
    EQ_INVALID = 0xE
    FFSER = 0xF
    HIGH_TEMPERATURE = 0x10
    ICM_PCI_POISONED = 0x12
    TRUST_LOCKDOWN = 0x13


#: as Linux prints them
_WORDS = {
    HealthSyndrome.FIRMWARE: "firmware internal error",
    HealthSyndrome.IRISC: "irisc not responding",
    HealthSyndrome.HARDWARE: "unrecoverable hardware error",
    HealthSyndrome.CRC: "firmware CRC error",
    HealthSyndrome.ICM_FETCH_PCI: "ICM fetch PCI error",
    HealthSyndrome.ICM_PAGE: "HW fatal error",
    HealthSyndrome.ASYNC_EQ_OVERRUN: "async EQ buffer overrun",
    HealthSyndrome.EQ_IN_ERROR: "EQ error",
    HealthSyndrome.EQ_INVALID: "Invalid EQ referenced",
    HealthSyndrome.FFSER: "FFSER error",
    HealthSyndrome.HIGH_TEMPERATURE: "High temperature",
    HealthSyndrome.ICM_PCI_POISONED: "ICM fetch PCI data poisoned error",
    HealthSyndrome.TRUST_LOCKDOWN: "Trust lockdown error",
}
_BY_WORDS = {words.lower(): syndrome for syndrome, words in _WORDS.items()}


class FatalSensor(IntEnum):
    """The sensor by which Linux's driver calls an error fatal (``MLX5_SENSOR_*``)."""

    PCI_COMMUNICATION = 1
    PCI_ERROR = 2
    NIC_DISABLED = 3
    NIC_RESET = 4
    SYNDROME = 5


_SENSORS = {
    FatalSensor.PCI_COMMUNICATION: "PCI communication error: the device reads all ones",
    FatalSensor.PCI_ERROR: "PCI error: the channel is offline",
    FatalSensor.NIC_DISABLED: "the NIC interface is disabled",
    FatalSensor.NIC_RESET: "the NIC interface is in a software reset",
    FatalSensor.SYNDROME: "firmware's syndrome asks for a reset",
}


def syndrome_of(words: str, number: int | None) -> HealthSyndrome | None:
    """The syndrome of a health line; its words count more than its number, which older devices number otherwise."""
    by_words = _BY_WORDS.get(words.strip().lower())
    if by_words is not None or number is None:
        return by_words
    return HealthSyndrome(number) if number in tuple(HealthSyndrome) else None


def health_words(syndrome: int) -> str:
    """A health syndrome in words; those without a name here are called so."""
    return _WORDS[HealthSyndrome(syndrome)] if syndrome in tuple(HealthSyndrome) else "unrecognized error"


def sensor_words(sensor: int) -> str:
    """The cause of ``Fatal error N detected`` in words."""
    return _SENSORS[FatalSensor(sensor)] if sensor in tuple(FatalSensor) else f"sensor {sensor}"


_SEVERITIES = ("EMERGENCY", "ALERT", "CRITICAL", "ERROR", "WARNING", "NOTICE", "INFO", "DEBUG")


def severity_name(level: int) -> str:
    """A severity, which is a level of the kernel's log, as Linux names it."""
    return _SEVERITIES[level] if level < len(_SEVERITIES) else "Unknown log level"
