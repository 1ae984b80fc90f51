from __future__ import annotations

import numpy as np

from fwpages.explore.check.liveness import CUT, Graph, Stuck
from fwpages.explore.model.moves import Freedom


def graph(states: int, *arcs: tuple[int, int, str, int], met: frozenset[int] = frozenset()) -> Graph:
    """So many states, those of ``met`` content; arcs are (from, to, process, freedom), numbered as moves from 10 on."""
    g, names = Graph(int(0 in met)), dict[str, int]()
    for n in range(1, states):
        g.add(np.array([n in met], np.uint8))
    for move, (source, target, process, free) in enumerate(sorted(arcs), 10):
        number = names.setdefault(process, len(names))
        facts = np.array([move], np.uint16), np.array([free], np.uint8), np.array([number], np.uint8)
        g.arcs(np.array([source]), np.array([target]), facts)
    return g


def test_what_is_met_at_rest_is_met() -> None:
    g = graph(2, (0, 1, "device", 0), met=frozenset({1}))
    assert g.stuck(0, users_act=False) is None


def test_rest_without_it_is_a_dead_end() -> None:
    assert graph(3, (0, 1, "device", 0), (1, 2, "link", 0)).stuck(0, users_act=False) == Stuck(2)


def test_a_fault_or_a_time_out_is_no_progress() -> None:
    g = graph(2, (0, 1, "give up", Freedom.OPTIONAL), met=frozenset({1}))
    assert g.stuck(0, users_act=False) == Stuck(0)
    assert g.stuck(0, users_act=True) == Stuck(0)


def test_users_may_stop_unless_they_are_said_to_act() -> None:
    g = graph(2, (0, 1, "user", Freedom.USER), met=frozenset({1}))
    assert g.stuck(0, users_act=False) == Stuck(0)
    assert g.stuck(0, users_act=True) is None


def test_a_cycle_that_no_move_leaves() -> None:
    g = graph(3, (0, 1, "device", 0), (1, 2, "link", 0), (2, 1, "time", 0))
    assert g.stuck(0, users_act=False) == Stuck(1, (11, 12))


def test_a_round_of_one_state() -> None:
    assert graph(1, (0, 0, "time", 0)).stuck(0, users_act=False) == Stuck(0, (10,))


def test_a_process_that_could_always_leave_does() -> None:
    g = graph(3, (0, 1, "time", 0), (1, 0, "time", 0), (0, 2, "link", 0), (1, 2, "link", 0), met=frozenset({2}))
    assert g.stuck(0, users_act=False) is None


def test_a_process_that_can_leave_only_now_and_then_may_miss_it() -> None:
    g = graph(3, (0, 1, "time", 0), (1, 0, "time", 0), (1, 2, "link", 0), met=frozenset({2}))
    assert g.stuck(0, users_act=False) == Stuck(0, (10, 11))


def test_a_process_that_moves_within_the_round_has_had_its_turn() -> None:
    g = graph(3, (0, 1, "link", 0), (1, 0, "time", 0), (0, 2, "link", 0), (1, 2, "link", 0), met=frozenset({2}))
    stuck = g.stuck(0, users_act=False)
    assert stuck is not None
    assert stuck.loop


def test_a_round_through_a_state_that_is_content_is_none() -> None:
    g = graph(2, (0, 1, "link", 0), (1, 0, "time", 0), met=frozenset({1}))
    assert g.stuck(0, users_act=False) is None


def test_goals_are_looked_at_one_by_one() -> None:
    g = Graph(0b01)
    assert g.stuck(0, users_act=False) is None
    assert g.stuck(1, users_act=False) == Stuck(0)


def test_what_follows_a_broken_step_is_not_known() -> None:
    g = graph(2, (0, 1, "device", 0), (1, CUT, "link", 0))
    assert g.stuck(0, users_act=False) is None
    # a process that could always leave towards it does not let the round go on for ever
    g = graph(2, (0, 1, "time", 0), (1, 0, "time", 0), (0, CUT, "link", 0), (1, CUT, "link", 0))
    assert g.stuck(0, users_act=False) is None


def test_a_long_path_needs_no_deep_stack() -> None:
    n = 5_000
    g = graph(n, *((i, i + 1, "link", 0) for i in range(n - 1)), (n - 1, 0, "time", 0))
    stuck = g.stuck(0, users_act=False)
    assert stuck is not None
    assert stuck.state == 0
    assert len(stuck.loop) == n
