from __future__ import annotations

from fwpages.scenario.event_lines import KINDS, MOST_ALIKE, PAUSE, EventLines


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


def move(lines: EventLines, t: float, name: str, n: int) -> None:
    lines.move(t, name, n, lambda pages, commands: f"{pages} {name} by {commands}", name)


def test_commands_of_one_row_are_a_line_at_once_and_one_when_it_ends() -> None:
    said: list[tuple[float, str]] = []
    lines = EventLines(lambda t, words: said.append((t, words)))
    for n in range(5):
        move(lines, float(n), "back", 10)
    assert said == [(0.0, "10 back by 1")]
    move(lines, 5.0, "given", 3)
    assert said[1:] == [(4.0, "40 back by 4"), (5.0, "3 given by 1")]
    lines.say(6.0, "closed")
    assert said[3:] == [(6.0, "closed")]


def test_a_row_ends_after_a_pause() -> None:
    said: list[str] = []
    lines = EventLines(lambda _, words: said.append(words))
    due = []
    for t in (1.0, 1.2):
        move(lines, t, "back", 10)
        due.append(lines.due)
    lines.settle(1.2)
    assert len(said) == 1
    lines.settle(1.2 + PAUSE)
    assert said[1:] == ["10 back by 1"]
    assert [*due, lines.due] == [None, 1.2 + PAUSE, None]
