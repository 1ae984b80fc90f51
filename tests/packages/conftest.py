from __future__ import annotations

from pathlib import Path

import pytest

from tests.collecting import only_when_asked


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Packages are built and installed only when this folder is asked for (``make test-packages``)."""
    return only_when_asked(Path(__file__).parent, collection_path, config)
