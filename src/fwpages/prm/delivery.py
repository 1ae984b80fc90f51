"""Delivery status of a queue entry: whether the device could read the command at all (``MLX5_CMD_DELIVERY_STAT_*``).

Any other than OK says that the command was not executed; after FW_ERR that is not known.
"""

from __future__ import annotations

from enum import IntEnum


class Delivery(IntEnum):
    """Bits 7:1 of the entry's last byte, as Linux's ``cmd.c`` names them."""

    OK = 0x0
    SIGNAT_ERR = 0x1
    TOK_ERR = 0x2
    BAD_BLK_NUM_ERR = 0x3
    OUT_PTR_ALIGN_ERR = 0x4
    IN_PTR_ALIGN_ERR = 0x5
    FW_ERR = 0x6
    IN_LENGTH_ERR = 0x7
    OUT_LENGTH_ERR = 0x8
    RES_FLD_NOT_CLR_ERR = 0x9
    CMD_DESCR_ERR = 0x10


_WORDS = {
    Delivery.OK: "delivered",
    Delivery.SIGNAT_ERR: "wrong signature",
    Delivery.TOK_ERR: "wrong token",
    Delivery.BAD_BLK_NUM_ERR: "wrong block number",
    Delivery.OUT_PTR_ALIGN_ERR: "output mailbox not aligned",
    Delivery.IN_PTR_ALIGN_ERR: "input mailbox not aligned",
    Delivery.FW_ERR: "firmware error",
    Delivery.IN_LENGTH_ERR: "wrong input length",
    Delivery.OUT_LENGTH_ERR: "wrong output length",
    Delivery.RES_FLD_NOT_CLR_ERR: "reserved field not clear",
    Delivery.CMD_DESCR_ERR: "not a command descriptor",
}


def delivery_words(code: int) -> str:
    """A delivery status in words with its number; numbers without a name are shown as such."""
    try:
        return f"{_WORDS[Delivery(code)]} ({code:#x})"
    except ValueError:
        return f"unknown delivery status ({code:#x})"


class DeliveryError(Exception):
    """A command that cannot be read as it lies in memory; ``status`` is what its entry is answered with."""

    def __init__(self, status: Delivery, detail: str) -> None:
        super().__init__(f"{delivery_words(status)}: {detail}")
        self.status = status
        self.detail = detail
