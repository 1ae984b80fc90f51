"""A firmware for real drivers: the commands beside pages, and capability pages as a device gave them."""

from __future__ import annotations

import msgspec
import pytest

from fwpages.device import Completed, Offence, Profile, ProfileError, Submitted, parse, profile
from fwpages.device.firmware.commands import RULES
from fwpages.device.firmware.ethernet_capabilities import ethernet_pages
from fwpages.device.firmware.loadable import LoadableFirmware
from fwpages.device.firmware.other_commands import OTHER, makes
from fwpages.prm.capability import GENERAL, read_general
from fwpages.prm.commands import CAP_PAGE
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode, QueryPages

SMALL = msgspec.structs.replace(profile("connectx7"), boot_pages=0, init_pages=0)


def feed(fw: LoadableFirmware, c: Command) -> tuple[Answer, list[str]]:
    effects = fw.feed(0.0, Submitted(1, c, max(4112, c.reply_length)))
    (answer,) = (e.answer for e in effects if isinstance(e, Completed))
    return answer, [e.name for e in effects if isinstance(e, Offence)]


def ok(fw: LoadableFirmware, c: Command) -> Answer:
    answer, offences = feed(fw, c)
    assert answer.ok
    assert not offences
    return answer


@pytest.fixture
def fw() -> LoadableFirmware:
    new = LoadableFirmware(SMALL)
    ok(new, Command(Opcode.ENABLE_HCA))
    return new


def test_tables_do_not_meet() -> None:
    assert not OTHER.keys() & RULES.keys()
    assert makes(0x800)
    assert not makes(0x801)


@pytest.mark.parametrize("opcode", sorted(OTHER))
def test_every_other_command_succeeds(fw: LoadableFirmware, opcode: int) -> None:
    first, second = ok(fw, Command(opcode)), ok(fw, Command(opcode))
    assert (first.data != second.data) is makes(opcode)


def test_not_before_the_session(fw: LoadableFirmware) -> None:
    answer, offences = feed(LoadableFirmware(SMALL), Command(0x800))
    assert (answer.ok, offences) == (False, ["wrong-state"])
    late = LoadableFirmware(profile("connectx7"))
    ok(late, Command(Opcode.ENABLE_HCA))
    assert feed(late, Command(0x800))[1] == ["wrong-state"]
    assert feed(late, Command(Opcode.QUERY_HCA_CAP, 1))[1] == ["wrong-state"]
    assert [o.name for o in late.offences] == ["wrong-state"] * 2


def test_pages_of_other_types(fw: LoadableFirmware) -> None:
    assert ok(fw, Command(Opcode.QUERY_HCA_CAP, 0x7 << 1)).data == bytes(CAP_PAGE)
    page = bytes(range(256)) * 16
    ok(fw, Command(Opcode.SET_HCA_CAP, 0x7 << 1, data=page))
    assert ok(fw, Command(Opcode.QUERY_HCA_CAP, 0x7 << 1 | 1)).data == page
    assert ok(fw, Command(Opcode.QUERY_HCA_CAP, 0x7 << 1)).data == bytes(CAP_PAGE)
    ok(fw, Command(Opcode.DISABLE_HCA))
    ok(fw, Command(Opcode.ENABLE_HCA))
    assert ok(fw, Command(Opcode.QUERY_HCA_CAP, 0x7 << 1 | 1)).data == bytes(CAP_PAGE)


def test_pages_of_a_real_device() -> None:
    raw = b"\xff" * CAP_PAGE
    fw = LoadableFirmware(SMALL, pages={(0, False): raw, (0, True): raw, (7, True): raw})
    ok(fw, Command(Opcode.ENABLE_HCA))
    most = ok(fw, Command(Opcode.QUERY_HCA_CAP, 0)).data
    assert read_general(most)["vhca_id"] == SMALL.vhca_id
    assert most[CAP_PAGE - 1] == 0xFF
    now = ok(fw, Command(Opcode.QUERY_HCA_CAP, 1)).data
    assert read_general(now)["icm_mng_function_id_mode"] == 0
    # the driver sets what it read, with the mode switched on
    wanted = now[:0x54] + bytes([now[0x54] | 0x80]) + now[0x55 : CAP_PAGE - 1] + b"\x7f"
    ok(fw, Command(Opcode.SET_HCA_CAP, data=wanted))
    assert fw.mode == "vhca_id"
    assert ok(fw, Command(Opcode.QUERY_HCA_CAP, 1)).data == wanted
    assert ok(fw, Command(Opcode.QUERY_HCA_CAP, 0xF)).data == raw


