from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sockets import short


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """As pytest's, by a name that is short enough for sockets in it."""
    with short(tmp_path) as folder:
        yield folder
