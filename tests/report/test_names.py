"""The names that a scenario gives to functions stand beside their identities, in runs, served devices and audits."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from fwpages.auditor.audit import audit
from fwpages.cli import invoke
from fwpages.custody.accounts import SessionAccount
from fwpages.device import PlannedFault
from fwpages.report.serve import serve_report, show_served
from fwpages.scenario import load
from fwpages.scenario.topology import device_profile, functions, names_of
from tests.scenario.stage import Stage, request, steps

WORLD = """
[device]
profile = "{profile}"
[[function]]
name = "database"
type = "vf"
vhca_id = 0x31
pages = 8
[[step]]
do = "open"
mode = "{mode}"
[[step]]
do = "enable"
function = "database"
[[step]]
do = "close"
"""


def names(sessions: list[SessionAccount]) -> list[dict[str, str]]:
    return [{f.identity: f.name for f in s.functions} for s in sessions]


@pytest.mark.parametrize(("mode", "identity"), [("func_id", "func:0x1"), ("vhca_id", "vhca:0x31")])
def test_a_run_and_the_audit_of_its_trace_show_the_same_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str, identity: str
) -> None:
    world, trace = tmp_path / "world.toml", tmp_path / "trace.jsonl"
    world.write_text(WORLD.format(profile="connectx7", mode=mode))
    assert invoke(["run", str(world), "--trace", str(trace)]) == 0
    printed = capsys.readouterr().out
    assert [identity, "database", "VF"] in [line.split()[:3] for line in printed.splitlines()]
    report = audit(trace)
    assert [found[identity] for found in names(report.sessions)] == ["database"]
    assert [s.supplier for s in report.sessions] == ["pf"]
    assert invoke(["audit", str(trace)]) == 0
    assert [identity, "database", "VF"] in [line.split()[:3] for line in capsys.readouterr().out.splitlines()]


def test_the_own_function_is_called_by_its_kind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON keeps ``self``."""
    for profile, kind in (("connectx7", "PF"), ("bluefield3", "ECPF")):
        world = tmp_path / "world.toml"
        world.write_text(WORLD.format(profile=profile, mode="auto").replace('"vf"', '"sf"'))
        assert invoke(["run", str(world)]) == 0
        assert kind in capsys.readouterr().out.split()
        assert invoke(["run", "--json", str(world)]) == 0
        (session,) = json.loads(capsys.readouterr().out)["sessions"]
        assert "self" in {f["type"] for f in session["functions"]}


def test_functions_that_share_an_identity_share_the_name() -> None:
    plan = load(
        "vhca-reuse",
        text=WORLD.format(profile="connectx7", mode="auto")
        + """
[[function]]
name = "heir"
type = "vf"
index = 1
vhca_id = 0x31
reuses = "database"
""",
    )
    found = names_of(functions(plan, device_profile(plan)))
    assert list(found) == ["database", "heir"]
    assert len({who for of in found.values() for who in of}) == 3


def served(*rows: str, faults: tuple[PlannedFault, ...] = (), give: bool = True) -> tuple[Stage, list[str]]:
    stage = Stage(steps(*rows), faults=faults)
    d = stage.driver()
    own = d.up()
    if give:
        assert d.event(1) is not None
        d.give(0x31, 8)
        assert d.event(1) is not None
        d.take(0x31, 8)
    d.down(own)
    stage.serving.tick()
    return stage, lines(stage)


def lines(stage: Stage) -> list[str]:
    out = io.StringIO()
    show_served(serve_report(stage.serving, scenario="test"), stage.serving, Console(file=out))
    return out.getvalue().splitlines()


def test_a_served_device_shows_the_functions_of_each_session() -> None:
    stage, shown = served('do = "open"', request("vf0", 8), request("vf0", -8), 'do = "close"')
    rows = [line.split() for line in shown]
    assert ["vhca:0x31", "vf0", "VF", "8", "8", "0", "0", "0", "8", "0.031"] in rows
    (session,) = serve_report(stage.serving, scenario="test").sessions
    assert session.identities["vf0"] == "vhca:0x31"
    stage.drivers[0].close()


def test_steps_that_a_driver_did_not_come_to_are_reported_for_each_client() -> None:
    late = 'do = "wait"\nseconds = 1\ncommand = 9999'
    stage, shown = served('do = "open"', 'do = "close"', late, give=False)
    assert "never happened: step[2] (wait)" in shown
    for d in stage.drivers:
        d.close()
    stage.serving.connected()
    report = serve_report(stage.serving, scenario="test")
    assert report.missed == [
        "step[2] (wait)",
        "step[0] (open) of client 2",
        "step[1] (close) of client 2",
        "step[2] (wait) of client 2",
    ]
    assert report.verdict == "not known"


def test_an_offence_that_a_fault_caused_is_shown_and_not_blamed_on_the_driver() -> None:
    stage, shown = served('do = "open"', 'do = "close"', faults=(PlannedFault("request-storm", 1, 1),), give=False)
    report = serve_report(stage.serving, scenario="test")
    assert {(e.name, e.fault) for e in report.excused} == {("eq-overrun", "request-storm")}
    assert any(line.startswith("because of request-storm") for line in shown)
    assert report.offences == []
    stage.drivers[0].close()
