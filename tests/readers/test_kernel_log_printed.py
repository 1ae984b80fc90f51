"""Whole kernel logs as other programs print them: the accounts are the same, or less is known and it is said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import SessionAccount
from fwpages.readers.doubles import LEEWAY
from fwpages.readers.inputs import InputError
from tests.auditor import logs
from tests.auditor.account_checks import untrue
from tests.auditor.logs import DMESG, Lines, accounts, audit_lines, dmesg, only

TRUTH = only(audit(DMESG))
#: of the log of lines alone
GIVEN = {"vhca:0x5": 2595, "vhca:0x31": 71}
OTHER = "i915 0000:00:02.0: 00000060: deadbeef deadb000 12345678 9abc0000"


def _apart(line: str) -> tuple[float, str]:
    m = re.match(r"\[ *(\d+\.\d+)\] ?(.*)$", line)
    assert m is not None
    return float(m[1]), m[2]


def _raw(tail: str = "") -> Callable[[Lines], Lines]:
    """/dev/kmsg, or netconsole's extended format."""

    def change(lines: Lines) -> Lines:
        said = [_apart(line) for line in lines]
        return [f"7,{1000 + i},{round(t * 1e6)},-{tail};{text}" for i, (t, text) in enumerate(said)]

    return change


def _context(lines: Lines) -> Lines:
    """/dev/kmsg tells which device a line is about in lines of their own."""
    named = [" SUBSYSTEM=pci", " DEVICE=+pci:0000:00:03.0"]
    return [x for line in _raw()(lines) for x in (line, *(named if "mlx5_core 0000" in line else []))]


def _coloured(lines: Lines) -> Lines:
    """dmesg --color=always: the time, the words before the first colon, and what is serious."""
    out = []
    for line in lines:
        stamp, rest = line[:15], line[15:]
        m = re.match(r"(\w[^:]*: )?(.*)$", rest)
        assert m is not None
        head = f"\x1b[33m{m[1]}\x1b[0m" if m[1] else ""
        out.append(f"\x1b[32m{stamp}\x1b[0m{head}\x1b[1m{m[2]}\x1b[0m")
    return out


def _as_bytes(lines: Lines) -> Lines:
    """journalctl -o json, of messages with colours in them."""
    return [json.dumps({"MESSAGE": list(f"\x1b[1m{_apart(line)[1]}\x1b[0m".encode())}) for line in lines]


def _in_container(name: str) -> Callable[[Lines], Lines]:
    """A log that a container's runtime, or a collector, keeps as lines of JSON."""
    return lambda lines: [json.dumps({"stream": "stdout", name: f"{line}\n", "time": "2026-11-21"}) for line in lines]


def _with_others(lines: Lines) -> Lines:
    """Another driver's hex dump, whose offset would fit, before each line at that offset."""
    return [x for line in lines for x in ([f"{line[:15]}{OTHER}", line] if " 060: " in line else [line])]


@pytest.mark.parametrize(
    "change",
    [
        _coloured,
        lambda lines: [f"\x1b[0m{line}\x1b[0m" for line in lines],
        lambda lines: [line.replace("mlx5_core ", "#033[33mmlx5_core ") + "#033[0m" for line in lines],
        lambda lines: [f'2026-11-21T09:02:53Z,host,"{line}"' for line in lines],
        lambda lines: [f"Nov 21 09:02:53 host kernel: {line}#015" for line in lines],
        _raw(),
        _raw(",ncfrag=0/100"),
        lambda lines: _raw()(logs.without_slots(lines)),
        lambda lines: _raw(",caller=T30")(logs.without_slots(lines)),
        lambda lines: _context(logs.without_slots(lines)),
        lambda lines: ["MESSAGE=" + _apart(line)[1] for line in logs.without_slots(lines)],
        _as_bytes,
        _in_container("log"),
        _in_container("message"),
        lambda lines: _as_bytes(logs.without_slots(lines)),
        _with_others,
        lambda lines: _with_others(logs.without_slots(lines)),
    ],
    ids=range(17),
)
def test_however_a_log_was_printed_its_accounts_are_the_same(change: Callable[[Lines], Lines], tmp_path: Path) -> None:
    s = only(audit_lines(tmp_path, change(dmesg())))
    assert (accounts(s), s.clean) == (accounts(TRUTH), True)


def test_a_log_in_utf_16_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    for order in ("utf-16-le", "utf-16-be"):
        path.write_bytes("\ufeff".encode(order) + "\n".join(dmesg()[:9]).encode(order))
        with pytest.raises(InputError, match=r"is UTF-16: make UTF-8 of it \(iconv"):
            audit(path)


# -- lines that are there twice

DAEMONS = ("Nov 21 09:02:53 host kernel: ", "2026-11-21T09:02:53.500000+00:00 host kernel: ")


def _blocks(lines: Lines, most: int) -> list[Lines]:
    """The log in pieces of so many lines, none of which takes as long as a clock may go back."""
    out: list[Lines] = [[]]
    for line in lines:
        if len(out[-1]) == most or (out[-1] and _apart(line)[0] - _apart(out[-1][0])[0] > LEEWAY / 2):
            out.append([])
        out[-1].append(line)
    return out


def _twice(lines: Lines, most: int, daemons: tuple[str, str] = ("", "")) -> Lines:
    return [daemon + line for block in _blocks(lines, most) for daemon in daemons for line in block]


