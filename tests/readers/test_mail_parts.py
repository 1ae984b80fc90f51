"""A saved mail whose text, or whose attachment, is in base64."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from fwpages.readers.mail_parts import decoded, is_encoded
from tests.auditor.logs import audit_lines

LOG = (
    "[  812.100001] mlx5_core 0000:3b:00.0: firmware version: 22.41.1000",
    "[  813.200002] mlx5_core 0000:3b:00.0: mlx5_function_setup:1210:(pid 77): enable hca failed",
    "[  813.300003] mlx5_core 0000:3b:00.0: probe_one:1801:(pid 77): mlx5_init_one failed with error code -110",
)
HEAD = (
    "MIME-Version: 1.0",
    'Content-Type: multipart/mixed; boundary="=-b"',
    "",
    "--=-b",
    "",
    "The log is attached.",
    "",
)


def _part(content: bytes) -> list[str]:
    return [
        "--=-b",
        'Content-Type: text/plain; name="dmesg.txt"',
        "Content-Transfer-Encoding: base64",
        "",
        *base64.encodebytes(content).decode().split("\n"),
    ]


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("head", [HEAD, HEAD[:1]], ids=["attached", "the text itself"])
def test_the_lines_of_a_part_are_read(head: tuple[str, ...], end: str, tmp_path: Path) -> None:
    [s] = audit_lines(tmp_path, [*head, *_part("\n".join(LOG).encode() + end.encode()), "--=-b--"]).sessions
    assert (s.device, s.end) == ("0000:3b:00.0", "failed")
    assert "enable hca failed" in s.findings[0].detail


def test_a_folded_log_in_a_part_is_joined(tmp_path: Path) -> None:
    folded = "\n".join(line.replace("(pid 77): ", "(pid\n77): ") for line in LOG)
    [s] = audit_lines(tmp_path, [*HEAD, *_part(folded.encode())]).sessions
    assert "ETIMEDOUT" in s.findings[0].detail


def test_parts_that_are_no_text_are_left_out() -> None:
    lines = [*HEAD, *_part(bytes(300)), "--=-b", "", "after"]
    [(number, out)] = decoded([(1, [line.encode() for line in lines])])
    assert number == 1
    assert [line.decode() for line in out if line] == [
        line for line in (*HEAD, *_part(b"")[:3], "--=-b", "after") if line
    ]


@pytest.mark.parametrize("cut", [1, 30, 77, 78, 150])
def test_a_part_that_is_cut_short_is_read_as_far_as_it_goes(cut: int, tmp_path: Path) -> None:
    head = "\n".join([*HEAD, *_part(b"")[:4]])
    code = base64.encodebytes("\n".join(LOG * 3).encode()).decode()[: 200 + cut]
    report = audit_lines(tmp_path, f"{head}\n{code}".split("\n"))
    assert [s.device for s in report.sessions] == ["0000:3b:00.0"]


def test_a_log_that_says_base64_is_no_mail() -> None:
    assert not is_encoded(b"[ 1.0] x: Content-Transfer-Encoding: base64\n")
