"""The report of a run that drove a device: its verdict, as JSON and as lines below the tables."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fwpages.custody.accounts import Missing, SessionAccount, Verdict
from fwpages.link.driving.opening import Described
from fwpages.link.driving.pci_device import Facts
from fwpages.report.host_accounts import report_of
from fwpages.report.run import missed_words, missing_of, summary_of
from fwpages.scenario import RunResult
from fwpages.scenario.run_books import FailedOperation


class DrivenDevice(msgspec.Struct, frozen=True, kw_only=True):
    """The device that was driven: its name and how it was reached, and what it said of itself.

    ``reset`` is the kind of reset by which it is fenced. ``functions`` are those of each type that it told of, None
    where the scenario names them.
    """

    name: str
    transport: str
    reset: str
    pci: str
    firmware: str
    functions: dict[str, int] | None = None


class DriveReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The result of ``drive --json``: the device, and the sessions as an audit has them.

    ``missing`` is what makes the verdict *not known*, apart from what the sessions lack; ``summary`` is a sentence.
    """

    schema_: str = "drive/1"
    device: DrivenDevice
    scenario: str | None
    mode: str
    verdict: Verdict
    clean: bool | None
    missing: list[Missing]
    summary: str
    commands: int
    seconds: float
    failed: list[FailedOperation]
    missed: list[str]
    skipped: list[str]
    sessions: list[SessionAccount]


def drive_report(
    result: RunResult,
    facts: Facts,
    described: Described,
    functions: Mapping[str, int] | None,
    *,
    scenario: str | None,
    mode: str,
) -> DriveReport:
    """Report a run on this device, which told of so many ``functions`` of each type; None: it did not say."""
    report = report_of(
        facts.name, result.sessions, supplier=result.supplier, names=result.names, timelines=result.timelines
    )
    verdict = result.verdict
    return DriveReport(
        device=DrivenDevice(
            name=facts.name,
            transport=facts.transport,
            reset=facts.reset,
            pci=f"{described.vendor:04x}:{described.device:04x}",
            firmware=described.firmware,
            functions=None if functions is None else dict(functions),
        ),
        scenario=scenario,
        mode=mode,
        verdict=verdict,
        clean=verdict.clean,
        missing=missing_of(result) if verdict is Verdict.NOT_KNOWN else [],
        summary=summary_of(result, report.sessions, verdict),
        commands=result.commands,
        seconds=round(result.seconds, 6),
        failed=list(result.failed),
        missed=missed_words(result.missed_steps, ()),
        skipped=[str(s) for s in result.skipped],
        sessions=report.sessions,
    )
