from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fwpages.explore.review.answers import Answer
from tests.whole_review import settled

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

GOLDEN = Path(__file__).parent / "golden"
TRACES = ("linux-7.2.13-pf-func_id", "linux-7.2.13-pf-vhca_id")


@dataclass(frozen=True)
class Line:
    """One line of a recorded trace: a command with its answer, or an event."""

    kind: str
    slot: int
    sent: bytes
    answered: bytes
    eqe: bytes


@pytest.fixture(autouse=True)
def _no_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test is not about the width of the terminal that it is started from."""
    monkeypatch.delenv("COLUMNS", raising=False)


@pytest.fixture(params=TRACES)
def trace(request: pytest.FixtureRequest) -> list[Line]:
    """The recorded commands of an unmodified Linux, in each mode."""
    return read_trace(request.param)


def read_trace(name: str) -> list[Line]:
    rows = [json.loads(row) for row in (GOLDEN / f"{name}.jsonl").read_text("utf-8").splitlines()]
    return [
        Line(
            row["kind"],
            row.get("slot", -1),
            bytes.fromhex(row.get("in", "")),
            bytes.fromhex(row.get("out", "")),
            bytes.fromhex(row.get("eqe", "")),
        )
        for row in rows
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of what the whole review says have a mark and a run of their own: they take a quarter of all time."""
    for item in items:
        if isinstance(item, pytest.Function) and "answers" in item.fixturenames:
            item.add_marker("whole_review")


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[Answer]:
    """The whole review: 45 s of one core, once in a run, whose processes share them."""
    folder = tmp_path_factory.getbasetemp()
    return settled(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)
