from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from fwpages.explore.model.moves import moves, take
from fwpages.explore.model.spec import Packer, Spec
from fwpages.scenario import ScenarioError, load
from tests.explore.small_worlds import DESIGNS, HEAD, SESSION, WORLDS, made, random_path, small, steps

GOOD = HEAD + steps(*SESSION)

#: what is wrong with a world's file → what is said
MALFORMED = {
    "not = = toml": "not TOML",
    "": "device",
    HEAD: "step",
    GOOD + "[expect]\nalways = ['no-such']\n": "expect.always[0]: there is no property 'no-such'",
    GOOD + "[expect]\nnever = ['lost', 'bogus']\n": "expect.never[1]: there is no property 'bogus'",
    GOOD + "[expect]\nsometimes = ['agree-again']\n": "expect.sometimes[0]: there is no property 'agree-again'",
    GOOD + "[expect]\neventually = ['busy']\n": "expect.eventually[0]: there is no property 'busy'",
    GOOD + "[expect]\nperhaps = ['busy']\n": "perhaps",
    GOOD + "[expect]\nnever = 'busy'\n": "expect.never",
    GOOD + "[assume]\nno_such = true\n": "assume",
    GOOD + "[assume]\nhost_pages_4k = 4\n": "assume",
    GOOD + "[bounds]\nfaults = -1\n": "bounds.faults",
    GOOD + "[bounds]\nfaults = 17\n": "bounds.faults",
    GOOD + "[bounds]\ntimeouts = 'one'\n": "bounds.timeouts",
    GOOD + "[bounds]\nstates = 0\n": "bounds.states",
    GOOD + "[bounds]\nfault = 1\n": "fault",
    GOOD + "[[fault]]\nname = 'give-late'\n": "fault[0].name",
    GOOD + "[[fault]]\nname = 'nothing-known'\n": "nothing-known",
    GOOD + "[[fault]]\nname = 'give-refused'\nwhen = 'maybe'\n": "fault[0].when",
    GOOD + "[[fault]]\nname = 'give-refused'\nat = 3\n": "fault[0].at",
    GOOD + "[[step]]\ndo = 'dance'\n": "dance",
    GOOD + "[[step]]\ndo = 'wait'\nseconds = 1\n": "step[4]",
    GOOD + "[[step]]\ndo = 'open'\nat = 1\n": "step[4]",
    GOOD + "[[step]]\ndo = 'enable'\nfunction = 'sf0'\n": "step[4].function",
    GOOD + "[[function]]\nname = 'vf0'\ntype = 'vf'\nindex = 1\nvhca_id = 0x32\n": "function[1].name",
    GOOD + "[[function]]\nname = 'vf1'\ntype = 'vf'\nindex = 1\nvhca_id = 0x31\n": "function[1].vhca_id",
    GOOD + "[[function]]\nname = 'spf0'\ntype = 'spf'\nvhca_id = 0x32\n": "function[1]",
    GOOD.replace("connectx7", "connectx9"): "device.profile",
}


@pytest.mark.parametrize(("text", "says"), MALFORMED.items(), ids=range(len(MALFORMED)))
def test_a_world_that_cannot_be_names_the_key(text: str, says: str) -> None:
    with pytest.raises(ScenarioError) as e:
        made(text).build()
    assert says in str(e.value)


def test_a_design_that_there_is_not() -> None:
    with pytest.raises(ScenarioError, match="there is no design 'bsd'; there are posted, merged, fwpages"):
        small("session", "bsd").rules()


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("name", WORLDS)
def test_worlds_packed_here_are_the_same_there(name: str, design: str) -> None:
    spec = small(name, design)
    root = spec.build()
    worlds = [replace(random_path(spec, seed, 20 * seed)[1], rules=root.rules) for seed in range(5)]
    there = pickle.loads(pickle.dumps(spec))
    assert there == spec
    data = Packer(root).pack(worlds)
    back = Packer(there.build()).unpack(data)
    assert [w.key() for w in back] == [w.key() for w in worlds]
    for a, b in zip(worlds, back, strict=True):
        assert b.log == []
        assert moves(a) == moves(b)
        first, second = ([None if (x := take(w, act)) is None else x.key() for act in moves(w)] for w in (a, b))
        assert first == second


def test_a_packed_world_is_small_and_worlds_that_share_a_machine_share_it_there() -> None:
    w = small("asks").build()
    packer = Packer(w)
    for _ in range(60):
        w = next(x for act in moves(w) if (x := take(w, act)) is not None)
    assert len(packer.pack([w])) < 30_000
    one, two = packer.unpack(packer.pack([w, w.clone()]))
    act = moves(one)[0]
    assert take(one, act) is not None
    assert one.driver is two.driver is not w.driver
    assert len(packer.pack([w, w.clone()])) < 1.2 * len(packer.pack([w]))


def test_specs_are_values() -> None:
    assert small("session") == small("session")
    assert Spec("a", load("a", WORLDS["session"])) != Spec("a", load("a", WORLDS["left"]))
