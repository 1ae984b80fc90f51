from __future__ import annotations

import dataclasses
import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from fwpages.explore.check.replay import decode, encode, walk
from fwpages.explore.check.search import search
from fwpages.explore.show.narrative import narrate
from fwpages.explore.show.report import replayed, searched
from fwpages.explore.show.tables import show, show_replay
from fwpages.scenario.assumptions import ASSUMPTIONS
from tests.explore.small_worlds import HEAD, made, small, steps

#: firmware answers every TAKE with pages that it never had: Linux's close takes them for progress
ENDLESS = (
    HEAD
    + steps("open", "close")
    + """
[[fault]]
name = "take-invented"
times = 0
[expect]
eventually = ["operations-end"]
sometimes = ["fault"]
"""
)


@pytest.mark.many_runs
@pytest.mark.parametrize("commuting", [False, True])
def test_what_goes_on_for_ever_is_found_as_a_loop(commuting: bool) -> None:
    spec = dataclasses.replace(made(ENDLESS, "merged"), commuting=commuting)
    outcome = search(spec)
    assert outcome.complete
    (row,) = [p for p in searched(outcome).properties if p.verdict == "broken"]
    assert row.name == "operations-end"
    assert row.loop
    its, path = decode(made(ENDLESS, "merged"), row.replay)
    again = replayed(its, path)
    assert (again.never, again.fine, again.broken) == (["operations-end"], False, {})
    assert again.round is not None
    assert search(made(ENDLESS)).broken == {}, "ours gives up at its deadline"


def test_a_search_that_is_not_complete_holds_nothing_although_nothing_is_asked() -> None:
    nothing = HEAD + steps("open", "close") + "[bounds]\nstates = {states}\n[expect]\nalways = []\n"
    assert searched(search(made(nothing.format(states=3)))).verdict == "open"
    assert searched(search(made(nothing.format(states=1000)))).verdict == "holds"


def test_terminal_and_unfinished_are_worded_differently() -> None:
    spec = small("asks")
    report = replayed(spec, (0,))
    assert report.unmet
    assert (report.never, report.fine) == ([], True)


def test_what_is_not_ended_is_named() -> None:
    world = (
        HEAD
        + steps("open", "close")
        + """
[[fault]]
name = "take-unanswered-done"
[expect]
eventually = ["operations-end"]
[bounds]
timeouts = 0
"""
    )
    spec = made(world, "merged")
    rows = [p for p in searched(search(spec)).properties if p.verdict == "broken"]
    for row in rows:
        assert "not ended: " in row.seen or row.loop
        its, path = decode(spec, row.replay)
        out = io.StringIO()
        again = replayed(its, path)
        show_replay(again, Console(file=out), narrate(walk(its, path)))
        assert not again.fine
        assert "not met, and never will be: operations-end: not ended" in out.getvalue()


@pytest.mark.parametrize("turned", [*ASSUMPTIONS])
def test_a_replay_string_is_printed_as_it_is(turned: str) -> None:
    """Some switches' letters between colons are the name of an emoji to Rich."""
    text = encode(made(HEAD + steps("open") + f"[assume]\n{turned} = true\n"), (0, 0))
    report = searched(search(made(HEAD + steps("open"))))
    bad = replace(report.properties[0], verdict="broken", seen="made up", replay=text, depth=2)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=200)
    show(replace(report, properties=[bad], verdict="broken"), console, lambda _: [], "fwpages explore")
    assert f"fwpages explore --replay {text}" in out.getvalue()
