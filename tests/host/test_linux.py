"""The host beside what an unmodified Linux was recorded to do: the same answers lead to the same commands."""

from __future__ import annotations

import numpy as np
import pytest

from fwpages.host import Bounds, Close, Open, Phase
from fwpages.prm.event import EventType, decode_page_request
from fwpages.prm.message import Answer, Command, PageArray, decode_answer, decode_command
from fwpages.prm.opcodes import ManagePages, Opcode
from tests.conftest import Line, read_trace
from tests.host.fake import Fake, array, name_of, taken

FIELDS = ("function_id", "embedded_cpu_function", "log_eq_size", "register_id", "profile", "current_issi")


class Replay:
    """Feeds a host the recorded answers and events. ``skipped`` are Linux's commands that ours does without."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.fake = Fake(bounds=Bounds())
        #: Linux's address of a page → ours, as both were given last
        self.where: dict[int, int] = {}
        self.skipped: list[str] = []
        self.compared = 0
        commands = [(decode_command(x.sent), x.answered) for x in lines if x.kind == "command"]
        queries = [raw for c, raw in commands if c.opcode == Opcode.QUERY_HCA_CAP]
        #: what Linux reads after INIT_HCA: the capabilities as they were set
        self.as_set = decode_answer(Opcode.QUERY_HCA_CAP, queries[-1])
        torn_down = [c.opcode for c, _ in commands].index(Opcode.TEARDOWN_HCA)
        #: what each function returned after TEARDOWN_HCA, in Linux's batches put together
        self.last: dict[int, list[int]] = {}
        for c, raw in commands[torn_down:]:
            if c.opcode == Opcode.MANAGE_PAGES:
                a = decode_answer(c.opcode, raw)
                self.last.setdefault(c["function_id"], []).extend(a.pas[: a["output_num_entries"]].tolist())

    def run(self) -> Fake:
        f = self.fake
        f.feed(Open())
        for line in self.lines:
            while f.maps:
                f.step()
            if line.kind == "event":
                e = decode_page_request(line.eqe)
                assert e is not None
                f.request(e.number, e.num_pages, ec=e.ec, release_all=e.release_all)
            else:
                self.command(line, decode_command(line.sent))
        return f

    def command(self, line: Line, theirs: Command) -> None:
        f = self.fake
        if theirs.opcode == Opcode.DESTROY_EQ and f.phase == Phase.OPEN:
            f.feed(Close())
        ours = f.waiting[0].command
        if ours.opcode == Opcode.QUERY_HCA_CAP and theirs.opcode != Opcode.QUERY_HCA_CAP:
            f.answer(self.as_set)  # ours alone: the capabilities are read back once they are set
            ours = f.waiting[0].command
        if self.theirs_alone(ours, theirs):
            self.skipped.append(name_of(theirs))
            return
        self.compared += 1
        assert (name_of(ours), f.waiting[0].slot) == (name_of(theirs), line.slot)
        for field in FIELDS:
            if field in theirs.fields:
                assert ours[field] == theirs[field], (name_of(theirs), field)
        f.answer(self.translated(ours, theirs, decode_answer(theirs.opcode, line.answered)))

    def theirs_alone(self, ours: Command, theirs: Command) -> bool:
        """The capabilities once more after INIT_HCA; further batches of 768 where ours takes all at once."""
        if theirs.opcode == Opcode.QUERY_HCA_CAP:
            return ours.opcode != Opcode.QUERY_HCA_CAP
        take = theirs.opcode == Opcode.MANAGE_PAGES and theirs.op_mod == ManagePages.TAKE
        return take and not self.fake.host.session.initialized and theirs["function_id"] not in self.last

    def translated(self, ours: Command, theirs: Command, answer: Answer) -> Answer:
        if theirs.opcode == Opcode.SET_HCA_CAP:
            assert ours.data == theirs.data
        if theirs.opcode == Opcode.SET_DRIVER_VERSION:
            # Linux's text and ours lie in the same place
            assert theirs.data == b"Linux,mlx5_core,7.2.13".ljust(64, b"\0")
            assert ours.data == self.fake.host.config.driver_version.encode().ljust(64, b"\0")
        if theirs.opcode == Opcode.CREATE_EQ:
            assert ours.pas.size == theirs.pas.size
            pages = 1 << EventType.PAGE_REQUEST
            assert ours["event_bitmask_0"] & pages == theirs["event_bitmask_0"] & pages
        if theirs.opcode != Opcode.MANAGE_PAGES:
            return answer
        if theirs.op_mod == ManagePages.GIVE:
            assert ours["input_num_entries"] == theirs["input_num_entries"] == ours.pas.size
            self.where |= dict(zip(theirs.pas.tolist(), ours.pas.tolist(), strict=True))
            return answer
        if self.fake.host.session.initialized:
            assert ours["input_num_entries"] == theirs["input_num_entries"]
            return taken(self.ours(answer.pas).tolist())
        return taken(self.ours(array(self.last.pop(theirs["function_id"]))).tolist())

    def ours(self, theirs: PageArray) -> PageArray:
        return np.array([self.where[p] for p in theirs.tolist()], np.uint64)


@pytest.mark.parametrize("mode", ["func_id", "vhca_id"])
def test_the_host_does_what_linux_was_recorded_to_do(mode: str) -> None:
    replay = Replay(read_trace(f"linux-7.2.13-pf-{mode}"))
    f = replay.run()
    assert f.phase == Phase.ENDED
    assert f.done == [("open", True), ("close", True)]
    assert f.findings == []
    assert f.host.session.mode == mode
    assert replay.skipped == ["QUERY_HCA_CAP(general, current)", "MANAGE_PAGES(TAKE)", "MANAGE_PAGES(TAKE)"]
    assert (replay.compared, len(f.sent)) == (31, 32)
    rows = {r.identity.number: (r.given, r.returned, r.released) for r in f.host.records.of_session(1)}
    own = 0x2A if mode == "vhca_id" else 0
    assert rows[own] == (37 + 2000 + 100, 50 + 2087, 0)
    assert rows[0x31] == (64 + 7, 10 + 7, 54)
