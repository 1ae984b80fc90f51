from __future__ import annotations

import re
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fwpages.explore.check.replay import decode, encode, walk
from fwpages.explore.check.search import search
from fwpages.scenario import ScenarioError
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, WORLDS, made, path_to, random_path, small, steps

somewhere = st.tuples(
    st.sampled_from(sorted(WORLDS)), st.sampled_from(DESIGNS), st.integers(0, 2**32), st.integers(0, 90)
)


@pytest.mark.many_runs
@settings(max_examples=30)
@given(somewhere)
def test_a_path_is_its_string(where: tuple[str, str, int, int]) -> None:
    name, design, seed, most = where
    spec = small(name, design)
    path, end = random_path(spec, seed, most)
    text = encode(spec, path)
    again, found = decode(spec, text)
    assert (again.design, found) == (design, path)
    # whatever design the world is asked for with, the string says which it was
    assert decode(small(name), text)[1] == path
    walked = list(walk(again, found))
    assert len(walked) == len(path)
    assert not walked or walked[-1].after.key() == end.key()
    assert len(text) < 60 + 3 * len(path)


@pytest.mark.many_runs
@settings(max_examples=30)
@given(somewhere, st.data())
def test_a_damaged_string_is_refused_or_another_path(where: tuple[str, str, int, int], data: st.DataObject) -> None:
    name, design, seed, most = where
    spec = small(name, design)
    path, _ = random_path(spec, seed, most)
    text = encode(spec, path)
    at = data.draw(st.integers(0, len(text) - 1))
    damaged = data.draw(
        st.sampled_from([text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:]])
        | st.characters(codec="utf-8").map(lambda c: text[:at] + c + text[at + 1 :])
    )
    assume(damaged.strip() != text)
    try:
        again, found = decode(spec, damaged)
    except ScenarioError:
        return
    assert decode(again, encode(again, found))[1] == found
    assert len(list(walk(again, found))) == len(found)


def test_assumptions_are_in_the_string() -> None:
    spec = made(WORLDS["session"], host_pages_4k=False, vport_command_waits=True)
    text = encode(spec, path_to("session", "open"))
    assert text.split(":")[1] == "Af"
    again, _ = decode(small("session"), text)
    assert again.overrides == {"host_pages_4k": False, "vport_command_waits": True}


def test_only_choices_take_room() -> None:
    assert encode(small("session"), path_to("session", "open")).endswith(":39:")


def test_the_same_choice_many_times_is_written_once() -> None:
    spec = small("session")
    text = encode(spec, path_to("session", "closed"))
    assert "~" in text
    head, _, short = text.rpartition(":")
    long = re.sub(r"(.)~(.)", lambda m: m[1] * (string.ascii_uppercase.index(m[2])), short)
    assert decode(spec, f"{head}:{long}") == decode(spec, text)


def test_many_choices_take_three_characters() -> None:
    more = "".join(
        f'[[function]]\nname = "vf{n}"\ntype = "vf"\nindex = {n}\nvhca_id = {0x31 + n}\n' for n in range(1, 2)
    )
    users = steps("open", *(["request vf0 1"] * 3))
    spec = made(HEAD + more + users)
    path, _ = random_path(spec, 3, 50)
    assert decode(spec, encode(spec, path))[1] == path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: "", "a replay string is DESIGN:SWITCHES:CHECK:STEPS:MOVES"),
        (lambda t: t.replace(":", ";"), "a replay string is"),
        (lambda t: t + " and more", "a replay string is"),
        (lambda t: t.replace("fwpages:", "bsd:"), "there is no design 'bsd'"),
        (lambda t: t.replace("fwpages:", "posted:"), "the string was made for a world"),
        (lambda t: t.replace("::", ":z:"), "there is no switch 'z'"),
        (lambda t: t.replace("::", ":A:"), "the string was made for a world"),
        (lambda t: t + "A", "1 characters too many; the string is damaged"),
        (lambda t: t[:-1], "the string is damaged"),
        (lambda t: t.rpartition(":")[0] + ":" + "_", "is not possible there; the string is damaged"),
        (lambda t: t.rpartition(":")[0] + ":" + ".__", "is not possible there; the string is damaged"),
        (lambda t: t.rpartition(":")[0] + ":" + ".", "is not possible there; the string is damaged"),
        (
            lambda t: t.rpartition(":")[0].rpartition(":")[0] + ":999999:" + t.rpartition(":")[2],
            "the string is damaged",
        ),
    ],
)
def test_what_is_wrong_with_a_string_is_said(change: object, says: str) -> None:
    text = encode(small("session"), path_to("session", "closed"))
    assert text.rpartition(":")[2]
    with pytest.raises(ScenarioError) as e:
        decode(small("session"), change(text))  # type: ignore[operator]  # a function of the table
    assert says in str(e.value)


def test_a_string_of_another_world_is_refused() -> None:
    text = encode(small("session"), path_to("session", "closed"))
    for other in (small("left"), made(HEAD + steps(*SESSION) + "[bounds]\nfaults = 3\n")):
        with pytest.raises(ScenarioError, match="another world or version, or other --bound options"):
            decode(other, text)


def test_a_path_that_is_not_possible() -> None:
    with pytest.raises(ScenarioError, match="step 1 of this path is not possible in session"):
        list(walk(small("session"), (7,)))


def test_a_round_can_be_walked() -> None:
    text = HEAD + steps("open", "lose-link") + '[expect]\nsometimes = ["open"]\neventually = ["operations-end"]\n'
    for design in DESIGNS:
        spec = made(text, design)
        for b in search(spec).broken.values():
            worlds = [x.after for x in walk(spec, b.path + b.loop)]
            assert not b.loop or worlds[-1].key() == worlds[len(b.path) - 1].key()
