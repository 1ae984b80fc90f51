"""An error names the key that does not fit, and what fits; ``test_format`` has a case for each type of error."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.scenario.format import Scenario
from fwpages.scenario.format_errors import misfit

KEYS = ["device", "profile", "capabilities", "uar_4k", "step", "do", "function", "pages", "fault", "assume", "expect"]
PLAIN = st.one_of(
    st.sampled_from(["open", "request", "wait", "vf", "host_pages_4k"]),
    st.text(max_size=5),
    st.integers(-(2**70), 2**70),
    st.booleans(),
    st.floats(),
)
DATA = st.dictionaries(
    st.sampled_from(KEYS),
    st.recursive(
        PLAIN,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS) | st.text(), inner, max_size=4)
        ),
        max_leaves=12,
    ),
)


@settings(max_examples=30)
@given(DATA)
def test_whatever_is_wrong_has_words_of_its_own(data: dict[str, object]) -> None:
    try:
        msgspec.convert(data, Scenario)
    except msgspec.ValidationError as e:
        words = misfit(e, data, Scenario)
        assert "expected" in words or "there are" in words
        assert "`" not in words.partition(" not ")[0], "no types of Python's, no paths of msgspec's"
