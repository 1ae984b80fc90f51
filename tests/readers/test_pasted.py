"""Pasted logs, folded, quoted or in tables: they are read as they were printed, or it is said that they look folded."""

from __future__ import annotations

import html
import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from fwpages.readers.inputs import open_source
from fwpages.readers.kernel_log import KernelLog
from fwpages.readers.observations import DeviceNamed, LooksFolded, Observation
from fwpages.readers.pasted import MAX_JOINED, Layout, Mended, layout_of
from tests.auditor.logs import Lines, dmesg, write

FAILED = [
    "[  342.133517] nvme nvme0: I/O tag 8 (0008) QID 0 timeout, disable controller",
    "[  403.712532] mlx5_core 0000:a2:00.0: wait_func:1185:(pid 4164): INIT_HCA(0x102) timeout. Will cause a leak of a"
    " command resource",
    "[  403.725877] mlx5_core 0000:a2:00.0: mlx5_function_open:1215:(pid 3235): init hca failed",
    "[  403.736982] mlx5_core 0000:a2:00.0: probe_one:2003:(pid 4164): mlx5_init_one failed with error code -110",
    "[  403.757005] mlx5_core 0000:a2:00.0: probe with driver mlx5_core failed with error -110",
]
ASSERT = [
    "2025-03-02T04:05:06.100000+01:00 db4 kernel: mlx5_core 0000:c1:00.1: poll_health:801:(pid 0): device's health"
    " compromised - reached miss count",
    "2025-03-02T04:05:06.100010+01:00 db4 kernel: mlx5_core 0000:c1:00.1: print_health_info:447:(pid 0): synd 0x7:"
    " irisc not responding",
    "2025-03-02T04:05:09.200000+01:00 db4 kernel: mlx5_core 0000:c1:00.1: mlx5_pci_err_detected Device state = 1 health"
    " sensors: 1 pci_status: 1. Enter, pci channel state = 2",
]
PAGES = [line for line in dmesg() if "mlx5_core 0000" in line and "dump" not in line]
UNTIMED = [line[15:] for line in PAGES]
LOGS = {"failed": FAILED, "assert": ASSERT, "pages": PAGES, "untimed": UNTIMED}


def _fold(lines: Lines, width: int) -> Lines:
    """A mailer's folding: at blanks, as late as possible."""
    return [x for line in lines for x in textwrap.wrap(line, width, break_long_words=False, break_on_hyphens=False)]


def _equals(lines: Lines) -> Lines:
    """Quoted-printable: a line that goes on ends in =, wherever that is, and = is written as =3D."""
    out = []
    for line in lines:
        rest = line.replace("=", "=3D")
        while len(rest) > 76:
            cut = 75 - (rest[73:75].find("=") >= 0) * 2
            out.append(rest[:cut] + "=")
            rest = rest[cut:]
        out.append(rest)
    return out


def _typographic(lines: Lines) -> Lines:
    return [line.replace("'", "’").replace(": ", ":\xa0").replace("  ", "\xa0 ") for line in lines]


PASTED: dict[str, Callable[[Lines], Lines]] = {
    "as printed": lambda lines: lines,
    "folded at 72": lambda lines: _fold(lines, 72),
    "folded at 78": lambda lines: _fold(lines, 78),
    "folded at 66": lambda lines: _fold(lines, 66),
    "quoted": lambda lines: [f"> {line}" for line in lines],
    "quoted twice": lambda lines: [f"> > {line}" for line in lines],
    "quoted without a blank": lambda lines: [f">>{line}" for line in lines],
    "quoted with initials": lambda lines: [f"JD> {line}" for line in _fold(lines, 74)],
    "folded and quoted": lambda lines: [f">> {line}" for line in _fold(lines, 70)],
    "quoted and folded": lambda lines: [f"> {line}" for line in _fold([f"> {x}" for x in lines], 74)],
    "quoted-printable": _equals,
    "quoted-printable in a quote": lambda lines: [f"> {line}" for line in _equals(lines)],
    "in a terminal of 100 columns": lambda lines: [x[i : i + 100] for x in lines for i in range(0, len(x), 100)],
    "in a table": lambda lines: [f"| {line} |" for line in lines],
    "in a table of boxes": lambda lines: [f"│ {line} │" for line in lines],
    "in a column of a table": lambda lines: [f"| kern | {line} | |" for line in lines],
    "typographic": _typographic,
    "typographic and folded": lambda lines: _fold(_typographic(lines), 72),
    "of a web page": lambda lines: [line.replace("'", "&#39;").replace(": ", ":&nbsp;") for line in lines],
    "with the signs of a word processor": lambda lines: [
        line.replace("-1", "−1").replace("0x", "0×").replace(" mlx5", " \u200bmlx5") for line in lines
    ],
    "between backticks": lambda lines: [f"`{line}`" for line in lines],
    "indented and folded": lambda lines: [f"    {line}" for line in _fold(lines, 72)],
    "between the marks of a page": lambda lines: ["<pre><code>", *lines, "</code></pre>"],
    "with the line breaks of a page": lambda lines: [f"{html.escape(line)}<br>" for line in lines],
    "after a mail's text": lambda lines: ["Hi,", "after the update it says", "", *_fold(lines, 72), "", "What now?"],
}


