"""Kernel logs in every spelling, and with every kind of damage."""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor.audit import Audit, audit
from fwpages.auditor.books import CUT
from fwpages.custody.accounts import Report, SessionAccount
from fwpages.custody.verdicts import Lack
from fwpages.readers.inputs import Source
from fwpages.readers.kernel_log import KernelLog
from tests.auditor import logs
from tests.auditor.account_checks import untrue
from tests.auditor.logs import DMESG, Lines, accounts, audit_lines, dmesg, only

TRUTH = only(audit(DMESG))


def _old(lines: Lines) -> Lines:
    return logs.named_by_driver(logs.func_id_words(logs.without_slots(lines)))


def _dyndbg(lines: Lines) -> Lines:
    """`+pfl`: dynamic debug's own words in front of the driver's."""
    out = []
    for line in lines:
        stamp, rest = line[:15], line[15:]
        out.append(f"{stamp}mlx5_core:dump_buf:337: {rest}" if rest.startswith("cmd[") else f"{stamp}mlx5_core: {rest}")
    return out


def _thread(lines: Lines) -> Lines:
    return [f"{line[:15]}[100] {line[15:]}" for line in lines]


def _netdev(lines: Lines) -> Lines:
    return [line.replace("mlx5_core 0000:00:03.0:", "mlx5_core 0000:00:03.0 ens1f0np0:") for line in lines]


def _sub_function(lines: Lines) -> Lines:
    return [line.replace("mlx5_core 0000:00:03.0:", "mlx5_core.sf mlx5_core.sf.4:") for line in lines]


def _same(session: SessionAccount) -> bool:
    mine, truth = accounts(session), accounts(TRUTH)
    return mine == truth and session.clean is True


@pytest.mark.parametrize("style", logs.PREFIXES)
def test_every_style_of_printing_gives_the_same_accounts(style: str, tmp_path: Path) -> None:
    assert _same(only(audit_lines(tmp_path, logs.prefixed(dmesg(), style))))


@pytest.mark.parametrize(
    "change",
    [
        logs.as_journal,
        logs.without_slots,
        logs.func_id_words,
        logs.named_by_driver,
        logs.data_only,
        lambda lines: logs.without_slots(logs.data_only(lines)),
        _old,
        _dyndbg,
        _thread,
        _netdev,
        lambda lines: [line.replace("\n", "") + "\r" for line in lines],
    ],
)
def test_every_kernel_gives_the_same_accounts(change: Callable[[Lines], Lines], tmp_path: Path) -> None:
    assert _same(only(audit_lines(tmp_path, change(dmesg()))))


@pytest.mark.parametrize("zeros", [1, 40])
def test_zero_bytes_at_the_end_of_lines_change_nothing(zeros: int, tmp_path: Path) -> None:
    assert _same(only(audit_lines(tmp_path, [line + "\0" * zeros for line in dmesg()])))


def test_zero_bytes_at_the_end_of_lines_make_no_second_event_of_a_card(tmp_path: Path) -> None:
    lines = (logs.GOLDEN / "cases" / "firmware-assert.txt").read_text().splitlines()
    found = [
        [(s.device, s.end, s.verdict, [f.name for f in s.findings]) for s in audit_lines(tmp_path, log).sessions]
        for log in (lines, [line + "\0" for line in lines])
    ]
    assert found[0] == found[1]


def test_a_sub_functions_device_has_its_own_name(tmp_path: Path) -> None:
    s = only(audit_lines(tmp_path, _sub_function(dmesg())))
    assert s.device == "mlx5_core.sf.4"
    assert _same(s)


# -- devices and loads


def test_two_devices_one_after_the_other_and_in_turns(tmp_path: Path) -> None:
    there = logs.other_device(dmesg())
    after = audit_lines(tmp_path, dmesg() + there)
    assert [s.device for s in after.sessions] == ["0000:00:03.0", "0000:03:00.1"]
    # dumps take turns, each of them whole
    turns = [x for a, b in zip(_commands(dmesg()), _commands(there), strict=True) for x in a + b]
    mixed = audit_lines(tmp_path, turns)
    assert [_same(s) for s in [*after.sessions, *mixed.sessions]] == [True] * 4


def _commands(lines: Lines) -> list[Lines]:
    """The log in pieces that end where a dump does."""
    out: list[Lines] = [[]]
    for line in lines:
        out[-1].append(line)
        if "end dump" in line:
            out.append([])
    return out


def _renumbered(lines: Lines) -> Lines:
    """Another device with other page addresses."""
    return [line.replace("cmd[31]: ", "cmd[31]: ").replace(" 0360", " 0a60") for line in logs.other_device(lines)]


