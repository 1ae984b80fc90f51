"""The documentation is true: what it shows was typed runs, and prints what it shows."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import click
import msgspec
import pytest

from fwpages.cli import COMMANDS, HIDDEN, cli, invoke
from fwpages.custody.accounts import FindingAccount, FunctionAccount, HealthAccount, Missing, Report, SessionAccount
from fwpages.custody.series import FunctionSeries, Gap, Mark, Series
from fwpages.device import names as profile_names
from fwpages.device import profile
from fwpages.host import Bounds
from fwpages.machine.doctor import Ability, Diagnosis, Probe
from fwpages.machine.holdings import DeviceHoldings, FunctionHoldings, Holdings
from fwpages.machine.snapshot import FunctionCounters, NodeMemory, PageCommands, Snapshot
from fwpages.report.drive import DrivenDevice, DriveReport
from fwpages.report.prospect import ProspectReport
from fwpages.report.run import RunReport
from fwpages.report.serve import ServedOffence, ServedSessionAccount, ServeReport
from fwpages.scenario import Scenario, ScenarioError, load
from fwpages.scenario.fault_syntax import EVERY_FAULT
from fwpages.scenario.format import BoundsTable, DeviceTable, ExpectTable, FunctionTable, Step
from fwpages.trial.effects import Causer, Effect, NotJudged
from fwpages.trial.folders import RowResult
from fwpages.trial.replay import ReplayedPath
from fwpages.trial.report import (
    ReportedEffect,
    ReportedPlay,
    ReportedReading,
    ReportedRow,
    ReportedSession,
    ReportedStage,
    ReportedVersions,
    TrialReport,
    trial_report,
)
from fwpages.trial.standing import summary
from tests.trial.values import campaign, of_each_kind

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
LOG = ROOT / "tests" / "golden" / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz"

#: commands that a console block may begin with: they are run by this test
ALLOWED = {"fwpages", "cp", "zcat", "cmp", "head", "grep", "python"}

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SAMPLE = re.compile(r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Typed:
    """A command line in a console block, what it printed, and the exit code that the block states (0 by default)."""

    line: str
    printed: list[str]
    code: int = 0


def blocks(page: Path, language: str) -> list[str]:
    return [body for kind, body in _FENCE.findall(page.read_text("utf-8")) if kind == language]


def typed(page: Path) -> list[Typed]:
    found: list[Typed] = []
    for block in blocks(page, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Typed(line[2:], []))
            else:
                found[-1].printed.append(line.rstrip())
    commands: list[Typed] = []
    for t in found:
        if t.line == "echo $?":
            commands[-1].code = int(t.printed[0])
        else:
            commands.append(t)
    return commands


def named_toml(page: Path) -> dict[str, str]:
    """Scenarios in a page by the file name in their first line."""
    return {m[1]: b for b in blocks(page, "toml") if (m := re.match(r"# (\S+\.toml)\n", b))}


def with_any(of: list[Path], what: str) -> list[object]:
    def has(page: Path) -> bool:
        return page.exists() and f"```{what}\n" in page.read_text("utf-8")

    return [pytest.param(p, id=str(p.relative_to(ROOT))) for p in of if has(p)]


def agrees(shown: list[str], real: list[str]) -> bool:
    """Line by line; a line ``…`` stands for any number of lines, one that ends so for any end."""
    if not shown:
        return not real
    if shown[0] == "…":
        return any(agrees(shown[1:], real[n:]) for n in range(len(real) + 1))
    if not real:
        return False
    head = shown[0]
    same = real[0].startswith(head[:-1]) if head.endswith("…") else real[0] == head
    return same and agrees(shown[1:], real[1:])


def trimmed(lines: list[str]) -> list[str]:
    """Without blanks at the lines' ends, and without empty lines at the end."""
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def run(line: str) -> tuple[int, str]:
    """Exit code and what is printed: in this process, which is quick, and in a shell what else is needed."""
    ours, pipe, others = line.partition(" | ")
    if not ours.startswith("fwpages ") or set(ours) & set("|<>;&$"):
        return shell(line)
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err if pipe else out):
        code = invoke(shlex.split(ours)[1:])
    out.seek(0)
    err.seek(0)
    if not pipe:
        return code, out.read()
    code, printed = shell(others, out.read())
    return code, err.read() + printed


