"""The source package and the wheel: complete, without a broken link, and of use on the oldest and the newest Python."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEWEST = ROOT / "build" / "python" / "python3"
UV = Path(sys.executable).parent / "uv"
LOG = "tests/golden/linux-7.2.13-pf-vhca_id.dmesg.txt.gz"
#: a link or a picture of Markdown, without its anchor
_LINK = re.compile(r"\]\(([^)#\s]*)[^)]*\)")
#: of the repository, of no use in a source package
_LEFT_OUT = (".ci/", ".gitignore")


def _run(*command: str | Path, cwd: Path = ROOT, **more: str) -> str:
    """Run a command without the environment of these tests; give what it printed."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "FWPAGES"))}
    plain |= {
        "UV_SYSTEM_CERTS": "1",
        "UV_NATIVE_TLS": "1",
    }  # by the machine's certificates, as pip; older uv, older name
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        cwd=cwd,
        env=plain | more,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def _files() -> set[str]:
    """The files of the repository that belong into a source package."""
    tracked = _run("git", "ls-files").splitlines()
    return {name for name in tracked if not name.startswith(_LEFT_OUT) and (ROOT / name).exists()}


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the repository and nothing that a build left beside them."""
    into = tmp_path_factory.mktemp("clone") / "fwpages"
    for name in _files():
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, into / name)
    return into


@pytest.fixture(scope="session")
def built(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source package, and with the wheel that was built from it."""
    into = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--outdir", into, clone)
    return into


@pytest.fixture(scope="session")
def wheel(built: Path) -> Path:
    return next(built.glob("*.whl"))


@pytest.fixture(scope="session")
def sources(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source package."""
    into = tmp_path_factory.mktemp("sources")
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(into, filter="data")
    return next(into.iterdir())


@pytest.fixture(scope="session", params=["this Python", "the newest Python"])
def environment(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel in it."""
    python = Path(sys.executable) if request.param == "this Python" else NEWEST
    if not python.exists():
        assert not os.environ.get("FWPAGES_REQUIRE_PYTHON"), "there is no newest Python: make python"
        pytest.skip("there is no newest Python: make python")
    into = tmp_path_factory.mktemp("environment") / "venv"
    _run(UV, "venv", "--python", python.absolute(), into)
    _run(UV, "pip", "install", "--python", into / "bin" / "python", wheel)
    return into


def test_the_source_package_is_the_repository(sources: Path) -> None:
    packed = {str(path.relative_to(sources)) for path in sources.rglob("*") if path.is_file()}
    made = {"PKG-INFO", "setup.cfg"} | {name for name in packed if ".egg-info/" in name}
    assert packed - made == _files()


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    ours = {name.removeprefix("src/") for name in _files() if name.startswith("src/fwpages/")}
    assert ours == {name for name in packed if name.startswith("fwpages/")}
    pages = {
        name for name in _files() if name.startswith(("docs/", "man/")) and name.endswith((".md", ".svg", ".png", ".1"))
    }
    shared = {name.rpartition("/")[2] for name in packed if ".data/data/share/" in name}
    assert {name.rpartition("/")[2] for name in pages} <= shared


def test_an_index_accepts_the_packages_and_shows_no_broken_link(built: Path, wheel: Path) -> None:
    _run(sys.executable, "-m", "twine", "check", "--strict", *built.iterdir())
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("METADATA"))
        shown = email.message_from_bytes(archive.read(name)).get_payload()
    assert isinstance(shown, str)
    assert "fwpages run" in shown
    assert [link for link in _LINK.findall(shown) if link and "://" not in link] == []


def test_the_installed_pages_have_no_broken_link(environment: Path) -> None:
    pages = environment / "share" / "doc" / "fwpages"
    broken = [
        f"{page.relative_to(pages)}: {link}"
        for page in pages.rglob("*.md")
        for link in _LINK.findall(page.read_text("utf-8"))
        if link and "://" not in link and not link.startswith("mailto:") and not (page.parent / link).exists()
    ]
    assert list(pages.rglob("*.md"))
    assert broken == []


def test_the_installed_command_works(environment: Path, tmp_path: Path) -> None:
    """What it needs is in the wheel: scenarios, profiles, worlds, and the tables of the auditor."""
    command = environment / "bin" / "fwpages"
    assert _run(command, "--version", cwd=tmp_path).startswith("fwpages ")
    assert "every one accounted for" in _run(command, "run", cwd=tmp_path)
    assert "0000:" in _run(command, "audit", ROOT / LOG, cwd=tmp_path)
    assert "counts" in _run(command, "list", "worlds", cwd=tmp_path)
    assert (environment / "share" / "man" / "man1" / "fwpages-audit.1").is_file()


def test_the_extras_can_be_installed_and_their_commands_work(environment: Path, wheel: Path, tmp_path: Path) -> None:
    _run(UV, "pip", "install", "--python", environment / "bin" / "python", f"{wheel}[top,metrics]")
    command = environment / "bin" / "fwpages"
    assert "mlx5_fw_memory_bytes" in _run(command, "metrics", "--print", "rules", cwd=tmp_path)
    assert "fwpages" in _run(
        environment / "bin" / "python", "-c", "import textual, fwpages.machine.live as live; print(live.__name__)"
    )


def test_the_tests_of_the_source_package_run(environment: Path, sources: Path) -> None:
    """Those of the lower rooms: the whole suite takes minutes, and runs in the repository."""
    python = environment / "bin" / "python"
    _run(UV, "pip", "install", "--python", python, "pytest", "hypothesis", "tomli-w", "-c", ROOT / "constraints.txt")
    shown = _run(python, "-m", "pytest", "-o", "addopts=", "tests/prm", "tests/pages", "tests/custody", cwd=sources)
    assert " passed" in shown


@pytest.mark.parametrize("installer", [UV, "pipx"])
def test_a_clone_is_installed_as_a_tool_and_nothing_is_left_in_it(clone: Path, tmp_path: Path, installer: str) -> None:
    before = {path for path in clone.rglob("*") if path.is_file() and ".egg-info" not in str(path)}
    places = {"UV_TOOL_DIR": str(tmp_path / "tools"), "UV_TOOL_BIN_DIR": str(tmp_path / "bin")}
    places |= {"PIPX_HOME": str(tmp_path / "pipx"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    if installer == "uv":
        _run(UV, "tool", "install", "--python", sys.executable, clone, cwd=tmp_path, **places)
    else:
        _run(sys.executable, "-m", "pipx", "install", "--python", sys.executable, clone, cwd=tmp_path, **places)
    assert "every one accounted for" in _run(tmp_path / "bin" / "fwpages", "run", cwd=tmp_path)
    left = {path for path in clone.rglob("*") if path.is_file() and ".egg-info" not in str(path)} - before
    assert {path.name for path in left if "build" not in path.parts} == set()
