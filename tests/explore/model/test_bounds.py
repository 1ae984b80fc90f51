from __future__ import annotations

import pytest

from fwpages.explore.check.search import search
from fwpages.explore.model.bounds import bounded
from fwpages.scenario import ScenarioError
from tests.explore.small_worlds import small


def test_bounds_and_assumptions_are_set_alike() -> None:
    spec = bounded(small("session"), ["faults=3", "command=1.5", "host_pages_4k=off", "faults = 2"])
    assert (spec.scenario.bounds.faults, spec.scenario.bounds.command) == (2, 1.5)
    assert spec.overrides == {"host_pages_4k": False}
    assert spec.rules().config.page_shift == 16
    assert spec.rules().config.bounds.command == 1.5
    assert bounded(small("session"), []) == small("session")


def test_a_bound_bounds() -> None:
    assert not search(bounded(small("session"), ["states=20"])).complete


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("faults", "expected KEY=VALUE"),
        ("faults=", "expected KEY=VALUE"),
        ("=2", "expected KEY=VALUE"),
        ("fault=2", "bound fault: there is no such bound or assumption; did you mean faults?"),
        ("faults=two", "bound faults: expected a whole number from 0 to 16, not 'two'"),
        ("faults=1.5", "bound faults: expected a whole number from 0 to 16, not 1.5"),
        ("faults=99", "bound faults: expected a whole number from 0 to 16, not 99"),
        ("states=0", "bound states: expected a whole number of 1 or more, not 0"),
        ("command=nan", "bound command: expected a number from 0 to 1000000000, not nan"),
        ("command=inf", "bound command: expected a number from 0 to 1000000000, not inf"),
        ("host_pages_4k=yes", "bound host_pages_4k: 'yes' is neither on nor off"),
        ("keeps_vhca_id=1", "bound keeps_vhca_id: '1' is neither on nor off"),
    ],
)
def test_a_bad_one_is_named(setting: str, says: str) -> None:
    with pytest.raises(ScenarioError) as e:
        bounded(small("session"), [setting])
    assert says in str(e.value)