def shell(line: str, given: str = "") -> tuple[int, str]:
    done = subprocess.run(
        ["bash", "-c", line],
        env=os.environ.copy(),  # as Python has it: readline, which pytest imports, sets COLUMNS behind its back
        input=given.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to be in that looks like the root of a clone, as far as the pages use it."""
    for name in ("tests", "examples", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTHONUTF8", "1")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    return tmp_path


@pytest.mark.parametrize("page", with_any(PAGES, "console"))
def test_what_is_shown_is_what_happens(page: Path, clone: Path) -> None:
    for name, text in named_toml(page).items():
        (clone / name).write_text(text, "utf-8")
    commands = typed(page)
    strangers = {t.line.split()[0] for t in commands} - ALLOWED
    assert not strangers, "use a sh block for what cannot be run here"
    for t in commands:
        code, printed = run(t.line)
        shown, real = trimmed(t.printed), trimmed(printed.splitlines())
        assert code == t.code, f"$ {t.line}\n{printed}"
        assert agrees(shown, real), f"$ {t.line}\n{printed}"


@pytest.mark.parametrize("page", with_any(PAGES, "python"))
def test_samples_print_what_is_beside_them(page: Path, clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(LOG, clone / "dmesg.txt.gz")  # README.md says so
    names: dict[str, object] = {}
    for code, printed in _SAMPLE.findall(page.read_text("utf-8")):
        exec(compile(code, str(page), "exec"), names)
        assert capsys.readouterr().out == printed


def test_the_readme_has_the_sample() -> None:
    assert len(_SAMPLE.findall((ROOT / "README.md").read_text("utf-8"))) == 1


@pytest.mark.parametrize("page", with_any(PAGES, "toml"))
def test_scenarios_load(page: Path) -> None:
    for block in blocks(page, "toml"):
        if block.startswith("# misspelt"):
            with pytest.raises(ScenarioError):
                load("misspelt.toml", block)
        else:
            load(str(page), block)


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", ["mutants", "sensitivity"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = set(re.findall(r"`(test_\w+)`", (DOCS / f"{page}.md").read_text("utf-8")))
    sources = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    assert named
    assert named <= {name for source in sources for name in re.findall(r"def (test_\w+)", source)}


# -- the reference has everything --------------------------------------------------------------------------------------


def reference(name: str) -> str:
    return (DOCS / "reference" / name).read_text("utf-8")


def test_every_key_of_a_scenario_is_described() -> None:
    text = reference("scenario-format.md") + reference("worlds.md")
    steps = Step.__args__
    for struct in (Scenario, DeviceTable, FunctionTable, BoundsTable, ExpectTable, *steps):
        for f in msgspec.structs.fields(struct):
            assert f"`{f.name}`" in text, f"{struct.__name__}.{f.name}"
    for step in steps:
        assert f"| `{step.__struct_config__.tag}` |" in text


@pytest.mark.parametrize(
    ("page", "structs"),
    [
        ("audit-json.md", (Report, Missing, SessionAccount, HealthAccount, FunctionAccount)),
        ("audit-json.md", (Series, FunctionSeries, Mark, Gap)),
        ("inspect-json.md", (Holdings, DeviceHoldings, FunctionHoldings)),
        ("findings.md", (FindingAccount,)),
        ("cli.md", (Diagnosis, Probe, Ability)),
        ("top-json.md", (Snapshot, NodeMemory, FunctionCounters, PageCommands)),
        ("cli.md", (RunReport, ServeReport, ServedSessionAccount, ServedOffence)),
        ("cli.md", (DriveReport, DrivenDevice, ProspectReport)),
        ("python-api.md", (Report, Missing, SessionAccount, FindingAccount)),
        ("trial-json.md", (ReplayedPath,)),
        ("trial-json.md", (TrialReport, ReportedVersions, ReportedRow, ReportedEffect)),
        ("trial-json.md", (ReportedPlay, ReportedStage, ReportedReading, ReportedSession, RowResult)),
    ],
)
def test_every_key_of_the_json_is_described(page: str, structs: tuple[type[msgspec.Struct], ...]) -> None:
    for struct in structs:
        for f in msgspec.structs.fields(struct):
            if f.encode_name != "schema":
                assert f"`{f.encode_name}`" in reference(page), f"{page}: {struct.__name__}.{f.encode_name}"


def test_every_verdict_of_a_trial_is_described() -> None:
    text = reference("trial-json.md")
    for word in (*Effect, *NotJudged):
        assert f"| `{word.value}` | " in text
    for causer in Causer:
        assert f"`{causer.value}`" in text


def test_every_fault_is_described() -> None:
    text = reference("faults.md")
    for name, row in EVERY_FAULT.items():
        words, finders = row.words, row.findings
        named = ", ".join(f"`{n}`" for n in finders) or "none"
        assert f"| `{name}` | {words} | {named} |" in text


def test_bounds_are_those_of_the_host() -> None:
    text = reference("scenario-format.md") + reference("worlds.md")
    for f in msgspec.structs.fields(BoundsTable):
        row = re.search(rf"^\| `{f.name}` \|[^|]*\| (\S+) \|", text, re.MULTILINE)
        assert row is not None, f.name
        assert float(row[1]) == getattr(Bounds(), f.name, f.default)


def test_profiles_have_the_figures_that_the_table_says() -> None:
    text = reference("profiles.md")
    for name in profile_names():
        p = profile(name)
        sfs = f"{p.max_sf}, {p.sf_base_id:#x}" if p.max_sf else ""
        mode, release = ("yes" if p.max.get(k) else "" for k in ("icm_mng_function_id_mode", "release_all_pages"))
        own = f"{p.vhca_id:#x}" if p.vhca_id else "0"
        cells = [f"`{name}`", p.boot_pages, p.init_pages, own, p.max_vfs, p.max_ec_vfs or "", sfs, mode, release]
        assert "|".join(["", *(f" {c} " if c != "" else " " for c in cells), ""]) in text


def test_every_option_is_described() -> None:
    text = reference("cli.md")
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert f"## fwpages {name}" in text
        for parameter in command.params:
            for option in parameter.opts if isinstance(parameter, click.Option) else ():
                assert option in text


# -- pictures ----------------------------------------------------------------------------------------------------------


def script(name: str) -> ModuleType:
    """A program of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_manual_pages_are_of_today(tmp_path: Path) -> None:
    """Each command that is listed has a page."""
    script("make_man").write(tmp_path)
    made = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    stored = {path.name: path.read_text("utf-8") for path in (ROOT / "man").iterdir()}
    assert made == stored, "make them anew: make man"
    assert {f"fwpages-{name}.1" for name in COMMANDS.keys() - HIDDEN.keys()} == stored.keys() - {"fwpages.1"}


def test_the_tables_of_trials_are_of_today() -> None:
    text = (DOCS / "trial.md").read_text("utf-8")
    assert script("make_trial").whole(text) == text, "make them anew: python docs/make_trial.py"


def test_a_row_of_a_trial_says_what_was_seen_and_that_hardware_was_not() -> None:
    c = campaign(*of_each_kind())
    made = script("make_trial").table(trial_report(c, summary(c.rows)))
    rows = [line for line in made if line.startswith("| `")]
    assert len(rows) == len(c.rows)
    assert (
        "| let go of held memory | On an emulated device where a GIVE is done and never answered (once, first at "
        "39.104 s), Linux 7.2.13 lets go of memory that firmware holds (let go of held memory: 300 pages, the first "
        "0xff261000). We have not seen hardware do this. | slow or buggy firmware | "
        "[11](review.md#11-give-time-out) |" in rows[1]
    )
    assert "Not judged: the fault was never triggered." in rows[4]


@pytest.fixture(scope="module")
def pictures() -> ModuleType:
    return script("make_pictures")


def test_pictures_are_of_today(pictures: ModuleType) -> None:
    for name, (shown, run) in pictures.PICTURES.items():
        stored = (DOCS / "images" / f"{name}.svg").read_text("utf-8")
        assert pictures.picture(shown, run) == stored, "make them anew: python docs/make_pictures.py"
    for name, (shown, file) in pictures.REPORTS.items():
        stored = (DOCS / "images" / f"{name}.svg").read_text("utf-8")
        assert pictures.drawn(shown, pictures.report(file)) == stored, "make them anew: python docs/make_pictures.py"


def test_charts_are_of_today(pictures: ModuleType) -> None:
    for name, chart in pictures.CHARTS.items():
        stored = (DOCS / "images" / f"{name}.svg").read_text("utf-8")
        assert pictures.counterexample(*chart) == stored, "make them anew: python docs/make_pictures.py"


def test_every_kind_of_move_is_described() -> None:
    text = reference("worlds.md")
    for kind in ("user", "device", "give up", "request", "answer", "lost", "map", "reset", "thread", "time"):
        assert f"| {kind} |" in text


def test_pictures_need_no_network() -> None:
    for svg in (DOCS / "images").glob("*.svg"):
        text = svg.read_text("utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert "@font-face" not in text
        assert "url(http" not in text
        assert not re.search(r'href="(?!#|data:image/webp;base64,)', text), "but within the file"
