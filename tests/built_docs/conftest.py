from __future__ import annotations

from pathlib import Path

import pytest

from tests.collecting import only_when_asked


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The site is looked at where it was built (``make docs``)."""
    return only_when_asked(Path(__file__).parent, collection_path, config)
