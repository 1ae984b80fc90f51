"""Kernels that name the slot in some lines of a dump and not in others."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from fwpages.auditor.audit import audit

GOLDEN = Path(__file__).parent.parent / "golden" / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"


@pytest.mark.parametrize(
    "pattern",
    [
        r"cmd\[\d+\]: (?=dump command)",
        r"cmd\[\d+\]: (?=(?:start|end) dump)",
        r"cmd\[\d+\]: (?=dump command|start dump|end dump|command block)",
        r"(?<=\] )cmd\[\d+\]: (?=[0-9a-f]{3,}: )",
    ],
    ids=["headlines", "start and end", "all but the lines", "the lines"],
)
def test_the_slot_is_named_in_some_lines_only(pattern: str, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text(re.sub(pattern, "", gzip.decompress(GOLDEN.read_bytes()).decode()), encoding="utf-8")
    mixed, whole = audit(log), audit(GOLDEN)
    assert mixed.clean
    assert [s.totals for s in mixed.sessions] == [s.totals for s in whole.sessions]
    assert [s.end for s in mixed.sessions] == ["closed"]
