"""Findings as lines: grouped by name and remedy, the worst first, each remedy once, with the commands to type."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.text import Text

from fwpages.custody.accounts import FindingAccount
from fwpages.custody.findings import Blame, FindingName
from fwpages.pages.words import in_mib, times
from fwpages.report.grids import say, say_parts

#: findings of one session that are listed; the rest is counted
MAX_FINDINGS = 200
#: after these a device serves no function: they come before all others
_FATAL = frozenset(
    {FindingName.LOAD_FAILED, FindingName.DEVICE_ERROR, FindingName.LINK_LOST, FindingName.RECOVERY_FAILED}
)
_COLOURS: Mapping[str, str] = {
    Blame.HOST: "yellow",
    Blame.DEVICE: "red",
    Blame.LINK: "magenta",
    Blame.LOG: "cyan",
    Blame.UNKNOWN: "blue",
}
#: a command in the words of a remedy
_COMMAND = re.compile("`([^`]+)`")

_Key = tuple[str, str, str]


def show_findings(findings: Sequence[FindingAccount], console: Console, names: Mapping[str, str] | None = None) -> None:
    """Print an empty line and the findings; ``names`` are the functions' names by identity."""
    left = MAX_FINDINGS
    for group in worst_first(findings):
        if left > 0:
            console.print()
            _group(group[:left], len(group), console, names or {})
        left -= len(group)
    if left < 0:
        console.print(f"  and {-left} more findings (--json has them all)")


def worst_first(findings: Iterable[FindingAccount], *, by_remedy: bool = True) -> list[list[FindingAccount]]:
    """The findings that share name, blame and remedy together, in their order; the worst of these groups first.

    Without ``by_remedy`` those that share name and blame are one group: a remedy may name the device. The worst are
    those after which the device is dead; then come those with the most pages; then the others; then what is wrong with
    the input alone.
    """
    groups: dict[_Key, list[FindingAccount]] = {}
    for f in findings:
        groups.setdefault((f.name, f.blame, f.remedy if by_remedy else ""), []).append(f)
    return sorted(groups.values(), key=_harm)


def _harm(group: list[FindingAccount]) -> tuple[int, int]:
    pages = sum(f.pages or 0 for f in group)
    if group[0].name in _FATAL:
        return 0, -pages
    return 2 if group[0].blame == Blame.LOG.value else 1, -pages


def summary(group: Sequence[FindingAccount]) -> str:
    """How often it came, and the pages of all of them together."""
    pages = sum(f.pages or 0 for f in group)
    return times(len(group)) + (f", {in_mib(pages)}" if pages else "")


def head(f: FindingAccount) -> Text:
    """The name of a finding in its party's colour, and the party."""
    return Text.assemble((f.name, f"bold {_COLOURS[f.blame]}"), f"  blames: {f.blame}")


def _group(group: Sequence[FindingAccount], of: int, console: Console, names: Mapping[str, str]) -> None:
    first = group[0]
    if of == 1:
        say_parts(console, [head(first), *_facts(first, names)], 2, 4)
        if first.detail:
            say(console, first.detail, indent=6)
    else:
        say_parts(console, [head(first), Text(summary(group))], 2, 4)
        for f in group:
            facts = _facts(f, names)
            if facts:
                say_parts(console, facts, 6, 2)
            if f.detail:
                say(console, f.detail, indent=8 if facts else 6)
    if first.remedy:
        say(console, f"resolved by: {first.remedy}", "dim", 6)
        for command in _COMMAND.findall(first.remedy):
            console.print(Text(f"        {command}"), soft_wrap=True)


def _facts(f: FindingAccount, names: Mapping[str, str]) -> list[Text]:
    """The function with its name, the pages, and the place of a finding."""
    who = f.function or ""
    if who in names:
        who = f"{who} ({names[who]})"
    return [Text(fact) for fact in (who, in_mib(f.pages) if f.pages else "", *_place(f)) if fact]


def _place(f: FindingAccount) -> list[str]:
    at = f.at
    words = [f"{at['file']}:{at['line']}"] if "file" in at else []
    if at.get("time") is not None:
        words.append(f"at {at['time']}{' s' if isinstance(at['time'], (int, float)) else ''}")
    return words
