from __future__ import annotations

import os
from pathlib import Path

import pytest

from fwpages.trial.errors import MissingError
from fwpages.trial.kernels import Debian, debian
from fwpages.trial.qemu import qemu
from tests.collecting import only_when_asked


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A campaign is played only for whoever asks for this folder (``make test-trial``)."""
    return only_when_asked(Path(__file__).parent, collection_path, config)


@pytest.fixture(autouse=True)
def _machines(tmp_path: Path) -> None:
    """Skip without QEMU and a kernel, or fail where they are required."""
    try:
        qemu()
        debian(Debian.NEW, tmp_path / "kernel")
    except MissingError as e:
        if os.environ.get("FWPAGES_REQUIRE_VM"):
            pytest.fail(str(e))
        pytest.skip(str(e))
