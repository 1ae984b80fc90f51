from __future__ import annotations

import io
import re
from collections import Counter
from functools import cache, partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from fwpages.explore.check.replay import walk
from fwpages.explore.check.search import search
from fwpages.explore.model.spec import Spec
from fwpages.explore.show.chart import MIN_WIDTH, chart, plain
from fwpages.explore.show.narrative import PARTS, Message, Step, StepKind, narrate
from fwpages.explore.show.rows import PagesChange, Share, StateLine, clean, rows, state_lines, wrap
from fwpages.scenario import load

WORLD = """
[device]
profile = "connectx7"
boot_pages = 1
init_pages = 1
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
pages = 1
[[step]]
do = "open"
[[step]]
do = "enable"
function = "vf0"
[[step]]
do = "close"
[expect]
sometimes = ["open", "taken"]
"""


@cache
def walked(name: str) -> tuple[Step, ...]:
    """The steps to a point of a small world."""
    spec = Spec("chart", load("chart", text=WORLD))
    return tuple(narrate(walk(spec, search(spec).reached[name])))


def step(
    number: int,
    *messages: Message,
    actor: str = "driver",
    words: str = "does a thing",
    pages: dict[str, tuple[int, int | None]] | None = None,
    counters: dict[str, int] | None = None,
    waiting: dict[str, str] | None = None,
    kind: StepKind = StepKind.OTHER,
    repeated: bool = False,
) -> Step:
    return Step(number, actor, words, messages, pages or {}, counters or {}, waiting or {}, kind, repeated)


routine = partial(step, kind=StepKind.ROUTINE)


def startup(n: int) -> list[Step]:
    """``n`` quiet steps, commands and answers in turn."""
    said = Message("host", "firmware", "ENABLE_HCA")
    out = [step(1, said, words="open", waiting={"driver": "answer to ENABLE_HCA"}, kind=StepKind.OPEN)]
    for i in range(2, n + 1):
        name = "ENABLE_HCA" if i < 4 else f"C{i // 2}"
        if i % 2 == 0:
            said = Message("firmware", "firmware", f"executes {name}", "note")
            out.append(routine(i, said, actor="device", words=f"takes {name}"))
        else:
            both = [Message("firmware", "host", f"{name}: OK"), Message("host", "firmware", f"C{i // 2 + 1}")]
            out.append(routine(i, *both, actor="link", words=f"delivers the answer {name}: OK"))
    return out


def printed(steps: list[Step], width: int, *, whole: bool = False, **options: object) -> str:
    out = io.StringIO()
    Console(file=out, width=width, **options).print(chart(steps, whole=whole))  # type: ignore[arg-type]
    return out.getvalue()


