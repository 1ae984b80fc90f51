"""``fwpages audit``: the report of several inputs on a screen and as JSON, and what the exit code tells."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest

from fwpages.auditor.audit import InputError, audit
from fwpages.cli import invoke
from fwpages.custody.accounts import Report
from fwpages.custody.verdicts import PAGE_LINES, WHOLE_LOG
from fwpages.prm.opcodes import Opcode, Teardown
from tests.auditor.logs import DMESG, FUNC, GOLDEN, VHCA, write, write_trace
from tests.auditor.written_traces import WrittenTrace, pages


@pytest.fixture
def leaking(tmp_path: Path) -> Path:
    """A session that ends with pages left."""
    return write_trace(tmp_path, WrittenTrace().opened().closed([pages(0x100, 10)]).lines)


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str]:
    code = invoke(["audit", *map(str, args)])
    out, err = capsys.readouterr()
    assert err == ""
    return code, out


def test_as_json_it_is_what_the_python_interface_returns(capsys: pytest.CaptureFixture[str], leaking: Path) -> None:
    inputs = (VHCA, DMESG, leaking)
    code, out = run(capsys, "--json", *inputs)
    assert msgspec.json.decode(out, type=Report) == audit(*inputs)
    assert (code, out.count("\n")) == (1, 1)


@pytest.mark.parametrize("at", [0, 1, 2])
def test_one_bad_input_among_good_ones_is_1(capsys: pytest.CaptureFixture[str], leaking: Path, at: int) -> None:
    """Wherever it stands, and whether or not it is JSON; the good ones are reported too."""
    inputs = [FUNC, VHCA]
    inputs.insert(at, leaking)
    for args in ((), ("--json",)):
        assert run(capsys, *args, *inputs)[0] == 1
    assert run(capsys, FUNC, VHCA)[0] == 0
    heads = [line for line in run(capsys, *inputs)[1].splitlines() if " mode, " in line]
    assert [("clean" in head) for head in heads] == [n != at for n in range(3)]


def test_a_finding_says_whose_fault_which_pages_and_what_would_help(
    capsys: pytest.CaptureFixture[str], leaking: Path
) -> None:
    (finding,) = audit(leaking).sessions[0].findings
    lines = run(capsys, leaking)[1].splitlines()
    at = next(n for n, line in enumerate(lines) if finding.name in line)
    assert f"{finding.name}  blames: {finding.blame}" in lines[at]
    assert f"{finding.function}" in lines[at]
    assert f"{finding.pages} pages" in lines[at]
    rest = " ".join(" ".join(lines[at + 1 :]).split())
    assert finding.detail in rest
    assert f"resolved by: {finding.remedy}" in rest


def test_what_is_wrong_with_the_input_as_a_whole_is_1_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A packed log that ends too early, and no session that it could miss from."""
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"[    1.000000] mlx5_core 0000:01:00.0: enabling device\n")[:-4])
    report = audit(path)
    assert report.findings
    assert [s.findings for s in report.sessions] == [[]]
    code, out = run(capsys, path)
    assert (code, report.findings[0].name in out) == (1, True)
    assert run(capsys, "--json", path)[0] == 1


