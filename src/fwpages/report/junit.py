"""Reports as JUnit XML, which CI systems show as test cases: passed, failed, error or skipped.

A case passes only where something was looked at and found right. What is wrong is a failure, with its meaning, its
evidence and its remedy. What is not known is an error: the check could not be made. A function whose session is not
proven, though nothing of it is wrong, is skipped. None of these is green.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from fwpages.custody.accounts import FindingAccount, FunctionAccount, Missing, Report, SessionAccount, Verdict
from fwpages.custody.findings import Cause
from fwpages.device import OffenceName
from fwpages.link.queue.offences import WireOffenceName
from fwpages.pages.words import in_mib, many, printable
from fwpages.report.run import RunReport
from fwpages.report.serve import ServedSessionAccount, ServeReport

#: findings that one case shows in full; the rest is counted
MAX_SHOWN = 100


class Result(Enum):
    """The result of a case; its value is the element that JUnit has for it, empty for a case that passed."""

    PASSED = ""
    FAILED = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test case. ``message`` is a line, ``text`` all of it; ``kind`` the name of what is wrong."""

    name: str
    result: Result = Result.PASSED
    kind: str = ""
    message: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases that belong together: those of a session, a world or a question."""

    name: str
    cases: Sequence[Case] = field(default_factory=tuple)


def junit_xml(command: str, suites: Iterable[Suite]) -> str:
    """The document of these suites; ``command`` is the command that made the report.

    Characters that XML 1.0 does not allow, and others that nothing can show, are replaced.
    """
    rows = list(suites)
    cases = [case for suite in rows for case in suite.cases]
    counts = _counts(cases)
    del counts["skipped"]  # the attribute belongs to a suite
    root = ET.Element("testsuites", {"name": f"fwpages {command}", **counts})
    for suite in rows:
        name = printable(suite.name)
        of = ET.SubElement(root, "testsuite", {"name": name, **_counts(suite.cases)})
        for case in suite.cases:
            _case(ET.SubElement(of, "testcase", name=printable(case.name), classname=f"fwpages.{command}.{name}"), case)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    def count(result: Result) -> str:
        return str(sum(case.result is result for case in cases))

    return {
        "tests": str(len(cases)),
        "failures": count(Result.FAILED),
        "errors": count(Result.ERROR),
        "skipped": count(Result.SKIPPED),
    }


def _case(element: ET.Element, case: Case) -> None:
    text = printable(case.text)
    if case.result is Result.PASSED:
        if text:
            ET.SubElement(element, "system-out").text = text
        return
    attributes = {"message": " ".join(printable(case.message).split())}
    if case.result is not Result.SKIPPED:
        attributes["type"] = printable(case.kind)
    ET.SubElement(element, case.result.value, attributes).text = text


# -- an audit, and the sessions of a run


_RESULTS: Mapping[Verdict, Result] = MappingProxyType(
    {
        Verdict.CLEAN: Result.PASSED,
        Verdict.CONSISTENT: Result.PASSED,
        Verdict.FINDINGS: Result.FAILED,
        Verdict.NOT_KNOWN: Result.ERROR,
    }
)


def of_audit(report: Report) -> Iterator[Suite]:
    """A suite for the input as a whole, and one for each session, with a case for the session and each function."""
    many_sessions = many(len(report.sessions), "session")
    yield Suite("input", [_whole(report.verdict, many_sessions, report.findings, report.missing)])
    yield from _sessions(report.sessions)


def of_run(report: RunReport) -> Iterator[Suite]:
    """A suite for the run, with its operations and steps, and one for each session."""
    failed = [f"{f.operation}: {f.detail}" for f in report.failed]
    yield Suite(
        report.scenario,
        [
            _whole(report.verdict, report.summary, (), report.missing),
            _list("operations", Result.FAILED, "failed-operation", failed),
            _list("steps and faults", Result.ERROR, "never-happened", [*report.missed, *report.skipped]),
        ],
    )
    yield from _sessions(report.sessions)


def _sessions(sessions: Iterable[SessionAccount]) -> Iterator[Suite]:
    for n, s in enumerate(sessions, 1):
        yield Suite(f"{s.device} session {n}", list(_session(s)))


def _whole(verdict: Verdict, summary: str, findings: Sequence[FindingAccount], missing: Sequence[Missing]) -> Case:
    """The verdict of a report as a case; ``findings`` and ``missing`` are those that belong to no session."""
    lines = [_finding(f) for f in findings[:MAX_SHOWN]] + [_lack(m) for m in missing]
    return Case(
        name="verdict",
        result=_RESULTS[verdict],
        kind=str(verdict),
        message=f"{verdict}: {_first(findings, missing, summary)}",
        text="\n\n".join([summary, *lines]),
    )


def _first(findings: Sequence[FindingAccount], missing: Sequence[Missing], summary: str) -> str:
    if findings:
        return _heads(findings)
    return missing[0].what if missing else summary


def _session(s: SessionAccount) -> Iterator[Case]:
    """The session itself, and each of its functions."""
    result = _RESULTS[s.verdict]
    shown = [_finding(f) for f in s.findings[:MAX_SHOWN]]
    more = [f"and {len(s.findings) - MAX_SHOWN:,} more findings"] if len(s.findings) > MAX_SHOWN else []
    message = _first(s.findings, s.missing, "the finding of another function of the card")
    facts = f"{s.mode or 'mode not known'}, {s.end}, {_held(s.totals.held)}"
    yield Case(
        name="session",
        result=result,
        kind=s.findings[0].name if s.findings else str(s.verdict),
        message=f"{s.verdict}: {message}",
        text="\n\n".join([f"{s.verdict}: {facts}{_place(s.first)}", *shown, *more, *map(_lack, s.missing), *s.notes]),
    )
    of: dict[str, list[FindingAccount]] = {}
    for f in s.findings:
        of.setdefault(f.function or "", []).append(f)
    for function in s.functions:
        yield _function(function, s, of.pop(function.identity, []))


def _function(f: FunctionAccount, s: SessionAccount, findings: Sequence[FindingAccount]) -> Case:
    """A function: it passes where its session does, and nothing is wrong with it."""
    use = f" #{f.generation + 1}" if f.generation else ""
    name = f"{f.name} ({f.identity}){use}" if f.name else f"{f.identity}{use}"
    counts = ", ".join(f"{column} {_count(getattr(f, column))}" for column in ("given", "returned", "released", "held"))
    if findings:
        shown = [_finding(x) for x in findings[:MAX_SHOWN]]
        text = "\n\n".join([counts, *shown])
        return Case(name=name, result=Result.FAILED, kind=findings[0].name, message=_heads(findings), text=text)
    if _RESULTS[s.verdict] is not Result.PASSED:
        message = f"no finding is about it; the verdict of its session: {s.verdict}"
        return Case(name=name, result=Result.SKIPPED, message=message, text=counts)
    return Case(name=name, text=counts)


def _count(n: int | None) -> str:
    return "not known" if n is None else f"{n:,}"


def _held(n: int | None) -> str:
    return "pages held are not known" if n is None else f"{in_mib(n)} held"


def _heads(findings: Sequence[FindingAccount]) -> str:
    """The first finding in a line, and how many there are beside it."""
    first = findings[0]
    rest = f", and {many(len(findings) - 1, 'finding')} more" if len(findings) > 1 else ""
    return f"{first.name} (blames: {first.blame}): {first.detail or _meaning(first)}{rest}"


def _finding(f: FindingAccount) -> str:
    """A finding in full: meaning, evidence, remedy."""
    who = f" of {f.function}" if f.function else ""
    pages = f", {in_mib(f.pages)}" if f.pages else ""
    lines = [
        f"{f.name}{who}{pages}, blames: {f.blame}",
        f"meaning: {_meaning(f)}",
        f"evidence: {f.detail}{_place(f.at)}" if f.detail or f.at else "",
        f"resolved by: {f.remedy}" if f.remedy else "",
    ]
    return "\n".join(line for line in lines if line)


def _meaning(f: FindingAccount) -> str:
    """The meaning of the finding by the table; of several causes that share name and blame, that of its remedy."""
    meanings = [c.meaning for c in _causes(f)] or [
        o.meaning for o in (*OffenceName, *WireOffenceName) if o.value == f.name
    ]
    return "; or ".join(dict.fromkeys(meanings)) or f.name


def _causes(f: FindingAccount) -> list[Cause]:
    """The causes with the finding's name and blame; of several, those with its remedy."""
    causes = [c for c in Cause if c.finding.value == f.name and c.blame.value == f.blame]
    return [c for c in causes if c.remedy == f.remedy] or causes


