"""Changes from snapshot to snapshot, and recordings of them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import msgspec
import pytest

from fwpages.custody.accounts import Verdict
from fwpages.machine.changes import Change, Changes
from fwpages.machine.recording import RecordingError, line, replay
from fwpages.machine.snapshot import FunctionCounters, Snapshot
from tests.machine.trees import PF


def snapshot(taken: float, pages: int | None) -> Snapshot:
    f = FunctionCounters(device=PF, kind="pf", parent=None, pages=pages)
    verdict = Verdict.NOT_KNOWN if pages is None else Verdict.CONSISTENT
    return Snapshot(taken=taken, verdict=verdict, functions=[f])


def after(*snapshots: Snapshot) -> Change:
    changes = Changes()
    for s in snapshots:
        changes.add(s)
    return changes.of(PF)


def test_one_snapshot_shows_no_change() -> None:
    assert after(snapshot(1, 100)) == Change(None, None)


def test_changes_are_since_the_first_and_per_second_since_the_last() -> None:
    assert after(snapshot(10, 100), snapshot(20, 300), snapshot(25, 250)) == Change(150, -10)


def test_a_figure_that_is_not_known_shows_no_change_and_the_next_is_compared_with_the_last_known() -> None:
    assert after(snapshot(10, 100), snapshot(20, None)) == Change(None, None)
    assert after(snapshot(10, 100), snapshot(20, None), snapshot(30, 300)) == Change(200, 10)


def test_a_clock_that_stands_still_gives_no_rate() -> None:
    assert after(snapshot(10, 100), snapshot(10, 300)) == Change(200, None)


def test_a_function_that_was_never_seen_has_no_change() -> None:
    assert Changes().of("0000:5e:00.0") == Change()


@pytest.mark.parametrize("name", ["run.jsonl", "run.jsonl.gz"])
def test_a_recording_gives_back_its_snapshots(name: str, tmp_path: Path) -> None:
    rows = [snapshot(1, 10), snapshot(2, None)]
    text = "".join(map(line, rows)).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    assert list(replay(tmp_path / name)) == rows


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text(line(snapshot(1, 10)) + line(snapshot(2, 20))[:40], "utf-8")
    assert [s.taken for s in replay(file)] == [1]


@pytest.mark.parametrize("text", ["", "\n", "{}\n", "nonsense\n", '{"schema": "top/1"}\n'])
def test_what_is_no_recording_is_refused_with_its_name(text: str, tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text(text, "utf-8")
    with pytest.raises(RecordingError, match=r"run\.jsonl"):
        list(replay(file))


def test_another_schema_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(snapshot(1, 2), schema_="top/9")) + b"\n")
    with pytest.raises(RecordingError, match="top/9"):
        list(replay(file))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ('"taken":1', '"taken":1e300', "its time"),
        ('"taken":1', '"taken":-5', "its time"),
        ('"pages":10', '"pages":-10', "below zero"),
        ('"pages":10', f'"pages":{1 << 70}', "too large"),
        ('"share_of_node":null', '"share_of_node":1e300', "too large"),
        ('"by_type":{}', '"by_type":{"uf":3}', "a type"),
        ('"device":"0000', '"device":"\\u001b[2J', "a name"),
        ('"pages":10', '"pages":null', "its verdict"),
        ('"consistent so far"', '"clean"', "its verdict"),
        ('"total":null', '"total":-1', "memory"),
    ],
)
def test_a_line_that_no_snapshot_makes_is_refused_with_its_number(
    before: str, after: str, said: str, tmp_path: Path
) -> None:
    file, row = tmp_path / "run.jsonl", line(snapshot(1, 10)).replace('"taken":1.0', '"taken":1')
    assert before in row
    file.write_text(row + row.replace(before, after), "utf-8")
    with pytest.raises(RecordingError, match=rf"run\.jsonl:2: .*{said}"):
        list(replay(file))


def test_a_packed_recording_that_is_damaged_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl.gz"
    data = bytearray(gzip.compress("".join(line(snapshot(n, n)) for n in range(50)).encode()))
    for at in range(10, len(data)):
        file.write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
        with pytest.raises(RecordingError, match="run"):
            list(replay(file))


def test_a_pipe_is_no_recording(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RecordingError, match="not a file"):
        list(replay(tmp_path / "pipe"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        list(replay(tmp_path / "run.jsonl"))
