"""The Linux model against what Linux was recorded to do, and its threads, slots, locks and memory."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import numpy as np
import pytest
from msgspec import structs

from fwpages.device import Want
from fwpages.explore.designs.linux.choices import MERGED
from fwpages.explore.designs.linux.driver import COUNTED, Linux
from fwpages.explore.model.driver import DriverConfig, Run
from fwpages.host import Answered, Close, EnableVport, Map, Mapped, Open, PageRequest, Send, Tick
from fwpages.prm.event import decode_page_request
from fwpages.prm.identity import Mode, func_id, vhca_id
from fwpages.prm.message import NO_PAGES, Answer, Command, PageArray, decode_answer, decode_command
from fwpages.prm.opcodes import PAGE_SLOT, Opcode
from tests.conftest import Line
from tests.explore.designs.driver_run import BOUNDS, DriverRun
from tests.explore.designs.linux.test_pages import BOTH, GIVE, TAKE, manages, opened

#: commands of Linux's that have no bearing on pages, and what stands for others in the model (designs.md)
LEFT_OUT = {Opcode.QUERY_ADAPTER}


def linux(run: DriverRun) -> Linux:
    """The driver of a run that is a model of Linux."""
    assert isinstance(run.driver, Linux)
    return run.driver


class Replay:
    """A recorded device answers the model: pages that it names are those that the model gave at that place."""

    def __init__(self, trace: list[Line]) -> None:
        # system pages of 64 KiB: the same commands, and a sixteenth of the pages to map
        self.driver = Linux(MERGED, DriverConfig(page_shift=16))
        self.left = deque(x for x in trace if x.eqe or decode_command(x.sent).opcode not in LEFT_OUT)
        self.theirs: list[Command] = []
        self.ours: list[Command] = []
        self.capabilities: dict[int, Answer] = {}
        self.place: dict[int, int] = {}
        self.inputs: deque[Answered | Mapped | PageRequest] = deque()

    def feed(self, x: Open | Close | Run | Answered | Mapped | PageRequest) -> None:
        for e in self.driver.feed(0.0, x):
            if isinstance(e, Map):
                self.inputs.append(Mapped(e.iova, e.pages, e.iova))
            elif isinstance(e, Send):
                self.inputs.append(Answered(e.session, e.id, self.answer(e.command)))

    def do(self, x: Open | Close) -> None:
        self.feed(x)
        self.settle()

    def settle(self) -> None:
        while self.inputs or self.driver.threads() or (self.left and self.left[0].eqe):
            if self.inputs:
                self.feed(self.inputs.popleft())
            elif self.driver.threads():
                self.feed(Run(self.driver.threads()[0]))
            else:
                event = decode_page_request(self.left.popleft().eqe)
                assert event is not None
                self.inputs.append(PageRequest(1, event))

    def answer(self, c: Command) -> Answer:
        """The next one of the recording; the model asks for more capabilities than that device had."""
        if c.opcode == Opcode.QUERY_HCA_CAP and not self.asked(c):
            return self.capabilities.get(c.op_mod, Answer(c.opcode, data=bytes(4096)))
        x = self.left.popleft()
        sent = decode_command(x.sent)
        self.ours.append(c)
        self.theirs.append(sent)
        answer = decode_answer(c.opcode, x.answered)
        if manages(c, GIVE):
            self.place.update(zip(sent.pas.tolist(), c.pas.tolist(), strict=True))
        elif manages(c, TAKE):
            answer = structs.replace(answer, pas=self.mine(answer.pas[: answer["output_num_entries"]]))
        elif c.opcode == Opcode.QUERY_HCA_CAP:
            self.capabilities[c.op_mod] = answer
        return answer

    def asked(self, c: Command) -> bool:
        """The recording goes on with this command."""
        if not self.left or not self.left[0].sent:
            return False
        sent = decode_command(self.left[0].sent)
        return (sent.opcode, sent.op_mod) == (c.opcode, c.op_mod)

    def mine(self, theirs: PageArray) -> PageArray:
        return np.array([self.place[a] for a in theirs.tolist()], np.uint64) if theirs.size else NO_PAGES


def shown(c: Command) -> tuple[int, int, dict[str, int]]:
    """Functions and numbers in a command; identifiers of resources are the device's."""
    named = ("function_id", "embedded_cpu_function", "input_num_entries", "current_issi", "register_id", "eq_number")
    fields = {n: v for n, v in c.fields.items() if n in named and v}
    return c.opcode, c.op_mod, fields


def test_the_model_sends_what_linux_sent_from_load_to_unload(trace: list[Line]) -> None:
    """In each mode: every command by its opcode, function and count, with the recorded device's answers and events."""
    replay = Replay(trace)
    replay.do(Open())
    replay.do(Close())
    assert not replay.left
    assert [shown(c) for c in replay.ours] == [shown(c) for c in replay.theirs]
    assert replay.driver.view().counters["total"] == 0
    assert not replay.driver.mapped


# -- threads, slots and locks -----------------------------------------------------------------------------------------


