from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fwpages import cli
from fwpages.auditor.audit import audit
from fwpages.device import profile
from fwpages.scenario import load, names

LIGHT = [n for n in names() if n != "connectx5-heavy"]


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, dict[str, object]]:
    code = cli.invoke(["run", *args, "--json"])
    return code, json.loads(capsys.readouterr().out)


def modes(name: str) -> list[str]:
    offered = profile(load(name).device.profile).max.get("icm_mng_function_id_mode")
    return ["func_id", "vhca_id"] if offered else ["func_id"]


@pytest.mark.parametrize(("name", "mode"), [(n, m) for n in LIGHT for m in ["auto", *modes(n)]])
def test_each_scenario_is_clean_and_its_trace_says_the_same(
    name: str, mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "run.jsonl"
    code, out = run(capsys, name, "--mode", mode, "--trace", str(trace))
    assert (code, out["schema"], out["clean"]) == (0, "run/2", True)
    sessions = out["sessions"]
    assert isinstance(sessions, list)
    assert [s["mode"] for s in sessions] == [m if mode == "auto" else mode for m in (s["mode"] for s in sessions)]
    report = audit(trace)
    assert report.clean
    assert len(report.sessions) == len(sessions)
    for ours, theirs in zip(sessions, report.sessions, strict=True):
        assert (ours["mode"], ours["end"]) == (theirs.mode, theirs.end)
        for column in ("given", "returned", "released", "discarded", "held", "doubtful", "peak"):
            assert ours["totals"][column] == getattr(theirs.totals, column), column
        mine = {
            (f["identity"], f["generation"], f["type"], f["given"], f["returned"], f["released"])
            for f in ours["functions"]
        }
        read = {(f.identity, f.generation, f.type.value, f.given, f.returned, f.released) for f in theirs.functions}
        assert {row for row in mine if row[3]} == {row for row in read if row[3]}


def test_heavy_in_the_plain_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "connectx5-heavy")
    assert code == 0
    session = out["sessions"][0]  # type: ignore[index]  # JSON
    assert session["totals"]["peak"] > 8_000_000


def test_a_human_reads_tables_and_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["run"]) == 0
    out = capsys.readouterr().out
    assert "vhca:0x2a" in out
    assert out.splitlines()[-1].startswith("clean: 1 session")


def test_a_fault_is_named_and_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["run", "early-give", "--fault", "teardown-refused"]) == 1
    out = capsys.readouterr().out
    assert "teardown-refused  blames: device" in out
    assert "fault: teardown-refused: TEARDOWN_HCA is refused (once)" in out
    assert out.splitlines()[-1].startswith("not clean")


def test_a_fault_that_never_strikes_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["early-give", "--fault", "give-late", "--fault", "take-late@9999x*"]
    assert cli.invoke(["run", *args]) == 4
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:-1] == [
        "fault never injected: take-late@9999x*",
        "fault: give-late: a GIVE is answered late, in time (once)",
    ]
    assert lines[-1].startswith("not known")
    code, out = run(capsys, *args)
    assert (code, out["verdict"], out["clean"]) == (4, "not known", None)
    assert (out["missed"], out["faults"]) == (["fault take-late@9999x*"], ["give-late"])
    assert out["missing"] == [{"what": "fault take-late@9999x*, which never happened", "command": ""}]


def test_what_is_wrong_outranks_a_fault_that_never_strikes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "early-give", "--fault", "teardown-refused", "--fault", "take-late@9999x*")
    assert (code, out["verdict"], out["clean"], out["missing"]) == (1, "findings", False, [])


