from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.collecting import only_when_asked

UNPACKED = Path(__file__).parents[2] / "build" / "chromium" / "chromium"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A browser is started only for whoever asks for this folder (``make test-programs``)."""
    return only_when_asked(Path(__file__).parent, collection_path, config)


def _missing(what: str) -> NoReturn:
    assert not os.environ.get("FWPAGES_REQUIRE_CHROMIUM"), what
    pytest.skip(what)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium without a window, driven by Playwright: what ``make chromium`` unpacked, or the machine's."""
    found = str(UNPACKED) if UNPACKED.exists() else shutil.which("chromium")
    if found is None:
        _missing("there is no Chromium here: make chromium unpacks Debian's")
    try:
        playwright = importlib.import_module("playwright.sync_api")
    except ImportError:
        _missing("there is no Playwright here: make test installs it")
    with playwright.sync_playwright() as p:
        opened = p.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()
