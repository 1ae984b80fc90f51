"""A record without a session names the command that provides one."""

from __future__ import annotations

import json
from pathlib import Path

import fwpages


def test_a_record_without_a_session_names_the_command_that_records_one(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    rows = [
        {"n": 0, "kind": "header", "format": "fwpages-trace", "version": 2, "kernel": "7.2.13"},
        {"n": 1, "kind": "end"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "fwpages record -o FILE" in [missing.command for missing in fwpages.audit(path).missing]
