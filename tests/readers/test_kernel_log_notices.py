"""Lines of a kernel log that are not the driver's own: notices of lost lines, and warnings that name no device."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from tests.auditor import logs
from tests.auditor.account_checks import untrue
from tests.auditor.logs import DMESG, Lines, audit_lines, dmesg, only

TRUTH = only(audit(DMESG))

NOTICES = (
    "printk: 34 messages suppressed",
    "** 57 printk messages dropped **",
    "systemd-journald[262]: Missed 57 kernel messages",
    "systemd-journald[262]: Forwarding to syslog missed 12 messages.",
    "systemd-journald[262]: /dev/kmsg buffer overrun, some messages lost.",
    "systemd-journald[262]: Suppressed 4912 messages from kernel",
    "systemd-journald[262]: Suppressed 4912 messages from /",
    "rsyslogd: imjournal: begin to drop messages due to rate-limiting",
    "rsyslogd: imjournal: 1245 messages lost due to rate-limiting (20000 allowed within 600 seconds)",
    "rsyslogd: imklog: begin to drop messages due to rate-limiting",
)


def _without_a_give(lines: Lines) -> tuple[Lines, Lines]:
    """The log up to the request for 100 pages, and from behind their GIVE on: as if firmware had never asked."""
    asked = next(i for i, line in enumerate(lines) if "page request for func 0x5, npages 100" in line)
    gave = next(i for i, line in enumerate(lines) if "npages 100, ec_function 0" in line)
    return lines[:asked], lines[gave + 1 :]


def _logs() -> list[Lines]:
    return [dmesg(), logs.without_dumps(dmesg())]


def test_lines_missing_without_a_notice_are_not_always_detected(tmp_path: Path) -> None:
    """So the next tests have something to tell: 100 pages come back that were not given, or were never there."""
    for lines in _logs():
        before, behind = _without_a_give(lines)
        assert untrue(audit_lines(tmp_path, before + behind), TRUTH)


@pytest.mark.parametrize("notice", NOTICES)
def test_after_a_notice_nothing_is_counted_that_is_not_known(notice: str, tmp_path: Path) -> None:
    dumps, alone = _logs()
    for lines, stamp in ((dumps, "[    5.155950] "), (alone, ""), (alone, "Nov 21 09:02:53 host ")):
        before, behind = _without_a_give(lines)
        report = audit_lines(tmp_path, [*before, stamp + notice, *behind])
        assert untrue(report, TRUTH) == []
        s = only(report)
        assert [(f.name, f.blame, f.at["line"]) for f in s.findings] == [("log-lines-lost", "log", len(before) + 1)]
        assert s.totals.given is None


def _records(lines: Lines, first: int = 0) -> Lines:
    """The same as /dev/kmsg has them: each with its number."""
    return [f"7,{first + i},{round(float(line[1:13]) * 1e6)},-;{line[15:]}" for i, line in enumerate(lines)]


def test_a_record_whose_number_is_missing_is_a_lost_line(tmp_path: Path) -> None:
    """What /dev/kmsg leaves out was overwritten before it was read: nothing is counted that it may have said."""
    for lines in _logs():
        before, behind = _without_a_give(lines)
        for n in (1, 1200):
            report = audit_lines(tmp_path, [*_records(before), *_records(behind, len(before) + n)])
            assert untrue(report, TRUTH) == []
            s = only(report)
            assert [(f.name, f.blame, f.at["line"]) for f in s.findings] == [("log-lines-lost", "log", len(before) + 1)]
            assert (s.totals.given, s.clean) == (None, False)
            at = len(before)
            missing = f"record {at} is not" if n == 1 else f"1,200 records, {at} to {at + 1199}, are not"
            assert s.findings[0].detail.startswith(missing)


@pytest.mark.parametrize("form", ["{mark}{stamp}{rest}", "{stamp}{mark}{rest}", "<7>{mark}{stamp}{rest}"])
def test_a_notice_within_a_line_costs_the_same_and_not_the_line(form: str, tmp_path: Path) -> None:
    """As kernels before 4.13 write it."""
    for lines in _logs():
        before, behind = _without_a_give(lines)
        line = form.format(mark="** 157 printk messages dropped ** ", stamp=behind[0][:15], rest=behind[0][15:])
        s = only(report := audit_lines(tmp_path, [*before, line, *behind[1:]]))
        assert untrue(report, TRUTH) == []
        assert [(f.name, f.detail) for f in s.findings] == [("log-lines-lost", "157 printk messages dropped")]
    # the line that it stands in front of is read
    head = "[    1.000000] ** 9 printk messages dropped ** mlx5_core 0000:03:00.0: firmware version: 16.35.2000"
    assert [s.device for s in audit_lines(tmp_path, [head]).sessions] == ["0000:03:00.0"]


@pytest.mark.parametrize(
    "notice",
    [
        "systemd-journald[262]: Suppressed 4912 messages from sshd.service",
        "rsyslogd: imuxsock: begin to drop messages due to rate-limiting",
        "net_ratelimit: 34 callbacks suppressed",
    ],
)
def test_losses_of_other_programs_cost_nothing(notice: str, tmp_path: Path) -> None:
    lines = dmesg()
    s = only(audit_lines(tmp_path, [*lines[:4000], f"[    4.500000] {notice}", *lines[4000:]]))
    assert (s.clean, s.functions) == (True, TRUTH.functions)


def test_numbers_that_begin_late_or_anew_cost_nothing(tmp_path: Path) -> None:
    """A log need not begin with the kernel, and two boots count anew; a piece of a record has the record's number."""
    lines, boot = dmesg(), "[    0.000000] Linux version 7.2.13"
    again = [f"6,{n},{n},-,ncfrag={at}/80;piece" for n, at in ((0, 0), (0, 40), (1, 0), (1, 40))]
    s = only(audit_lines(tmp_path, [*_records([boot], 4711), *again, *_records(lines, 2)]))
    assert (s.clean, s.functions) == (True, TRUTH.functions)


