from __future__ import annotations

from dataclasses import asdict, fields

from fwpages.host import Bounds, Config
from fwpages.prm.identity import Supplier


def test_bounds_that_follow_from_what_was_seen() -> None:
    b = Bounds()
    assert b.pages_per_command == 50_000, "the most that firmware was seen to return in one go"
    assert b.memory * 4096 >= 2 * int(30.5 * 2**30), "twice the most that was seen"
    assert b.command > 60.0
    assert b.reclaim_retry < b.reclaim_progress < b.reclaim_overall
    assert b.wait_progress < b.wait_overall
    assert all(getattr(b, f.name) > 0 for f in fields(b))


def test_a_host_without_a_config_is_a_pf() -> None:
    assert Config().supplier == Supplier()
    assert Config().base % 4096 == 0


def test_the_bounds_are_those_that_their_reasons_give() -> None:
    assert asdict(Bounds()) == {
        "pages_per_command": 50_000,
        "queue": 4_096,
        "memory": 64 * 2**30 // 4096,
        "command": 60.0 + 5.0,
        "reclaim_progress": 5.0,
        "reclaim_retry": 0.05,
        "reclaim_overall": 300.0,
        "wait_progress": 120.0,
        "wait_overall": 600.0,
        "fence": 10.0,
    }
