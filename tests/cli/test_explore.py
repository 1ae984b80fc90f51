from __future__ import annotations

import io
import json
import re
import shlex
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fwpages import cli
from fwpages.auditor.audit import audit
from fwpages.explore.check import workers
from fwpages.explore.check.properties import EVENTUALLY, PROPERTIES
from fwpages.explore.designs import DESIGNS
from fwpages.scenario.assumptions import ASSUMPTIONS
from tests.explore.small_worlds import HEAD, SESSION, WORLDS, steps

BROKEN = HEAD + steps(*SESSION) + '[expect]\nnever = ["late-return", "lost"]\nsometimes = ["open", "opened-again"]\n'


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with worlds, to be in."""
    monkeypatch.chdir(tmp_path)
    for name, text in (*WORLDS.items(), ("broken", BROKEN)):
        (tmp_path / f"{name}.toml").write_text(text, "utf-8")
    return tmp_path


def explore(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, Any]]:
    code = cli.invoke(["explore", *args, "--json"])
    return code, json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Messages about misuse."""
    assert cli.invoke(["explore", *args]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return " ".join(shown.err.split())


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("design", DESIGNS)
def test_a_world_in_which_everything_holds(design: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = explore(capsys, "left.toml", "--design", design)
    assert code == 0
    assert (out["schema"], out["mode"], out["design"], out["world"]) == ("explore/1", "search", design, "left.toml")
    assert (out["verdict"], out["complete"], out["stopped"]) == ("holds", True, "")
    assert sum(out["levels"]) == out["states"]
    assert out["depth"] == len(out["levels"]) - 1
    assert [(p["kind"], p["name"], p["verdict"]) for p in out["properties"]] == [
        ("always", "custody", "holds"),
        ("sometimes", "closed", "reached"),
    ]
    assert out["assumptions"].keys() == ASSUMPTIONS.keys()


@pytest.mark.usefixtures("world")
def test_what_is_broken_has_its_steps_and_nothing_else_is_said_to_hold(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = explore(capsys, "broken.toml")
    assert code == 1
    assert (out["verdict"], out["complete"]) == ("broken", True)
    by_name = {p["name"]: p for p in out["properties"]}
    late = by_name["late-return"]
    assert (late["verdict"], late["seen"]) == ("broken", "pages of vf0 come back")
    assert len(late["steps"]) == late["depth"]
    assert late["steps"][0] == {"number": 1, "actor": "driver", "words": "open"}
    for name in ("custody", "lost", "opened-again"):
        assert by_name[name]["verdict"] == "open"
        assert by_name[name]["why"] == "the steps after a broken one were not tried"


@pytest.mark.usefixtures("world")
def test_people_get_a_chart_and_the_command_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["explore", "broken.toml", "--bound", "faults=0", "--bound", "host_pages_4k=off"]) == 1
    shown = capsys.readouterr().out
    assert "every order of events was tried, up to the broken steps" in shown
    assert "not reachable" not in shown
    assert "GIVE 1 vf0" in shown
    assert shown.rstrip().endswith("broken: late-return")
    (again,) = re.findall(r"^fwpages (explore .*)$", shown, re.MULTILINE)
    assert "--bound faults=0 --replay fwpages:f:" in again
    assert cli.invoke(shlex.split(again)) == 1
    shown = capsys.readouterr().out
    assert "broken at the end: late-return: pages of vf0 come back" in shown


@pytest.mark.usefixtures("world")
def test_people_read_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["explore", "asks.toml"]) == 0
    shown = capsys.readouterr().out
    assert "complete, every order of events was tried" in shown
    assert re.search(r"never +uncounted +not reachable", shown)
    assert re.search(r"eventually +operations-end +holds", shown)
    assert shown.rstrip().endswith("holds, within these bounds and assumptions")


@pytest.mark.usefixtures("world")
def test_an_unfinished_search_settles_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = explore(capsys, "asks.toml", "--bound", "states=60")
    assert code == 1
    assert (out["verdict"], out["complete"]) == ("open", False)
    assert re.match(r"more than bounds.states = 60 states: every order of up to \d+ steps was tried", out["stopped"])
    assert {p["verdict"] for p in out["properties"]} == {"open"}
    assert cli.invoke(["explore", "asks.toml", "--bound", "states=60"]) == 1
    shown = capsys.readouterr().out
    assert "not reachable" not in shown
    assert "holds" not in shown
    assert "not settled: more than bounds.states" in shown


@pytest.mark.usefixtures("world")
def test_a_point_that_is_never_reached_is_an_error_of_the_world(
    world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (world / "pointless.toml").write_text(HEAD + steps("open") + '[expect]\nsometimes = ["taken"]\n', "utf-8")
    code, out = explore(capsys, "pointless.toml")
    assert (code, out["verdict"]) == (1, "missed")
    assert cli.invoke(["explore", "pointless.toml"]) == 1
    assert "points never reached: taken" in capsys.readouterr().out


@pytest.mark.usefixtures("world")
def test_random_walks_find_things_and_prove_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = explore(capsys, "broken.toml", "--random", "15", "--seed", "3")
    assert code == 1
    assert (out["mode"], out["complete"], out["walks"], out["seed"], out["states"]) == ("random", False, 15, 3, None)
    late = next(p for p in out["properties"] if p["name"] == "late-return")
    assert explore(capsys, "broken.toml", "--replay", late["replay"])[1]["broken"] == {"late-return": late["seen"]}
    code, out = explore(capsys, "left.toml", "--random", "5")
    assert (code, out["verdict"]) == (0, "open")
    assert cli.invoke(["explore", "left.toml", "--random", "5"]) == 0
    shown = capsys.readouterr().out
    assert "no broken property was found, which proves nothing" in shown
    assert "holds" not in shown


@pytest.mark.usefixtures("world")
def test_a_replay_is_written_as_a_trace_and_as_a_picture(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = explore(capsys, "broken.toml", "--design", "merged")
    replay = next(p["replay"] for p in out["properties"] if p["verdict"] == "broken")
    files = ["--trace", "path.jsonl", "--svg", "path.svg"]
    code, again = explore(capsys, "broken.toml", "--replay", replay, *files)
    assert code == 1
    assert (again["mode"], again["design"], again["unmet"], again["round"]) == ("replay", "merged", {}, None)
    (session,) = audit(world / "path.jsonl").sessions
    assert session.totals.held is not None
    ET.parse(world / "path.svg")
    assert "pages of vf0 come back" in (world / "path.svg").read_text("utf-8")
    assert cli.invoke(["explore", "broken.toml", "--replay", replay, "--whole"]) == 1
    assert "steps of the start-up" not in capsys.readouterr().out


def test_a_search_writes_the_path_to_what_is_broken(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ["--trace", "path.jsonl", "--svg", "path.svg"]
    code, out = explore(capsys, "broken.toml", *files)
    assert code == 1
    drawn = (world / "path.svg").read_text("utf-8")
    assert "<title>broken.toml, driven by fwpages: late-return: pages of vf0 come back</title>" in drawn
    assert "broken here: late-return: pages of vf0 come back" in drawn
    traced = (world / "path.jsonl").read_text("utf-8")
    replay = next(p["replay"] for p in out["properties"] if p["verdict"] == "broken")
    explore(capsys, "broken.toml", "--replay", replay, *files)
    assert (world / "path.jsonl").read_text("utf-8") == traced
    assert "broken here: late-return: pages of vf0 come back" in (world / "path.svg").read_text("utf-8")


@pytest.mark.parametrize(
    ("args", "title"),
    [
        (("left.toml",), "nothing is broken; the path to closed, the farthest of its points: "),
        (("asks.toml",), "nothing is broken; a run without faults, "),
        (("left.toml", "--random", "2"), "nothing is broken so far; the path to closed, the farthest of its points: "),
    ],
)
def test_where_nothing_is_broken_the_picture_says_which_path_it_is(
    args: tuple[str, ...], title: str, world: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert explore(capsys, *args, "--svg", "path.svg")[0] == 0
    drawn = (world / "path.svg").read_text("utf-8")
    assert title in drawn
    assert "broken here" not in drawn


def test_a_file_that_cannot_be_written_is_refused_before_the_search(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fwpages.cli.explore.search", None)
    assert "--svg no/such/file: No such file" in refused(capsys, "left.toml", "--svg", "no/such/file")
    assert sorted(p.suffix for p in world.iterdir()) == [".toml"] * len([*world.iterdir()])


def test_a_page_of_a_search_and_one_of_a_replay(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = explore(capsys, "broken.toml", "--bound", "faults=0", "--html", "page.html")
    replay = next(p["replay"] for p in out["properties"] if p["verdict"] == "broken")
    page = (world / "page.html").read_text("utf-8")
    assert f"fwpages explore broken.toml --bound faults=0 --replay {replay}" in page
    assert explore(capsys, "broken.toml", "--bound", "faults=0", "--replay", replay, "--html", "page.html")[0] == 1
    assert "broken at the end: late-return" in (world / "page.html").read_text("utf-8")


@pytest.mark.usefixtures("world")
def test_without_the_library_for_pages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert "pip install 'fwpages[report]'" in refused(capsys, "left.toml", "--html", "page.html")
    assert not Path("page.html").exists()


@pytest.mark.usefixtures("world")
def test_a_replay_of_something_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = explore(capsys, "left.toml")
    string = f"fwpages::{out['fingerprint']}:5:"
    assert cli.invoke(["explore", "left.toml", "--replay", string]) == 0
    assert "nothing is broken at the end" in capsys.readouterr().out


@pytest.mark.usefixtures("world")
def test_workers_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert explore(capsys, "left.toml") == explore(capsys, "left.toml", "--workers", "2")


def test_a_world_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(WORLDS["left"]))
    code, out = explore(capsys, "-")
    assert (code, out["world"]) == (0, "-")


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "Missing argument 'WORLD'"),
        (["no-such"], "there is no world 'no-such'"),
        (["left.toml", "--design", "bsd"], "there is no 'bsd'; there are posted, merged, fwpages"),
        (["left.toml", "--bound", "bogus=1"], "bound bogus: there is no such bound or assumption"),
        (["left.toml", "--bound", "faults=many"], "bound faults: expected a whole number from 0 to 16, not 'many'"),
        (["left.toml", "--random", "5", "--replay", "x"], "--random and --replay exclude each other"),
        (["left.toml", "--random", "5", "--workers", "2"], "--random and --workers exclude each other"),
        (["left.toml", "--workers", "2", "--cluster", "tcp://x:1"], "--cluster and --workers exclude each other"),
        (["left.toml", "--seed", "5"], "--seed goes with --random"),
        (["left.toml", "--random", "5", "--checkpoint", "x"], "neither --random nor --replay makes one"),
        (["left.toml", "--stats", "--workers", "2"], "--stats and --workers exclude each other"),
        (["left.toml", "--random", "3", "--reduce", "commuting"], "--reduce is of a search"),
        (["left.toml", "--reduce", "symmetry"], "there is no 'symmetry'; there are commuting"),
        (["left.toml", "--trace", "x", "--svg", "x"], "--trace and --svg both name x"),
        (["left.toml", "--replay", "x"], "a replay string is DESIGN:SWITCHES:CHECK:STEPS:MOVES"),
        (["left.toml", "--replay", "fwpages::00000000:0:"], "the string was made for a world 00000000"),
        (["left.toml", "--random", "0"], "--random"),
        (["left.toml", "--workers", "0"], "--workers"),
    ],
)
def test_misuse_is_said(args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refused(capsys, *args)


@pytest.mark.usefixtures("world")
def test_a_string_and_options_that_contradict_it(capsys: pytest.CaptureFixture[str]) -> None:
    _, out = explore(capsys, "left.toml")
    string = f"fwpages::{out['fingerprint']}:5:"
    assert "made for --design fwpages, not posted" in refused(
        capsys, "left.toml", "--replay", string, "--design", "posted"
    )
    said = refused(capsys, "left.toml", "--replay", string, "--bound", "host_pages_4k=off")
    assert "made with another host_pages_4k" in said


@pytest.mark.usefixtures("world")
def test_an_error_in_a_world_names_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.toml").write_text(BROKEN.replace("late-return", "colour"), "utf-8")
    assert "Error: odd.toml: expect.never[0]: there is no property 'colour'" in refused(capsys, "odd.toml")


def test_a_file_that_cannot_be_written(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out = explore(capsys, "left.toml")
    string = f"fwpages::{out['fingerprint']}:5:"
    for option in ("--trace", "--svg"):
        said = refused(capsys, "left.toml", "--replay", string, option, "no/such/file")
        assert f"{option} no/such/file: No such file or directory" in said


@pytest.mark.usefixtures("world")
def test_a_search_that_is_interrupted_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, whole = explore(capsys, "session.toml", "--design", "merged")

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fwpages.explore.show.costs.Pace.words", interrupted)
        assert cli.invoke(["explore", "session.toml", "--design", "merged", "--checkpoint", "half"]) == 130
    assert "half has the search up to here: the same command goes on" in capsys.readouterr().err
    code = cli.invoke(["explore", "session.toml", "--design", "merged", "--checkpoint", "half", "--json"])
    out, err = capsys.readouterr()
    assert (code, json.loads(out)) == (0, whole)
    assert "half: going on at step 1, 2 states" in err
    says = refused(capsys, "left.toml", "--checkpoint", "half")
    assert "--checkpoint: half has a search of another world, design or version; name another directory" in says


def test_a_reduced_search_says_so(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, whole = explore(capsys, "session.toml", "--design", "merged")
    code, reduced = explore(capsys, "session.toml", "--design", "merged", "--reduce", "commuting")
    assert (code, whole["reductions"], reduced["reductions"]) == (0, [], ["commuting"])
    assert reduced["states"] < whole["states"]
    assert [(p["name"], p["verdict"], p["depth"]) for p in reduced["properties"]] == [
        (p["name"], p["verdict"], p["depth"]) for p in whole["properties"]
    ]
    assert cli.invoke(["explore", "left.toml", "--reduce", "commuting"]) == 0
    assert "reduced by commuting: states that differ only in the order of moves" in capsys.readouterr().out


@pytest.mark.usefixtures("world")
def test_costs_come_after_the_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["explore", "session.toml", "--stats"]) == 0
    verdicts, _, costs = capsys.readouterr().out.partition("holds, within")
    assert "custody" in verdicts
    assert re.search(r"device +\d+ +\d+ +\d+\.\d\d", costs)
    assert re.search(r"custody +\d+ +\d+\.\d\d", costs)


@pytest.mark.usefixtures("world")
def test_what_is_interrupted_says_how_far_it_came(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def search(_: object, *, watch: Callable[[int, int, int, int], None], **__: object) -> None:
        watch(7, 1234, 5678, 90)
        raise KeyboardInterrupt

    monkeypatch.setattr("fwpages.cli.explore.search", search)
    assert cli.invoke(["explore", "left.toml"]) == 130
    said = capsys.readouterr().err.split("\n")
    assert said[0].startswith("so far: step 6: 1,234 states, 90 to go on from, ")
    assert "interrupted" in said


@pytest.mark.usefixtures("world")
def test_workers_that_do_not_work(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dask.distributed", None)
    assert "pip install 'fwpages[cluster]'" in refused(capsys, "left.toml", "--cluster", "tcp://127.0.0.1:1")
    assert workers.TRIES == 3


@pytest.mark.parametrize(
    ("what", "names"),
    [("designs", DESIGNS), ("properties", [*PROPERTIES, *EVENTUALLY]), ("assumptions", ASSUMPTIONS)],
)
def test_what_there_is_is_listed(what: str, names: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["list", what, "--json"]) == 0
    assert [e["name"] for e in json.loads(capsys.readouterr().out)[what]] == list(names)


def test_worlds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["list", "worlds"]) == 0
    assert capsys.readouterr().out