def _same_by_lines(s: SessionAccount) -> None:
    assert {f.identity: f.given for f in s.functions} == GIVEN
    assert (s.mode, s.end, s.findings, s.totals.released) == ("vhca_id", "closed", [], 54)


@pytest.mark.parametrize("most", [1, 2, 7, 50, 400])
@pytest.mark.parametrize("daemons", [("", ""), DAEMONS], ids=["one", "two"])
def test_lines_that_are_there_twice_count_once(most: int, daemons: tuple[str, str], tmp_path: Path) -> None:
    s = only(audit_lines(tmp_path, _twice(logs.without_dumps(dmesg()), most, daemons)))
    _same_by_lines(s)
    assert [n for n in s.notes if "twice, with the same microseconds" in n]


def test_dumps_that_are_there_twice_line_by_line_count_once(tmp_path: Path) -> None:
    for lines in (dmesg(), logs.without_slots(dmesg())):
        s = only(audit_lines(tmp_path, [x for line in lines for x in (line, line)]))
        assert (accounts(s), s.findings) == (accounts(TRUTH), [])


@pytest.mark.parametrize(("most", "daemons"), [(20, ("", "")), (200, ("", "")), (1, DAEMONS)])
def test_dumps_that_are_there_twice_otherwise_blame_none(most: int, daemons: tuple[str, str], tmp_path: Path) -> None:
    """A dump's own lines have no time that could tell which are the second: less may be known, nothing else."""
    assert untrue(audit_lines(tmp_path, _twice(dmesg(), most, daemons)), TRUTH) == []


# -- lines that a syslog daemon wrote once though they came several times


def _repeating(words: Callable[[str], list[str]]) -> Lines:
    """The log of lines alone, in which 64 pages are asked for and given three times in a row."""
    lines = [_apart(line)[1] for line in logs.without_dumps(dmesg())]
    pre, out = DAEMONS[0], []
    for line in lines:
        again = "func 0x31" in line and "npages 64" in line
        out += [pre + line, *(words(line) if again else [])]
    return out


@pytest.mark.parametrize(
    "words",
    [
        lambda line: [DAEMONS[0] + line] * 2,
        lambda line: [f"{DAEMONS[0]}message repeated 2 times: [ {line}]"],
        lambda _: ["Nov 21 09:02:53 host last message repeated 2 times"],
        lambda line: [f"{DAEMONS[0]}message repeated 1 time: [ {line}]", DAEMONS[0] + line],
        lambda _: ["Nov 21 09:02:53 host last message repeated 1 time"] * 2,
    ],
    ids=["written out", "rsyslog", "syslogd", "both", "again"],
)
def test_a_repeated_line_counts_as_often_as_it_was_repeated(words: Callable[[str], list[str]], tmp_path: Path) -> None:
    s = only(audit_lines(tmp_path, _repeating(words)))
    assert {f.identity: f.given for f in s.functions} == GIVEN | {"vhca:0x31": 71 + 128}


def test_a_repetition_of_another_programs_line_is_none_of_ours(tmp_path: Path) -> None:
    lines = [_apart(line)[1] for line in logs.without_dumps(dmesg())]
    noise = ["Nov 21 09:02:53 host sshd: hello", "Nov 21 09:02:53 host last message repeated 9 times"]
    _same_by_lines(only(audit_lines(tmp_path, [x for line in lines for x in (line, *noise)])))


# -- a clock that falls


def test_a_restart_of_the_machine_is_detected_by_lines_alone(tmp_path: Path) -> None:
    lines = logs.without_dumps(dmesg())
    cut = next(i for i, line in enumerate(lines) if "page request for func 0x31, npages 7" in line)
    for change in (list, _raw()):
        first, second = audit_lines(tmp_path, change(lines[:cut] + lines)).sessions
        assert (first.end, first.findings, first.totals.given) == ("open", [], 2659)
        assert any("the machine was restarted" in n for n in first.notes)
        _same_by_lines(second)


def test_messages_that_overtake_each_other_are_no_new_start(tmp_path: Path) -> None:
    """A reload whose first line has the time of an earlier one: what is left by it is the driver's."""
    lines = logs.without_dumps(dmesg())
    cut = next(i for i, line in enumerate(lines) if "page request for func 0x31, npages 7" in line)
    ahead = _apart(lines[cut - 1])[0] - _apart(lines[0])[0] - 0.9 * LEEWAY
    first, second = audit_lines(tmp_path, lines[:cut] + logs.later(lines, ahead)).sessions
    assert (first.end, {f.blame for f in first.findings}) == ("reset", {"host"})
    _same_by_lines(second)


def test_the_callers_of_printk_tell_dumps_apart_in_raw_records_too(tmp_path: Path) -> None:
    def called(lines: Lines, who: str) -> Lines:
        return _raw(f",caller={who}")(logs.without_slots(lines))

    there = [line.replace(" 0360", " 0a60") for line in logs.other_device(dmesg())]
    turns = zip(called(dmesg(), "T30"), called(there, "C1"), strict=True)
    report = audit_lines(tmp_path, [line for pair in turns for line in pair])
    assert [(s.clean, s.end, s.totals) for s in report.sessions] == [(True, "closed", TRUTH.totals)] * 2