def test_ambiguous_lines_of_two_devices_are_not_mixed(tmp_path: Path) -> None:
    both = [x for pair in zip(dmesg(), _renumbered(dmesg()), strict=True) for x in pair]
    report = audit_lines(tmp_path, both)
    assert len(report.sessions) == 2
    for s in report.sessions:
        assert {f.name for f in s.findings} == {"log-ambiguous"}
        # the one-line messages still count
        assert [(f.identity, f.given, f.returned) for f in s.functions] == [
            ("vhca:0x5", 2595, None),
            ("vhca:0x31", 71, None),
        ]


@pytest.mark.parametrize("behind", [7, 50, 200])
def test_two_devices_one_behind_the_other_have_lost_no_lines(behind: int, tmp_path: Path) -> None:
    """A contradiction there may be the other device's."""
    first, second = dmesg(), _renumbered(dmesg())
    both = [*first[:behind], *(x for pair in zip(first[behind:], second, strict=False) for x in pair)]
    both += second[len(first) - behind :]
    report = audit_lines(tmp_path, both)
    assert len(report.sessions) == 2
    for s in report.sessions:
        assert {f.name for f in s.findings} <= {"log-ambiguous"}
        assert [f.given for f in s.functions] == [2595, 71]


def test_the_callers_of_printk_tell_dumps_apart(tmp_path: Path) -> None:
    def called(lines: Lines, who: str) -> Lines:
        return [f"{line[:14]}[{who:>6}] {line[15:]}" for line in lines]

    both = [x for pair in zip(called(dmesg(), "T30"), called(_renumbered(dmesg()), "T31"), strict=True) for x in pair]
    report = audit_lines(tmp_path, both)
    assert [(s.clean, s.end, s.totals) for s in report.sessions] == [(True, "closed", TRUTH.totals)] * 2


def test_two_loads_in_one_log_are_two_sessions(tmp_path: Path) -> None:
    both = dmesg() + logs.later(dmesg(), 100)
    report = audit_lines(tmp_path, both)
    assert [_same(s) for s in report.sessions] == [True, True]
    lines = audit_lines(tmp_path, logs.without_dumps(both))
    assert [(s.end, s.clean, s.totals.given) for s in lines.sessions] == [("closed", True, 2666)] * 2


def test_a_load_that_never_closed_is_followed_by_another(tmp_path: Path) -> None:
    cut = next(i for i, line in enumerate(dmesg()) if "TEARDOWN_HCA" in line) - 1
    first, second = audit_lines(tmp_path, dmesg()[:cut] + logs.later(dmesg(), 100)).sessions
    assert (first.end, first.clean) == ("reset", False)
    assert {(f.name, f.blame, f.function, f.pages) for f in first.findings} == {
        ("pages-left", "host", "vhca:0x5", 2545),
        ("pages-left", "host", "vhca:0x31", 7),
    }
    assert _same(second)


def test_a_restart_of_the_machine_ends_the_open_sessions(tmp_path: Path) -> None:
    cut = next(i for i, line in enumerate(dmesg()) if "TEARDOWN_HCA" in line) - 1
    boot = "[    0.000000] Linux version 7.2.13 (debian-kernel@lists.debian.org)"
    first, second = audit_lines(tmp_path, [*dmesg()[:cut], boot, *dmesg()]).sessions
    assert (first.end, first.findings) == ("open", [])
    assert _same(second)


def test_a_clock_that_goes_back_is_a_restart_of_the_machine(tmp_path: Path) -> None:
    cut = next(i for i, line in enumerate(dmesg()) if "TEARDOWN_HCA" in line) - 1
    first, second = audit_lines(tmp_path, dmesg()[:cut] + dmesg()).sessions
    assert (first.end, first.findings) == ("open", [])
    assert "the clock went back from 7 s to 4 s: the machine was restarted" in first.notes
    assert _same(second)


def test_a_log_without_debug_messages_says_so(tmp_path: Path) -> None:
    info = [line for line in dmesg() if "firmware version" in line or "PCIe bandwidth" in line]
    s = only(audit_lines(tmp_path, info))
    assert (s.end, s.verdict, s.clean, s.functions) == ("open", "not known", None, [])
    assert s.missing == [Lack.PAGE_MESSAGES.missing]


# -- where the log begins and ends


@pytest.mark.many_runs
def test_a_log_that_ends_early_is_no_fault(tmp_path: Path) -> None:
    for cut in range(5, len(dmesg()) - 5, 197):
        report = audit_lines(tmp_path, dmesg()[:cut])
        for s in report.sessions:
            assert s.end == "open"
            assert {f.blame for f in s.findings} <= {"log"}
            held, out = s.totals.held, s.totals.given
            if held is not None and out is not None:
                assert (s.totals.returned or 0) + (s.totals.released or 0) + held + (s.totals.doubtful or 0) == out


