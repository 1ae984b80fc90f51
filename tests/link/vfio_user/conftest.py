from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.link.vfio_client import Talk, open_fds


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A session that leaves no descriptor behind."""
    before = open_fds()
    with Talk() as t:
        yield t
    assert open_fds() == before
