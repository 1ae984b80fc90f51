"""Status codes of commands; the delivery status of queue entries is in ``delivery``."""

from __future__ import annotations

from enum import IntEnum


class Status(IntEnum):
    """The status of a command's answer (Linux: ``MLX5_CMD_STAT_*``)."""

    OK = 0x0
    INTERNAL_ERR = 0x1
    BAD_OP = 0x2
    BAD_PARAM = 0x3
    BAD_SYS_STATE = 0x4
    BAD_RES = 0x5
    RES_BUSY = 0x6
    NOT_READY = 0x7
    LIM_ERR = 0x8
    BAD_RES_STATE = 0x9
    IX_ERR = 0xA
    NO_RES_ERR = 0xF
    BAD_QP_STATE = 0x10
    BAD_PKT = 0x30
    BAD_SIZE = 0x40
    BAD_INP_LEN = 0x50
    BAD_OUTP_LEN = 0x51


_WORDS = {
    Status.OK: "OK",
    Status.INTERNAL_ERR: "internal error",
    Status.BAD_OP: "bad operation",
    Status.BAD_PARAM: "bad parameter",
    Status.BAD_SYS_STATE: "bad system state",
    Status.BAD_RES: "bad resource",
    Status.RES_BUSY: "resource busy",
    Status.NOT_READY: "not ready",
    Status.LIM_ERR: "limits exceeded",
    Status.BAD_RES_STATE: "bad resource state",
    Status.IX_ERR: "bad index",
    Status.NO_RES_ERR: "no resources",
    Status.BAD_QP_STATE: "bad QP state",
    Status.BAD_PKT: "bad packet",
    Status.BAD_SIZE: "bad size",
    Status.BAD_INP_LEN: "bad input length",
    Status.BAD_OUTP_LEN: "bad output length",
}


def status_words(status: int) -> str:
    """A status in words with its number, as a log shows it; numbers without a name are shown as such."""
    try:
        return f"{_WORDS[Status(status)]} ({status:#x})"
    except ValueError:
        return f"unknown status ({status:#x})"
