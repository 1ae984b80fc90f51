from __future__ import annotations

import io
from dataclasses import replace

import msgspec
from rich.console import Console

from fwpages.explore.check.replay import decode, encode, walk
from fwpages.explore.check.search import CYCLE, Broken, Path, search
from fwpages.explore.show.narrative import narrate
from fwpages.explore.show.report import ExploreReport, replayed, searched
from fwpages.explore.show.tables import show, show_replay, verdict
from tests.explore.small_worlds import path_to, random_path, small


def shown(report: ExploreReport) -> str:
    out = io.StringIO()
    spec = small("session")
    show(report, Console(file=out), lambda s: narrate(walk(*decode(spec, s))), "fwpages explore session")
    return out.getvalue()


def with_a_cycle(path: Path, loop: Path) -> ExploreReport:
    """The report of a search that found this cycle."""
    outcome = search(small("session"))
    broken = {"operations-end": Broken("operations-end", path, CYCLE, loop)}
    expect = msgspec.structs.replace(outcome.spec.scenario.expect, eventually=("operations-end",))
    scenario = msgspec.structs.replace(outcome.spec.scenario, expect=expect)
    return searched(replace(outcome, broken=broken, spec=replace(outcome.spec, scenario=scenario)))


def test_a_cycle_is_shown_as_one() -> None:
    path = path_to("session", "open")
    report = with_a_cycle(path[:-2], path[-2:])
    (row,) = [p for p in report.properties if p.verdict == "broken"]
    assert (len(row.steps), len(row.loop), row.depth) == (37, 2, 37)
    # the string is of a world with another [expect], which the fingerprint knows
    text = shown(
        msgspec.structs.replace(
            report, properties=[msgspec.structs.replace(row, replay=encode(small("session"), path))]
        )
    )
    assert "not always: after 37 steps, cycle" in text
    assert "broken here: operations-end: cycle: " in text
    assert "a cycle: the state is again the one after step 37" in " ".join(text.split())


def test_the_last_line_says_it_all() -> None:
    report = searched(search(small("session")))
    assert verdict(report) == "holds, within these bounds and assumptions"
    missed = msgspec.structs.replace(report.properties[-1], verdict="missed")
    assert verdict(msgspec.structs.replace(report, verdict="missed", properties=[missed])) == (
        "points never reached: closed"
    )


def test_how_things_stand_at_the_end_of_a_replay() -> None:
    spec = small("asks")
    path, _ = random_path(spec, 0, 5)
    report = replayed(spec, path)
    assert report.unmet == {"operations-end": "not ended: open"} | report.unmet
    out = io.StringIO()
    show_replay(msgspec.structs.replace(report, round=2), Console(file=out), narrate(walk(spec, path)), whole=True)
    text = out.getvalue()
    assert "not met so far: operations-end: not ended: open" in text
    assert "a cycle: the state is again the one after step 2" in text
