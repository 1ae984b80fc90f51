from __future__ import annotations

import faulthandler
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from fwpages.trial.errors import MissingError
from fwpages.trial.kernel import Kernel
from fwpages.trial.kernels import Debian
from fwpages.trial.qemu import qemu
from tests.collecting import only_when_asked
from tests.sockets import short
from tests.vm.guest import built

#: seconds that one test may take
LIMIT = 900
#: lines of a machine's console that a test that failed shows
LAST_LINES = 60


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Machines are started only for whoever asks for this folder (``make test-vm``), not by a plain ``pytest``."""
    return only_when_asked(Path(__file__).parent, collection_path, config)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed shows the last lines of its machines: what is rare may not come again."""
    report = yield
    folder = getattr(item, "funcargs", {}).get("tmp_path")
    if call.when == "call" and report.failed and folder is not None:
        for console in sorted(folder.rglob("console.log")):
            lines = console.read_text("utf-8", "replace").splitlines()[-LAST_LINES:]
            report.sections.append((f"{console.parent.name}: its last lines", "\n".join(lines)))
    return report


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """As pytest's, by a name that is short enough for sockets in it."""
    with short(tmp_path) as folder:
        yield folder


def not_there(e: MissingError) -> NoReturn:
    """Skip the test, or fail it where machines are required."""
    if os.environ.get("FWPAGES_REQUIRE_VM"):
        pytest.fail(str(e))
    pytest.skip(str(e))


def _kernel(which: Debian, tmp_path: Path) -> Kernel:
    try:
        qemu()
        return built(which, tmp_path)
    except MissingError as e:
        not_there(e)


@pytest.fixture
def new(tmp_path: Path) -> Kernel:
    """The newest kernel: 7.2 or later, which knows VHCA_ID mode."""
    return _kernel(Debian.NEW, tmp_path)


@pytest.fixture
def old(tmp_path: Path) -> Kernel:
    """A kernel that does not know it."""
    return _kernel(Debian.OLD, tmp_path)


@pytest.fixture(params=[Debian.NEW, Debian.OLD])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Kernel:
    return _kernel(request.param, tmp_path)


@pytest.fixture
def oldest(tmp_path: Path) -> Kernel:
    """A kernel whose driver knows fewer types of functions."""
    return _kernel(Debian.OLDEST, tmp_path)


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """A test that hangs ends the run with a traceback of every thread; its machines end with it."""
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