class TestRows:
    def test_a_row_for_each_step(self) -> None:
        steps = list(walked("taken"))
        assert [r.number for r in rows(steps, whole=True)] == [str(s.number) for s in steps]
        assert [r.full for r in rows(steps, whole=True)] == [(s.words,) for s in steps]

    def test_words_that_a_message_says_are_said_once(self) -> None:
        said = Message("firmware", "pages", "page request: vf0 +1")
        (row,) = rows([step(1, said, words="delivers the page request: vf0 +1", repeated=True)])
        assert (row.words, row.full) == ("", ("delivers the page request: vf0 +1",))
        assert rows([step(1, said, words="something else")])[0].words == "something else"

    def test_how_things_stand_only_where_that_changed(self) -> None:
        one = step(1, pages={"vf0": (1, 0)}, counters={"vf": 1}, waiting={"a": "b"})
        same = step(2, pages={"vf0": (1, 0)}, counters={"vf": 1}, waiting={"a": "b"})
        first, second, third = rows([one, same, step(3)])
        assert first.pages == PagesChange((Share("vf0", 1, 0),))
        assert first.counters == (("vf", 1),)
        assert first.waiting == (("a", "b"),)
        assert (second.pages, second.counters, second.waiting) == (PagesChange(()), (), ())
        assert not list(state_lines(second))
        assert list(state_lines(third)) == [
            StateLine("pages", "vf0 0"),
            StateLine("counters", "vf 0"),
            StateLine("waiting", "a: no longer"),
        ]

    def test_of_several_functions_counters_and_threads_only_those_that_changed(self) -> None:
        one = step(1, pages={"vf0": (1, 1), "vf1": (2, 2)}, counters={"vf": 3, "self": 1}, waiting={"a": "b", "c": "d"})
        two = step(2, pages={"vf0": (1, 1), "vf1": (3, 3)}, counters={"vf": 4, "self": 1}, waiting={"a": "b", "c": "e"})
        assert list(state_lines(rows([one, two])[1])) == [
            StateLine("pages", "vf1 3"),
            StateLine("counters", "vf 4"),
            StateLine("waiting", "c: e"),
        ]

    def test_books_that_become_unknown_and_known_again_are_said_once(self) -> None:
        steps = [
            step(1, pages={"vf0": (1, 1), "vf1": (2, 2)}),
            step(2, pages={"vf0": (1, None), "vf1": (2, None)}),
            step(3, pages={"vf0": (1, None), "vf1": (3, None)}),
            step(4, pages={"vf0": (1, 1), "vf1": (3, 3)}),
            step(5, pages={"vf0": (1, None), "vf1": (3, None)}),
            step(6, pages={"vf0": (1, 0), "vf1": (3, 3)}),
        ]
        assert [list(state_lines(row)) for row in rows(steps)[1:]] == [
            [StateLine("pages", "books unknown", "open")],
            [StateLine("pages", "firmware has vf1 3", "open")],
            [StateLine("pages", "books agree")],
            [StateLine("pages", "books unknown", "open")],
            [StateLine("pages", "vf0: firmware has 1, books say 0", "bad")],
        ]

    def test_a_difference_and_a_count_below_zero_stand_out(self) -> None:
        odd = step(1, pages={"a": (1, 1), "b": (2, 3), "c": (9000, 9000)}, counters={"vf": -1})
        assert list(state_lines(rows([odd])[0])) == [
            StateLine("pages", "a 1, c 9,000"),
            StateLine("", "b: firmware has 2, books say 3", "bad"),
            StateLine("counters", "vf -1", "bad"),
        ]
        unsure = step(1, pages={"a": (1, None), "b": (0, None)})
        line = StateLine("pages", "firmware has a 1, b 0; books unknown", "open")
        assert list(state_lines(rows([unsure])[0])) == [line]

    def test_no_steps(self) -> None:
        assert rows([]) == ()
        assert plain([]).split() == ["host", "page", "path", "e-switch", "firmware", "|", "|", "|", "|"]


class TestFold:
    def test_the_startup_is_folded_but_its_last_step(self) -> None:
        fold, last, *others = rows([*startup(14), step(15, words="close"), step(16), step(17)])
        assert (fold.number, fold.folded) == ("1–13", 13)
        assert fold.words == "13 steps of the start-up: ENABLE_HCA … C7"
        assert fold.full[2] == "3 link: delivers the answer ENABLE_HCA: OK"
        assert (last.number, len(others)) == ("14", 3)

    def test_whole(self) -> None:
        assert len(rows([*startup(14), step(15)], whole=True)) == 15

    def test_the_last_three_are_never_folded(self) -> None:
        assert [r.number for r in rows(startup(14))] == ["1–11", "12", "13", "14"]

    def test_short_ones_and_others_are_not_folded(self) -> None:
        assert len(rows(startup(8))) == 8
        assert not any(r.folded for r in rows([step(1), *startup(20)[1:]]))

    @pytest.mark.parametrize(
        "odd",
        [
            routine(9, Message("firmware", "host", "ENABLE_HCA: no", "bad")),
            routine(9, Message("eswitch", "firmware", "ALLOC_SF")),
            routine(9, waiting={"a": "b", "c": "d"}),
            step(9),
        ],
    )
    def test_what_is_worth_seeing_ends_it(self, odd: Step) -> None:
        steps = startup(20)
        steps[8] = odd
        assert [r.number for r in rows(steps)][:3] == ["1–7", "8", "9"]

    def test_what_stands_after_the_fold_is_shown(self) -> None:
        steps = startup(14)
        steps[10] = routine(11, pages={"self": (1, 2)}, waiting={"a": "b"})
        fold, after = rows(steps)[:2]
        assert fold.pages == PagesChange((Share("self", 1, 2),))
        assert fold.waiting == (("a", "b"),)
        assert (after.pages, after.waiting) == (PagesChange((Share("self", 0, 0),)), (("a", ""),))

    def test_of_a_real_walk(self) -> None:
        steps = list(walked("taken"))
        fold, *others = rows(steps)
        assert fold.words == f"{fold.folded} steps of the start-up: ENABLE_HCA … CREATE_EQ"
        assert fold.pages == PagesChange((Share("self", 2, 2),))
        assert fold.folded + len(others) == len(steps)
        assert others[0].messages[-1].text == "open: done"