@pytest.mark.parametrize(("steps", "code", "verdict"), [((), 4, "not known"), (("open",), 0, "consistent so far")])
def test_without_a_close_a_run_is_never_clean(
    steps: tuple[str, ...], code: int, verdict: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    rows = "".join(f'[[step]]\ndo = "{step}"\n' for step in (*steps, "wait"))
    plan.write_text('[device]\nprofile = "connectx7"\n' + rows + "seconds = 1\n")
    got, out = run(capsys, str(plan))
    assert (got, out["verdict"], out["clean"]) == (code, verdict, None)


def test_a_step_that_never_happens_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "late.toml"
    text = '[device]\nprofile = "connectx7"\n[[step]]\ndo = "open"\n[[step]]\ndo = "close"\n'
    plan.write_text(text + '[[step]]\ndo = "wait"\nseconds = 1\ncommand = 9999\n')
    assert cli.invoke(["run", str(plan)]) == 4
    assert "never happened: step[2] (wait)" in capsys.readouterr().out.splitlines()


def test_a_seed_changes_the_order_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    traces = [tmp_path / f"{n}.jsonl" for n in range(3)]
    outs = [
        run(capsys, "reset", "--seed", seed, "--trace", str(t))[1]["sessions"]
        for t, seed in zip(traces, ("1", "2", "1"), strict=True)
    ]
    assert outs[0] == outs[1] == outs[2]
    first, second, third = (t.read_bytes() for t in traces)
    assert first == third
    assert first != second


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nope"], "there is no scenario 'nope'"),
        ([""], "SCENARIO is empty"),
        (["no/such.toml"], "No such file"),
        (["connectx4-lx", "--mode", "vhca_id"], "connectx4-lx does not offer it"),
        (["--fault", "nope"], "there is no fault 'nope'"),
        (["--seed", "-1"], "--seed"),
        (["--trace", "/nonexistent/dir/t.jsonl"], "--trace"),
    ],
)
def test_misuse(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["run", *args]) == 2
    assert words in capsys.readouterr().err


def test_nothing_half_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "t.jsonl"
    bad = tmp_path / "bad.toml"
    bad.write_text('[device]\nprofile = "connectx7"\n[[step]]\ndo = "close"\n')
    assert cli.invoke(["run", str(bad), "--trace", str(trace)]) == 2
    assert "step[0] (close)" in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.toml"]


def test_a_scenario_from_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import io  # noqa: PLC0415

    text = '[device]\nprofile = "connectx4-lx-dual"\n[[step]]\ndo = "open"\n[[step]]\ndo = "close"\nhow = "fast"\n'
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    code, out = run(capsys, "-")
    assert code == 0
    session = out["sessions"][0]  # type: ignore[index]  # JSON
    assert (session["end"], session["totals"]["discarded"]) == ("forced", 2495)


def test_a_trace_into_a_device_leaves_the_device_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "early-give", "--trace", "/dev/null")[0] == 0
    assert Path("/dev/null").is_char_device()
    assert cli.invoke(["run", "early-give", "--trace", "/dev/full"]) == 2
    assert "No space left" in capsys.readouterr().err
    assert Path("/dev/full").is_char_device()


def test_a_trace_through_a_link_keeps_the_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    link, target = tmp_path / "link.jsonl", tmp_path / "target.jsonl"
    link.symlink_to(target)
    assert run(capsys, "early-give", "--trace", str(link))[0] == 0
    assert link.is_symlink()
    assert audit(target).clean


def test_an_answer_longer_than_its_buffer_is_in_the_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = tmp_path / "t.jsonl"
    assert run(capsys, "--fault", "take-long", "--trace", str(trace))[0] == 1
    assert "count-over-asked" in [f.name for s in audit(trace).sessions for f in s.findings]


def test_an_unanswered_command_is_in_the_trace_of_a_close_that_went_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trace = tmp_path / "t.jsonl"
    assert run(capsys, "--fault", "disable-unanswered-lost", "--trace", str(trace))[0] == 1
    assert "command-unanswered" in [f.name for s in audit(trace).sessions for f in s.findings]


def test_output_that_cannot_be_written_is_no_bug_of_ours() -> None:
    command = f"{sys.executable} -c 'from fwpages.cli import main; main()' list offences > /dev/full"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "No space left" in done.stderr


def test_a_mode_that_is_not_offered_is_misuse_in_a_file_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[device]\nprofile = "connectx4-lx"\n[[step]]\ndo = "open"\nmode = "vhca_id"\n[[step]]\ndo = "close"\n'
    )
    assert cli.invoke(["run", str(plan)]) == 2
    assert "step[0].mode: connectx4-lx does not offer VHCA_ID mode" in capsys.readouterr().err


def test_what_a_failed_open_says_is_not_hidden_by_the_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[device]\nprofile = "connectx7"\nboot_pages = 2147483647\n[[step]]\ndo = "open"\n[[step]]\ndo = "close"\n'
    )
    code, out = run(capsys, str(plan))
    assert code == 1
    assert out["sessions"][0]["findings"][0]["name"] == "absurd-count"  # type: ignore[index]  # JSON


def test_standard_input_is_read_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.invoke(["audit", "-", "-"]) == 2
    assert "standard input (-) can be read once only" in capsys.readouterr().err
