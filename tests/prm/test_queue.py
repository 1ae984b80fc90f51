from __future__ import annotations

import pytest

from fwpages.prm.layout import LayoutError
from fwpages.prm.queue import (
    CMDQ_ENTRY,
    ENTRY_SIZE,
    MAILBOX,
    MAILBOX_SIZE,
    input_message,
    mailboxes_for,
    output_message,
)

#: the GIVE of six boot pages as the driver dumped it
ENTRY = bytes.fromhex(
    "07000000 00000040 00000000 02706000 01080000 00000001 00000000 00000006"
    "00000000 00000000 00000000 00000000 00000000 00000000 00000010 05b00001"
)
PAGES = bytes.fromhex("".join(f"000000000360{n:x}000" for n in range(5, 11)))
BLOCK = PAGES.ljust(512, b"\0") + bytes(61) + b"\x05" + bytes(2)


def test_an_entry_as_it_was_dumped() -> None:
    v = CMDQ_ENTRY.unpack(ENTRY)
    assert (v["type"], v["input_length"], v["input_mailbox"]) == (7, 64, 0x2706000)
    assert (v["output_mailbox"], v["output_length"], v["token"], v["signature"]) == (0, 16, 5, 0xB0)
    assert (v["delivery_status"], v["ownership"]) == (0, 1)
    assert v["input"].to_bytes(16, "big") == ENTRY[16:32]
    assert CMDQ_ENTRY.pack(v) == ENTRY
    assert not any(CMDQ_ENTRY.reserved(ENTRY))


def test_an_entry_has_the_first_16_bytes_of_the_command_and_of_the_answer() -> None:
    answered = bytes(16) + bytes(range(0x80, 0xA0)) + bytes(16)
    v = CMDQ_ENTRY.unpack(answered)
    assert v["input"].to_bytes(16, "big") == answered[16:32]
    assert (
        v["output"].to_bytes(16, "big")
        == answered[32:48]
        == output_message(CMDQ_ENTRY.patch(answered, {"output_length": 16}), [])
    )


def test_delivery_status_and_ownership_share_a_byte() -> None:
    done = CMDQ_ENTRY.unpack(ENTRY[:63] + b"\x06")
    assert (done["delivery_status"], done["ownership"]) == (3, 0)


def test_a_mailbox() -> None:
    assert (len(BLOCK), MAILBOX.size, ENTRY_SIZE) == (MAILBOX_SIZE, MAILBOX_SIZE, len(ENTRY))
    assert MAILBOX.unpack(BLOCK) == {"next": 0, "block_number": 0, "token": 5, "ctrl_signature": 0, "signature": 0}
    chained = MAILBOX.patch(BLOCK, {"next": 0x2706400, "block_number": 1, "signature": 0xAB})
    assert chained[560:568] == (0x2706400).to_bytes(8, "big")
    assert chained[568:572] == b"\0\0\0\x01"
    assert chained[575] == 0xAB


@pytest.mark.parametrize(
    ("length", "n"), [(0, 0), (12, 0), (16, 0), (17, 1), (528, 1), (529, 2), (16 + 8 * 768, 12), (16 + 8 * 50_000, 782)]
)
def test_how_many_mailboxes_a_message_takes(length: int, n: int) -> None:
    assert mailboxes_for(length) == n


def test_messages_are_put_together_to_their_length() -> None:
    assert input_message(ENTRY, [BLOCK]) == ENTRY[16:32] + PAGES
    assert input_message(ENTRY, [BLOCK, BLOCK]) == ENTRY[16:32] + PAGES
    assert output_message(ENTRY, []) == ENTRY[32:48]
    long = CMDQ_ENTRY.patch(ENTRY, {"output_length": 16 + 512 + 8})
    assert output_message(long, [BLOCK, BLOCK]) == ENTRY[32:48] + BLOCK[:512] + PAGES[:8]


def test_a_message_shorter_than_the_entry_is_cut() -> None:
    assert output_message(CMDQ_ENTRY.patch(ENTRY, {"output_length": 12}), []) == ENTRY[32:44]


def test_too_few_mailboxes_or_too_short_ones() -> None:
    with pytest.raises(LayoutError, match="needs 1 mailboxes, here are 0"):
        input_message(ENTRY, [])
    with pytest.raises(LayoutError, match="mailbox 0 has 100 bytes"):
        input_message(ENTRY, [BLOCK[:100]])
    with pytest.raises(LayoutError):
        output_message(ENTRY[:20], [])
