"""Page commands that are longer than they need to be, as two drivers send them: the device goes by their counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fwpages.auditor.audit import audit
from fwpages.prm.message import Command
from fwpages.prm.opcodes import ManagePages, Opcode
from fwpages.report.serve import serve_report
from tests.link.vfio_driver import Driver
from tests.scenario.stage import START, Stage, request, steps

VF = 0x31


def asked(pages: int) -> tuple[Stage, Driver, int]:
    """A device that asks for pages of a VF, its driver, and the own vhca_id."""
    st = Stage(steps('do = "open"', request("vf0", pages)))
    d = st.driver()
    own = d.up()
    d.ok(Opcode.QUERY_HCA_CAP, 1)
    st.later(5)
    event = d.event(1)
    assert event is not None
    assert (event.number, event.num_pages) == (VF, pages)
    return st, d, own


def closed(st: Stage, d: Driver, own: int, folder: Path) -> tuple[int, list[str]]:
    """Close in order, no rule broken. The pages given, as the server and the audit have them; the audit's findings."""
    for eqn in d.eqns:
        d.ok(Opcode.DESTROY_EQ, eq_number=eqn)
    d.ok(Opcode.TEARDOWN_HCA)
    for number in (own, VF):
        while d.take(number, 700):
            pass
    d.ok(Opcode.DISABLE_HCA)
    d.close()
    st.writer.end()
    path = folder / "t.jsonl"
    path.write_text(st.stream.getvalue())
    report, (session,) = serve_report(st.serving, scenario="test"), audit(path).sessions
    assert (report.offences, report.verdict) == ([], "clean")
    assert report.sessions[0].given == session.totals.given
    return session.totals.given, [f.name for f in session.findings]


def test_snabbs_give_is_eight_bytes_longer_than_its_pages(tmp_path: Path) -> None:
    st, d, own = asked(3)
    pages = np.arange(d.next_page, d.next_page + 4 * 4096, 4096, dtype=np.uint64)
    fields = {"function_id": VF, "input_num_entries": 3}
    assert d.command(Command(Opcode.MANAGE_PAGES, ManagePages.GIVE, fields, pas=pages)).ok
    assert st.held("vf0") == 3
    assert closed(st, d, own, tmp_path) == (START + 3, [])


def test_freebsds_cant_give_is_as_long_as_the_give_that_failed(tmp_path: Path) -> None:
    st, d, own = asked(3)
    c = Command(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, {"function_id": VF}, pas=np.zeros(3, np.uint64))
    assert d.command(c).ok
    assert st.serving.observer.inner.asks("vf0") == 0
    assert closed(st, d, own, tmp_path) == (START, ["cannot-give"])
