"""The report of a campaign in each form: nothing is green that was not looked at, and each form says the same."""

from __future__ import annotations

import re

import msgspec
import pytest

from fwpages.report.junit import junit_xml
from fwpages.trial.effects import Effect, NotJudged
from fwpages.trial.judged import EffectSeen, Judged
from fwpages.trial.junit import of_trial
from fwpages.trial.page import page
from fwpages.trial.plain import plain
from fwpages.trial.played import Play
from fwpages.trial.report import TrialReport, trial_report
from fwpages.trial.rows import Row
from fwpages.trial.standing import Known, Verdict, summary
from fwpages.trial.tap import tap
from tests.report.junit_structure import parsed
from tests.trial.values import (
    DIED,
    FLAKY,
    GOOD,
    HUNG,
    LET_GO,
    NOT_TRIGGERED,
    campaign,
    of_each_kind,
    played,
    quiet,
    shown,
    unjudged,
)

#: a baseline that knows the rows which let go, hang and leak, each as it is
KNOWN: Known = {LET_GO: Effect.LET_GO, HUNG: Effect.HUNG, FLAKY: Effect.LEAKED, GOOD: Effect.NONE}


def report(known: Known | None = None) -> TrialReport:
    c = campaign(*of_each_kind())
    return trial_report(c, summary(c.rows, known))


def tap_lines(known: Known | None) -> list[str]:
    c = campaign(*of_each_kind())
    return tap(c, summary(c.rows, known)).splitlines()


@pytest.mark.parametrize(
    ("rows", "known", "verdict"),
    [
        ([quiet(GOOD)], None, Verdict.GOOD),
        ([shown(GOOD, Effect.WARNED)], None, Verdict.WORSE),
        ([shown(GOOD, Effect.LEAKED)], {GOOD: Effect.LEAKED}, Verdict.GOOD),
        ([shown(GOOD, Effect.WARNED)], {GOOD: Effect.LEAKED}, Verdict.GOOD),
        ([shown(GOOD, Effect.CRASHED)], {GOOD: Effect.LEAKED}, Verdict.WORSE),
        ([quiet(GOOD)], {GOOD: Effect.LEAKED}, Verdict.GOOD),
        ([shown(GOOD, Effect.WARNED)], {LET_GO: Effect.CRASHED}, Verdict.WORSE),
        ([unjudged(GOOD, NotJudged.NOT_BOOTED)], None, Verdict.NOT_JUDGED),
        ([unjudged(GOOD, NotJudged.NOT_TRIGGERED)], {GOOD: Effect.CRASHED}, Verdict.NOT_JUDGED),
        ([unjudged(GOOD, NotJudged.OUR_BUG), shown(LET_GO, Effect.HUNG)], None, Verdict.WORSE),
        ([quiet(GOOD), unjudged(LET_GO, NotJudged.NOT_PLAYED)], None, Verdict.NOT_JUDGED),
        ([], None, Verdict.NOT_JUDGED),
    ],
)
def test_a_campaign_is_good_worse_or_not_judged_and_worse_outranks(
    rows: list[Play], known: Known | None, verdict: Verdict
) -> None:
    assert summary([played(p) for p in rows], known).verdict is verdict


def test_a_quiet_row_of_which_a_play_was_not_judged_is_not_good() -> None:
    row = played(quiet(GOOD), unjudged(GOOD, NotJudged.MACHINE_DIED), quiet(GOOD))
    assert summary([row]).verdict is Verdict.NOT_JUDGED


def test_text_has_72_columns_and_every_row() -> None:
    text = plain(report(KNOWN))
    assert all(len(line) <= 72 for line in text.splitlines())
    for row in (GOOD, LET_GO, HUNG, FLAKY, NOT_TRIGGERED, DIED):
        assert str(row) in " ".join(text.split())
    assert "can be caused by: slow or buggy firmware" in text
    assert "firmware's books, session 1 (vhca_id, closed): 2,337 given" in text
    assert "flaky: leaked, no effect seen, no effect seen" in " ".join(text.split())
    assert text.endswith(
        "6 rows: 1 hung, 1 let go of held memory, 1 leaked, 1 no effect seen, 2\n"
        "  not judged; 3 as the baseline, 1 flaky\n"
    )


