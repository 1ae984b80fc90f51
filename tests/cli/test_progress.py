"""The bar while long files are read: on standard error, and on a terminal alone."""

from __future__ import annotations

import io

import pytest

from fwpages.auditor.audit import audit
from fwpages.cli.progress import LONG, reading
from tests.auditor.logs import DMESG


class Terminal(io.StringIO):
    """Standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return stream


def test_without_a_terminal_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    with reading(["a"]) as watch:
        assert watch is None


@pytest.mark.parametrize(("size", "seen"), [(LONG, True), (LONG - 1, False)])
def test_a_long_file_has_a_bar_and_a_short_one_none(monkeypatch: pytest.MonkeyPatch, size: int, seen: bool) -> None:
    stream = terminal(monkeypatch)
    with reading(["a", "b"]) as watch:
        assert watch is not None
        watch("b", 1 << 20, size)
    assert ("reading" in stream.getvalue()) is seen
    assert ("file 2 of 2" in stream.getvalue()) is seen


def test_an_audit_says_how_far_it_has_come() -> None:
    """In bytes as they are on disk, also of a packed file."""
    calls: list[tuple[str, int, int]] = []
    audit(DMESG, watch=lambda *call: calls.append(call))
    assert calls
    assert {(name, size) for name, _, size in calls} == {(str(DMESG), DMESG.stat().st_size)}
    assert [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    assert calls[-1][1] == DMESG.stat().st_size
