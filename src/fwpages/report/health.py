"""Firmware's own words about a card, as a vendor's ticket asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from rich.console import Console
from rich.text import Text

from fwpages.custody.accounts import HealthAccount
from fwpages.pages.words import many
from fwpages.report.width import fold, width_of

#: events that are printed; the rest is counted
MAX_EVENTS = 16
_SHORT = ("synd", "ext_synd", "severity", "fw_ver", "hw_id", "time", "assert_exit_ptr", "assert_callra")
_ABOUT = ("card", "device", "functions", "finding", "at")


def show_health(events: Sequence[HealthAccount], console: Console, *, full: bool) -> None:
    """Print the events of cards that have a health buffer: in a line each, or with ``full`` every field."""
    with_buffer = [e for e in events if e.synd is not None or e.synd_words or e.assert_var]
    for e in with_buffer[:MAX_EVENTS]:
        console.print()
        _show_event(e, console, full=full)
    if len(with_buffer) > MAX_EVENTS:
        console.print(f"and {len(with_buffer) - MAX_EVENTS} more events of cards (--json has them all)")


def _show_event(e: HealthAccount, console: Console, *, full: bool) -> None:
    fields = dict(_fields(e))
    head = f"card {e.card}, {many(len(e.functions), 'function')}, for the vendor's ticket"
    if full:
        console.print(Text(f"{head}:"), soft_wrap=True)
        for name, value in fields.items():
            console.print(Text(f"  {name} {value}"), soft_wrap=True)
        return
    words = ", ".join(f"{name} {fields[name]}" for name in _SHORT if name in fields)
    more = " (--full: every field)" if len(fields) > len(_SHORT) else ""
    console.print(Text(fold(f"{head}: {words}{more}", width_of(console.file), 2)), soft_wrap=True)


def _fields(e: HealthAccount) -> Iterator[tuple[str, str]]:
    """The fields that a line has, in the order of the driver's."""
    for name, value in msgspec.structs.asdict(e).items():
        if name in _ABOUT or value in (None, "", [], False):
            continue
        if isinstance(value, list):
            yield from ((f"{name}[{i}]", str(v)) for i, v in enumerate(value))
        else:
            yield name, "required" if value is True else str(value)
