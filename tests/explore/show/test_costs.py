from __future__ import annotations

import io

from rich.console import Console

from fwpages.explore.check.search import Alone, search
from fwpages.explore.check.stats import Stats
from fwpages.explore.show.costs import Pace, show_stats
from tests.explore.small_worlds import found, small


def test_costs_count_every_transition_and_change_nothing() -> None:
    spec, stats = small("unanswered", "merged"), Stats()
    outcome = search(spec, crew=Alone(spec, stats=stats))
    assert outcome == found("unanswered", "merged")
    assert sum(cost.transitions for cost in stats.moves.values()) == outcome.transitions
    assert sum(cost.states for cost in stats.moves.values()) >= outcome.states - 1
    assert "device, give-aborted-done" not in stats.moves  # it is a fault of the link
    assert stats.moves["give up, give-aborted-done"].transitions
    assert stats.properties.keys() == {"silent-leak", "lost", "fault", "custody"}
    assert stats.properties["fault"].times == outcome.transitions


def test_costs_are_shown_the_greatest_first() -> None:
    spec, stats = small("session"), Stats()
    search(spec, crew=Alone(spec, stats=stats))
    out = io.StringIO()
    show_stats(stats, Console(file=out, width=80))
    words = out.getvalue()
    assert "new states" in words
    assert f"{stats.moves['device'].transitions:,}" in words
    shown = [line.split()[-1] for line in words.split("property")[0].splitlines() if line.strip()][1:]
    assert shown == sorted(shown, key=float, reverse=True)


def test_a_pace_says_how_long_it_will_take() -> None:
    pace = Pace()
    assert pace.words(0.0, 1, 1_000, 400, None) == "step 1: 1,000 states, 400 to go on from"
    words = pace.words(2.0, 2, 1_400, 200, 50_000_000)
    assert words == "step 2: 1,400 states, 200/s, 200 to go on from, 50 MB, about 1 s left"


def test_a_pace_does_not_say_what_it_cannot_know() -> None:
    pace = Pace()
    pace.words(0.0, 1, 1, 100, None)
    assert pace.words(1.0, 2, 101, 300, None).endswith("levels do not shrink yet")
    assert pace.words(1.0, 3, 401, 0, None) == "step 3: 401 states, 400/s, 0 to go on from, levels do not shrink yet"