# -- warnings


def _line(device: str, message: str, t: float) -> str:
    return f"[{t:12.6f}] mlx5_core {device}: {message}"


DEVICES = ("0000:03:00.0", "0000:03:00.1")


def _closing(*order: int) -> Lines:
    """Two devices that hold 6 pages each, and begin to give up in this order, each in a process of its own."""
    out = []
    for i, device in enumerate(DEVICES):
        out += [
            _line(device, "firmware version: 16.35.2000", 1 + i),
            _line(device, "mlx5_satisfy_startup_pages:600:(pid 1): requested 6 boot pages for func_id 0x0", 1.1 + i),
            _line(device, "give_pages:4:(pid 1): npages 6, ec_function 0, func_id 0x0, err 0", 1.2 + i),
        ]
    for n, i in enumerate(order):
        sweep = f"reclaim_pages:5:(pid {77 + i}): func 0x0, npages 768, outlen 6160"
        out.append(_line(DEVICES[i], sweep, 10 + 0.01 * n))
    return out


COUNTER = "[   10.100000] FW pages counter is 6 after reclaiming all pages"
#: in the words of Linux up to 6.17, and since
WARNED = (
    "[   10.100001] WARNING: CPU: 0 PID: {} at drivers/net/ethernet/mellanox/mlx5/core/pagealloc.c:685 f+0x34b/0x460",
    "[   10.100001] WARNING: drivers/net/ethernet/mellanox/mlx5/core/pagealloc.c:685 at f+0x34b/0x460, CPU#0: rmmod/{}",
)


def _left(lines: Lines, tmp: Path) -> list[tuple[str, list[tuple[str, str, int | None]]]]:
    return [(s.device, [(f.name, f.blame, f.pages) for f in s.findings]) for s in audit_lines(tmp, lines).sessions]


@pytest.mark.parametrize("words", WARNED)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("mine", [0, 1])
def test_a_warning_is_the_device_whose_process_it_names(
    words: str, order: tuple[int, int], mine: int, tmp_path: Path
) -> None:
    lines = [*_closing(*order), "[   10.0] ------------[ cut here ]------------", COUNTER, words.format(77 + mine)]
    reported = dict(_left(lines, tmp_path))
    assert reported == {DEVICES[mine]: [("pages-left", "device", 6)], DEVICES[1 - mine]: []}


def test_without_its_process_a_warning_is_the_device_that_took_pages_back_last(tmp_path: Path) -> None:
    for tail in ([], [WARNED[0].format(999)], ["[   10.2] Modules linked in: mlx5_core"]):
        assert dict(_left([*_closing(0, 1), COUNTER, *tail], tmp_path))[DEVICES[1]] == [("pages-left", "device", 6)]


@pytest.mark.parametrize(
    ("before", "device"),
    [([_line(DEVICES[0], "firmware version: 16.35.2000", 1)], DEVICES[0]), ([], "mlx5_core")],
    ids=["the only one", "no device"],
)
def test_a_warning_alone_is_the_only_devices_or_the_drivers(before: Lines, device: str, tmp_path: Path) -> None:
    """As in a log without debug messages."""
    for words in WARNED:
        lines = [*before, COUNTER, words.format(77), "[   11.0] ---[ end trace ]---"]
        assert _left(lines, tmp_path) == [(device, [("pages-left", "device", 6)])]


def test_counters_by_type_are_of_the_same_device(tmp_path: Path) -> None:
    vfs = COUNTER.replace("FW", "VFs FW")
    lines = [*_closing(1, 0), COUNTER, WARNED[0].format(78), vfs, WARNED[1].format(78)]
    reported = {s.device: s for s in audit_lines(tmp_path, lines).sessions}
    assert "of these vf 6" in reported[DEVICES[1]].findings[0].detail
    assert reported[DEVICES[0]].findings == []


_ENDLESS = "9" * 5000


@pytest.mark.parametrize(
    "line",
    [
        f"[    5.0] mlx5_core 0000:00:03.0: cmd[{_ENDLESS}]: start dump",
        f"[    5.0] cmd[{_ENDLESS}]: 000: 07000000 00000010 00000000 00000000",
        f"Nov 21 09:02:53 host rsyslogd: message repeated {_ENDLESS} times: [ mlx5_core 0000:00:03.0: err 0]",
        f"Nov 21 09:02:53 host last message repeated {_ENDLESS} times",
        f"7,1,{_ENDLESS},-;mlx5_core 0000:00:03.0: err 0",
        f"[{_ENDLESS}.5] mlx5_core 0000:00:03.0: err 0",
    ],
)
def test_numbers_without_end_are_damage_and_no_crash(line: str, tmp_path: Path) -> None:
    before, behind = dmesg()[:400], dmesg()[400:]
    assert untrue(audit_lines(tmp_path, [*before, line, *behind]), TRUTH) == []


def test_a_counter_that_no_driver_has_is_damage(tmp_path: Path) -> None:
    s = only(audit_lines(tmp_path, [*dmesg(), f"[    9.0] FW pages counter is {'9' * 30} after reclaiming all pages"]))
    assert [(f.name, f.blame) for f in s.findings] == [("log-lines-lost", "log")]