def test_a_log_that_begins_late_counts_nothing_that_it_cannot_know(tmp_path: Path) -> None:
    for cut in range(400, len(dmesg()) - 30, 307):
        s = only(audit_lines(tmp_path, dmesg()[cut:]))
        assert s.end == "closed"
        assert {f.blame for f in s.findings} <= {"log"}, (cut, s.findings)
        assert all(f.given is None for f in s.functions)
        assert any("begins in the middle" in n for n in s.notes)


def test_pages_given_before_the_log_begins_are_noted_not_blamed(tmp_path: Path) -> None:
    cut = next(i for i, line in enumerate(dmesg()) if "page request for func 0x5, npages 100" in line)
    s = only(audit_lines(tmp_path, dmesg()[cut:]))
    assert (s.mode, s.end, s.findings) == ("vhca_id", "closed", [])
    assert "vhca:0x5: 2,495 pages came back that were given before the input begins" in s.notes


def test_a_byte_cut_never_raises_and_never_blames(tmp_path: Path) -> None:
    text = "".join(line + "\n" for line in dmesg())
    dice = random.Random(1)
    for _ in range(25):
        path = tmp_path / "cut.txt"
        path.write_text(text[: dice.randrange(2000, len(text))])
        for s in audit(path).sessions:
            assert {f.blame for f in s.findings} <= {"log"}


# -- lines that are missing


def _confident(report: Report) -> list[str]:
    return untrue(report, TRUTH)


@pytest.mark.many_runs
@settings(max_examples=20)
@given(st.integers(0, len(dmesg()) - 1))
def test_one_line_dropped_costs_no_truth(tmp_path_factory: pytest.TempPathFactory, i: int) -> None:
    lines = dmesg()
    report = audit_lines(tmp_path_factory.mktemp("drop"), lines[:i] + lines[i + 1 :])
    assert _confident(report) == []
    s = only(report)
    assert s.findings or accounts(s) == accounts(TRUTH)


@settings(max_examples=40)
@given(st.integers(0, 384))
def test_one_line_dropped_from_a_log_without_dumps_costs_no_truth(
    tmp_path_factory: pytest.TempPathFactory, i: int
) -> None:
    lines = logs.without_dumps(dmesg())
    assert _confident(audit_lines(tmp_path_factory.mktemp("drop"), lines[:i] + lines[i + 1 :])) == []


@pytest.mark.many_runs
@settings(max_examples=12)
@given(st.integers(0, 2**32), st.sampled_from([0.001, 0.01, 0.1, 0.4]))
def test_many_lines_dropped_cost_no_truth(tmp_path_factory: pytest.TempPathFactory, seed: int, p: float) -> None:
    dice = random.Random(seed)
    lines = [line for line in dmesg() if dice.random() > p]
    report = audit_lines(tmp_path_factory.mktemp("drop"), lines)
    assert _confident(report) == []


