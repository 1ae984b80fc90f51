from __future__ import annotations

from pathlib import Path

import pytest

from tests.collecting import only_when_asked


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A campaign is played only for whoever asks for this folder (``make test-smoke``)."""
    return only_when_asked(Path(__file__).parent, collection_path, config)
