"""The report of ``drive --dry-run``: what driving a function of this machine would meet."""

from __future__ import annotations

import msgspec
from rich.console import Console

from fwpages.link.vfio.taking import Prospect
from fwpages.report.run import say


class ProspectReport(msgspec.Struct, frozen=True, kw_only=True, rename={"schema_": "schema"}):
    """The result of ``drive --dry-run --json``: ``against`` is empty where the function can be driven.

    ``iova_ranges`` are null where they are not known before the function is on vfio-pci, ``memlock`` (bytes) where any
    number may be locked; ``isolates`` of a bridge is null where its configuration space does not show it.
    """

    schema_: str = "drive-prospect/1"
    address: str
    pci: str
    driver: str
    parent: str
    group: int | None
    members: dict[str, str]
    reset: str
    isolates: dict[str, bool | None]
    iova_ranges: list[tuple[str, str]] | None
    memlock: int | None
    against: list[str]


def prospect_report(p: Prospect) -> ProspectReport:
    """Report a prospect."""
    f = p.function
    return ProspectReport(
        address=f.address,
        pci=f"{f.vendor:04x}:{f.device:04x}",
        driver=f.driver,
        parent=f.parent,
        group=f.group,
        members={m.address: m.driver for m in f.members},
        reset=p.reset or " ".join(f.resets or ()),
        isolates=dict(p.bridges),
        iova_ranges=None if p.ranges is None else [(f"{r.start:#x}", f"{r.last:#x}") for r in p.ranges],
        memlock=p.locked,
        against=list(p.against),
    )


def show_prospect(r: ProspectReport, console: Console) -> None:
    """Print a prospect: a line for each thing, then what stands against it."""
    kind = f"a VF of {r.parent}" if r.parent else "a physical function"
    say(console, f"{r.address}  {r.pci}, {kind}, bound to {r.driver or 'no driver'}")
    members = ", ".join(f"{a} ({d or 'no driver'})" for a, d in r.members.items())
    say(console, f"  group          {'none: no IOMMU' if r.group is None else f'{r.group}: {members}'}")
    say(console, f"  reset          {r.reset or 'not known'}")
    for bridge, on in r.isolates.items():
        words = "not known (root sees it)" if on is None else "isolates what is below it" if on else "does not isolate"
        say(console, f"  ACS            {bridge} {words}")
    ranges = "not known before it is on vfio-pci"
    if r.iova_ranges is not None:
        ranges = ", ".join(f"{a} to {b}" for a, b in r.iova_ranges)
    say(console, f"  I/O addresses  {ranges}")
    say(console, f"  locked memory  {'as much as there is' if r.memlock is None else f'{r.memlock >> 20} MiB'}")
    say(console, "")
    for line in r.against:
        say(console, f"against it: {line}", "red")
    if not r.against:
        say(console, "it can be driven; nothing was opened that resets it", "green")
