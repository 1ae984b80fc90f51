from __future__ import annotations

import json

import pytest

from fwpages import cli
from fwpages.custody.findings import FindingName
from fwpages.device import OffenceName
from fwpages.link.queue.offences import WireOffenceName
from fwpages.scenario import names
from fwpages.scenario.fault_syntax import EVERY_FAULT

KINDS = ["scenarios", "profiles", "functions", "commands", "findings", "faults", "offences"]


@pytest.mark.parametrize("what", KINDS)
def test_a_line_each(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["list", what]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.strip() and "  " in line for line in lines if what != "commands")


@pytest.mark.parametrize("what", KINDS)
def test_as_json(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["list", what, "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["schema"] == "list/1"
    found = [row["name"] for row in out[what]]
    expected = {
        "scenarios": names(),
        "offences": [*OffenceName, *WireOffenceName],
        "findings": list(FindingName),
        "faults": list(EVERY_FAULT),
    }
    assert found == expected.get(what, found)
    assert len(set(found)) == len(found)
