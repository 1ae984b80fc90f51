"""A log within JSON: what tools that run commands on many machines keep of the output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fwpages.readers.inputs import InputError
from fwpages.readers.log_lines import unrolled
from tests.auditor.logs import audit_lines

LOG = (
    "[  812.100001] mlx5_core 0000:3b:00.0: firmware version: 22.41.1000",
    '[  812.200001] a line with "quotes"\tand a tab',
    "[  813.200002] mlx5_core 0000:3b:00.0: mlx5_function_setup:1210:(pid 77): enable hca failed",
)


def _kept(shape: str) -> list[str]:
    match shape:
        case "lines":
            return json.dumps({"rc": 0, "stdout_lines": LOG}, indent=2).split("\n")
        case "lines alone":
            return ["{", '"out": [', *[json.dumps(line) + "," for line in LOG[:-1]], json.dumps(LOG[-1]), "]}"]
        case "one string":
            return [json.dumps({"rc": 0, "stdout": "\n".join(LOG)})]
        case _:
            return [json.dumps({"stdout": "\n".join(LOG), "rc": 0, "stderr": ""})]


@pytest.mark.parametrize("shape", ["lines", "lines alone", "one string", "one string first"])
def test_a_log_that_a_tool_keeps_as_json_is_read(shape: str, tmp_path: Path) -> None:
    [s] = audit_lines(tmp_path, _kept(shape)).sessions
    assert (s.device, s.end) == ("0000:3b:00.0", "failed")
    assert s.findings[0].detail.startswith("enable hca failed; ")


def test_a_message_in_json_after_other_words_ends_where_it_ends(tmp_path: Path) -> None:
    lines = [LOG[0], f'n1 {{"text":"{LOG[2]}"}}']
    [s] = audit_lines(tmp_path, lines).sessions
    assert s.findings[0].detail.startswith("enable hca failed; ")


def test_json_without_a_word_of_the_driver_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is JSON, but no trace"):
        audit_lines(tmp_path, ['{"a": 1}'])


def test_a_string_of_many_lines_is_split_and_messages_are_not() -> None:
    batches = [(1, [b'{"out": "a\\nb\\nc"}', b"d"]), (3, [b'{"MESSAGE": "a\\nb\\nc"}'])]
    assert list(unrolled(batches)) == [(1, [b'{"out": "a', b"b", b"c", b"d"]), (5, [b'{"MESSAGE": "a\\nb\\nc"}'])]