def test_a_kernel_without_instruments_is_said_to_have_none() -> None:
    assert "with slab_debug, a strict IOMMU; without KASAN, lockdep; not known:" in " ".join(plain(report()).split())
    c = campaign(played(unjudged(GOOD, NotJudged.NOT_BOOTED)))
    assert "kernel: not instrumented; not known: slab_debug, KASAN" in plain(trial_report(c, summary(c.rows)))


def test_tap_is_that_of_the_kernel_s_tests() -> None:
    lines = tap_lines(None)
    assert lines[:2] == ["TAP version 13", "1..6"]
    assert [line for line in lines[2:] if not line.startswith("#")] == [
        "ok 1 fwpages-trial.give-late@runtime, vhca_id, pf",
        "not ok 2 fwpages-trial.give-unanswered-done@runtime, vhca_id, pf"
        " # let go of held memory: 300 pages, the first 0xff261000",
        "not ok 3 fwpages-trial.take-count-huge@teardown, vhca_id, pf # TIMEOUT unload does not end",
        "not ok 4 fwpages-trial.take-short@teardown, vhca_id, pf # leaked: 300 pages, the first 0xff261000 (flaky)",
        "ok 5 fwpages-trial.enable-refused@runtime, vhca_id, pf # SKIP the fault was never triggered",
        "not ok 6 fwpages-trial.request-storm@runtime, vhca_id, pf"
        " # ERROR the virtual machine ended by itself: signal 9",
    ]
    assert lines[-1] == "# Totals: pass:1 fail:3 xfail:0 xpass:0 skip:1 error:1"


def test_what_the_baseline_has_is_an_expected_failure_in_tap() -> None:
    lines = [line for line in tap_lines(KNOWN) if "ok 2" in line or "ok 3" in line]
    assert [line.partition(" # ")[2].split()[0] for line in lines] == ["XFAIL", "XFAIL"]
    assert all(line.startswith("ok ") for line in lines)


def results(known: Known | None) -> list[str]:
    root = parsed(junit_xml("trial", of_trial(report(known))))
    return [
        next((x.tag for x in case if x.tag in ("failure", "error", "skipped")), "passed")
        for case in root.iter("testcase")
    ]


def test_junit_passes_what_was_judged_quiet_alone() -> None:
    assert results(None) == ["passed", "failure", "failure", "failure", "error", "error"]
    assert results(KNOWN) == ["passed", "skipped", "skipped", "skipped", "error", "error"]


def test_json_is_read_back_as_it_was() -> None:
    made = report(KNOWN)
    text = msgspec.json.encode(made)
    assert msgspec.json.decode(text, type=TrialReport) == made
    assert text.startswith(b'{"schema":"trial/1",')


def test_a_page_has_each_row_and_is_as_bad_as_the_worst_of_them() -> None:
    html = page(report())
    assert '<p class="verdict bad">' in html
    assert len(re.findall(r'<h2 id="r\d">', html)) == 6
    assert "gave the command up after 7 s" in html
    assert '<p class="verdict open">' in page(report(KNOWN))
    c = campaign(played(quiet(GOOD)))
    assert '<p class="verdict good">' in page(trial_report(c, summary(c.rows)))


def test_what_the_row_without_a_fault_shows_too_is_said_to_be_of_no_fault() -> None:
    deadlock = (EffectSeen(Effect.WARNED, "possible deadlock", title="possible deadlock in devl_lock"),)
    usual = Judged(Row(None), deadlock[0].title, deadlock)
    leak = EffectSeen(Effect.LEAKED, "1 page", title="pages never taken back")
    fresh = EffectSeen(Effect.WARNED, "possible deadlock", title="possible deadlock in give_pages")
    faulty = Judged(LET_GO, leak.title, (leak, *deadlock, fresh))
    c = campaign(played(Play(usual, 1.0)), played(Play(faulty, 1.0)))
    none, row = trial_report(c, summary(c.rows)).rows
    assert [e.without_fault for e in none.effects] == [False]
    assert [e.without_fault for e in row.effects] == [False, True, False]
    assert plain(trial_report(c, summary(c.rows))).count("possible deadlock (also without a fault)") == 1
    alone = campaign(played(Play(faulty, 1.0)))
    assert not any(e.without_fault for e in trial_report(alone, summary(alone.rows)).rows[0].effects)
