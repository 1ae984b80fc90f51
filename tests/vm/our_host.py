"""The life of a scenario with our own host, as accounts to compare with a driver's."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import FunctionAccount
from fwpages.prm.identity import Mode
from fwpages.report.run import run_report
from fwpages.scenario.format import CloseStep, Scenario
from fwpages.scenario.runner import ScenarioRun
from tests.scenario.driving import drive

Counts = dict[str, tuple[str, int, int]]


def counts(functions: Iterable[FunctionAccount]) -> Counts:
    """Type, pages given, and pages that came back, by identity."""
    return {f.identity: (f.type, f.given or 0, (f.returned or 0) + (f.released or 0)) for f in functions}


def ours(plan: Scenario, mode: Mode, folder: Path) -> dict[str, Counts]:
    """The same life with our own host, which closes the device at its end: two links in process, and over a socket."""
    whole = msgspec.structs.replace(plan, step=(*plan.step, CloseStep()))
    found: dict[str, Counts] = {}
    links: tuple[Literal["direct", "queue"], ...] = ("direct", "queue")
    for link in links:
        result = ScenarioRun(whole, mode=mode.value, link=link, checked=True).run()
        (account,) = run_report(result, scenario="", device="", mode=mode, seed=None).sessions
        assert result.clean
        found[link] = counts(account.functions)
    drove = drive(whole, folder, mode=mode.value)
    assert drove.result.clean, drove.said
    (session,) = audit(io.StringIO(drove.trace)).sessions
    return found | {"drive": counts(session.functions)}
