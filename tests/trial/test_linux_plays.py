"""The verdicts on plays of an unmodified Linux 7.2.13: those to which a reading of their logs and books had come.

``plays.json.gz`` has what each play showed, with a PF in VHCA_ID mode behind a strict IOMMU and ``slab_debug=FZPU``;
the stage of the VFs was not played, and registers are not in the logs.
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path

import msgspec
import pytest

from fwpages.trial.effects import Effect
from fwpages.trial.judge import judge
from fwpages.trial.judged import Judged
from fwpages.trial.seen import Seen

_E = Effect
_LET_GO = "memory unmapped while firmware held it"
_LEFT = "pages never taken back"
_WARN = "WARNING in mlx5_reclaim_startup_pages"

#: row → the title, and the effects with the worst first
VERDICTS = {
    "none": ("no effect seen", []),
    "pages-negative@1": (
        "BUG kmalloc-8: Right Redzone overwritten in give_pages",
        [_E.CORRUPTED, _E.OFFENDED],
    ),
    "pages-huge@1": ("BUG: unable to handle page fault in copy_process", [_E.CRASHED]),
    "request-huge@1": (
        "BUG: unable to handle page fault in __map_range",
        [_E.CRASHED, _E.CORRUPTED, _E.OFFENDED],
    ),
    "give-unanswered-done@runtime": (
        "INFO: task hung in cmd_work_handler",
        [_E.HUNG, _E.LET_GO, _E.OFFENDED],
    ),
    "take-count-huge@teardownx*": ("unload: no end", [_E.HUNG]),
    "take-nothing@teardownx*": (_WARN, [_E.WARNED]),
    "take-refused@teardown": (_LEFT, [_E.LEAKED, _E.WARNED]),
    "teardown-refused@1": (_LEFT, [_E.LEAKED, _E.OFFENDED]),
    "set-cap-unanswered-done@1": (_LET_GO, [_E.LET_GO, _E.LEAKED, _E.OFFENDED, _E.WARNED]),
    "mode-not-switched@1": (_LEFT, [_E.LEAKED, _E.OFFENDED, _E.WARNED]),
    "release-all-crossing@runtime": (_LET_GO, [_E.LET_GO]),
    "take-foreign@teardown": (_WARN, [_E.WARNED]),
    "request-storm@1": ("no effect seen", []),
    "fatal-state-no-reset": (_LET_GO, [_E.LET_GO]),
    "link-lost": (_LET_GO, [_E.LET_GO]),
    "fatal-state": ("no effect seen", []),
}


@cache
def verdicts() -> dict[str, Judged]:
    """The verdict on each play, by its row."""
    plays = msgspec.json.decode(
        gzip.decompress((Path(__file__).parent / "plays.json.gz").read_bytes()), type=list[Seen]
    )
    return {seen.row.label: judge(seen) for seen in plays}


def test_each_play_is_named_here() -> None:
    assert list(verdicts()) == list(VERDICTS)


@pytest.mark.parametrize("label", VERDICTS)
def test_a_play_comes_to_the_verdict_of_its_reading(label: str) -> None:
    j, (title, effects) = verdicts()[label], VERDICTS[label]
    assert j.not_judged is None, j.why
    assert j.title == title
    assert list(dict.fromkeys(e.effect for e in j.effects)) == effects
    assert j.causer is not None


@pytest.mark.parametrize(
    ("label", "effect", "figures"),
    [
        ("give-unanswered-done@runtime", _E.LET_GO, "300 pages of vhca:0x31 unmapped while the device worked"),
        ("release-all-crossing@runtime", _E.LET_GO, "200 pages of vhca:0x31 unmapped while the device worked"),
        ("link-lost", _E.LET_GO, "168 pages of event queues unmapped while the link was lost"),
        ("take-refused@teardown", _E.LEAKED, "2,037 pages (7.96 MiB) of session 1 never taken back"),
        ("set-cap-unanswered-done@1", _E.LEAKED, "37 pages (0.145 MiB) of session 1 never taken back"),
        ("take-count-huge@teardownx*", _E.HUNG, "no end after 45 s, and the kernel reported no hang"),
    ],
)
def test_an_effect_has_its_figures(label: str, effect: Effect, figures: str) -> None:
    assert any(figures in e.detail for e in verdicts()[label].effects if e.effect is effect)


def test_the_driver_s_own_function_is_in_the_frames_of_its_overrun() -> None:
    [overrun] = [e for e in verdicts()["pages-negative@1"].effects if e.effect is _E.CORRUPTED]
    assert any(frame.startswith("give_pages+0x") for frame in overrun.frames)
