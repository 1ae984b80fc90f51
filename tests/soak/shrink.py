"""The smallest scenario that still goes wrong: pieces are left out as long as the same error comes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec
import tomli_w

from fwpages.scenario import Scenario

T = TypeVar("T")


def shrink(plan: Scenario, fails: Callable[[Scenario], bool], tries: int = 400) -> Scenario:
    """``plan`` with as few faults, steps and functions as still fail, within ``tries`` tries."""
    left = tries
    for part in ("fault", "step", "function"):
        items = getattr(plan, part)
        size = max(1, len(items) // 2)
        while size and left > 0:
            start = 0
            while start < len(items) and left > 0:
                fewer = items[:start] + items[start + size :]
                left -= 1
                smaller = msgspec.structs.replace(plan, **{part: fewer})
                if (fewer or part != "step") and fails(smaller):
                    plan, items = smaller, fewer
                else:
                    start += size
            size //= 2
    return plan


def toml(plan: Scenario) -> str:
    """The scenario as the file that ``fwpages run`` reads."""
    return tomli_w.dumps(_plain(msgspec.to_builtins(plan)))


def _plain(value: T) -> T:
    """Without what is not there: TOML has no null."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}  # type: ignore[return-value]
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]  # type: ignore[return-value]
    return value
