"""Folders whose tests are run only for whoever asks for them: they need other programs, or what was built before."""

from __future__ import annotations

from pathlib import Path

import pytest


def only_when_asked(here: Path, collection_path: Path, config: pytest.Config) -> bool | None:
    """The answer of ``pytest_ignore_collect``: True unless the command line names ``here`` or a part of it."""
    asked = (Path(config.invocation_params.dir, arg.split("::")[0]).resolve() for arg in config.args)
    return None if any(path == here or here in path.parents for path in asked) else True
