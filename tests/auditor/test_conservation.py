"""The pages of a trace are followed one by one: of any addresses, whoever names them, each account balances."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.pages.space import Addresses
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.auditor.account_checks import row
from tests.auditor.audited_traces import AuditedTrace
from tests.auditor.written_traces import OWN_VHCA, pages

A, B = 0x31, 0x32

#: page addresses near each other and far apart, and some that no page has
addresses = st.lists(
    st.sampled_from([0, 8, 0x1008, 0x1000, 0x2000, 0x3000, 1 << 40, 3 << 45, 2**64 - 4096, 2**64 - 1]),
    min_size=1,
    max_size=12,
).map(lambda rows: np.array(rows, np.uint64))


def _opened() -> AuditedTrace:
    trace = AuditedTrace()
    trace.opened()
    return trace


def _pages_of(trace: AuditedTrace, name: str, who: int) -> int:
    return sum(n or 0 for kind, _, function, n in trace.found if (kind, function) == (name, f"vhca:{who:#x}"))


@settings(max_examples=30)
@given(addresses, addresses)
def test_every_address_of_a_give_is_held_or_has_one_finding(before: Addresses, pas: Addresses) -> None:
    trace = _opened()
    trace.give(A, before)
    trace.give(B, pas)
    twice, bad = (_pages_of(trace, name, B) for name in ("given-twice", "bad-address"))
    good = {a for a in pas.tolist() if a and a % 4096 == 0}
    assert bad == sum(a == 0 or a % 4096 != 0 for a in pas.tolist())
    held = len(good - set(before.tolist()))
    assert (trace.out().get(f"vhca:{B:#x}", 0), twice) == (held, pas.size - bad - held)


@settings(max_examples=20)
@given(addresses, addresses)
def test_a_refused_give_changes_nothing(before: Addresses, pas: Addresses) -> None:
    trace = _opened()
    trace.give(A, before)
    out = trace.out()
    trace.give(B, pas, Status.NO_RES_ERR)
    assert trace.out() == out


def test_addresses_that_are_no_pages_need_no_room() -> None:
    """However far apart they are, the function is followed all the same."""
    trace = _opened()
    trace.give(A, (np.arange(1, 20_000, dtype=np.uint64) << np.uint64(40)) + np.uint64(8))
    trace.give(A, pages(0x500, 2))
    assert (trace.out()[f"vhca:{A:#x}"], trace.unsure) == (2, {})


def test_owners_are_named_with_their_counts() -> None:
    trace = _opened()
    trace.give(A, pages(0x500, 2))
    trace.give(B, np.concatenate([pages(0x100, 10), pages(0x500, 2)]))
    assert "vhca:0x2a (10), vhca:0x31 (2)" in trace.findings()[-1].detail


steps = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from([A, B]), st.integers(0, 5), st.integers(1, 6)), max_size=25
)


@settings(max_examples=40)
@given(steps)
def test_the_account_balances_whatever_is_seen(seen: list[tuple[int, int, int, int]]) -> None:
    """Any order of commands and answers, right or wrong: given = returned + released + discarded + what is out."""
    trace, waiting = _opened(), list[int]()
    for what, who, first, n in seen:
        pas = pages(0x500 + first, n)
        if what == 0:
            waiting.append(trace.submit(trace.give_command(who, pas)))
        elif what in (1, 2) and waiting:
            trace.complete(waiting.pop(), Answer(Opcode.MANAGE_PAGES, 0 if what == 1 else Status.NO_RES_ERR))
        elif what == 3 and waiting:
            trace.give_up(waiting.pop())
        elif what == 4:
            trace.take(who, pas)
        elif what == 5:
            trace.event(who, 0, release_all=True)
        elif what == 6:
            trace.give_up(trace.submit(trace.take_command(who, n)))
        elif what == 7:
            trace.link("fenced")
        else:
            trace.give(who, pas)
    for key in waiting:
        trace.complete(key, Answer(Opcode.MANAGE_PAGES))
    s = trace.over()
    for f in s.functions:
        counted = [f.given, f.returned, f.released, f.discarded, f.held, f.doubtful, f.peak]
        given, returned, released, discarded, held, doubtful, peak = [0 if v is None else v for v in counted]
        assert given == returned + released + discarded + held + doubtful
        assert held + doubtful <= peak <= given
        assert min(returned, released, discarded, held, doubtful) >= 0
    assert row(s, f"vhca:{OWN_VHCA:#x}").given == 30


def test_release_all_spares_the_pages_of_a_give_that_was_not_answered() -> None:
    trace = _opened()
    trace.give(A, pages(0x500, 7))
    trace.give_up(trace.submit(trace.give_command(A, pages(0x600, 2))))
    trace.event(A, 0, release_all=True)
    f = row(trace.over(), f"vhca:{A:#x}")
    assert (f.released, f.doubtful) == (7, 2)


def test_pages_that_a_give_still_waits_for_did_not_come_back_in_lines_that_are_lost() -> None:
    trace = _opened()
    trace.lose("a line is missing", A)
    waiting = trace.submit(trace.give_command(A, pages(0x600, 2)))
    trace.give(B, pages(0x600, 2))
    trace.complete(waiting, Answer(Opcode.MANAGE_PAGES))
    assert (trace.out()[f"vhca:{A:#x}"], trace.out().get(f"vhca:{B:#x}", 0)) == (2, 0)
