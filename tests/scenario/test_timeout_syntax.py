"""Time-outs as they are typed."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fwpages.device.timeouts import Timeouts
from fwpages.scenario import ScenarioError
from fwpages.scenario.timeout_syntax import timeouts

KEYS = Timeouts.__struct_fields__


def test_what_is_not_named_is_linux_s_own_or_the_profile_s() -> None:
    assert timeouts("command=2, reclaim_pages=0.5") == Timeouts(command=2, reclaim_pages=0.5)
    base = Timeouts(command=9, tear_down=1)
    assert timeouts("command=2", base) == Timeouts(command=2, tear_down=1)
    assert timeouts("command=0").command == 0, "no time at all: what a driver makes of it is its own affair"


@given(st.dictionaries(st.sampled_from(KEYS), st.integers(1, 86_400_000), min_size=1))
def test_every_time_out_can_be_set(ms: dict[str, int]) -> None:
    made = msgspec.structs.asdict(timeouts(",".join(f"{k}={v / 1000:.3f}" for k, v in ms.items())))
    assert made == msgspec.structs.asdict(Timeouts()) | {k: v / 1000 for k, v in ms.items()}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected KEY=SECONDS"),
        ("command", "expected KEY=SECONDS"),
        ("command=", "expected KEY=SECONDS"),
        ("command=-2", "expected KEY=SECONDS"),
        ("command=2s", "expected KEY=SECONDS"),
        ("command=nan", "expected KEY=SECONDS"),
        ("command=2,,init=1", "expected KEY=SECONDS"),
        ("comand=2", "did you mean command"),
        ("command=2,command=3", "command is there twice"),
        ("init=0", ">= 0.001"),
        ("command=86401", "<= 86400"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str) -> None:
    with pytest.raises(ScenarioError, match=words):
        timeouts(text)