@settings(max_examples=15)
@given(st.integers(0, 2**32))
def test_lines_in_another_order_never_raise(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    lines = dmesg()[:800]
    random.Random(seed).shuffle(lines)
    audit_lines(tmp_path_factory.mktemp("shuffled"), lines)


def test_a_whole_command_missing_shows_in_the_one_line_messages(tmp_path: Path) -> None:
    lines = dmesg()
    at = next(i for i, line in enumerate(lines) if "npages 64, ec_function 0" in line)
    begin = max(i for i, line in enumerate(lines[:at]) if "page request for func 0x31, npages 64" in line)
    s = only(audit_lines(tmp_path, lines[: begin + 1] + lines[at:]))
    (lost,) = s.findings
    assert (lost.name, lost.blame, lost.function, lost.pages) == ("log-lines-lost", "log", "vhca:0x31", 64)
    by_name = {f.identity: f for f in s.functions}
    assert by_name["vhca:0x5"] == TRUTH.functions[0]
    assert by_name["vhca:0x31"].given is None


def test_a_line_that_contradicts_its_dump_is_the_logs_fault(tmp_path: Path) -> None:
    lines = [line.replace("npages 64, ec_function", "npages 65, ec_function") for line in dmesg()]
    s = only(audit_lines(tmp_path, lines))
    assert [(f.name, f.blame) for f in s.findings] == [("log-disagrees", "log")]
    assert s.functions == TRUTH.functions
    lines = [line.replace("npages 54, ec_function", "npages 53, ec_function") for line in dmesg()]
    assert [f.name for f in only(audit_lines(tmp_path, lines)).findings] == ["log-disagrees"]


@pytest.mark.parametrize(
    "line",
    [
        "[    5.000000] printk: 34 messages suppressed",
        "Nov 21 09:02:53 host systemd-journald[300]: Missed 12 kernel messages",
        "[    5.000000] ** 200 printk messages dropped **",
    ],
)
def test_the_kernels_word_that_lines_were_lost_is_believed(line: str, tmp_path: Path) -> None:
    at = next(i for i, x in enumerate(dmesg()) if "page request for func 0x31, npages 7" in x)
    s = only(audit_lines(tmp_path, [*dmesg()[:at], line, *dmesg()[at:]]))
    assert [(f.name, f.blame) for f in s.findings] == [("log-lines-lost", "log")]
    assert s.totals.given is None


def test_limits_on_other_drivers_messages_are_theirs(tmp_path: Path) -> None:
    noise = ["[    5.000000] net_ratelimit: 34 callbacks suppressed", "[    5.0] systemd: 3 output lines suppressed"]
    assert _same(only(audit_lines(tmp_path, dmesg()[:4000] + noise + dmesg()[4000:])))


def test_hex_dumps_of_others_are_not_ours(tmp_path: Path) -> None:
    noise = ["[    5.000000] nvme: 000: 01080000 00000001 00000000 00000006"] * 3
    assert _same(only(audit_lines(tmp_path, dmesg() + noise)))


def test_a_truncated_gzip_is_reported_and_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(DMESG.read_bytes()[:20000])
    s = only(audit(path))
    assert {f.name for f in s.findings} == {"log-truncated"}
    assert (s.end, s.functions[0].given) == ("open", 6)


def test_a_log_with_headlines_but_no_dumps_counts_by_lines(tmp_path: Path) -> None:
    lines = [line for line in dmesg() if "]: 0" not in line.split("cmd[")[-1][:6] or "dump" in line]
    lines = [line for line in lines if "cmd[" not in line or "dump" in line or "block" in line]
    s = only(audit_lines(tmp_path, lines))
    assert (s.end, s.clean, s.totals.given, s.totals.returned) == ("closed", True, 2666, None)


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    """Lines are handed through: nothing of a load stays but its report."""
    path = tmp_path / "long.txt.gz"
    text = "".join(line + "\n" for line in dmesg()).encode()
    with gzip.open(path, "wb", compresslevel=1) as f:
        for _ in range(3):
            f.write(text)
    with gzip.open(path) as stream:
        engine = Audit(log=True)
        seen = 0
        for v in KernelLog(Source("long", stream)).read():
            engine.see(v)
            seen += 1
            assert sum(d.session is not None for d in engine._devices.values()) <= 1
    assert seen < 1000
    assert len(engine.report().sessions) == 3


_DATA = re.compile(r"cmd\[\d+\]: ([0-9a-f]{3,}): (\w{8}) \w{8} (\w{8}) ")
_LENGTH = re.compile(r"cmd\[\d+\]: (?:000: 07000000 (\w{8})|030: \w{8} \w{8} (\w{8}))")


def _until(lines: Lines, blocks: Callable[[int], int]) -> Lines:
    """Every dump without the mailboxes from ``blocks(length of the message)`` on."""
    out, lengths, output = [], [0, 0], False
    for line in lines:
        if "dump command " in line:
            output = line.endswith("OUTPUT")
        if m := _LENGTH.search(line):
            lengths[m[1] is None] = int(m[1] or m[2], 16)
        m = _DATA.search(line)
        if m is None or int(m[1], 16) < 64 + 576 * blocks(lengths[output]):
            out.append(line)
    return out


def test_kernels_whose_dumps_count_their_heads_as_part_of_the_message(tmp_path: Path) -> None:
    """Linux 3.11 and 4.9: whole, but for the last addresses. Pages are counted then, and nothing is lost."""
    early = _until(dmesg(), lambda length: -(-max(0, length - 64) // 576))
    s = only(audit_lines(tmp_path, early))
    assert _same(s)
    assert [n for n in s.notes if n.startswith("vhca:0x5: ")] == [f"vhca:0x5: {CUT}"]


def test_mailboxes_that_no_kernel_leaves_out_are_lost(tmp_path: Path) -> None:
    s = only(audit_lines(tmp_path, _until(dmesg(), lambda length: max(0, -(-(length - 16) // 512) - 2))))
    assert ("log-lines-lost", "vhca:0x5") in [(f.name, f.function) for f in s.findings]
    assert s.totals.given is None
