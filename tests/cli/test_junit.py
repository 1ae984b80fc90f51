"""``--junit FILE``: what a CI system reads of each command."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element

import junitparser
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages import cli
from fwpages.auditor.audit import audit
from fwpages.custody.accounts import FindingAccount, Report
from fwpages.explore.review.answers import Answer, Verdict
from fwpages.explore.review.junit import of_review
from fwpages.explore.review.questions import QUESTIONS
from fwpages.report.junit import Case, Result, Suite, junit_xml, of_audit, of_served
from fwpages.report.serve import ServedOffence, serve_report
from tests.conftest import GOLDEN
from tests.report.junit_structure import parsed
from tests.report.test_names import served
from tests.scenario.stage import request

VHCA = GOLDEN / "linux-7.2.13-pf-vhca_id.jsonl"
REBOUND = GOLDEN / "linux-7.2.13-pf-vhca_id.rebound.dmesg.txt"
LOST = GOLDEN / "cases" / "load-capability-refused.txt"


def made(tmp_path: Path, code: int, *args: object) -> Element:
    file = tmp_path / "junit.xml"
    assert cli.invoke([*map(str, args), "--junit", str(file)]) == code
    junitparser.JUnitXml.fromfile(str(file))  # another reader takes it too
    return parsed(file.read_bytes())


def results(root: Element) -> dict[str, str]:
    """The result of each case, by its suite and its name."""
    found = {}
    for suite in root:
        for case in suite.iter("testcase"):
            result = next((x.tag for x in case if x.tag in ("failure", "error", "skipped")), "passed")
            found[f"{suite.attrib['name']}: {case.attrib['name']}"] = result
    return found


def test_a_clean_session_and_its_functions_pass(tmp_path: Path) -> None:
    assert results(made(tmp_path, 0, "audit", VHCA)) == {
        "input: verdict": "passed",
        "linux-7.2.13-pf-vhca_id session 1: session": "passed",
        "linux-7.2.13-pf-vhca_id session 1: vhca:0x2a": "passed",
        "linux-7.2.13-pf-vhca_id session 1: vhca:0x31": "passed",
    }


def test_what_is_not_known_is_an_error_and_nothing_in_it_is_green(tmp_path: Path) -> None:
    root = made(tmp_path, 4, "audit", REBOUND)
    by_name = results(root)
    assert by_name["0000:01:00.0 session 1: session"] == "error"
    assert by_name["0000:01:00.0 session 1: vhca:0x2a"] == "skipped"
    assert "passed" not in by_name.values()
    (first, *_) = root.findall(".//testsuite/testcase[@name='session']/error")
    assert first.attrib["message"].startswith("not known: the messages about pages from the load of the driver on")
    assert "modprobe.d/mlx5-pages.conf" in (first.text or "")


def test_a_log_about_nothing_is_an_error(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.txt"
    nothing.write_text("[    1.0] hello\n")
    assert results(made(tmp_path, 4, "audit", nothing)) == {"input: verdict": "error"}


def test_a_finding_is_a_failure_with_its_meaning_its_evidence_and_its_remedy(tmp_path: Path) -> None:
    root = made(tmp_path, 1, "audit", LOST)
    (failure,) = root.findall(".//testcase[@name='session']/failure")
    assert failure.attrib["type"] == "load-failed"
    assert "handle_hca_cap failed: -22" in failure.attrib["message"]
    text = failure.text or ""
    assert "meaning: " in text
    assert "evidence: handle_hca_cap failed: -22 (EINVAL, invalid argument)" in text
    assert f"({LOST}:4)" in text
    assert "resolved by: " in text


def test_a_run_with_a_fault_fails_where_it_failed(tmp_path: Path) -> None:
    by_name = results(made(tmp_path, 1, "run", "--fault", "take-twice"))
    assert by_name["connectx7: operations"] == "failure"
    assert by_name["connectx7: steps and faults"] == "passed"
    assert by_name["connectx7 session 1: vf0 (vhca:0x31)"] == "failure"
    assert by_name["connectx7 session 1: vf1 (vhca:0x32)"] == "skipped"


def test_a_fault_that_never_happened_is_an_error(tmp_path: Path) -> None:
    by_name = results(made(tmp_path, 4, "run", "--fault", "take-twice@999"))
    assert by_name["connectx7: steps and faults"] == "error"
    assert by_name["connectx7: verdict"] == "error"
    assert "failure" not in by_name.values()


def test_properties_of_a_world_are_cases(tmp_path: Path) -> None:
    assert set(results(made(tmp_path, 0, "explore", "early-release")).values()) == {"passed"}
    root = made(tmp_path, 1, "explore", "early-release", "--design", "posted")
    by_name = results(root)
    assert by_name["early-release posted: never early-end"] == "failure"
    (failure,) = root.iter("failure")
    replay = (failure.text or "").splitlines()[-1].split()[-1]
    again = results(made(tmp_path, 1, "explore", "early-release", "--replay", replay))
    assert again == {"early-release posted: early-end": "failure"}
    walked = results(made(tmp_path, 0, "explore", "early-release", "--random", "3"))
    assert walked["early-release fwpages: never early-end"] == "skipped"
    cut = results(made(tmp_path, 1, "explore", "early-release", "--bound", "states=5"))
    assert cut["early-release fwpages: never early-end"] == "error"


def test_the_review_judges_our_own_design_alone() -> None:
    row = Verdict(design="fwpages", changed=(), assumptions={}, reachable=False, complete=True, states=1, transitions=1)
    answers = [
        Answer(
            QUESTIONS[0],
            {
                "posted": (replace(row, design="posted", reachable=True, broken="custody", seen="it is lost"),),
                "merged": (replace(row, design="merged", moot=True),),
                "fwpages": (row, replace(row, reachable=True), replace(row, complete=False)),
            },
        )
    ]
    (suite,) = of_review(answers)
    assert [case.result for case in suite.cases] == [
        Result.SKIPPED,
        Result.SKIPPED,
        Result.PASSED,
        Result.FAILED,
        Result.ERROR,
    ]
    parsed(junit_xml("review", [suite]))


def test_a_question_of_the_review_is_a_suite(tmp_path: Path) -> None:
    by_name = results(made(tmp_path, 0, "review", "boot-identity", "--design", "fwpages"))
    assert set(by_name.values()) <= {"passed", "skipped"}
    assert by_name["6 boot identity: fwpages"] == "passed"


def test_a_served_device_fails_by_the_rules_that_its_driver_broke() -> None:
    stage, _ = served('do = "open"', request("vf0", 8), request("vf0", -8), 'do = "close"')
    report = serve_report(stage.serving, scenario="test")
    for d in stage.drivers:
        d.close()
    by_name = results(parsed(junit_xml("serve", of_served(report))))
    assert set(by_name.values()) == {"passed"}
    assert "test session 1: vf0 (vhca:0x31)" in by_name
    broken = [ServedOffence(session=1, name="pages-missing", detail="INIT_HCA without pages")]
    root = parsed(junit_xml("serve", of_served(msgspec.structs.replace(report, offences=broken))))
    (failure,) = root.iter("failure")
    assert failure.attrib == {"message": "INIT_HCA without pages", "type": "pages-missing"}
    assert "meaning: the driver sent INIT_HCA before all boot and init pages were given" in (failure.text or "")
    assert "resolved by: " in (failure.text or "")


@settings(max_examples=40)
@given(st.text(), st.text(), st.text())
def test_no_text_makes_a_document_that_cannot_be_read(one: str, two: str, three: str) -> None:
    case = Case(name=one, result=Result.FAILED, kind=two, message=three, text=one + two)
    root = parsed(junit_xml("audit", [Suite(three, [case, Case(name=two, text=one)])]).encode())
    assert len(list(root.iter("testcase"))) == 2


def test_control_characters_of_a_log_are_replaced(tmp_path: Path) -> None:
    report = audit(VHCA)
    (session,) = report.sessions
    hostile = "\x1b[31m\x00]]></failure>&\ud800\ufffe"
    bad = FindingAccount(name="pages-left", blame="host", function="vhca:0x2a", detail=hostile)
    changed = msgspec.structs.replace(session, device=hostile, findings=[bad])
    root = parsed(junit_xml("audit", of_audit(Report.of([changed], [bad]))).encode())
    assert "�[31m�]]></failure>&��" in (root.findall(".//failure")[0].text or "")


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "--junit", "no/such/place.xml"], "--junit no/such/place.xml"),
        (["run", "--trace", "same", "--junit", "./same"], "--trace and --junit both name same"),
        (["run", "--junit", "-"], "--junit -: expected a file"),
    ],
)
def test_a_file_that_cannot_be_written_is_misuse_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], args: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.invoke(args) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_misuse_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    assert cli.invoke(["audit", str(tmp_path / "nothing"), "--junit", str(file)]) == 2
    assert not file.exists()