def _place(at: Mapping[str, object]) -> str:
    """The line that it rests on, as far as the report has it."""
    file = f" ({at['file']}:{at['line']})" if at.get("file") else ""
    return f"{file} at {at['time']}" if at.get("time") is not None else file


def _lack(m: Missing) -> str:
    return f"missing: {m.what}\n    {m.command}" if m.command else f"missing: {m.what}"


def _list(name: str, result: Result, kind: str, rows: Sequence[str]) -> Case:
    """A case that passes where nothing of this kind came."""
    if not rows:
        return Case(name=name)
    more = f", and {len(rows) - 1} more" if len(rows) > 1 else ""
    return Case(name=name, result=result, kind=kind, message=rows[0] + more, text="\n".join(rows))


# -- a served device


def of_served(report: ServeReport) -> Iterator[Suite]:
    """A suite for what was served, with the rules that the driver broke, and one for each session."""
    yield Suite(
        report.scenario,
        [
            _whole(report.verdict, report.summary, (), report.missing),
            _list("expectations of the scenario", Result.FAILED, "unfollowed", report.unfollowed),
            _list("steps and faults", Result.ERROR, "never-happened", report.missed),
            *_offences(report, 0),
        ],
    )
    for s in report.sessions:
        yield Suite(f"{report.scenario} session {s.number}", [*_served(s), *_offences(report, s.number)])


