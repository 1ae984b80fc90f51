from __future__ import annotations

import pytest

from fwpages.readers.complaints import complains, crashed


@pytest.mark.parametrize(
    "message",
    [
        "All CMD slots are stalled, aborting command",
        "Couldn't do what a later kernel does",
        "timed out waiting for something",
        "cmd_work_handler: 12 callbacks suppressed",
        "err = -5",
    ],
)
def test_a_message_of_failure_is_a_complaint(message: str) -> None:
    assert complains(message.encode())


@pytest.mark.parametrize(
    "message",
    [
        "command completed. ret 0x0, delivery status no errors(0x0)",
        "err 0, delivery status no errors(0)",
        "Enabling pci atomics failed",
        "Failed to get valid vendor specific ID",
        "invalid device_frequency_khz, aborting HW clock init",
        "Port module event: module 0, Cable plugged",
    ],
)
def test_what_a_healthy_device_prints_is_no_complaint(message: str) -> None:
    assert not complains(message.encode())


def test_a_frame_of_the_driver_shows_where_the_kernel_warned() -> None:
    assert crashed("[    9.1] RIP: 0010:mlx5_free_4k+0x30/0x190 [mlx5_core]")
    assert not crashed("[    9.1] RIP: 0010:ext4_readdir+0x30/0x190 [ext4]")
