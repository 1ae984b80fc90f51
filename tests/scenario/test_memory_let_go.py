"""Memory that a driver unmaps while firmware holds it: a served device sees it, and an audit of its trace does too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.custody.accounts import Report
from fwpages.device import PlannedFault
from fwpages.prm.opcodes import Opcode
from fwpages.report.serve import serve_report
from tests.link.vfio_client import dma_unmap, message
from tests.link.vfio_driver import EQS, INPUT, PAGES, QUEUE, PagedDriver
from tests.scenario.stage import Stage, steps

START = 37 + 20
OWN = 0x2A


def stage(*faults: str) -> Stage:
    return Stage(steps('do = "open"'), faults=[PlannedFault(name) for name in faults])


def audited(st: Stage, folder: Path) -> Report:
    for d in st.drivers:
        d.close()
    st.writer.end()
    path = folder / "trace.jsonl"
    path.write_text(st.stream.getvalue())
    return audit(path)


def seen(st: Stage) -> list[str]:
    """The details of the offences, all of which are this one."""
    assert {o.name for _, o in st.serving.observer.offences} <= {"memory-let-go"}
    return [o.detail for _, o in st.serving.observer.offences]


def found(report: Report) -> list[str]:
    return [f.detail for s in report.sessions for f in s.findings if f.name == "memory-let-go"]


def both(st: Stage, folder: Path) -> list[str]:
    """What the device saw, once the audit of its trace has come to the same."""
    mine = seen(st)
    assert found(audited(st, folder)) == mine
    return mine


def torn_down(d: PagedDriver) -> None:
    for eqn in d.eqns:
        d.ok(Opcode.DESTROY_EQ, eq_number=eqn)
    d.ok(Opcode.TEARDOWN_HCA)


def up() -> tuple[Stage, PagedDriver]:
    st = stage()
    d = st.paged()
    assert d.up() == OWN
    return st, d


def test_a_driver_that_waits_for_its_pages_is_clean(tmp_path: Path) -> None:
    st, d = up()
    d.down(OWN)
    d.unmap(EQS & ~0x1FFFFF, 2 << 20)
    report = serve_report(st.serving, scenario="test")
    assert report.summary == (
        "clean: the driver behaved: 1 session, every page accounted for, no memory let go while firmware held it"
    )
    assert both(st, tmp_path) == []


def test_pages_let_go_are_named_with_function_count_addresses_and_moment(tmp_path: Path) -> None:
    st, d = up()
    d.unmap_each(PAGES + n * 4096 for n in range(40))
    named = ", ".join(f"{PAGES + n * 4096:#x}" for n in range(4))
    words = f"40 pages of vhca:0x2a unmapped while the device worked, while firmware held them: {named}, ..."
    report = serve_report(st.serving, scenario="test")
    assert [(o.session, o.name, o.detail) for o in report.offences] == [(1, "memory-let-go", words)]
    assert report.verdict == "findings"
    assert report.summary.startswith("not clean")
    assert "memory-let-go" in report.summary
    first = f"1 page of vhca:0x2a unmapped while the device worked, while firmware held it: {PAGES:#x}"
    assert f"OFFENCE memory-let-go: {first}" in st.said
    [finding] = [f for f in audited(st, tmp_path).sessions[0].findings if f.name == "memory-let-go"]
    assert (finding.detail, finding.pages, finding.function, finding.blame) == (words, 40, "vhca:0x2a", "host")


def test_each_moment_of_a_session_is_told_apart(tmp_path: Path) -> None:
    st = stage()
    d = st.paged()
    d.ok(Opcode.ENABLE_HCA)
    d.give(0, 37)
    d.unmap(PAGES)
    d.reset()
    assert d.up() == OWN
    torn_down(d)
    page = d.next_page - 4096
    d.unmap(page)
    d.ok(Opcode.DISABLE_HCA)
    d.unmap(page - 4096)
    assert [o.name for _, o in st.serving.observer.offences[:1]] == ["disabled-with-pages"]
    mine = [o.detail for _, o in st.serving.observer.offences[1:]]
    assert found(audited(st, tmp_path)) == mine
    assert mine == [
        f"1 page of func:0x0 unmapped before INIT_HCA, while firmware held it: {PAGES:#x}",
        f"1 page of vhca:0x2a unmapped after TEARDOWN_HCA, while firmware held it: {page:#x}",
        f"1 page of vhca:0x2a unmapped after DISABLE_HCA, while firmware held it: {page - 4096:#x}",
    ]


def test_event_queues_and_mailboxes_are_held_too(tmp_path: Path) -> None:
    st = stage("give-unanswered-done")
    d = st.paged()
    d.ok(Opcode.ENABLE_HCA)
    with pytest.raises(AssertionError):
        d.give(0, 37)
    d.unmap(0x200000, 2 << 20)
    d.unmap(QUEUE & ~0x1FFFFF, 2 << 20)
    [words] = both(st, tmp_path)
    # the queue's entry, and the one mailbox of a GIVE's pages
    said = "2 pages of commands without an answer unmapped before INIT_HCA, while firmware held them"
    assert words == f"{said}: {QUEUE:#x}, {INPUT:#x}"


def test_an_event_queue_that_is_unmapped_before_it_is_destroyed(tmp_path: Path) -> None:
    st, d = up()
    d.unmap(EQS & ~0x1FFFFF, 2 << 20)
    [words] = both(st, tmp_path)
    assert words.startswith("8 pages of event queues unmapped while the device worked, while firmware held them: 0x7")


def test_a_give_that_was_done_and_not_answered_counts(tmp_path: Path) -> None:
    st = stage("give-unanswered-done")
    d = st.paged()
    d.ok(Opcode.ENABLE_HCA)
    with pytest.raises(AssertionError):
        d.give(0, 37)
    d.unmap_each(range(PAGES, PAGES + 37 * 4096, 4096))
    assert st.serving.observer.sessions[0].total("given") == 37
    [words] = both(st, tmp_path)
    assert words.startswith("37 pages of func:0x0 unmapped before INIT_HCA")


def test_a_give_that_was_not_done_does_not_count(tmp_path: Path) -> None:
    st = stage("give-unanswered-lost")
    d = st.paged()
    d.ok(Opcode.ENABLE_HCA)
    with pytest.raises(AssertionError):
        d.give(0, 37)
    d.unmap_each(range(PAGES, PAGES + 37 * 4096, 4096))
    assert both(st, tmp_path) == []


def test_a_take_that_was_done_and_not_answered_lets_go(tmp_path: Path) -> None:
    st = stage("take-unanswered-done")
    d = st.paged()
    d.up()
    torn_down(d)
    with pytest.raises(AssertionError):
        d.take(OWN, 5)
    d.unmap_each(range(d.next_page - 5 * 4096, d.next_page, 4096))
    assert both(st, tmp_path) == []


def test_memory_above_all_that_firmware_was_ever_given_is_nobodys(tmp_path: Path) -> None:
    st = stage()
    d = st.paged()
    d.ok(Opcode.ENABLE_HCA)
    d.give(0, 37)
    above = PAGES + 40 * 4096
    d.map(above)
    d.unmap(above)
    d.reset()
    assert both(st, tmp_path) == []


def gone(d: PagedDriver) -> None:
    d.close()


def power_off(d: PagedDriver) -> None:
    d.ask(dma_unmap(0, 0, flags=2))


def halves(d: PagedDriver) -> None:
    d.unmap(0, 1 << 63)


def mastering_off(d: PagedDriver) -> None:
    d.write(7, 0x04, (2).to_bytes(2, "little"))
    d.unmap_each(range(PAGES, PAGES + 20 * 4096, 4096))


def reset(d: PagedDriver) -> None:
    d.ask(message(13))
    d.unmap_each(range(PAGES, PAGES + 20 * 4096, 4096))


@pytest.mark.parametrize("how", [gone, power_off, halves, mastering_off, reset])
def test_what_lets_go_of_nothing(how: Callable[[PagedDriver], None], tmp_path: Path) -> None:
    st, d = up()
    how(d)
    assert seen(st) == []
    if how is gone:
        st.drivers.clear()
    assert found(audited(st, tmp_path)) == []


def test_without_an_iommu_nothing_is_judged_and_nothing_is_said_to_behave(tmp_path: Path) -> None:
    st = stage()
    d = st.driver()
    own = d.up()
    d.down(own)
    report = serve_report(st.serving, scenario="test")
    assert report.verdict == "clean"
    assert "behaved" not in report.summary
    why = "the guest's memory is mapped as a whole, no IOMMU shows the driver's maps"
    assert report.summary == f"clean: 1 session, every page accounted for; not judged: memory let go too early ({why})"
    assert report.sessions[0].memory == f"not judged: {why}"
    notes = audited(st, tmp_path).sessions[0].notes
    assert any(f"is not judged: {why}" in note for note in notes)


def test_a_driver_that_keeps_its_memory_mapped_is_not_judged(tmp_path: Path) -> None:
    st, d = up()
    d.keep = True
    d.down(OWN)
    d.unmap_each(range(PAGES, PAGES + START * 4096, 4096))
    report = serve_report(st.serving, scenario="test")
    assert report.verdict == "clean"
    assert "not judged: memory let go too early (pages that came back stayed mapped" in report.summary
    session = audited(st, tmp_path).sessions[0]
    assert session.verdict == "clean"
    assert any("stayed mapped" in note for note in session.notes)


def test_behind_a_lazy_iommu_a_verdict_is_not_known_as_the_maps_were_there_and_do_not_tell(tmp_path: Path) -> None:
    st, d = up()
    d.keep = True
    torn_down(d)
    back = range(d.next_page - 5 * 4096, d.next_page, 4096)
    d.take(OWN, 5)
    d.take(OWN, 700)
    d.unmap_each(back)
    d.ok(Opcode.DISABLE_HCA)
    report = serve_report(st.serving, scenario="test")
    assert (report.verdict, report.sessions[0].verdict, report.offences) == ("not known", "not known", [])
    [missing] = report.missing
    assert missing.what.startswith("the moment at which the driver lets memory go in session 1: pages that came back")
    assert "iommu=strict" in report.summary
    session = audited(st, tmp_path).sessions[0]
    assert session.verdict == "not known"
    assert [m.what for m in session.missing] == [
        "the moment at which the driver lets memory go: the maps of its IOMMU do not tell (see the notes)"
    ]


def test_what_is_let_go_by_a_lazy_driver_is_let_go_all_the_same(tmp_path: Path) -> None:
    st, d = up()
    d.keep = True
    torn_down(d)
    d.take(OWN, 5)
    d.take(OWN, 5)
    d.unmap(PAGES)
    assert len(both(st, tmp_path)) == 1