def _served(s: ServedSessionAccount) -> Iterator[Case]:
    result = _RESULTS[s.verdict]
    rest = f"{in_mib(s.held)} {'dropped' if s.dropped else 'left'}"
    text = f"{s.verdict}: {s.mode}, {s.end}, {many(s.commands, 'command')}, {rest}"
    yield Case(name="session", result=result, kind=str(s.verdict), message=text, text=text)
    for name, f in s.functions.items():
        identity = s.identities.get(name, "")
        counts = f"given {f.given:,}, returned {f.returned:,}, released {f.released:,}, held {f.held:,}"
        called = f"{name} ({identity})" if identity else name
        if result is Result.PASSED:
            yield Case(name=called, text=counts)
        elif s.verdict is Verdict.FINDINGS and f.held:
            message = f"{in_mib(f.held)} left behind, session {s.end}"
            yield Case(name=called, result=Result.FAILED, kind="pages-left", message=message, text=counts)
        else:
            message = f"no finding is about it; the verdict of its session: {s.verdict}"
            yield Case(name=called, result=Result.SKIPPED, message=message, text=counts)


def _offences(report: ServeReport, session: int) -> Iterator[Case]:
    """A case for each rule that the driver broke in this session (0: before the first)."""
    by_name: dict[str, list[str]] = {}
    for o in report.offences:
        if o.session == session:
            by_name.setdefault(o.name, []).append(o.detail)
    rules = {o.value: o for names in (OffenceName, WireOffenceName) for o in names}
    for name, details in by_name.items():
        rule = rules.get(name)
        meaning = [f"meaning: {rule.meaning}", f"resolved by: {rule.remedy}"] if rule is not None else []
        text = "\n".join([*(f"evidence: {d}" for d in details[:MAX_SHOWN]), *meaning])
        yield Case(
            name=f"rule {name}",
            result=Result.FAILED,
            kind=name,
            message=f"{details[0]}{f', and {len(details) - 1} more' if len(details) > 1 else ''}",
            text=text,
        )
