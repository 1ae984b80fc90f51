"""Capability pages for a driver's Ethernet part: enough for Linux, and nothing of the page protocol in them."""

from __future__ import annotations

import pytest

from fwpages.device.firmware.ethernet_capabilities import ethernet_pages
from fwpages.prm.capability import read_general
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.opcodes import CapType

#: bits of ``flow_table_prop_layout``
TABLE_BITS = 0x200
RECEIVE, TRANSMIT = 0x200, 0x800


def field(page: bytes, bit: int, width: int) -> int:
    """``0x48:24`` as the manual counts."""
    return int.from_bytes(page, "big") >> (CAP_PAGE * 8 - bit - width) & ((1 << width) - 1)


@pytest.fixture
def general() -> bytes:
    return ethernet_pages()[CapType.GENERAL, True]


def test_what_is_offered_is_set_from_the_start() -> None:
    """A driver that sets nothing has the same as one that asks for all that is offered."""
    pages = ethernet_pages()
    kinds = {kind for kind, _ in pages}
    assert kinds == {CapType.GENERAL, CapType.ETHERNET_OFFLOADS, CapType.FLOW_TABLE}
    for kind in kinds:
        assert pages[kind, False] == pages[kind, True]
        assert len(pages[kind, True]) == CAP_PAGE
        assert any(pages[kind, True])


def test_of_the_page_protocol_it_says_nothing(general: bytes) -> None:
    """Mode, release_all, vhca_id, SFs and the e-switch are the profile's to say: Ethernet is all that it adds."""
    assert {name: v for name, v in read_general(general).items() if v} == {"eth_net_offloads": 1}


@pytest.mark.parametrize(
    ("name", "bit", "width", "least"),
    [
        # without these Linux asks for them, or oopses
        ("log_max_tir", 0x373, 5, 12),
        ("max_wqe_sz_sq", 0x290, 16, 1024),
        ("eth_net_offloads", 0x21C, 1, 1),
        # a queue pair, a completion queue, a key, a protection domain and a transport domain for each channel
        ("log_max_qp", 0x9B, 5, 10),
        ("log_max_cq", 0xDB, 5, 10),
        ("log_max_mkey", 0xEA, 6, 10),
        ("log_max_transport_domain", 0x323, 5, 1),
        ("log_max_pd", 0x32B, 5, 1),
        ("log_max_rq", 0x363, 5, 10),
        ("log_max_sq", 0x36B, 5, 10),
        ("log_max_tis", 0x37B, 5, 4),
        ("log_max_rqt", 0x38B, 5, 4),
        # without it rdma-core does not open the device
        ("umem_uid_0", 0x252, 1, 1),
        # a blue-flame register that fills half of a UAR of 4 KiB at most
        ("log_bf_reg_size", 0x26B, 5, 9),
    ],
)
def test_there_is_enough_of_everything(general: bytes, name: str, bit: int, width: int, least: int) -> None:
    assert field(general, bit, width) >= least, name


def test_a_blue_flame_register_fits_into_a_uar(general: bytes) -> None:
    assert 1 << field(general, 0x26B, 5) <= 4096 // 2


def test_flow_tables_of_both_directions_are_alike_and_alone_on_their_page() -> None:
    """Capabilities to receive and to send; the tables between them (RDMA, sniffers) are not there."""
    page = ethernet_pages()[CapType.FLOW_TABLE, True]
    tables = [field(page, at, TABLE_BITS) for at in (RECEIVE, TRANSMIT)]
    assert tables[0] == tables[1] != 0
    head, between = field(page, 0, RECEIVE), field(page, RECEIVE + TABLE_BITS, TRANSMIT - RECEIVE - TABLE_BITS)
    behind = field(page, TRANSMIT + TABLE_BITS, CAP_PAGE * 8 - TRANSMIT - TABLE_BITS)
    assert (head, between, behind) == (0, 0, 0)


@pytest.mark.parametrize(
    ("name", "bit", "width", "value"),
    [
        ("ft_support", 0x0, 1, 1),
        ("modify_root", 0x4, 1, 1),
        ("identified_miss_table_mode", 0x5, 1, 1),
        ("flow_table_modify", 0x6, 1, 1),
        ("ft_field_support", 0x100, 96, (1 << 96) - 1),
        ("ft_field_bitmask_support", 0x180, 96, (1 << 96) - 1),
    ],
)
@pytest.mark.parametrize("at", [RECEIVE, TRANSMIT])
def test_a_flow_table_can_do_what_linux_builds_with_it(at: int, name: str, bit: int, width: int, value: int) -> None:
    assert field(ethernet_pages()[CapType.FLOW_TABLE, True], at + bit, width) == value, name


def test_a_driver_s_changes_stay_with_its_device() -> None:
    first = ethernet_pages()
    first[CapType.GENERAL, True] = bytes(CAP_PAGE)
    assert any(ethernet_pages()[CapType.GENERAL, True])
