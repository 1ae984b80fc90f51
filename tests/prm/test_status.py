from __future__ import annotations

from fwpages.prm.status import Status, status_words


def test_every_status_has_words_and_its_number() -> None:
    words = [status_words(s) for s in Status]
    assert len(set(words)) == len(words)
    for s in Status:
        assert status_words(s).endswith(f"({int(s):#x})")
    assert status_words(0) == "OK (0x0)"
    assert status_words(0x51) == "bad output length (0x51)"


def test_an_unknown_status_is_shown_as_its_number() -> None:
    assert status_words(0x77) == "unknown status (0x77)"


def test_numbers() -> None:
    assert {name: int(status) for name, status in Status.__members__.items()} == {
        "OK": 0,
        "INTERNAL_ERR": 1,
        "BAD_OP": 2,
        "BAD_PARAM": 3,
        "BAD_SYS_STATE": 4,
        "BAD_RES": 5,
        "RES_BUSY": 6,
        "NOT_READY": 7,
        "LIM_ERR": 8,
        "BAD_RES_STATE": 9,
        "IX_ERR": 0xA,
        "NO_RES_ERR": 0xF,
        "BAD_QP_STATE": 0x10,
        "BAD_PKT": 0x30,
        "BAD_SIZE": 0x40,
        "BAD_INP_LEN": 0x50,
        "BAD_OUTP_LEN": 0x51,
    }
