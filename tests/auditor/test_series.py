"""Pages over time: the series of an audit, for each kind of input, says what its accounts say."""

from __future__ import annotations

import gzip
import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

import fwpages as fw
from fwpages.cli import invoke
from fwpages.custody.accounts import SessionAccount
from fwpages.custody.series import Series
from fwpages.readers.clocks import seconds_of

GOLDEN = Path(__file__).parents[1] / "golden"
TRACE = GOLDEN / "linux-7.2.13-pf-vhca_id.jsonl"
DUMPS = GOLDEN / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"
LINES = GOLDEN / "linux-7.2.13-pf-vhca_id.page-lines.dmesg.txt"


def series_of(s: SessionAccount) -> Series:
    assert s.series is not None
    return s.series


def only(path: Path) -> tuple[SessionAccount, Series]:
    (s,) = fw.audit(path).sessions
    return s, series_of(s)


@pytest.mark.parametrize("path", [TRACE, DUMPS], ids=["trace", "log with dumps"])
def test_a_series_ends_with_what_is_held_and_has_every_peak(path: Path) -> None:
    account, s = only(path)
    assert (s.axis, s.thinned, s.gaps) == ("seconds", False, [])
    assert (s.times[0], s.times[-1]) == (account.first["time"], account.last["time"])
    for f, row in zip(account.functions, s.functions, strict=True):
        assert (row.identity, row.generation, row.type, row.proven) == (f.identity, f.generation, f.type, True)
        assert (row.pages[0], max(n or 0 for n in row.pages), row.pages[-1]) == (0, f.peak, f.held)
    assert max(sum(f.pages[i] or 0 for f in s.functions) for i in range(len(s.times))) == account.totals.peak
    assert [m.kind for m in s.marks] == ["mode"]


def test_by_the_drivers_lines_a_count_is_not_known_between_a_take_and_a_release_of_all() -> None:
    _, s = only(LINES)
    by_name = {f.identity: f.pages for f in s.functions}
    assert by_name["vhca:0x31"] == [0, 0, 0, 600, 600, None, None, 0, 0, 0]
    assert by_name["vhca:0x2a"][-2:] == [None, None]


def clocked(form: str) -> str:
    """The driver's lines with a clock in front of each instead of the seconds since the start."""
    begin = datetime(2026, 11, 29, 5, 57)

    def clock(m: re.Match[str]) -> str:
        return (begin + timedelta(seconds=float(m[1]) * 10)).strftime(form)

    return re.sub(r"^\[\s*(\d+\.\d+)\]", clock, LINES.read_text("utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize(
    "form", ["%b %d %H:%M:%S node kernel:", "%Y-%m-%dT%H:%M:%S.%f+00:00 node kernel:", "[%a %b %d %H:%M:%S %Y]"]
)
def test_a_log_with_clocks_has_seconds_since_its_first_line(form: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(clocked(form), "utf-8")
    account, s = only(log)
    assert (s.axis, s.origin, s.times[0]) == ("elapsed", account.first["time"], 0.0)
    assert abs(s.times[-1] - (4.005092 - 3.585396) * 10) < 1.01
    assert next(f.pages for f in s.functions)[1:3] == [37, 2037]


def test_a_log_without_times_has_the_numbers_of_its_lines(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(re.sub(r"^\[[^]]*\] ", "", LINES.read_text("utf-8"), flags=re.MULTILINE), "utf-8")
    account, s = only(log)
    assert (s.axis, s.times[0], s.times[-1]) == ("line", account.first["line"], account.last["line"])


@pytest.mark.parametrize("clock", ["", "yesterday", "Feb 31 05:00:00", "2026-13-01T00:00:00", "[Nov29 05:57]"])
def test_a_clock_of_no_known_form_is_no_time(clock: str) -> None:
    assert seconds_of(clock) is None


def test_clocks_of_one_log_can_be_subtracted() -> None:
    def apart(a: str, b: str) -> float:
        x, y = seconds_of(a), seconds_of(b)
        assert x is not None
        assert y is not None
        return y - x

    assert apart("Nov 29 05:57:00", "Nov 30 05:57:01.5") == 86_401.5
    assert apart("2026-11-29T05:57:00+01:00", "2026-11-29 04:57:00,250Z") == 0.25
    assert apart("Sun Nov 29 05:57:00 2026", "Sun Nov 29 05:58:00 2026") == 60.0
    assert apart("Nov29 05:57", "Nov29 05:58") == 60.0


def test_lines_that_are_missing_are_a_gap_and_their_function_is_not_proven(tmp_path: Path) -> None:
    lines = gzip.decompress(DUMPS.read_bytes()).splitlines(keepends=True)
    log = tmp_path / "log.txt"
    log.write_bytes(b"".join(lines[:5000]))
    _, s = only(log)
    (gap,) = s.gaps
    assert 7.1 < gap.begin <= gap.end <= s.times[-1]
    assert {f.identity: f.proven for f in s.functions} == {"vhca:0x5": False, "vhca:0x31": True}


def test_a_log_that_begins_in_the_middle_proves_none_of_its_counts(tmp_path: Path) -> None:
    rows = TRACE.read_text("utf-8").splitlines(keepends=True)
    log = tmp_path / "middle.jsonl"
    log.write_text("".join(rows[14:]), "utf-8")
    _, s = only(log)
    assert s.functions
    assert not any(f.proven for f in s.functions)


def test_a_run_has_the_series_of_each_session(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "--json", "reopen"]) == 0
    for s in json.loads(capsys.readouterr().out)["sessions"]:
        series = s["series"]
        assert (series["axis"], series["times"] == sorted(series["times"])) == ("seconds", True)
        sums = [sum(f["pages"][i] for f in series["functions"]) for i in range(len(series["times"]))]
        assert (max(sums), sums[-1]) == (s["totals"]["peak"], s["totals"]["held"])
        assert bool(series["marks"]) is (s["mode"] == "vhca_id")
