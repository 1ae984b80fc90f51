"""The fuzzing target itself, on inputs of Hypothesis's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.vfio_user import one_input

PIECE = st.builds(
    lambda kind, fds, body: bytes([kind, fds, len(body)]) + body,
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(max_size=48),
)


@given(st.lists(PIECE, max_size=30), st.booleans())
def test_nothing_raises_and_nothing_leaks(pieces: list[bytes], greeted: bool) -> None:
    one_input((b"\0\0\0" if greeted else b"") + b"".join(pieces))
