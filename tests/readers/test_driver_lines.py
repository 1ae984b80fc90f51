"""The parts of a driver's line, whatever driver and kernel printed it."""

from __future__ import annotations

import pytest

from fwpages.readers.driver_lines import NamedLine, driver_named, named_line, retyped

LINES = {
    "[    3.1] mlx5_core 0000:03:00.0: give_pages:467:(pid 7): npages 6, err 0": NamedLine(
        "[    3.1] ", "0000:03:00.0", "give_pages", "7", "npages 6, err 0"
    ),
    " mlx5_core 0000:b1:00.0: firmware version: 28.39.1002": NamedLine(
        " ", "0000:b1:00.0", None, None, "firmware version: 28.39.1002"
    ),
    "[3.1] mlx5_core 10000:E1:00.1 ens1f1np1: E-Switch: cleanup": NamedLine(
        "[3.1] ", "10000:E1:00.1", None, None, "E-Switch: cleanup"
    ),
    "mlx5_core:req_pages_handler:695: mlx5_core 04:00.0: req_pages_handler:695:(pid 0): page request": NamedLine(
        "mlx5_core:req_pages_handler:695: ", "04:00.0", "req_pages_handler", "0", "page request"
    ),
    "[3.1] mlx5_core.sf mlx5_core.sf.12: firmware version: 32.38.1002": NamedLine(
        "[3.1] ", "mlx5_core.sf.12", None, None, "firmware version: 32.38.1002"
    ),
    "[3.1] mlx5_core.sf: probe of mlx5_core.sf.9 failed with error -5": NamedLine(
        "[3.1] ", "mlx5_core.sf.9", None, None, "probe of mlx5_core.sf.9 failed with error -5"
    ),
    "[3.1] mlx5_core: probe of 0002:01:00.3 failed with error -12": NamedLine(
        "[3.1] ", "0002:01:00.3", None, None, "probe of 0002:01:00.3 failed with error -12"
    ),
    "mlx5_core0: WARN: wait_func:967:(pid 0): MANAGE_PAGES(0x108) timeout.": NamedLine(
        "", "mlx5_core0", "wait_func", "0", "MANAGE_PAGES(0x108) timeout."
    ),
    "Mar  4 01:02:03 bsd kernel: mlx5_core12: INFO: mlx5_load_one:1240:(pid 3): firmware version: 16.35.1": NamedLine(
        "Mar  4 01:02:03 bsd kernel: ", "mlx5_core12", "mlx5_load_one", "3", "firmware version: 16.35.1"
    ),
    "<7>[    1.2] mlx5_core3: ERR: give_pages:300:(pid 9): err -12": NamedLine(
        "<7>[    1.2] ", "mlx5_core3", "give_pages", "9", "err -12"
    ),
    "mlx5_core: INFO: synd 0x7: irisc not responding": NamedLine(
        "", "mlx5_core", None, None, "synd 0x7: irisc not responding"
    ),
    "mlx5_core: WARN: 0000:82:00.0:wait_func:812:(pid 3): QUERY_ISSI(0x10a) timeout.": NamedLine(
        "mlx5_core: WARN: ", "0000:82:00.0", "wait_func", "3", "QUERY_ISSI(0x10a) timeout."
    ),
    # the address is hidden
    "mlx5_core 0000:XX:YY.Z: give_pages:467:(pid 7): err -12": NamedLine(
        "", "0000:XX:YY.Z", "give_pages", "7", "err -12"
    ),
    "mlx5_core xx:xx.x: E-Switch: cleanup": NamedLine("", "xx:xx.x", None, None, "E-Switch: cleanup"),
    "0000:03:00.0:give_pages:300:(pid 1): err 0": NamedLine("", "0000:03:00.0", "give_pages", "1", "err 0"),
}
NAMELESS = (
    "infiniband mlx5_0: create_mkey_warn:158:(pid 0): async reg mr failed. status -121",
    "mlx5_cmd_out_err: 353031 callbacks suppressed",
    "2023-04-11T08:15:42.153Z cpu12:2097893)<NMLX_ERR> nmlx5_core: vmnic4: nmlx5_core_CmdExec - timeout",
    "nmlx5_core 0000:03:00.0: firmware version: 16.1.1",
    "mlx5: Mellanox Core driver 3.7.1 (November 2021)",
)


@pytest.mark.parametrize("line", LINES)
def test_a_line_has_a_device_the_function_that_printed_it_and_a_message(line: str) -> None:
    assert named_line(line) == LINES[line]


@pytest.mark.parametrize(
    "front",
    [
        "init_one:",
        "init_one:12:",
        "init_one:(pid 7):",
        "init_one:12:(pid 7) :",
        "init_one:12:(pid XXXX):",
        "init_one: ...",
    ],
)
def test_the_function_in_front_may_be_retyped(front: str) -> None:
    assert retyped(f"{front} the load failed") == ("init_one", "the load failed")


def test_a_message_with_no_function_in_front_stands_for_itself() -> None:
    assert retyped("E-Switch: cleanup") is None
    assert retyped("Link up") is None


@pytest.mark.parametrize("line", NAMELESS)
def test_a_line_of_another_driver_or_about_another_thing_names_no_device(line: str) -> None:
    assert named_line(line) is None


def test_the_maker_s_other_drivers_are_recognised_by_name() -> None:
    assert driver_named(b"<NMLX_ERR> nmlx5_core: vmnic4: timeout") == "nmlx5_core"
    assert driver_named(b"[    3.1] mlx4_core: Mellanox ConnectX core driver v4.0-0") == "mlx4_core"
    assert driver_named(b"[    3.1] mlxsw_spectrum 0000:01:00.0: swp1: link up") == "mlxsw_spectrum"
    assert driver_named(b"[    3.1] mlx5_core 0000:01:00.0: up") == "mlx5_core"
    assert driver_named(b"[    3.1] mlx5_ib: up") is None
