"""The output of ``drive --json``, compared and put into a report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fwpages.cli import invoke
from fwpages.comparison.kinds import Kind
from fwpages.comparison.values import Form, Outcome
from fwpages.scenario import load
from fwpages.scenario.fault_syntax import fault
from tests.comparison.traced import compared, traced
from tests.scenario.driving import PF, STEPS, Drove, drive
from tests.sockets import short


@pytest.fixture(scope="module")
def drove(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drove]:
    """A device that refuses TEARDOWN_HCA, driven over a socket."""
    with short(tmp_path_factory.mktemp("driven")) as folder:
        yield drive(load("test", text=PF + STEPS), folder, faults=[fault("teardown-refused")])


def test_a_driven_run_is_equal_to_its_trace_and_to_the_run_in_one_process_but_for_the_fault(drove: Drove) -> None:
    driven = msgspec.json.encode(drove.report)
    own = compared(driven, drove.trace.encode())
    assert (own.a.form, own.outcome, own.differences, own.not_known) == (Form.DRIVE, Outcome.EQUAL, [], [])
    _, ran = traced(load("test", text=PF + STEPS), link="queue", faults="teardown-refused")
    assert {d.kind for d in compared(driven, ran).differences} == {Kind.FAULT}
    _, clean = traced(load("test", text=PF + STEPS), link="queue")
    assert Kind.FINDING in {d.kind for d in compared(driven, clean).differences}


def test_a_report_is_made_of_a_driven_run(drove: Drove, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "driven"
    path.write_bytes(msgspec.json.encode(drove.report))
    assert invoke(["report", "--format", "text", str(path)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "driven device 15b3:1021, firmware 28.39.1002, over vfio-user, scenario test, auto mode" in out
    assert {f.name for s in drove.report.sessions for f in s.findings} <= set(out.replace(":", " ").split())


def test_a_report_without_names_does_not_have_the_path_of_the_socket(
    drove: Drove, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "driven"
    path.write_bytes(msgspec.json.encode(drove.report))
    assert drove.report.device.name in path.read_text()
    assert invoke(["report", "--redact", "--format", "text", str(path)]) == 1
    assert drove.report.device.name not in capsys.readouterr().out


@pytest.mark.parametrize("change", [{"failed": [{"why": "?"}]}, {"device": "mlx5"}, {"sessions": 3}])
def test_one_of_another_shape_is_misuse(
    drove: Drove, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, object]
) -> None:
    path = tmp_path / "edited"
    path.write_text(json.dumps(json.loads(msgspec.json.encode(drove.report)) | change))
    for args in (["report", "--format", "text", str(path)], ["diff", str(path), str(path)]):
        assert invoke(args) == 2
        assert "does not have the shape of drive/1" in " ".join(capsys.readouterr().err.split())
