"""A run's trace, audited, gives the accounts that the run itself kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fwpages.cli import invoke
from fwpages.device import Offence, OffenceName
from fwpages.host import Books
from fwpages.link.faults.consequences import Excused
from fwpages.prm.identity import Identity, Mode, vhca_id
from fwpages.report.host_accounts import session_of

PARTS = ("mode", "end", "clean", "totals", "by_type", "functions")


@pytest.mark.parametrize("mode", ["auto", "func_id"])
@pytest.mark.parametrize("name", ["connectx7", "bluefield3", "late-return", "early-give", "health-recovery", "reset"])
def test_the_audit_of_a_runs_trace_agrees_with_its_books(
    name: str, mode: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.jsonl"
    invoke(["run", name, "--mode", mode, "--trace", str(path), "--json"])
    books = json.loads(capsys.readouterr().out)["sessions"]
    invoke(["audit", str(path), "--json"])
    audited = json.loads(capsys.readouterr().out)["sessions"]
    assert [[s[part] for part in PARTS] for s in audited] == [[s[part] for part in PARTS] for s in books]
    assert [s["counters"]["fw_pages_total"] for s in audited] == [s["counters"]["fw_pages_total"] for s in books]


#: a function is reset while the host has yet to hear of a page request before it, or before it hears of that reset the
#: link is lost
CROSSING = """
device = {{ profile = "connectx5", boot_pages = 1, init_pages = 1 }}
function = [{{ name = "v", type = "vf", vhca_id = 18, pages = 7 }}]
step = [
  {{ do = "open" }},
  {{ do = "enable", function = "v" }},
  {first},
  {then},
]
"""
REQUEST = '{ do = "request", function = "v", pages = 1, settle = false }'
RESET = '{ do = "reset", function = "v", settle = false }'


@pytest.mark.parametrize("link", ["direct", "queue"])
@pytest.mark.parametrize(
    ("first", "then", "findings", "counts"),
    [
        (REQUEST, RESET, ["give-crossed-release link"], {"released": 7, "discarded": 0, "doubtful": 1}),
        (RESET, '{ do = "lose-link" }', ["link-lost link"], {"released": 0, "discarded": 9, "doubtful": 0}),
    ],
)
def test_what_crosses_in_transit_is_in_the_trace_as_the_host_took_it(
    first: str,
    then: str,
    findings: list[str],
    counts: dict[str, int],
    link: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan, path = tmp_path / "crossing.toml", tmp_path / "run.jsonl"
    plan.write_text(CROSSING.format(first=first, then=then))
    invoke(["run", str(plan), "--link", link, "--trace", str(path), "--json"])
    (mine,) = json.loads(capsys.readouterr().out)["sessions"]
    invoke(["audit", str(path), "--json"])
    (read,) = json.loads(capsys.readouterr().out)["sessions"]
    assert [read[part] for part in PARTS] == [mine[part] for part in PARTS]
    for s in mine, read:
        assert [f"{f['name']} {f['blame']}" for f in s["findings"]] == findings
        assert {name: s["totals"][name] for name in counts} == counts


def test_offences_of_one_kind_are_reported_once_for_each_function() -> None:
    books = Books(1, Mode.VHCA_ID, "closed", (), 0, {}, (), (), 0, 0, 0)

    def offence(who: Identity | None, detail: str) -> Offence:
        return Offence(OffenceName.UNREQUESTED_GIVE, who, detail)

    a, b = vhca_id(0x31), vhca_id(0x32)
    storm = [offence(a, "1 page"), offence(b, "2 pages"), offence(a, "3 pages"), offence(None, "4 pages")]
    s = session_of("dut", books, storm)
    words = "the driver gave a function more pages than firmware wants for it: "
    assert [(f.function, f.detail) for f in s.findings] == [
        ("vhca:0x31", f"{words}1 page (2 times in all)"),
        ("vhca:0x32", f"{words}2 pages"),
        (None, f"{words}4 pages"),
    ]
    assert not s.clean
    because = [Excused(1, offence(a, pages), "pages-zero") for pages in ("1 page", "2 pages")]
    excused = session_of("dut", books, excused=because)
    assert excused.notes == [f"because of pages-zero {words}1 page (2 times in all)"]
    assert excused.findings == []
