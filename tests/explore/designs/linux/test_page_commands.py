"""Page commands of the Linux models, one by one: what each says, and what becomes of every page by its answer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fwpages.device import Want
from fwpages.host import Aborted, Answered, HealthFatal, Open, Tick
from fwpages.prm.identity import vhca_id
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.explore.designs.driver_run import BOUNDS, DriverRun, Fate
from tests.explore.designs.linux.test_driver import linux
from tests.explore.designs.linux.test_pages import BOTH, CANT_GIVE, GIVE, TAKE, VF0, kinds, manages, opened


def totals(run: DriverRun) -> tuple[int, int, int, int]:
    """Pages out, and the three counters of debugfs for what went wrong."""
    d = linux(run)
    return d.fw_pages, d.alloc_failed, d.give_dropped, d.reclaim_discard


def by_answer(kind: int, answer: Fate) -> Callable[[Command], Fate]:
    """A fate for page commands of this kind."""
    return lambda c: answer if c.opcode == Opcode.MANAGE_PAGES and c.op_mod == kind else None


# -- the function that a command names----------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(("mode", "bit"), [("auto", 0), ("func_id", 1)])
def test_the_ec_bit_of_a_request_is_looked_at_in_func_id_mode_alone(name: str, mode: str, bit: int) -> None:
    """get_function_key, give_pages, reclaim_pages."""
    run = DriverRun(name, ecpf=True)
    run.do(Open("func_id" if mode == "func_id" else "auto"))
    run.sent.clear()
    run.fate = lambda c: Answer(c.opcode) if c.opcode == Opcode.MANAGE_PAGES else None
    for x in (run.request(3, 2, ec=True), run.request(3, -1, ec=True)):
        run.do(x)
    assert [(c["function_id"], c["embedded_cpu_function"], c["input_num_entries"]) for c in run.sent] == [
        (3, bit, 2),
        (3, bit, 1),
    ]
    assert linux(run).roots.keys() == {0x2A if mode == "auto" else 1 << 16, 3 | bit << 16}


@BOTH
@pytest.mark.parametrize(("asked", "sent"), [(0, None), (-1, 1), (-50, 50), (-51, 50)])
def test_as_many_are_taken_as_firmware_wants_to_return_up_to_a_command_s_worth(
    name: str, asked: int, sent: int | None
) -> None:
    """req_pages_handler; what is beyond is forgotten, so that firmware has to ask again."""
    run = opened(name)
    run.fate = lambda c: Answer(c.opcode) if manages(c, TAKE) else None
    run.do(run.request(0x31, asked))
    assert [c["input_num_entries"] for c in run.sent] == ([] if sent is None else [sent])


@BOTH
def test_a_give_is_one_command_however_many_pages_it_has(name: str) -> None:
    """give_pages knows no bound but that of its memory."""
    run = opened(name)
    n = 3 * BOUNDS.pages_per_command
    run.fate = lambda c: Answer(c.opcode) if manages(c, GIVE) else None
    run.do(run.request(0x31, n))
    (c,) = run.sent
    assert (c["input_num_entries"], c.pas.size, np.unique(c.pas).size) == (n, n, n)
    assert totals(run)[0] == 5 + 3 + n


# -- what becomes of pages that are given -----------------------------------------------------------------------------

TIMED_OUT, ABORTED = "lost", "aborted"
#: the answer to a GIVE for an event → whether its pages count as given, and what is said
GIVEN: list[tuple[Fate, bool, list[str]]] = [
    (Answer(Opcode.MANAGE_PAGES), True, []),
    (Answer(Opcode.MANAGE_PAGES, Status.BAD_PARAM), False, []),
    (ABORTED, True, []),
    (TIMED_OUT, False, ["command-timeout", "give-failed"]),
]


@BOTH
@pytest.mark.parametrize(("fate", "given", "said"), GIVEN)
def test_pages_of_a_give_are_given_or_free_again(name: str, fate: Fate, given: bool, said: list[str]) -> None:
    """Whatever firmware did: not delivered counts as accepted, not answered as refused."""
    run = opened(name)
    run.fate = by_answer(GIVE, fate)
    before = totals(run)
    run.do(run.request(0x31, 4))
    pas = run.sent[0].pas
    assert run.driver.is_free(pas).all() is np.bool_(not given)
    assert (totals(run)[0] - before[0], totals(run)[2]) == ((4, 0) if given else (0, 4))
    assert run.names() == said
    assert kinds(run) == [GIVE]


@BOTH
def test_a_give_at_start_that_is_refused_is_reported_and_ends_it(name: str) -> None:
    """Of an event nothing is said: firmware may not want them any more. Here it had just asked."""
    run = DriverRun(name)
    run.fate = lambda c: Answer(c.opcode, Status.LIM_ERR) if manages(c, GIVE) and c["function_id"] else None
    run.do(Open())
    assert run.done == [("open", False)]
    assert run.names() == ["give-failed"]
    assert (run.findings[0].pages, run.findings[0].function) == (3, vhca_id(0x2A))
    assert CANT_GIVE not in kinds(run)


@BOTH
@pytest.mark.parametrize("mapped", [0, 1, 3])
def test_memory_that_runs_out_in_the_middle_leaves_nothing_behind(name: str, mapped: int) -> None:
    """Pages that it got go back; fw_pages_alloc_failed counts the missing ones, and CANT_GIVE names the function."""
    run = opened(name)
    before, there = totals(run), len(run.mapped)
    run.stopped = {"pages"}
    run.feed(run.request(0x31, 4))
    run.stopped = set()
    while len(run.mapped) < there + mapped:
        assert run.step()
    run.memory = False
    run.settle()
    assert len(run.mapped) == there
    assert totals(run) == (before[0], 4 - mapped, 0, 0)
    assert [(c.op_mod, c["function_id"], c.pas.size) for c in run.sent] == [(CANT_GIVE, 0x31, 0)]


@BOTH
@pytest.mark.parametrize("fate", [Answer(Opcode.MANAGE_PAGES, Status.BAD_PARAM), TIMED_OUT])
def test_a_cant_give_that_fails_is_only_reported(name: str, fate: Fate) -> None:
    """page_notify_fail: it is not tried again."""
    run = opened(name)
    run.memory = False
    run.fate = by_answer(CANT_GIVE, fate)
    run.do(run.request(0x31, 1))
    assert kinds(run) == [CANT_GIVE]
    assert run.names()[-1] == "page-notify-failed"
    assert run.driver.view().waiting == {}


# -- what becomes of pages that are taken -----------------------------------------------------------------------------


def named(run: DriverRun, n: int, claimed: int) -> Answer:
    """An answer that names ``n`` of the VF's pages and says that there are ``claimed``."""
    pas = run.firmware.holds()[VF0][:n]
    return Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": claimed % (1 << 32)}, pas=pas)


