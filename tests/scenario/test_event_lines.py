from __future__ import annotations

from fwpages.scenario.event_lines import KINDS, MOST_ALIKE, EventLines


def test_lines_of_a_few_alternating_kinds_are_summed_up_when_another_comes() -> None:
    said: list[str] = []
    lines = EventLines(lambda _, words: said.append(words))
    for n in range(100):
        lines.say(0.0, "asks")
        lines.say(0.0, f"gives, {n} held", "gives")
    assert len(said) == 2 * MOST_ALIKE
    lines.say(0.0, "closed")
    assert said[-3:] == ["80 more like this one: asks", "80 more like this one: gives, 99 held", "closed"]


def test_lines_that_keep_changing_are_all_passed_on() -> None:
    said: list[str] = []
    lines = EventLines(lambda _, words: said.append(words))
    for n in range(1000):
        lines.say(0.0, str(n % (KINDS + 1)))
    lines.flush(0.0)
    assert len(said) == 1000


def test_nothing_is_kept_without_a_reader() -> None:
    lines = EventLines(None)
    for _ in range(100):
        lines.say(0.0, "asks")
    lines.flush(0.0)
