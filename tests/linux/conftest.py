from __future__ import annotations

import os

import pytest

from tests.linux.peer import Peer, load, missing


@pytest.fixture(scope="session")
def peer() -> Peer:
    """Linux's own page allocator. Tests that ask for it are skipped where it was not built, unless it is required."""
    why = missing()
    if why is not None:
        if os.environ.get("FWPAGES_REQUIRE_PEER") == "1":
            pytest.fail(why)
        pytest.skip(why)
    return load()
