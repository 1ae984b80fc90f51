"""A kernel's lines as other programs print them: what is around a message, and what says that lines are missing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.readers.log_lines import (
    bare,
    clock,
    dropped_before,
    is_restart,
    journal,
    lost_lines,
    may_be_notice,
    repeated,
)

SAID = "mlx5_core 0000:03:00.0: give_pages:467:(pid 9): npages 7, ec_function 0, func 0x31, mode 1, err 0"


@pytest.mark.parametrize(
    ("prefix", "time"),
    [
        ("[    3.945359] ", 3.945359),
        ("[    3.945359][  T100] ", 3.945359),
        ("[    3.945359 <    0.000012>] ", 3.945359),
        ("Nov 21 09:02:53 host kernel: [    3.945359] ", 3.945359),
        ("7,1042,3945359,-;", 3.945359),
        ("7,1042,3945359,-,caller=T30;", 3.945359),
        ("[Sat Nov 21 09:02:53 2026] ", "Sat Nov 21 09:02:53 2026"),
        ("[Nov21 09:02] ", "Nov21 09:02"),
        ("[  +0.000012] ", "+0.000012"),
        ("[<    0.000012>] ", "0.000012"),
        ("2026-11-21T09:02:53,123456+00:00 ", "2026-11-21T09:02:53,123456+00:00"),
        ("Nov 21 09:02:53 host kernel: ", "Nov 21 09:02:53"),
        ("a line with 7,1042,3945359, in it", None),
        ("", None),
    ],
)
def test_the_time_is_read_as_it_stands_there(prefix: str, time: float | str | None) -> None:
    assert clock(prefix) == time


# -- around a message

colours = st.sampled_from(["\x1b[0m", "\x1b[32m", "\x1b[1;31m", "\x1b[K", "#033[33m", "#033[m"])


@given(st.lists(st.tuples(st.integers(0, len(SAID)), colours), max_size=6))
def test_colours_anywhere_in_a_line_are_no_part_of_it(put: list[tuple[int, str]]) -> None:
    line = SAID
    for at, colour in sorted(put, reverse=True):
        line = line[:at] + colour + line[at:]
    assert bare(line.encode()) == SAID.encode()


@pytest.mark.parametrize("end", ["", '"', "#015", '#015"', "  ", ' "', "\r", "#033[0m", '\x1b[0m"', "#015\x1b[0m "])
def test_remains_of_quoting_and_escaping_at_the_end_of_a_line_are_taken_off(end: str) -> None:
    assert bare((SAID + end).encode()) == SAID.encode()


@pytest.mark.parametrize("line", ['said "no" twice', "#033 [0m", "cut #015 here", "a [0m b"])
def test_a_line_that_only_looks_escaped_stays_as_it_is(line: str) -> None:
    assert bare(line.encode()) == line.encode()


def _entry(message: object, **rest: object) -> bytes:
    return json.dumps({"MESSAGE": message, **rest}).encode()


@given(
    st.text(' [.]"\\é\x1b01', max_size=9),
    st.integers(0, 10**13),
    st.sampled_from(["__MONOTONIC_TIMESTAMP", "_SOURCE_MONOTONIC_TIMESTAMP"]),
)
def test_a_journals_entry_is_its_message_after_its_time(text: str, micros: int, key: str) -> None:
    raw = text.encode()
    for message in (text, list(raw)):
        assert journal(_entry(message)) == raw
        line = journal(_entry(message, **{key: str(micros)})).decode()
        stamp, _, rest = line.partition(" ")
        assert rest == text
        assert clock(stamp) == pytest.approx(micros / 1e6, abs=1e-6)


@pytest.mark.parametrize("message", [None, 7, [300], ["x"], {"a": 1}])
def test_an_entry_without_a_message_says_nothing(message: object) -> None:
    assert journal(_entry(message)) == b""


@pytest.mark.parametrize("line", [b"no JSON", b'{"MESSAGE": "cut', b'{"MESSAGE": "\xff"}'])
def test_a_line_that_is_no_journal_entry_stays_as_it_is(line: bytes) -> None:
    assert journal(line) == line
    assert journal(b"[1, 2]") == b""


# -- what tells of lost lines


@pytest.mark.parametrize("stamp", ["", "[    5.155950] ", "<4>[    5.155950] "])
@pytest.mark.parametrize("mark", ["** 57 printk messages dropped ** ", "**57 printk messages dropped **"])
def test_a_notice_in_front_of_a_line_leaves_the_line_whole(stamp: str, mark: str) -> None:
    words = ("57 printk messages dropped", (stamp + SAID).encode())
    assert dropped_before((stamp + mark + SAID).encode()) == words
    assert dropped_before((mark + stamp + SAID).encode()) == words
    assert dropped_before((stamp + SAID).encode()) is None


LOST = {
    "printk: 34 messages suppressed": "34 messages suppressed",
    "** 200 printk messages dropped **": "200 printk messages dropped",
    "systemd-journald[300]: Missed 12 kernel messages": "Missed 12 kernel messages",
    "systemd-journald[300]: Forwarding to syslog missed 12 messages.": "Forwarding to syslog missed 12 messages",
    "systemd-journald[300]: /dev/kmsg buffer overrun, some messages lost.": "/dev/kmsg buffer overrun, some messages "
    "lost",
    "systemd-journald[300]: Suppressed 4912 messages from kernel": "Suppressed 4912 messages",
    "systemd-journald[300]: Suppressed 4912 messages from /": "Suppressed 4912 messages",
    "rsyslogd: imjournal: 1245 messages lost due to rate-limiting (20000 allowed within 600 seconds)": "1245 messages "
    "lost",
    "rsyslogd: imjournal: begin to drop messages due to rate-limiting": "imjournal: begin to drop messages",
    "rsyslogd: imklog: begin to drop messages due to rate-limiting": "imklog: begin to drop messages",
}


@pytest.mark.parametrize(("line", "words"), LOST.items(), ids=range(len(LOST)))
def test_every_notice_of_lost_lines_is_understood_in_its_words(line: str, words: str) -> None:
    assert may_be_notice(line.encode())
    assert lost_lines(line) == words


@pytest.mark.parametrize(
    "line",
    [
        # what a service says is not the kernel's
        "systemd-journald[300]: Suppressed 4912 messages from sshd.service",
        "systemd-journald[300]: Suppressed 7 messages from /system.slice/sshd.service",
        "rsyslogd: imuxsock: begin to drop messages due to rate-limiting",
        "smtpd: 12 messages sent",
        SAID,
    ],
)
def test_losses_of_other_programs_are_no_losses_of_the_kernel(line: str) -> None:
    assert lost_lines(line) is None


@pytest.mark.parametrize(
    ("line", "anew"),
    [
        ("[    0.000000] Linux version 7.2.13 (debian-kernel@lists.debian.org)", True),
        ("-- Boot 7d2f0f3c8a7b4b0b --", True),
        ("-- Reboot --", True),
        ("[    4.0] reboot: Power down", False),
    ],
)
def test_a_new_start_of_the_machine_is_seen(line: str, anew: bool) -> None:
    assert (is_restart(line), may_be_notice(line.encode())) == (anew, anew)


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("host last message repeated 2 times", (2, None)),
        ("host last message repeated 1 time", (1, None)),
        (f"host kernel: message repeated 3 times: [ {SAID}]", (3, SAID)),
        (f"host kernel: message repeated 3 times: [{SAID}]", (3, SAID)),
        ("host kernel: message repeated 2 times: [ [   12.500000] x [y]]", (2, "[   12.500000] x [y]")),
        (SAID, None),
    ],
)
def test_how_often_a_line_came_and_which(line: str, times: tuple[int, str | None] | None) -> None:
    assert repeated(line) == times
    assert may_be_notice(line.encode()) is (times is not None)