@BOTH
@pytest.mark.parametrize(
    ("fate", "discarded", "said"),
    [
        (Answer(Opcode.MANAGE_PAGES, Status.RES_BUSY), 2, []),
        (TIMED_OUT, 2, ["command-timeout", "reclaim-failed"]),
    ],
)
def test_a_take_that_fails_leaves_every_page_where_it_is(
    name: str, fate: Fate, discarded: int, said: list[str]
) -> None:
    """reclaim_pages: fw_pages_reclaim_discard counts them; of an event that firmware refuses nothing is said."""
    run = opened(name)
    run.fate = by_answer(TAKE, fate)
    before = totals(run)
    run.do(run.request(0x31, -2))
    assert totals(run) == (*before[:3], discarded)
    assert run.names() == said
    run.safe()


@BOTH
@pytest.mark.parametrize(("n", "claimed", "back"), [(0, 0, 0), (1, 1, 1), (2, 2, 2)])
def test_as_many_come_back_as_the_answer_says(name: str, n: int, claimed: int, back: int) -> None:
    run = opened(name)
    answer = named(run, n, claimed)
    run.fate = by_answer(TAKE, answer)
    total = totals(run)[0]
    run.do(run.request(0x31, -2))
    assert (total - totals(run)[0], run.names()) == (back, [])
    assert run.driver.is_free(answer.pas).all()


