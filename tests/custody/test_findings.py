from __future__ import annotations

from pathlib import Path

from fwpages.custody.findings import Blame, Cause, Finding, FindingName
from fwpages.host import Host, Open
from fwpages.prm.identity import vhca_id
from tests.host.fake import Fake, refusing

VF = vhca_id(0x31)


def test_the_same_again_is_one_finding_with_the_most_pages_that_it_was_about_at_one_time() -> None:
    f = Fake().open()
    f.script["MANAGE_PAGES(GIVE)"] = refusing()
    for n, number in ((5, 0x31), (7, 0x31), (2, 0x32), (1, 0x31)):
        f.now += 1.0
        f.request(number, n)
        f.run()
    reported = [e for e in f.effects if isinstance(e, Finding)]
    assert [(x.name, x.function, x.pages, x.times, x.at) for x in reported] == [
        ("give-refused", VF, 5, 1, 1.0),
        ("give-refused", vhca_id(0x32), 2, 1, 3.0),
    ]
    first, second = f.host.session.findings.values()
    assert (first.pages, first.times, first.at) == (7, 3, 1.0)
    assert first.detail.startswith("GIVE of 7 pages")
    assert second == reported[1]


def test_three_absurd_requests_are_not_one_that_is_three_times_as_absurd() -> None:
    f = Fake().open()
    for _ in range(3):
        f.request(0x31, 2**31 - 1)
        f.run()
    assert (f.finding("absurd-count").pages, f.finding("absurd-count").times) == (2**31 - 1, 3)


def test_what_is_not_about_pages_says_no_number_of_them() -> None:
    h = Host()
    h.begin(Open())
    for _ in range(3):
        h.find(Cause.MODE_DISAGREEMENT)
    assert [(f.pages, f.times) for f in h.session.findings.values()] == [(None, 3)]


def test_findings_that_blame_different_parties_are_apart() -> None:
    h = Host()
    h.begin(Open())
    for cause in (Cause.GIVE_UNANSWERED, Cause.GIVE_UNANSWERED_LINK, Cause.GIVE_UNANSWERED):
        h.find(cause, VF, 2, "words")
    assert [(f.blame, f.pages, f.times) for f in h.session.findings.values()] == [
        (Blame.DEVICE, 2, 2),
        (Blame.LINK, 2, 1),
    ]


def test_findings_of_two_sessions_are_not_added_up() -> None:
    f = Fake().open()
    f.request(0x31, 2**30)
    f.run()
    f.close()
    f.open()
    f.request(0x31, 2**30)
    f.run()
    assert [(e.session, e.times) for e in f.effects if isinstance(e, Finding)] == [(1, 1), (2, 1)]


def test_two_findings_are_equal_whenever_they_were_made() -> None:
    assert Finding(Cause.ALLOC_FAILED, VF, 3, at=1.0) == Finding(Cause.ALLOC_FAILED, VF, 3, at=2.0)
    assert Finding(Cause.ALLOC_FAILED, VF, 3) != Finding(Cause.ALLOC_FAILED, VF, 4)


def test_notes_are_bounded() -> None:
    h = Host()
    for n in range(1000):
        h.note(f"note {n}")
    assert len(h.session.notes) == 100
    assert h.session.notes[0] == "note 0"


def test_every_name_has_a_cause_and_every_cause_a_meaning_and_a_remedy() -> None:
    assert {c.finding for c in Cause} == set(FindingName)
    assert all(c.meaning and c.remedy for c in Cause)


def test_the_documents_have_a_row_for_every_cause() -> None:
    text = (Path(__file__).parents[2] / "docs/reference/findings.md").read_text()
    rows = [f"| `{c.finding}` | {c.blame} | {c.meaning} | {c.remedy} |" for c in Cause]
    assert [row for row in rows if row not in text] == []
