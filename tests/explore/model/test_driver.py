"""Rules that the explorer relies on for every driver, ours and the models alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fwpages.device import Want
from fwpages.explore.designs import DESIGNS
from fwpages.explore.model.driver import Driver, DriverConfig, Input, Run
from fwpages.host import Close, DisableVport, Effect, EnableVport, FunctionsChanged, HealthFatal, Misuse, Open, Tick
from fwpages.prm.identity import Mode, Supplier, vhca_id
from tests.explore.designs.driver_run import BOUNDS, DriverRun

NAMES = pytest.mark.parametrize("name", sorted(DESIGNS))
CONFIG = DriverConfig(Supplier(max_vfs=4), BOUNDS)


class Watched:
    """A driver whose key is written down after every input; ``twins``: a copy made just before is fed the same."""

    def __init__(self, driver: Driver, *, twins: bool) -> None:
        self._driver, self._twins = driver, twins
        self.keys: list[bytes] = []

    def feed(self, now: float, x: Input) -> list[Effect]:
        twin = self._driver.clone() if self._twins else None
        before = self.keys[-1] if self.keys else self._driver.key()
        effects = self._driver.feed(now, x)
        self.keys.append(self._driver.key())
        if twin is not None:
            assert twin.key() == before, "the copy has its own state"
            assert twin.feed(now, x) == effects
            assert twin.key() == self.keys[-1]
        return effects

    def __getattr__(self, name: str) -> object:
        return getattr(self._driver, name)


def lived(name: str, *xs: object, at: float = 0.0, mode: str = "auto", watched: Watched | None = None) -> DriverRun:
    """A run that begins at this time, with a VF enabled."""
    run = DriverRun(name, driver=watched or DESIGNS[name](CONFIG))  # type: ignore[arg-type]  # it stands in for its driver
    run.now = at
    run.do(Open("func_id" if mode == "func_id" else "auto"))
    run.do(FunctionsChanged(run.vports), EnableVport(1), *xs)
    return run


@NAMES
@pytest.mark.parametrize("mode", ["auto", "func_id"])
def test_equal_inputs_have_equal_effects_and_a_copy_is_independent(name: str, mode: str) -> None:
    twins = Watched(DESIGNS[name](CONFIG), twins=True)
    run = lived(name, Want("vf0", 2), Want("vf0", -1), DisableVport(1), HealthFatal("synd"), mode=mode, watched=twins)
    assert len(twins.keys) > 30
    assert run.done[-1] == ("open", True) if name != "fwpages" else ("close", True)


@NAMES
def test_keys_count_times_from_now(name: str) -> None:
    """A run that begins a thousand seconds later goes through the same states."""
    keys = []
    for at in (0.0, 1000.0):
        watched = Watched(DESIGNS[name](CONFIG), twins=False)
        lived(name, Want("vf0", 1), Close(), at=at, watched=watched)
        keys.append(watched.keys)
    assert keys[0] == keys[1]
    assert len(set(keys[0])) > len(keys[0]) / 2, "and they differ"


def misused(name: str) -> Sequence[tuple[DriverRun, Sequence[Input]]]:
    """Runs, and what may not be asked of their drivers now."""
    fresh = DriverRun(name, driver=DESIGNS[name](CONFIG))
    opened = lived(name)
    closed = lived(name, Close())
    closing = lived(name)
    closing.fate = lambda c: "lost"
    closing.feed(Close())
    twice = opened.vports[0]
    return (
        (fresh, (Close(), EnableVport(1), DisableVport(1), Run("absent"))),
        (opened, (Open(), EnableVport(1), DisableVport(2), EnableVport(77), Run("absent"))),
        (opened, (FunctionsChanged(()), FunctionsChanged((twice, twice)))),
        (closing, (Close(), EnableVport(2), DisableVport(1))),
        (closed, (Close(), EnableVport(1), Run("driver"))),
    )


@NAMES
def test_what_may_not_be_asked_now_changes_nothing(name: str) -> None:
    for run, inputs in misused(name):
        driver = run.driver
        for x in inputs:
            before = driver.key(), driver.view(), driver.deadline
            with pytest.raises(Misuse):
                driver.feed(run.now, x)
            assert (driver.key(), driver.view(), driver.deadline) == before, x


@NAMES
def test_what_is_under_way_has_the_name_by_which_it_will_be_done(name: str) -> None:
    run = lived(name)
    for x, what in ((EnableVport(2), "enable vport 0x2"), (DisableVport(1), "disable vport 0x1"), (Close(), "close")):
        run.feed(x)
        assert tuple(map(str, run.driver.view().busy)) == (what,)
        assert run.driver.view().waiting
        run.settle()
        assert run.done[-1] == (what, True)
        assert (run.driver.view().busy, dict(run.driver.view().waiting)) == ((), {})


@NAMES
@pytest.mark.parametrize("mode", [Mode.VHCA_ID, Mode.FUNC_ID])
def test_a_view_is_open_between_open_and_close_and_in_the_mode_that_was_agreed_on(name: str, mode: Mode) -> None:
    run = DriverRun(name, driver=DESIGNS[name](CONFIG))
    seen = [run.driver.view().open]
    run.feed(Open("func_id" if mode is Mode.FUNC_ID else "auto"))
    seen.append(run.driver.view().open)
    run.settle()
    assert run.driver.view().mode is mode
    seen.append(run.driver.view().open)
    run.feed(Close())
    assert [*seen, run.driver.view().open] == [False, False, True, False]


@NAMES
def test_pages_that_a_function_has_are_not_free_and_all_others_are(name: str) -> None:
    run = lived(name, Want("vf0", 4))
    held = run.driver.held()
    assert held is not None
    assert {who: p.size for who, p in held.items()} == {vhca_id(0x2A): 5, vhca_id(0x31): 7}
    lent = np.concatenate(list(held.values()))
    around = np.arange(CONFIG.base - 8192, CONFIG.base + 64 * 4096, 4096, dtype=np.uint64)
    assert np.array_equal(~run.driver.is_free(around), np.isin(around, lent))
    assert run.driver.is_free(np.array([0, 1 << 50, (1 << 64) - 4096], np.uint64)).all()
    assert run.driver.is_free(lent[:0]).shape == (0,)


@NAMES
def test_pages_are_counted_where_the_driver_says(name: str) -> None:
    run = lived(name, Want("vf0", 4), EnableVport(0x200))
    counters = run.driver.view().counters
    assert [run.driver.counted_as(vhca_id(n)) for n in (0x2A, 0x31)] == ["self", "vf"]
    assert (counters["self"], counters["vf"]) == (5, 7)
    assert counters["total"] == sum(run.firmware.held(f) for f in ("self", "vf0", "sf0"))


@NAMES
def test_equal_configurations_have_equal_constants_that_stay(name: str) -> None:
    run = lived(name, Close())
    assert run.driver.constants() == DESIGNS[name](CONFIG).constants()
    assert all(a is b for a, b in zip(run.driver.constants(), run.driver.clone().constants(), strict=True))
    other = DriverConfig(Supplier(max_vfs=5), BOUNDS)
    assert DESIGNS[name](other).constants() != run.driver.constants()


@NAMES
def test_a_tick_before_its_time_says_nothing_and_one_at_the_deadline_does(name: str) -> None:
    run = lived(name)
    at_rest = run.driver.deadline
    run.fate = lambda c: "lost"
    run.feed(EnableVport(2))
    due = run.driver.deadline
    assert at_rest is None
    assert due is not None
    assert due == pytest.approx(run.now + BOUNDS.command)
    assert run.driver.feed(due - 0.001, Tick()) == []
    assert run.driver.feed(due, Tick())


def test_designs_differ_in_who_is_fed_first() -> None:
    """Two event queues, of which either may be read first, or one reader who looks at events before answers."""
    assert {name: DESIGNS[name](CONFIG).ordered for name in DESIGNS} == {
        "posted": False,
        "merged": False,
        "fwpages": True,
    }