CHART = """\
           host     page path  e-switch                        firmware
             |          |          |                               |
1 eswitch    | enable vf0          |                               |
             |          |          |- ENABLE_HCA function 0x1 ---->|
   waiting   eswitch: answer to ENABLE_HCA                         |
2 device     |          |        executes ENABLE_HCA function 0x1 -|
     pages   self 2     |          |                               |
             ! vf0: firmware has 1, books say 0                    |
3 clock      | time passes         |                               |
             |- ! give-failed: no answer                           |
             |. reset: too late ..................................>|
"""


class TestBroken:
    def test_the_last_step_says_what_breaks_there(self) -> None:
        steps = startup(14)
        *others, last = rows(steps, ["custody: firmware has 1", "lost:  a\tpage"])
        assert last.broken == ("broken here: custody: firmware has 1", "broken here: lost: a page")
        assert not any(r.broken for r in others)
        assert rows([], ["custody"]) == ()

    @pytest.mark.parametrize("width", [60, 72, 104, 132])
    def test_its_number_and_the_words_have_a_mark(self, width: int) -> None:
        what = "custody: firmware has 1 page of self that the driver has released, 0x100000000 first"
        steps = [step(1), step(2, Message("host", "firmware", "GIVE"), words="gives")]
        text = plain(steps, width, [what])
        assert max(map(len, text.splitlines())) <= width
        assert re.search(r"^! 2 driver", text, re.MULTILINE)
        assert f"! broken here: {what}" in " ".join(text.split())
        assert "broken here" not in plain(steps, width)


