"""The live view of ``top``, from a recording of a machine whose VF takes more and more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from textual.pilot import Pilot

import fwpages as fw
from fwpages.machine.live import Watch
from fwpages.machine.snapshot import Snapshot
from tests.machine.trees import PF, SF, VF, server

STEPS = 4


@pytest.fixture
def snapshots(tmp_path: Path) -> list[Snapshot]:
    machine = server(tmp_path)
    rows = []
    for n in range(STEPS):
        machine.counters(VF, 37 + 6_000 * n)
        rows.append(msgspec.structs.replace(fw.machine.counters(tmp_path), taken=1_790_000_000.0 + 5 * n))
    return rows


def app(snapshots: list[Snapshot]) -> Watch:
    rows = iter(snapshots)
    return Watch(lambda: next(rows, None), interval=3600)


async def _advance(pilot: Pilot[None], steps: int = 1) -> None:
    watch = pilot.app
    assert isinstance(watch, Watch)
    for _ in range(steps):
        watch.advance()
    await pilot.pause()


def drive(watch: Watch, act: Callable[[Pilot[None]], Awaitable[None]]) -> None:
    async def run() -> None:
        async with watch.run_test(size=(100, 24)) as pilot:
            await pilot.pause()
            await act(pilot)

    asyncio.run(run())


def test_the_view_shows_functions_by_their_pages(snap_compare: Any, snapshots: list[Snapshot]) -> None:
    assert snap_compare(app(snapshots), terminal_size=(100, 20), run_before=lambda pilot: _advance(pilot, 1))


def test_the_view_says_what_is_not_known(snap_compare: Any, tmp_path: Path) -> None:
    nothing = [msgspec.structs.replace(fw.machine.counters(tmp_path), taken=1_790_000_000.0)]
    assert snap_compare(app(nothing), terminal_size=(100, 12))


def test_rows_change_their_order_with_the_pages(snapshots: list[Snapshot]) -> None:
    watch = app(snapshots)

    async def act(pilot: Pilot[None]) -> None:
        assert watch.rows.keys == [PF, VF, SF]
        await _advance(pilot, STEPS - 1)
        assert watch.rows.keys == [VF, PF, SF]

    drive(watch, act)


def test_s_sorts_by_the_change(snapshots: list[Snapshot]) -> None:
    watch = app(snapshots)

    async def act(pilot: Pilot[None]) -> None:
        await _advance(pilot)
        assert watch.rows.keys[0] == PF
        await pilot.press("s")
        assert watch.rows.keys[0] == VF

    drive(watch, act)


def test_the_cursor_stays_on_its_function(snapshots: list[Snapshot]) -> None:
    watch = app(snapshots)

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("down")
        await _advance(pilot, STEPS - 1)
        assert watch.rows.selected == VF

    drive(watch, act)


def in_sight(watch: Watch) -> list[str]:
    return [watch.rows.render_line(y).text.split()[0] for y in range(watch.rows.size.height)]


def test_the_cursor_stays_in_sight_below_the_headings(snapshots: list[Snapshot]) -> None:
    pf = snapshots[0].functions[0]
    many = [msgspec.structs.replace(pf, device=f"0000:{n:02x}:00.0", pages=1000 - n) for n in range(60)]
    watch = app([msgspec.structs.replace(snapshots[0], functions=many)])

    async def act(pilot: Pilot[None]) -> None:
        for key, device in (
            ("end", "0000:3b:00.0"),
            ("pageup", None),
            ("home", "0000:00:00.0"),
            ("down", "0000:01:00.0"),
        ):
            await pilot.press(key)
            await pilot.pause()
            shown = in_sight(watch)
            assert shown[0] == "function"
            assert watch.rows.selected in shown
            assert device in (None, watch.rows.selected)

    drive(watch, act)


def test_a_figure_that_changes_is_drawn(snapshots: list[Snapshot]) -> None:
    watch = app(snapshots)

    async def act(pilot: Pilot[None]) -> None:
        await _advance(pilot)
        assert "+6,000" in watch.rows.render_line(2).text

    drive(watch, act)


def test_space_pauses_and_goes_on(snapshots: list[Snapshot]) -> None:
    watch = app(snapshots)

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press("space")
        await _advance(pilot)
        assert watch.last == snapshots[0]
        await pilot.press("space")
        await _advance(pilot)
        assert watch.last == snapshots[1]

    drive(watch, act)


def test_the_end_of_a_recording_keeps_the_last_snapshot(snapshots: list[Snapshot]) -> None:
    watch = app(snapshots)

    async def act(pilot: Pilot[None]) -> None:
        await _advance(pilot, STEPS + 2)
        assert watch.last == snapshots[-1]

    drive(watch, act)


@pytest.mark.parametrize("key", ["q", "ctrl+c"])
def test_q_and_control_c_end_it(key: str, snapshots: list[Snapshot]) -> None:
    watch = app(snapshots)

    async def act(pilot: Pilot[None]) -> None:
        await pilot.press(key)

    drive(watch, act)
    assert watch.return_code == 0