def test_what_is_wrong_stays_wrong(fw: LoadableFirmware) -> None:
    assert feed(fw, Command(Opcode.SET_HCA_CAP, 0x7 << 1, data=b"\0" * 16))[1] == ["bad-length"]
    assert feed(fw, Command(Opcode.SET_HCA_CAP, 1, data=bytes(CAP_PAGE)))[1] == ["bad-op-mod"]
    assert feed(fw, Command(Opcode.SET_HCA_CAP, 0, data=b"\xff" * CAP_PAGE))[1] == ["capability-not-offered"]
    ok(fw, Command(Opcode.QUERY_PAGES, QueryPages.BOOT))


def test_clone_and_key(fw: LoadableFirmware) -> None:
    other = fw.clone()
    assert other.key() == fw.key()
    assert ok(fw, Command(0x800)).data == ok(other, Command(0x800)).data
    ok(fw, Command(Opcode.SET_HCA_CAP, 0x7 << 1, data=b"\1" * CAP_PAGE))
    assert other.key() != fw.key()
    assert ok(other, Command(Opcode.QUERY_HCA_CAP, 0x7 << 1 | 1)).data == bytes(CAP_PAGE)


def with_pages(text: str) -> Profile:
    head = 'name = "x"\ndescription = ""\nboot_pages = 1\ninit_pages = 1\nvhca_id = 1\n[pages]\n'
    return parse(head + text, "test")


def test_pages_in_a_profile() -> None:
    p = with_pages('"general.max" = "01"\n"0x7.current" = "0203"\n"flow_table.max" = ""')
    assert p.capability_pages == {
        (0, False): b"\1".ljust(CAP_PAGE, b"\0"),
        (7, True): b"\2\3".ljust(CAP_PAGE, b"\0"),
        (7, False): bytes(CAP_PAGE),
    }


@pytest.mark.parametrize(
    ("key", "text"),
    [("general", ""), ("general.most", ""), ("odd.max", ""), ("general.max", "0"), ("0.max", "00" * 4097)],
)
def test_pages_that_cannot_be(key: str, text: str) -> None:
    with pytest.raises(ProfileError, match="pages"):
        with_pages(f'"{key}" = "{text}"')


def test_ethernet() -> None:
    """Capabilities that Linux requires before it makes a network interface (``mlx5_eth_supported``)."""
    fw = LoadableFirmware(SMALL, pages=ethernet_pages())
    ok(fw, Command(Opcode.ENABLE_HCA))
    now = ok(fw, Command(Opcode.QUERY_HCA_CAP, 1)).data
    assert read_general(now)["eth_net_offloads"] == 1
    assert read_general(now)["vhca_id"] == SMALL.vhca_id
    assert ok(fw, Command(Opcode.SET_HCA_CAP, data=now)).ok
    assert ok(fw, Command(Opcode.QUERY_HCA_CAP, 1)).data == now
    ethernet = int.from_bytes(ok(fw, Command(Opcode.QUERY_HCA_CAP, 1 << 1 | 1)).data[:4], "big")
    assert (ethernet >> 31, ethernet >> 30 & 1, ethernet >> 16 & 0x1F, ethernet >> 8 & 0xF) == (1, 1, 18, 9)
    tables = ok(fw, Command(Opcode.QUERY_HCA_CAP, 7 << 1 | 1)).data
    assert tables[0x200 // 8] & 0x80
    assert tables[0x800 // 8] & 0x80
    # what the profile says by name is still the firmware's own business
    beyond = GENERAL.patch(now, {"log_max_eq": 15})
    assert feed(fw, Command(Opcode.SET_HCA_CAP, data=beyond))[1] == ["capability-not-offered"]