class TestText:
    def test_a_chart(self) -> None:
        enable = Message("eswitch", "firmware", "ENABLE_HCA function 0x1")
        failed = Message("host", "host", "give-failed: no answer", "bad")
        waits = {"eswitch": "answer to ENABLE_HCA"}
        steps = [
            step(1, enable, actor="eswitch", words="enable vf0", waiting=waits),
            step(
                2,
                Message("firmware", "firmware", "executes ENABLE_HCA function 0x1", "note"),
                actor="device",
                words="takes ENABLE_HCA function 0x1",
                pages={"self": (2, 2), "vf0": (1, 0)},
                waiting=waits,
                repeated=True,
            ),
            step(
                3,
                failed,
                Message("host", "firmware", "reset: too late", "note"),
                actor="clock",
                words="time passes",
                pages={"self": (2, 2), "vf0": (1, 0)},
                waiting=waits,
            ),
        ]
        assert plain(steps) == CHART

    @pytest.mark.parametrize("width", [60, 72, 80, 103, 104, 120, 200])
    @pytest.mark.parametrize("whole", [False, True])
    def test_of_a_real_walk_within_the_width(self, width: int, whole: bool) -> None:
        steps = list(walked("taken"))
        for text in (plain(steps, width, whole=whole), printed(steps, width, whole=whole)):
            assert max(map(cell_len, text.splitlines())) <= width
            assert not any(line != line.rstrip() for line in text.splitlines())
            for word in (w for s in steps[-3:] for m in s.messages for w in m.text.split()):
                assert word in text

    def test_plain_is_ascii(self) -> None:
        assert plain(list(walked("taken"))).isascii()
        assert not printed(list(walked("taken")), 80).isascii()

    def test_without_a_terminal_there_is_no_colour(self) -> None:
        bad = [step(1, Message("firmware", "host", "no", "bad"))]
        assert "\x1b" not in printed(bad, 80)
        assert "\x1b[1;31m" in printed(bad, 80, force_terminal=True, color_system="standard")

    def test_wide_ones_have_the_state_beside_the_arrows(self) -> None:
        steps = [step(1, Message("host", "firmware", "GIVE"), words="open", pages={"self": (1, 1)})]
        assert len(printed(steps, 120).splitlines()) == len(printed(steps, 80).splitlines()) - 1
        assert re.search(r"open.*pages +self 1", printed(steps, 120))

    def test_too_narrow(self) -> None:
        with pytest.raises(ValueError, match=f"needs {MIN_WIDTH} columns, not 59"):
            plain([], 59)
        narrow = printed([step(1, Message("host", "firmware", "GIVE to the end"))], 40)
        assert max(map(len, narrow.splitlines())) <= 40
        assert "GIVE to the end" in narrow

    def test_an_actor_of_many_words_is_wrapped(self) -> None:
        text = plain([step(1, actor="an actor with a long name")])
        assert {"an actor", "with a", "long", "name"} <= {line[2:10].strip() for line in text.splitlines()}

    def test_control_characters_do_no_harm(self) -> None:
        assert clean("a\x1b[31m\nb\t\x00c\ud800") == "a�[31m b �c�"
        assert "\x1b" not in plain([step(1, Message("host", "firmware", "\x1b[2J"), actor="\x1b", words="\x1b")])

    def test_characters_of_no_width_and_of_two(self) -> None:
        text = plain([step(1, Message("host", "firmware", "ve\u0301rite\u0301 日本"))])
        assert "ve\u0301rite\u0301 日本" in text
        assert len({cell_len(line) for line in text.splitlines()[1:]}) == 1

    def test_nothing_said_is_still_drawn(self) -> None:
        assert ">|" in plain([step(1, Message("host", "firmware", ""))])
        assert "|-" in plain([step(1, Message("host", "host", ""))])

    def test_wrap(self) -> None:
        assert wrap("", 5) == [""]
        assert wrap("abcdefg hi", 5) == ["abcde", "fg hi"]
        assert wrap("日本語", 4) == ["日本", "語"]


LETTERS = partial(st.text, "abcdefghijklmnopqrstuvwxyz", min_size=1)
NAME = LETTERS(max_size=9)
WORDS = st.lists(NAME, max_size=25).map(" ".join)
SAID = st.builds(Message, st.sampled_from(PARTS), st.sampled_from(PARTS), WORDS, st.sampled_from(("ok", "bad", "note")))
STEPS = st.lists(
    st.builds(
        Step,
        st.integers(1, 999),
        LETTERS(max_size=8),  # as many as there is room for
        WORDS,
        st.lists(SAID, max_size=4).map(tuple),
        st.dictionaries(
            NAME,
            st.tuples(st.integers(0, 99), st.none() | st.integers(0, 99)),
            max_size=4,
        ),
        st.dictionaries(NAME, st.integers(-99, 99), max_size=4),
        st.dictionaries(NAME, WORDS, max_size=3),
    ),
    max_size=4,
)


@given(STEPS, st.integers(MIN_WIDTH, 140))
@settings(max_examples=60, deadline=None)
def test_nothing_is_lost_and_no_line_is_too_long(steps: list[Step], width: int) -> None:
    text = plain(steps, width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    shown = Counter(re.findall(r"[a-z]+", text))
    for one in steps:
        said = " ".join([one.actor, *(m.text for m in one.messages), *one.waiting.values(), *one.pages])
        assert not Counter(said.split()) - shown
        texts = {m.text for m in one.messages}
        assert one.words in texts or not Counter(one.words.split()) - shown
