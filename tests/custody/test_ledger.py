from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fwpages.custody import ledger
from fwpages.custody.ledger import FEW, CustodyError, Ledger, State
from fwpages.custody.records import Records
from fwpages.pages import PAGE_SIZE, DenseSpace, SparseSpace
from fwpages.pages.space import Addresses, Indices
from fwpages.pages.tags import Tags
from fwpages.prm.identity import FunctionType, Identity, func_id, vhca_id

BASE = 1 << 32
BLOCKS = 24
WHO = (vhca_id(0x2A), vhca_id(0x31), func_id(1, ec=True))
KINDS = (FunctionType.VF, FunctionType.SF, FunctionType.UNKNOWN)

whose = st.sampled_from(WHO)
#: pages of the space, and addresses that are none: below, above, unaligned, 0, the end of the address space
addresses = st.lists(
    st.integers(0, BLOCKS - 1).map(lambda n: BASE + n * PAGE_SIZE)
    | st.sampled_from([0, BASE - PAGE_SIZE, BASE + BLOCKS * PAGE_SIZE, BASE + 8, 2**63, 2**64 - PAGE_SIZE]),
    max_size=12,
)


def index(values: list[int]) -> Indices:
    return np.array(values, np.int64)


def array(values: list[int]) -> Addresses:
    return np.array(values, np.uint64)


