"""Logs as people paste them: ``fwpages audit`` says of each what is right of it.

The inputs are in ``tests/golden/cases``, the expectations in ``expected.json`` beside them, with the reason under
``why``. An expectation is about the fact and not about the wording: its patterns leave room.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fwpages.cli import invoke
from tests.conftest import GOLDEN

FOLDER = GOLDEN / "cases"
EXPECTED: dict[str, dict[str, Any]] = msgspec.json.decode((FOLDER / "expected.json").read_bytes())


@dataclass(frozen=True)
class Outcome:
    """The exit code of an audit, the text that it printed, and the sessions of its JSON."""

    code: int
    text: str
    sessions: list[dict[str, Any]]


def audited(name: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Audit a copy of the case: a name that tells the answer is not in the output."""
    shutil.copy(FOLDER / name, folder / "input.txt")
    monkeypatch.chdir(folder)
    code = invoke(["audit", "input.txt"])
    text = "".join(capsys.readouterr())
    assert invoke(["audit", "--json", "input.txt"]) == code
    out = capsys.readouterr().out
    return Outcome(code, text, msgspec.json.decode(out)["sessions"] if out else [])


def texts(value: object) -> Iterator[str]:
    """Every value within a value of JSON, as text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from texts(part)
    else:
        yield str(value)


def allows(wanted: object, value: object) -> bool:
    return value in wanted if isinstance(wanted, list) else value == wanted


def wrong(case: dict[str, Any], outcome: Outcome) -> list[str]:
    """The differences of an outcome from what its case expects."""
    if "any_of" in case:
        tries = [wrong(one, outcome) for one in case["any_of"]]
        return [] if [] in tries else ["none of the outcomes", *tries[0]]
    found: list[str] = [f"says {p!r}" for p in case.get("must_not", []) if re.search(p, outcome.text)]
    found += [f"does not say {p!r}" for p in case.get("mentions", []) if not re.search(p, outcome.text)]
    if not allows(case.get("exit", outcome.code), outcome.code):
        found.append(f"exit code {outcome.code}")
    if case.get("sessions_count", len(outcome.sessions)) != len(outcome.sessions):
        found.append(f"{len(outcome.sessions)} sessions")
    for n, wanted in enumerate(case.get("sessions", [])):
        device = wanted.get("device", case.get("device", ""))
        of_device = [s for s in outcome.sessions if device in s["device"]]
        # an entry with a device of its own is about that device's first session
        chosen = of_device[0 if "device" in wanted else n :]
        found += [f"session {n}: {w}" for w in wrong_session(wanted, chosen[0])] if chosen else [f"no session {n}"]
    return found


def wrong_session(wanted: dict[str, Any], session: dict[str, Any]) -> list[str]:
    """The differences of one session."""
    findings = session["findings"]
    blames = {f["blame"] for f in findings}
    remedies: list[str] = [f["remedy"] for f in findings]
    words = "\n".join(texts(session))
    found: list[str] = [k for k in ("end", "clean", "verdict") if k in wanted and not allows(wanted[k], session[k])]
    if "blame" in wanted and (not blames or blames - set(wanted["blame"])):
        found.append(f"blames {blames}")
    found += [f"blames {b}" for b in wanted.get("not_blame", []) if b in blames]
    found += [f"advises {p!r}" for p in wanted.get("not_remedy", []) if any(re.search(p, r) for r in remedies)]
    found += [f"does not say {p!r}" for p in wanted.get("mentions", []) if not re.search(p, words)]
    if len(findings) > wanted.get("findings_max", len(findings)):
        found.append(f"{len(findings)} findings")
    return found


def test_every_case_has_an_expectation() -> None:
    assert set(EXPECTED) == {path.name for path in FOLDER.glob("*.txt")}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_pasted_log_is_judged_rightly(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wrong(EXPECTED[name], audited(name, tmp_path, capsys, monkeypatch)) == []


@pytest.mark.parametrize("name", [n for n, case in EXPECTED.items() if case.get("exit") == 1])
def test_the_expectations_of_a_broken_machine_are_not_met_by_a_green_report(name: str) -> None:
    """An audit that finds nothing fails each of these cases, so that the comparison can fail."""
    green = {"device": f"0000:00{EXPECTED[name].get('device', '')}", "end": "open", "clean": True, "verdict": "clean"}
    assert wrong(EXPECTED[name], Outcome(0, "clean", [{**green, "findings": []}]))
