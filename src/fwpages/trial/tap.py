"""A campaign in the Test Anything Protocol, as the kernel's own tests print it (``Documentation/dev-tools/ktap.rst``).

The directives are those of KTAP, and are used as the kernel's tests in ``tools/testing/selftests/net/lib/py/ksft.py``
do: a failure that is expected is ``ok … # XFAIL``, since their harness takes every ``not ok`` for a failure.
"""

from __future__ import annotations

from collections.abc import Iterator

from fwpages.pages.words import printable
from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.played import Campaign, Played
from fwpages.trial.standing import Standing, StandingKind, Summary

#: a row is skipped where there was nothing to judge; any other reason for not judging is an error of the trial
_SKIPPED = frozenset({NotJudged.NOT_TRIGGERED, NotJudged.NOT_PLAYED})


def tap(campaign: Campaign, summary: Summary) -> str:
    """The document: a version line, a plan, a line for each row with its facts before it, and the totals."""
    lines = ["TAP version 13", f"1..{len(campaign.rows)}"]
    counts = dict.fromkeys(("pass", "fail", "xfail", "xpass", "skip", "error"), 0)
    for number, (p, standing) in enumerate(zip(campaign.rows, summary.rows, strict=True), 1):
        kind, ok, comment = _result(p, standing)
        counts[kind] += 1
        lines += [f"# {_one_line(words)}" for words in _facts(p)]
        directive = f" # {_one_line(comment)}" if comment else ""
        lines.append(f"{'ok' if ok else 'not ok'} {number} fwpages-trial.{_one_line(str(p.row))}{directive}")
    totals = " ".join(f"{name}:{n}" for name, n in counts.items())
    return "\n".join([*lines, f"# Totals: {totals}"]) + "\n"


def _result(p: Played, standing: Standing) -> tuple[str, bool, str]:
    """The key of the totals that counts this row, whether its line says ok, and what follows it."""
    j = p.judged
    flaky = " (flaky)" if p.flaky else ""
    match standing.kind:
        case StandingKind.GOOD:
            return "pass", True, ""
        case StandingKind.KNOWN:
            return "xfail", True, f"XFAIL {j.title}{flaky}"
        case StandingKind.BETTER if j.effect is Effect.NONE:
            return "pass", True, f"the baseline has: {_known(standing)}"
        case StandingKind.BETTER:
            return "xfail", True, f"XFAIL {j.title}{flaky}"
        case StandingKind.NOT_JUDGED:
            return _not_judged(p)
    return "fail", False, f"{'TIMEOUT ' if j.effect is Effect.HUNG else ''}{j.title}{flaky}"


def _not_judged(p: Played) -> tuple[str, bool, str]:
    """SKIP where the fault was never triggered or nothing was played; ERROR where a play failed."""
    j = next(x.judged for x in p.plays if x.judged.not_judged is not None)
    reason = j.not_judged
    words = "" if reason is None else reason.value + (f": {j.why}" if j.why else "")
    return ("skip", True, f"SKIP {words}") if reason in _SKIPPED else ("error", False, f"ERROR {words}")


def _known(standing: Standing) -> str:
    return "" if standing.known is None else standing.known.value


def _facts(p: Played) -> Iterator[str]:
    j = p.judged
    yield from (f"the device, on purpose: {words}" for words in j.on_purpose)
    yield from (f"{e.effect.value}: {e.detail}" for e in j.effects)
    if j.unseen:
        yield f"not looked at: {'; '.join(j.unseen)}"


def _one_line(words: str) -> str:
    """Without what ends a line, or begins a directive."""
    return " ".join(printable(words).split()).replace("#", "no. ")
