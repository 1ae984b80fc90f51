"""Firmware's block about a card in the text of an audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from fwpages.cli import invoke
from tests.auditor.test_cards import TODAY


@pytest.mark.parametrize(("options", "whole"), [((), False), (("--full",), True)])
def test_the_block_is_a_line_and_every_field_on_request(
    options: tuple[str, ...], whole: bool, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "log.txt"
    path.write_text("".join(f"[ 7.{n:03}] mlx5_core 0000:5e:00.0: {text}\n" for n, text in enumerate(TODAY)))
    assert invoke(["audit", *options, str(path)]) == 1
    out = capsys.readouterr().out
    assert "for the vendor's ticket" in out
    assert all(f in out for f in ("ext_synd 0x81a5", "fw_ver 28.41.1000", "assert_callra 0x20a11c08"))
    assert ("irisc_index 5" in out) is whole
