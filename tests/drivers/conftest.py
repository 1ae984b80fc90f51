from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collecting import only_when_asked
from tests.sockets import short


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Drivers of others run only for whoever asks for this folder (``make test-drivers``)."""
    return only_when_asked(Path(__file__).parent, collection_path, config)


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """As pytest's, by a name that is short enough for sockets in it."""
    with short(tmp_path) as folder:
        yield folder