def _read(tmp: Path, lines: Lines) -> list[Observation]:
    source = open_source(write(tmp, lines))
    try:
        return list(KernelLog(source).read())
    finally:
        source.close()


def _told(found: list[Observation]) -> list[tuple[str, str, str]]:
    """The observations, without line numbers."""
    return [(type(v).__name__, v.device, str(getattr(v, "text", getattr(v, "request", "")))) for v in found]


@pytest.mark.parametrize("log", LOGS)
@pytest.mark.parametrize("how", PASTED)
def test_a_pasted_log_is_read_as_it_was_printed(how: str, log: str, tmp_path: Path) -> None:
    if log == "untimed" and how in ("in a column of a table", "in a terminal of 100 columns"):
        pytest.skip("nothing shows where a line begins")
    assert _told(_read(tmp_path, PASTED[how](LOGS[log]))) == _told(_read(tmp_path, LOGS[log]))


@pytest.mark.parametrize("width", [60, 72, 80])
def test_folded_dumps_give_the_same_commands(width: int, tmp_path: Path) -> None:
    lines = dmesg()[:600]
    assert _told(_read(tmp_path, _fold(lines, width))) == _told(_read(tmp_path, lines))


def test_a_log_that_coloured_code_tore_at_its_colons_is_joined(tmp_path: Path) -> None:
    torn = [piece for line in FAILED for piece in re.sub(r"(?<=\d)([\]:)])", r"\n\1", line).split("\n")]
    assert len(torn) > 4 * len(FAILED)
    assert _told(_read(tmp_path, ["so says the page:", *torn])) == _told(_read(tmp_path, FAILED))


@pytest.mark.parametrize("width", [80, 110, 4000])
def test_lines_that_were_filled_as_one_paragraph_are_taken_apart(width: int, tmp_path: Path) -> None:
    text = " ".join(["The following was fixed: when the driver loads, one sees:", *FAILED, "(end)"])
    found = _read(tmp_path, [f"    {line}" for line in textwrap.wrap(text, width)])
    kinds = [(kind, device) for kind, device, _ in _told(found)]
    assert kinds == [(kind, device) for kind, device, _ in _told(_read(tmp_path, FAILED))]
    lines = [v.place.line for v in found if not isinstance(v, DeviceNamed)]
    assert lines == sorted(lines)


def test_the_part_of_a_mail_that_repeats_its_text_as_html_is_passed_over(tmp_path: Path) -> None:
    text = ["Content-Type: text/plain; charset=utf-8", "", *FAILED, "", "--next"]
    again = ["Content-Type: text/html; charset=utf-8", "", *(f"<div>{line}</div>" for line in FAILED), "--next--"]
    assert _told(_read(tmp_path, [*text, *again])) == _told(_read(tmp_path, FAILED))
    assert _told(_read(tmp_path, again)) == _told(_read(tmp_path, FAILED)), "a mail of HTML alone is read"


def test_a_joined_line_has_the_number_of_its_first_piece(tmp_path: Path) -> None:
    lines = _fold(FAILED, 72)
    at = next(n for n, line in enumerate(lines, 1) if "wait_func" in line)
    assert _read(tmp_path, lines)[0].place.line == at


@pytest.mark.parametrize(
    "lines",
    [
        # cut off at a column
        [line[:70] for line in FAILED],
        ["[    1.1] mlx5_core 0000:03:00.0: give_pages:467:(pid 100):", "[    1.2] usb 1-1: new device"],
        # folded twice, at two widths
        _fold(_fold(ASSERT, 76), 68),
        # some lines fold in the middle, and others go on although they need not
        [*_fold(FAILED, 72), "it is a ConnectX-6", *_fold(FAILED[:2], 72)],
    ],
)
def test_a_log_that_cannot_be_joined_looks_folded(lines: Lines, tmp_path: Path) -> None:
    assert [v for v in _read(tmp_path, lines) if isinstance(v, LooksFolded)]


@pytest.mark.parametrize("log", LOGS)
def test_prose_after_whole_lines_is_no_folding(log: str, tmp_path: Path) -> None:
    lines = [*LOGS[log], "", "Any idea?", "The card is a ConnectX-6."]
    found = _read(tmp_path, lines)
    assert _told(found) == _told(_read(tmp_path, LOGS[log]))
    assert not [v for v in found if isinstance(v, LooksFolded)]


def test_an_ordinary_log_is_plain() -> None:
    for lines in (dmesg(), PAGES, UNTIMED, [f"7,1,5000,-;{x[15:]}\n SUBSYSTEM=pci\n DEVICE=+pci:1" for x in PAGES]):
        assert layout_of("\n".join(lines).encode()).plain


def test_an_empty_message_is_no_fold() -> None:
    """Some kernels print one before each dump."""
    assert layout_of(b"[    1.1] mlx5_core 0000:03:00.0: dump_command:60:(pid 100): \n" + PAGES[0].encode()).plain


def test_a_joined_line_has_a_bound() -> None:
    lines = [b"[    1.1] mlx5_core 0000:03:00.0: (", *[b"x" * 70] * 10_000]
    (_, out), *_ = Mended(Layout(width=72, timed=True)).batches([(1, lines)])
    assert max(map(len, out)) <= MAX_JOINED + 1