class LedgerMachine(RuleBasedStateMachine):
    """A ledger beside a dictionary: block → state and record. Firmware may say anything at any time."""

    @initialize(sparse=st.booleans(), few=st.sampled_from([0, FEW, 1 << 30]))
    def start(self, sparse: bool, few: int) -> None:
        self.records = Records()
        self.records.begin(1)
        space: DenseSpace | SparseSpace = DenseSpace(BASE, BLOCKS)
        if sparse:
            space = SparseSpace()
            space.cover(array([BASE]))
        self.ledger = Ledger(space, self.records)
        # every answer by arrays, small ones page by page, all of them: no difference
        ledger.FEW = few
        self.first = int(space.index(array([BASE]))[0])
        #: block → state, record number (the last one where it is free, -1 where there never was one)
        self.blocks: dict[int, tuple[State, int]] = {self.first + n: (State.FREE, -1) for n in range(BLOCKS)}
        self.offers: list[tuple[int, list[int]]] = []
        self.copies: list[tuple[Ledger, Tags, bytes]] = []

    def teardown(self) -> None:
        ledger.FEW = FEW

    def owner(self, block: int) -> Identity:
        return self.records.rows[self.blocks[block][1]].identity

    def of(self, who: Identity, *states: State) -> list[int]:
        mine = (b for b, (s, r) in self.blocks.items() if s in states and self.records.rows[r].identity == who)
        return sorted(b for b in mine if self.records.rows[self.blocks[b][1]].session == self.records.session)

    def free(self, blocks: list[int]) -> None:
        for b in blocks:
            self.blocks[b] = (State.FREE, self.blocks[b][1])

    def move(self, blocks: list[int], state: State) -> None:
        for b in blocks:
            self.blocks[b] = (state, self.blocks[b][1])

    # -- giving ---------------------------------------------------------------------------------------------------

    @rule(who=whose, n=st.integers(1, 6), kind=st.sampled_from(KINDS))
    def offer(self, who: Identity, n: int, kind: FunctionType) -> None:
        chosen = [b for b, (s, _) in self.blocks.items() if s is State.FREE][:n]
        record = self.records.open(who, kind)
        self.ledger.offer(record, index(chosen))
        for b in chosen:
            self.blocks[b] = (State.OFFERED, record.number)
        self.offers.append((record.number, chosen))

    @precondition(lambda self: self.offers)
    @rule(which=st.integers(0, 10), how=st.sampled_from(["accept", "refuse", "doubt"]))
    def end_offer(self, which: int, how: str) -> None:
        number, chosen = self.offers.pop(which % len(self.offers))
        record = self.records.rows[number]
        if how == "accept":
            self.ledger.accept(record, index(chosen))
            self.move(chosen, State.HELD)
        elif how == "doubt":
            self.ledger.doubt(record, index(chosen))
            self.move(chosen, State.DOUBTFUL)
        else:
            assert self.ledger.refuse(record, index(chosen)).tolist() == chosen
            self.free(chosen)

    # -- taking ---------------------------------------------------------------------------------------------------

    @rule(who=whose, named=addresses, mine=st.integers(0, 6))
    def take(self, who: Identity, named: list[int], mine: int) -> None:
        owned = self.ledger.space.address(index(self.of(who, State.HELD, State.DOUBTFUL)[:mine])).tolist()
        named = owned + named
        kinds: dict[str, list[int]] = {"good": [], "foreign": [], "twice": [], "unknown": []}
        seen: set[int] = set()
        for a in named:
            block = self.first + (a - BASE) // PAGE_SIZE
            if a % PAGE_SIZE or block not in self.blocks:
                kinds["unknown"].append(a)
                continue
            state, record = self.blocks[block]
            if state is State.FREE:
                kinds["unknown" if record < 0 else "twice"].append(a)
            elif state is State.OFFERED:
                kinds["unknown"].append(a)
            elif self.owner(block) != who:
                kinds["foreign"].append(a)
            elif block in seen:
                kinds["twice"].append(a)
            else:
                seen.add(block)
                kinds["good"].append(block)
        got = self.ledger.check_return(who, array(named))
        assert got.good.tolist() == kinds["good"]
        for name in ("foreign", "twice", "unknown"):
            assert getattr(got, name).tolist() == kinds[name], name
        assert got.refused == len(named) - len(kinds["good"])
        assert sorted(self.ledger.take(got).tolist()) == sorted(kinds["good"])
        self.free(kinds["good"])

    @rule(who=whose)
    def doubt_held(self, who: Identity) -> None:
        assert sorted(self.ledger.doubt_held(who).tolist()) == self.of(who, State.HELD)
        self.move(self.of(who, State.HELD), State.DOUBTFUL)

    @rule(picked=st.lists(st.integers(0, BLOCKS - 1), unique=True), back=st.booleans())
    def late_word(self, picked: list[int], back: bool) -> None:
        blocks = [self.first + n for n in picked]
        doubtful = [b for b in blocks if self.blocks[b][0] is State.DOUBTFUL]
        if back:
            assert self.ledger.withdraw(index(blocks)).tolist() == doubtful
            self.free(doubtful)
        else:
            self.ledger.settle(index(blocks))
            self.move(doubtful, State.HELD)

    @rule(who=whose, picked=st.lists(st.integers(0, BLOCKS - 1), unique=True))
    def release_all(self, who: Identity, picked: list[int]) -> None:
        unsure = [self.first + n for n in picked if self.blocks[self.first + n][0] is not State.HELD]
        sure = [b for b in self.of(who, State.HELD, State.DOUBTFUL) if b not in unsure]
        assert sorted(self.ledger.release_all(who, index(unsure)).tolist()) == sure
        self.free(sure)

    @rule()
    def discard(self) -> None:
        lent = sorted(b for b, (s, _) in self.blocks.items() if s in (State.HELD, State.DOUBTFUL))
        assert sorted(self.ledger.discard().tolist()) == lent
        self.free(lent)

    # -- names ----------------------------------------------------------------------------------------------------

    @rule(who=whose, kind=st.sampled_from(KINDS))
    def announce(self, who: Identity, kind: FunctionType) -> None:
        assert self.records.announce(who, kind).type is kind

    @rule(who=whose)
    def retire(self, who: Identity) -> None:
        self.records.retire(who)

    @precondition(lambda self: self.records.out == 0 and not self.offers)
    @rule()
    def next_session(self) -> None:
        self.records.begin(self.records.session + 1)

    @rule()
    def copy(self) -> None:
        if len(self.copies) < 2:
            records = self.records.copy()
            # here free blocks outlive a session; a host's are unmapped when one ends
            most = max([len(records.rows), *(r + 1 for _, r in self.blocks.values())])
            names = np.arange(most + 1, dtype=np.uint32)
            new = self.ledger.copy(records)
            self.copies.append((new, names, new.state(names)))

    # -- what holds at all times ----------------------------------------------------------------------------------

    @invariant()
    def the_same(self) -> None:
        self.ledger.check()
        counts: dict[tuple[int, State], int] = {}
        for state, record in self.blocks.values():
            if state is not State.FREE:
                counts[record, state] = counts.get((record, state), 0) + 1
        assert self.ledger.counts() == counts
        everything = index(list(self.blocks))
        assert self.ledger.is_free(everything).tolist() == [s is State.FREE for s, _ in self.blocks.values()]
        assert self.ledger.owners(everything).tolist() == [r + 1 for _, r in self.blocks.values()]
        for row in self.records:
            out = counts.get((row.number, State.HELD), 0) + counts.get((row.number, State.DOUBTFUL), 0)
            assert out == row.outstanding == row.given - row.returned - row.released - row.discarded
            assert 0 <= out <= row.peak <= row.given
            for state in (State.OFFERED, State.HELD, State.DOUBTFUL):
                expected = sorted(b for b, was in self.blocks.items() if was == (state, row.number))
                assert self.ledger.blocks(row, state).tolist() == expected
        for who in WHO:
            assert self.records.outstanding(who) == len(self.of(who, State.HELD, State.DOUBTFUL))
        owing = {self.owner(b) for b in self.blocks if self.blocks[b][0] in (State.HELD, State.DOUBTFUL)}
        assert set(self.records.owing()) == owing
        for other, names, state_then in self.copies:
            other.check()
            assert other.state(names) == state_then