@BOTH
def test_page_commands_go_one_at_a_time_and_others_on_the_lowest_free_slots(name: str) -> None:
    """cmd.c:cmd_work_handler: the last slot is theirs, under pages_sem; no other command waits for it."""
    run = opened(name)
    run.fate = lambda c: "lost"
    run.ids.clear()
    run.do(Want("self", 1), until=run.now)
    run.do(EnableVport(2), until=run.now)
    assert [(manages(e.command, GIVE), e.slot) for e in run.ids] == [(True, PAGE_SLOT), (False, 0)]
    run.do(Close(), until=run.now)
    assert dict(run.driver.view().waiting) == {
        "driver": "devlink, held by eswitch",
        "eswitch": "answer to QUERY_HCA_CAP",
        "pages": "answer to MANAGE_PAGES",
    }
    assert run.driver.deadline == run.now + BOUNDS.command


@BOTH
def test_a_lock_that_was_waited_for_is_had_and_let_go_of(name: str) -> None:
    """mutex_unlock wakes the waiting thread; no other gets it before."""
    run = opened(name)
    d = linux(run)
    run.fate = lambda c: "lost"
    run.do(EnableVport(2), until=run.now)
    run.feed(Close())
    assert d.locks == {"devlink": "eswitch", "state_lock": "eswitch"}
    run.now = d.deadline or 0.0
    run.feed(Tick())
    assert d.locks == {"devlink": "driver"}
    run.settle()
    assert (d.locks, d.running) == ({}, {})


@BOTH
def test_every_type_is_counted_from_nothing(name: str) -> None:
    run = DriverRun(name)
    run.do(Open())
    assert run.driver.view().counters == dict.fromkeys(COUNTED, 0) | {"total": 5, "self": 5}


@BOTH
def test_a_thread_that_is_resumed_runs_alone(name: str) -> None:
    run = opened(name)
    run.stopped = {"pages"}
    run.do(Want("vf0", 1), Want("self", 1))
    d = run.driver
    assert d.threads() == ("pages",)
    key = d.key()
    clone = d.clone()
    assert clone.feed(run.now, Run("pages"))
    assert (d.key(), d.threads()) == (key, ("pages",))
    assert clone.threads() == (), "one request is being served, and the next one waits for it"


# -- memory -----------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(("shift", "blocks"), [(12, 1), (16, 16)])
def test_system_pages_are_mapped_one_by_one_from_the_lowest_address_up(name: str, shift: int, blocks: int) -> None:
    """alloc_system_page: of a page of 64 KiB firmware gets sixteenths, from the lowest free one up."""
    run = DriverRun(name, shift=shift)
    run.do(Open())
    d = linux(run)
    # two boot pages, three init pages
    count = -(-5 // blocks)
    assert sorted(d.mapped) == [d.config.base + (n << shift) for n in range(count)]
    held = d.held()
    assert held is not None
    assert np.sort(held[vhca_id(0x2A)]).tolist() == [d.config.base + (n << 12) for n in range(5)]


@BOTH
@pytest.mark.parametrize("shift", [12, 16])
def test_a_block_is_free_unless_it_is_lent(name: str, shift: int) -> None:
    run = opened(name, shift=shift)
    d = linux(run)
    lent = np.concatenate([*run.firmware.holds().values()])
    span = np.arange(d.config.base, d.config.base + (4 << 16), 4096, dtype=np.uint64)
    assert np.array_equal(~d.is_free(span), np.isin(span, lent))
    assert not d.is_free(lent + np.uint64(4095)).any(), "nor is any byte of it"


@BOTH
def test_a_page_that_is_mapped_and_not_yet_lent_is_not_free(name: str) -> None:
    """Between dma_map_page and insert_page no other user can get it."""
    run = opened(name)
    run.stopped = {"pages"}
    run.do(Want("vf0", 1))
    (mapped,) = [e for e in run.driver.feed(run.now, Run("pages")) if isinstance(e, Map)]
    assert not run.driver.is_free(np.array([mapped.iova], np.uint64)).any()
    assert run.driver.held() is None, "pages are being put together for a command"


@BOTH
def test_there_is_no_more_memory_than_the_bound(name: str) -> None:
    """alloc_pages fails: what was got for the command goes back, and firmware gets CANT_GIVE."""
    run = opened(name, bounds=replace(BOUNDS, memory=10))
    before = len(run.mapped)
    run.do(Want("vf0", 10 - before))
    assert (len(run.mapped), run.names()) == (10, [])
    run.do(Want("vf0", 1))
    assert (len(run.mapped), run.names()) == (10, ["alloc-failed"])
    run.agree()


@pytest.mark.parametrize("mode", [Mode.FUNC_ID, Mode.VHCA_ID])
def test_a_tree_s_key_is_a_function_in_the_mode_that_is_set(mode: Mode) -> None:
    """get_function_key: the ec bit is bit 16; a key that has it is no vhca_id, whatever the mode."""
    d = Linux(MERGED)
    d.vhca_mode = mode is Mode.VHCA_ID
    low = vhca_id if d.vhca_mode else func_id
    assert [d.identity(k) for k in (0, 0x31, 0xFFFF)] == [low(0), low(0x31), low(0xFFFF)]
    assert d.identity(1 << 16 | 5) == func_id(5, ec=True)