@BOTH
def test_a_count_that_reads_as_negative_frees_nothing_and_is_no_error(name: str) -> None:
    """reclaim_pages compares and counts as an int: 0xffffffff is -1."""
    run = opened(name)
    run.fate = by_answer(TAKE, named(run, 2, -1))
    total, before = totals(run)[0], set(run.mapped)
    run.do(run.request(0x31, -2))
    assert (set(run.mapped), run.names()) == (before, [])
    assert totals(run)[0] - total == (1 if name == "posted" else 0), "posted takes the count off its counter"


@BOTH
def test_a_count_without_addresses_is_of_pages_at_0(name: str) -> None:
    """The mailboxes are zeros where firmware wrote nothing: each is looked for at address 0, and not found."""
    run = opened(name)
    run.fate = by_answer(TAKE, named(run, 0, 2))
    total = totals(run)[0]
    run.do(run.request(0x31, -2))
    assert run.names() == ["page-not-found"] * 2
    assert "page 0x0 is not" in run.findings[0].detail
    assert total - totals(run)[0] == (2 if name == "posted" else 0)


@BOTH
def test_a_take_that_is_not_delivered_takes_the_highest_pages_of_the_tree(name: str) -> None:
    """reclaim_pages_cmd, fwp_fill_manage_pages_out: from the tree's end, no more than was asked for."""
    run = opened(name)
    run.fate = by_answer(TAKE, ABORTED)
    mine = np.sort(run.firmware.holds()[VF0])
    run.do(run.request(0x31, -2))
    assert run.driver.is_free(mine).tolist() == [False, True, True]


@BOTH
def test_what_cannot_be_taken_from_a_tree_that_is_not_there(name: str) -> None:
    run = opened(name)
    run.fate = by_answer(TAKE, ABORTED)
    run.do(run.request(0x77, -3))
    assert run.names() == ["warn-no-root", "reclaim-failed"]
    assert totals(run)[3] == 3


# -- commands that were given up --------------------------------------------------------------------------------------


@BOTH
def test_a_command_that_was_given_up_is_not_given_up_twice(name: str) -> None:
    """cmd.c:mlx5_cmd_comp_handler: its slot is leaked until firmware completes it, and an abort is no completion."""
    run = opened(name)
    run.fate = by_answer(GIVE, TIMED_OUT)
    run.do(Want("vf0", 1))
    sent, d = run.ids[-1], linux(run)
    assert (d.flights[sent.id].late, d.deadline) == (True, None)
    key = d.key()
    for x in (Aborted(sent.session, sent.id, "given up"), Tick()):
        assert (d.feed(run.now, x), d.key()) == ([], key)
    run.feed(Answered(sent.session, sent.id, Answer(sent.command.opcode)))
    assert sent.id not in d.flights
    assert run.findings[-1].detail == "MANAGE_PAGES was completed after its time"


@BOTH
def test_in_an_error_state_page_commands_look_done_and_none_is_sent(name: str) -> None:
    """cmd.c:mlx5_cmd_is_down, mlx5_internal_err_ret_value."""
    run = opened(name)
    run.stopped = {"health"}
    run.feed(HealthFatal("synd"))
    total = totals(run)[0]
    run.do(run.request(0x31, 2))
    assert totals(run)[0] == total + 2
    run.do(run.request(0x31, -4))
    assert (totals(run)[0], run.sent, run.names()) == (total - 2, [], [])