TestLedger = pytest.mark.many_runs(LedgerMachine.TestCase)
TestLedger.settings = settings(max_examples=80, stateful_step_count=40)


def test_pages_come_back_to_a_record_whose_name_was_used_anew_while_its_first_give_was_out() -> None:
    records = Records()
    records.begin(1)
    ledger = Ledger(DenseSpace(BASE, 4), records)
    first = records.open(WHO[1], FunctionType.VF)
    ledger.offer(first, index([0, 1]))
    records.retire(WHO[1])
    records.announce(WHO[1], FunctionType.VF)
    ledger.accept(first, index([0, 1]))
    assert records.outstanding(WHO[1]) == 2
    returned = ledger.check_return(WHO[1], array([BASE, BASE + PAGE_SIZE]))
    assert (returned.good.tolist(), returned.refused) == ([0, 1], 0)


def test_a_record_that_disagrees_with_the_owner_array_is_found() -> None:
    records = Records()
    records.begin(1)
    ledger = Ledger(DenseSpace(BASE, 4), records)
    row = records.open(WHO[0], FunctionType.SELF)
    ledger.offer(row, index([0, 1]))
    ledger.accept(row, index([0, 1]))
    ledger.check()
    broken = ledger.copy(records.copy())
    broken.records.rows[0].returned += 1
    with pytest.raises(CustodyError, match="owns 2 blocks, its record says 1"):
        broken.check()
    broken = ledger.copy(records.copy())
    broken.records.out += 1
    with pytest.raises(CustodyError, match="2 pages out by the records, 3 in sum"):
        broken.check()


def test_a_cleared_ledger_has_no_owners() -> None:
    records = Records()
    records.begin(1)
    ledger = Ledger(DenseSpace(BASE, 2), records)
    row = records.open(WHO[0], FunctionType.SELF)
    ledger.offer(row, index([0]))
    ledger.refuse(row, index([0]))
    assert ledger.owners(index([0])).tolist() == [1]
    ledger.clear()
    ledger.extend()
    assert ledger.owners(index([0, 1])).tolist() == [0, 0]


def test_the_same_owners_by_other_numbers_are_the_same_state() -> None:
    states = []
    for before in (0, 3):
        records = Records()
        records.begin(1)
        for n in range(before):
            records.open(vhca_id(n), FunctionType.VF)
        ledger = Ledger(DenseSpace(BASE, 4), records)
        row = records.open(WHO[0], FunctionType.SELF)
        ledger.offer(row, index([2]))
        ledger.accept(row, index([2]))
        names = np.zeros(len(records.rows) + 1, np.uint32)
        names[row.number + 1] = 1
        states.append(ledger.state(names))
    assert states[0] == states[1]


def test_an_answer_that_names_nothing_wrong_but_one_page_twice() -> None:
    records = Records()
    records.begin(1)
    ledger = Ledger(DenseSpace(BASE, 8), records)
    row = records.open(WHO[0], FunctionType.SELF)
    ledger.offer(row, index([0, 1, 2]))
    ledger.accept(row, index([0, 1, 2]))
    page = BASE + PAGE_SIZE
    returned = ledger.check_return(WHO[0], array([BASE, page, page]))
    assert (returned.good.tolist(), returned.twice.tolist(), returned.refused) == ([0, 1], [page], 1)
    assert ledger.take(returned).tolist() == [0, 1]
    ledger.check()
    assert row.outstanding == 1


def test_pages_of_two_generations_in_one_answer_keep_their_last_owners() -> None:
    records = Records()
    records.begin(1)
    ledger = Ledger(DenseSpace(BASE, 8), records)
    rows = []
    for n in (0, 1):
        rows.append(records.open(WHO[1], FunctionType.VF))
        ledger.offer(rows[n], index([2 * n, 2 * n + 1]))
        ledger.accept(rows[n], index([2 * n, 2 * n + 1]))
        records.retire(WHO[1])
    pages = array([BASE + n * PAGE_SIZE for n in range(4)])
    assert ledger.take(ledger.check_return(WHO[1], pages)).tolist() == [0, 1, 2, 3]
    assert ledger.owners(index([0, 1, 2, 3])).tolist() == [1, 1, 2, 2]
    assert [row.returned for row in rows] == [2, 2]
    assert ledger.check_return(WHO[1], pages).twice.tolist() == pages.tolist(), "returned twice, not never given"
