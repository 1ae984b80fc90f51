"""Remedies help against their cause, can be followed, and say what they interrupt."""

from __future__ import annotations

import pytest

from fwpages.custody.findings import Cause, Causes, FindingName
from fwpages.custody.remedies import addressed
from fwpages.explore.designs.linux.findings import LinuxCause

ALL: tuple[Causes, ...] = (*Cause, *LinuxCause)


@pytest.mark.parametrize("cause", ALL, ids=lambda c: c.name)
def test_a_reset_is_never_one_behind_the_back_of_a_driver(cause: Causes) -> None:
    words = cause.remedy
    assert "/reset" not in words
    if "function-level reset" in words:
        assert "no driver bound" in words or "no kernel driver is bound" in words
    assert "a device reset" not in words


@pytest.mark.parametrize("cause", ALL, ids=lambda c: c.name)
def test_a_remedy_that_takes_something_down_says_what(cause: Causes) -> None:
    for step in ("driver_reinit", "fw_activate", "function-level reset", "off and on again"):
        if step in cause.remedy:
            assert "takes down" in cause.remedy or "ends everything" in cause.remedy


@pytest.mark.parametrize("cause", [c for c in ALL if "ticket" in c.remedy], ids=lambda c: c.name)
def test_a_ticket_wants_the_health_dump_and_the_versions(cause: Causes) -> None:
    assert "`devlink health dump show pci/ADDRESS reporter fw_fatal`" in cause.remedy
    assert "`devlink dev info pci/ADDRESS`" in cause.remedy


@pytest.mark.parametrize(
    "name", [FindingName.INTERRUPT_LOST, FindingName.OBJECTS_KEPT, FindingName.SLOT_POWER, FindingName.PAGE_LIMIT]
)
def test_no_reset_is_said_where_none_helps(name: FindingName) -> None:
    assert [c.name for c in Cause if c.finding is name and "reset" in c.remedy] == []


@pytest.mark.parametrize("cause", [c for c in ALL if "action driver_reinit" in c.remedy], ids=lambda c: c.name)
def test_a_reload_of_the_kernels_driver_has_a_counterpart_where_there_is_none(cause: Causes) -> None:
    """A program in user space, or no driver at all, has the device: devlink does not reach it."""
    others = ("no kernel driver is bound to, a function-level reset", "of a program in user space, its end")
    assert any(other in cause.remedy for other in others)
    assert not any(other in addressed(cause.remedy, "mlx5_core0") for other in others), "FreeBSD's driver is a kernel's"


def test_the_commands_of_a_remedy_name_the_device() -> None:
    words = addressed(Cause.DEVICE_ERROR.remedy, "0000:3b:00.1")
    assert "pci/0000:3b:00.1 action driver_reinit" in words
    assert "ADDRESS" not in words


def test_a_sub_function_is_reached_by_the_auxiliary_bus_and_its_firmware_by_the_card() -> None:
    words = addressed(Cause.DEVICE_ERROR.remedy, "mlx5_core.sf.7")
    assert "auxiliary/mlx5_core.sf.7 action driver_reinit" in words
    assert "pci/ADDRESS action fw_activate" in words
    again = addressed(Cause.LOAD_FAILED.remedy, "mlx5_core.sf.7")
    assert "`echo mlx5_core.sf.7 > /sys/bus/auxiliary/drivers/mlx5_core.sf/bind`" in again


def test_a_device_of_another_name_stands_for_itself() -> None:
    assert addressed(Cause.DEVICE_ERROR.remedy, "connectx7") == Cause.DEVICE_ERROR.remedy


@pytest.mark.parametrize("cause", ALL, ids=lambda c: c.name)
def test_freebsd_is_sent_to_no_command_that_it_does_not_have(cause: Causes) -> None:
    words = addressed(cause.remedy, "mlx5_core0")
    assert [x for x in ("devlink", "/sys/", "unbind", "ethtool", "journald", "ADDRESS") if x in words] == []


def test_freebsd_resets_a_function_by_devctl_and_loads_the_modules_again() -> None:
    assert "`devctl reset -d mlx5_core3`" in addressed(Cause.PAGES_LEFT_BY_LINES.remedy, "mlx5_core3")
    again = addressed(Cause.DEVICE_ERROR.remedy, "mlx5_core3")
    assert "`kldload mlx5en`" in again
    assert "takes down the interfaces" in again


@pytest.mark.parametrize("cause", ALL, ids=lambda c: c.name)
def test_a_sub_function_is_never_sent_to_a_pci_reset_of_its_own(cause: Causes) -> None:
    words = addressed(cause.remedy, "mlx5_core.sf.4")
    assert words.count("function-level reset") == words.count("function-level reset of its PF")
    if "function-level reset of its PF" in words:
        assert words.index("devlink dev reload auxiliary/mlx5_core.sf.4 action driver_reinit") < words.index("its PF")


def test_a_device_that_recovered_is_not_taken_off_the_bus() -> None:
    words = Cause.LINK_ALL_ONES.remedy
    assert words.index("if the device has not recovered by itself") < words.index("/remove")


@pytest.mark.parametrize("cause", [c for c in Cause if c.finding is FindingName.GIVE_UNANSWERED], ids=lambda c: c.name)
def test_no_late_answer_makes_pages_safe_that_the_driver_freed(cause: Cause) -> None:
    assert "where it freed them at its timeout, as mlx5_core does, no answer undoes that" in cause.remedy
    assert "settles its pages" not in Cause.LATE_ANSWER.remedy