def test_an_open_session_is_reported_as_open_and_is_no_finding(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Pages that are out while the driver is at work are where they belong."""
    path = write_trace(tmp_path, WrittenTrace().opened().lines)
    code, out = run(capsys, "--json", path)
    (session,) = json.loads(out)["sessions"]
    assert (code, session["end"], session["totals"]["held"]) == (0, "open", 30)
    assert (session["verdict"], session["clean"]) == ("consistent so far", None)
    assert "open: consistent so far, 30 pages (0.117 MiB) held" in run(capsys, path)[1]


ORDINARY = [
    "[    3.100000] mlx5_core 0000:03:00.0: firmware version: 22.41.1000",
    "[    9.000000] mlx5_core 0000:03:00.0 ens1f0np0: Link up",
]


def test_an_ordinary_log_is_not_known_and_says_what_would_tell(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = write(tmp_path, ORDINARY)
    code, out = run(capsys, "--json", path)
    report = json.loads(out)
    (session,) = report["sessions"]
    for judged in (report, session):
        assert (code, judged["verdict"], judged["clean"]) == (4, "not known", None)
    assert session["mode"] is None
    assert [m["command"] for m in session["missing"]] == [PAGE_LINES]
    code, out = run(capsys, path)
    assert "mode not known, open: not known" in out
    assert PAGE_LINES in [line.strip() for line in out.splitlines()]
    assert "func_id mode" not in out


def test_what_is_not_known_may_be_let_pass_and_is_printed_all_the_same(
    capsys: pytest.CaptureFixture[str], leaking: Path, tmp_path: Path
) -> None:
    path = write(tmp_path, ORDINARY)
    code, out = run(capsys, "--fail-on", "findings", path)
    assert (code, "not known" in out) == (0, True)
    assert run(capsys, "--fail-on", "not-known", path)[0] == 4
    assert run(capsys, "--fail-on", "findings", path, leaking)[0] == 1


def test_a_log_without_a_line_of_mlx5_is_not_known(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path, ["[    0.000000] Linux version 6.8.0", "[    1.1] e1000e 0000:00:1f.6 eth0: link up"])
    code, out = run(capsys, "--json", path)
    report = json.loads(out)
    assert (code, report["verdict"], report["clean"], report["sessions"]) == (4, "not known", None, [])
    assert report["missing"] == [{"what": f"{path}: a line of mlx5_core, the log has none", "command": WHOLE_LOG}]
    assert run(capsys, VHCA, path)[0] == 4
    assert "clean" not in run(capsys, path)[1]


def test_a_report_in_a_pipe_is_plain_and_100_columns_wide(capsys: pytest.CaptureFixture[str], leaking: Path) -> None:
    out = run(capsys, DMESG, leaking)[1]
    assert "\x1b" not in out
    assert max(len(line) for line in out.splitlines() if "/" not in line) <= 100


@pytest.mark.parametrize("at", [0, 1])
def test_an_input_that_cannot_be_read_does_not_hide_the_others(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, at: int
) -> None:
    """Its error is on standard error and in the report; the exit code is 2 if the others have no findings."""
    bad = tmp_path / "none"
    inputs = [str(VHCA)]
    inputs.insert(at, str(bad))
    assert invoke(["audit", *inputs]) == 2
    out, err = capsys.readouterr()
    assert ("vhca_id mode, closed: clean" in out, f"{bad}: no such file" in err) == (True, True)
    assert invoke(["audit", "--json", *inputs]) == 2
    report = json.loads(capsys.readouterr().out)
    assert (report["verdict"], len(report["sessions"])) == ("not known", 1)
    assert [m["what"].split(":")[0] for m in report["missing"]] == [str(bad)]


def test_findings_outrank_an_input_that_cannot_be_read(
    capsys: pytest.CaptureFixture[str], leaking: Path, tmp_path: Path
) -> None:
    assert invoke(["audit", str(leaking), str(tmp_path / "none")]) == 1
    assert invoke(["audit", "--fail-on", "findings", str(VHCA), str(tmp_path / "none")]) == 2
    capsys.readouterr()


def test_inputs_of_which_none_can_be_read_are_misuse(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    bad = [str(tmp_path / name) for name in ("a", "b")]
    assert invoke(["audit", *bad]) == 2
    out, err = capsys.readouterr()
    assert (out, f"{bad[0]}: no such file" in err) == ("", True)
    with pytest.raises(InputError, match="no such file"):
        audit(VHCA, bad[0])


def test_a_log_that_looks_folded_and_has_no_session_is_said_to_be_folded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    long = "mlx5_core 0000:03:00.0 ens1f0np0: a line that a mailer has folded at its width, as all of"
    path = write(tmp_path, [line for n in range(6) for line in (f"[    {n}.100000] {long}", "them are: more of it")])
    code, out = run(capsys, path)
    assert (code, "folded" in out) == (4, True)


@pytest.mark.parametrize("args", [("--device", "linux-7.2.13-pf-vhca"), ("--session", "3")])
def test_a_part_that_the_report_does_not_have_is_misuse(
    capsys: pytest.CaptureFixture[str], args: tuple[str, str]
) -> None:
    assert invoke(["audit", *args, str(VHCA)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "did you mean linux-7.2.13-pf-vhca_id?" in err or "the report has 1 session" in err


def test_a_forced_close_that_leaves_pages_is_not_known(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Also in a trace without line numbers, where no line says that the pages were left on purpose."""
    trace = WrittenTrace().opened()
    trace.plain(Opcode.TEARDOWN_HCA, profile=Teardown.FORCE)
    code, out = run(capsys, write_trace(tmp_path, trace.lines))
    assert code == 4
    assert "forced: not known" in out
    assert "missing: a reset that frees the pages left" in out


def test_many_sessions_are_a_line_each_and_findings_are_grouped(
    capsys: pytest.CaptureFixture[str], leaking: Path
) -> None:
    code, out = run(capsys, *[leaking] * 5, VHCA)
    assert (code, out.count("given")) == (1, 0)
    assert [line.split()[0] for line in out.splitlines()[:6]] == list("123456")
    assert "pages-left  blames: host  5 times, 100 pages (0.391 MiB)  in sessions 1, 2, 3, 4, 5" in out
    assert out.splitlines()[-1] == (
        "6 sessions of 2 devices in 2 files: 5 with findings, 1 clean; 100 pages (0.391 MiB) held"
    )
    assert run(capsys, "--full", *[leaking] * 5)[1].count("given") >= 5


def test_a_part_of_the_report_is_printed_and_the_exit_code_is_that_of_the_whole(
    capsys: pytest.CaptureFixture[str], leaking: Path
) -> None:
    code, out = run(capsys, "--session", 2, leaking, VHCA)
    assert (code, "pages-left" in out, "linux-7.2.13" in out) == (1, False, True)
    code, out = run(capsys, "--findings-only", leaking, VHCA)
    assert (code, "pages-left" in out, "linux-7.2.13" in out) == (1, True, False)
    code, out = run(capsys, "--device", "linux-7.2.13-pf-vhca_id", leaking, VHCA)
    assert (code, "pages-left" in out) == (1, False)
    out = run(capsys, "--sort", "held", VHCA, leaking)[1]
    assert out.index("pages-left") < out.index("linux-7.2.13")


def test_findings_only_keeps_sessions_that_refer_to_the_finding_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    case = GOLDEN / "cases" / "firmware-assert.txt"
    assert run(capsys, "--findings-only", case) == run(capsys, case)
    assert "6 with findings" in run(capsys, "--findings-only", case)[1]
