from __future__ import annotations

from fwpages.prm.delivery import Delivery, DeliveryError, delivery_words


def test_numbers_are_linux_s() -> None:
    assert {d.name: int(d) for d in Delivery} == {
        "OK": 0x0,
        "SIGNAT_ERR": 0x1,
        "TOK_ERR": 0x2,
        "BAD_BLK_NUM_ERR": 0x3,
        "OUT_PTR_ALIGN_ERR": 0x4,
        "IN_PTR_ALIGN_ERR": 0x5,
        "FW_ERR": 0x6,
        "IN_LENGTH_ERR": 0x7,
        "OUT_LENGTH_ERR": 0x8,
        "RES_FLD_NOT_CLR_ERR": 0x9,
        "CMD_DESCR_ERR": 0x10,
    }


def test_every_status_has_words_of_its_own() -> None:
    assert len({delivery_words(d) for d in Delivery}) == len(Delivery)
    assert delivery_words(2) == "wrong token (0x2)"
    assert delivery_words(0x7F) == "unknown delivery status (0x7f)"


def test_an_error_names_its_status() -> None:
    e = DeliveryError(Delivery.TOK_ERR, "mailbox 3")
    assert (str(e), e.status, e.detail) == ("wrong token (0x2): mailbox 3", Delivery.TOK_ERR, "mailbox 3")
