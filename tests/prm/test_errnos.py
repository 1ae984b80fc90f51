from __future__ import annotations

import errno
import sys

import pytest

from fwpages.prm.errnos import errno_words

#: numbers that the kernel keeps to itself: no program sees them, and Python does not know them
KERNEL_ONLY = {517: "EPROBE_DEFER", 524: "ENOTSUPP"}


@pytest.mark.skipif(sys.platform != "linux", reason="the numbers are Linux's")
def test_every_number_is_linux_s_number_of_its_name() -> None:
    words = {number: errno_words(number).partition(" (")[2] for number in range(600)}
    named = {number: text.partition(",")[0] for number, text in words.items() if text}
    assert {number: name for number, name in named.items() if number >= 512} == KERNEL_ONLY
    for number, name in named.items():
        assert number in KERNEL_ONLY or getattr(errno, name) == number


def test_an_error_has_the_same_words_whatever_its_sign() -> None:
    assert errno_words(22) == errno_words(-22) == "-22 (EINVAL, invalid argument)"


def test_an_error_without_a_name_here_is_its_number() -> None:
    assert errno_words(-400) == "-400"
