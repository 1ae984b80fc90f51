"""`fwpages audit` with inputs good and bad: exit codes, messages, no tracebacks."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.auditor.audit import InputError, audit
from fwpages.cli import invoke
from fwpages.readers.inputs import CHUNK, MAX_LINE, Source, Unpacked, open_source
from tests.auditor.logs import DMESG, VHCA, accounts, dmesg, only, write, write_trace
from tests.auditor.written_traces import WrittenTrace, pages


def _run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = invoke(["audit", *args])
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def test_0_is_fine(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(capsys, str(VHCA))
    assert (code, err) == (0, "")
    assert "vhca_id mode, closed: clean" in out
    assert "2,137" in out


def test_1_is_findings(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    trace = WrittenTrace().opened().closed([pages(0, 0)])
    code, out, _ = _run(capsys, str(write_trace(tmp_path, trace.lines)))
    assert code == 1
    assert "pages-left  blames: device" in out
    code, out, _ = _run(capsys, str(write_trace(tmp_path, trace.lines)), "--json")
    assert (code, json.loads(out)["sessions"][0]["clean"]) == (1, False)


def test_an_open_log_is_0(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = _run(capsys, str(write_trace(tmp_path, WrittenTrace().opened().lines)))
    assert code == 0
    assert "open: consistent so far" in out


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (bytes(range(256)), "is no text"),
        (b'{"a": 1}\n', "no trace of fwpages"),
        (b"{oops\n", "no trace of fwpages"),
        (b'{"kind": "header", "format": "fwpages-trace", "version": 99}\n', "version 99"),
        (b'{"kind": "header", "format": "other"}\n', "'other'"),
        (lzma.compress(b"x"), "packed with xz"),
        (b"BZh91AY&SY", "packed with bzip2"),
        (gzip.compress(b""), "is empty"),
        (gzip.compress(b"nothing here\n" * 9)[:-12], "compressed file ends too early"),
        (b"\x1f\x8bnot gzip at all", "says nothing of mlx5_core: the compressed file is damaged"),
    ],
    ids=range(11),
)
def test_2_is_misuse(content: bytes, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    code, out, err = _run(capsys, str(path))
    assert (code, out) == (2, "")
    assert words in err
    assert "expected" in err or "unpack" in err or "reads up to" in err


@pytest.mark.parametrize(
    "content",
    [b"hello\nworld\n", b"[    1.0] e1000: link up\n", b'["kind"]\n', gzip.compress(b"nothing here\n"), b"\n\n\n"],
    ids=range(5),
)
def test_a_text_without_a_line_of_mlx5_is_not_known(
    content: bytes, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "input"
    path.write_bytes(content)
    code, out, err = _run(capsys, str(path))
    assert (code, err) == (4, "")
    assert "a line of mlx5_core, the log has none" in " ".join(out.split())


def test_exit_2_is_also_for_paths_that_are_no_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "is a directory" in _run(capsys, str(tmp_path))[2]
    assert "no such file" in _run(capsys, str(tmp_path / "missing"))[2]
    assert "the name of a file is empty" in _run(capsys, "")[2]
    assert _run(capsys)[0] == 2
    assert _run(capsys, "--colour", "red")[0] == 2
    code, out, err = _run(capsys, str(VHCA), str(tmp_path / "missing"))
    assert (code, "closed: clean" in out, "no such file" in err) == (2, True, True)


def test_standard_input(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (VHCA.read_bytes(), DMESG.read_bytes(), gzip.decompress(DMESG.read_bytes())):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        code, out, _ = _run(capsys, "-")
        assert (code, "closed: clean" in out) == (0, True)


def test_json_is_one_object_a_call(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "--json", str(VHCA), str(DMESG))
    report = json.loads(out)
    assert (code, report["schema"], len(report["sessions"])) == (0, "audit/2", 2)


def test_a_log_with_bytes_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    text = "".join(line + "\n" for line in dmesg()).encode()
    path.write_bytes(b"\xff\xfe\x00 garbage\n" + text + b"[ 9.0] mlx5_core 0000:00:03.0: \xff\n")
    assert audit(path).clean


def test_a_line_too_long_to_be_any_is_skipped(tmp_path: Path) -> None:
    stream = io.BytesIO(b"first\n" + b"x" * (MAX_LINE + 5_000_000) + b"\nsecond\n")
    source = Source("long", stream)
    lines = [line for _, batch in source.batches() for line in batch]
    assert (lines[0], lines[-1], source.skipped) == (b"first", b"second", 1)
    assert sum(map(len, lines)) < 100


def test_line_numbers_over_batches(tmp_path: Path) -> None:
    text = b"".join(b"%d\n" % n for n in range(1, 400_000))
    source = Source("long", io.BytesIO(text))
    for first, lines in source.batches():
        assert lines[0] == b"%d" % first
    assert (source.lines, source.cut) == (399_999, False)


def test_reading_that_fails_halfway_is_reported(tmp_path: Path) -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 1000:
                raise OSError(5, "Input/output error")
            return super().read(900)

    source = Source("disk", Failing(b"line\n" * 1000))
    assert sum(len(lines) for _, lines in source.batches()) > 100
    assert source.broken == "reading failed (Input/output error)"


def test_an_input_that_is_not_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, ["x"])

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    with pytest.raises(InputError, match="Permission denied"):
        open_source(path)


# -- gzip

TEXT = b"".join(b"[%5d.%06d] line %d\n" % (n, n * 7919 % 10**6, n * 104729 % 9973) for n in range(1500))
#: the library's header: no name, no flags
HEADER = 10
#: it has a check sum and a length at its end, as every member
PACKED = gzip.compress(TEXT)
OTHER = b"another log\n" * 40


def _unpack(data: bytes, size: int = CHUNK) -> tuple[bytes, type[Exception] | None]:
    """All that a file of these bytes gives, read so many at a time, and what was wrong with it."""
    source, out = Unpacked(io.BytesIO(data)), b""
    try:
        while piece := source.read(size):
            assert len(piece) <= size
            out += piece
    except (EOFError, zlib.error) as e:
        failed = type(e)
        # it stays at that
        with pytest.raises(failed):
            source.read(size)
        return out, failed
    assert source.read(size) == b""
    return out, None


def _before(data: bytes) -> bytes:
    """The content of this beginning of a gzip file."""
    return zlib.decompressobj(wbits=31).decompress(data)


@settings(max_examples=40)
@given(st.integers(1, len(PACKED) - 1))
def test_a_file_that_is_cut_at_any_byte_is_read_to_there(cut: int) -> None:
    assert _unpack(PACKED[:cut]) == (_before(PACKED[:cut]), EOFError)
    # and behind a whole one
    assert _unpack(gzip.compress(OTHER) + PACKED[:cut]) == (OTHER + _before(PACKED[:cut]), EOFError)


@settings(max_examples=40)
@given(st.integers(HEADER, len(PACKED) - 1), st.integers(1, 255))
def test_a_file_that_is_damaged_at_any_byte_is_read_to_there(at: int, flip: int) -> None:
    data = bytearray(PACKED)
    data[at] ^= flip
    out, failed = _unpack(bytes(data))
    assert out.startswith(_before(PACKED[:at]))
    assert failed in (zlib.error, EOFError)


@pytest.mark.parametrize("size", [1, 100, 4096, CHUNK])
@pytest.mark.parametrize("members", [1, 2, 3])
def test_several_files_in_one_are_one_text(members: int, size: int) -> None:
    # archives fill up with zeros, behind the file and between two
    for between in (b"", b"\0" * 5000):
        data = between.join([gzip.compress(OTHER)] * members) + between
        assert _unpack(data, size) == (OTHER * members, None)


@pytest.mark.parametrize(
    ("behind", "failed"),
    [(b"rubbish", zlib.error), (b"\0\0rubbish", zlib.error), (b"\x1f", EOFError), (b"\x1f\x8b\x08", EOFError)],
)
def test_rubbish_behind_a_file_costs_nothing_of_it(behind: bytes, failed: type[Exception]) -> None:
    assert _unpack(PACKED + behind) == (TEXT, failed)


def test_a_check_sum_that_is_wrong_costs_nothing_of_the_text() -> None:
    assert _unpack(PACKED[:-8] + bytes(8)) == (TEXT, zlib.error)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[: len(data) // 2], "the compressed file ends too early"),
        (lambda data: data[:20000] + bytes(99) + data[20099:], "the compressed file is damaged"),
        (lambda data: data + b"rubbish", "the compressed file is damaged (what follows its end is no gzip)"),
    ],
)
def test_a_log_in_a_file_that_is_cut_or_damaged_blames_no_party(
    damage: Callable[[bytes], bytes], words: str, tmp_path: Path
) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(damage(DMESG.read_bytes()))
    s = only(audit(path))
    assert {f.blame for f in s.findings} == {"log"}
    assert [f.name for f in s.findings if words in f.detail] == ["log-truncated"]
    # what is behind the log is no part of it
    assert (accounts(s) == accounts(only(audit(DMESG)))) is ("follows" in words)
