"""Read the driver's own lists of pages until they settle, and report them: ``inspect``.

The lists of a running kernel change while they are read. A reading that contradicts itself, or the driver's counters,
is made again. If counters and lists disagree in the same manner for some time, while no page command is pending, it is
a finding. If nothing settles before the time is over, the device's pages are *not known*: a smaller number is never
reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fwpages.custody.accounts import FindingAccount, Missing, Verdict
from fwpages.custody.findings import Cause
from fwpages.machine.holdings import DeviceHoldings, FunctionHoldings, Holdings
from fwpages.machine.structures import nodes
from fwpages.machine.structures.driver import Device, Driver
from fwpages.machine.structures.errors import NotPossibleError, TornError, UnmappedError
from fwpages.machine.structures.reading import FunctionPages, Reader, Reading
from fwpages.machine.structures.sources import Source, of_core, running
from fwpages.pages.words import many
from fwpages.prm.identity import FunctionType, Identity, Mode, vhca_id

#: seconds until two readings of a running kernel: it is busy with what made the first one fail
_PAUSE = 0.05
#: seconds for which counters and lists must disagree in the same manner
_STANDS = 1.0
MAX_SECONDS = 10.0
#: functions that the notes name one by one; a device can have more than a thousand
_MOST_NOTES = 4

Name = str | PathLike[str]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The report of an inspection, and the pages themselves."""

    report: Holdings
    _addresses: Mapping[tuple[str, str], NDArray[np.uint64]] = field(repr=False)

    def addresses(self, device: str, identity: str) -> NDArray[np.uint64]:
        """The addresses of a function's pages as firmware knows them: 4 KiB blocks, ascending, uint64.

        ``device`` and ``identity`` are as in the report. Raises KeyError for a function that it does not have.
        """
        return self._addresses[device, identity]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One device: what its last reading said, how many there were, and why it is not settled ("" if it is)."""

    name: str
    reading: Reading | None
    readings: int
    problem: str = ""
    differs: bool = False


def inspect(
    core: Name | None = None, *, btf: Sequence[Name] = (), symbols: Name | None = None, max_seconds: float = MAX_SECONDS
) -> Inspection:
    """Report the pages of every function of every mlx5 device, from the driver's own lists.

    It reads the running kernel, by ``/proc/kcore``, or the core in a file: ELF, or compressed where libkdumpfile is
    installed. ``btf`` are files with types (BTF, or ELF files that have it), ``symbols`` one with addresses in the form
    of ``/proc/kallsyms``, where the kernel does not show its own. A running kernel is read until its lists settle,
    ``max_seconds`` at most for all devices. Nothing is written, no command is sent and no lock of the kernel taken.

    What this machine or the core does not allow to be read is no error: the report is *not known*, and says what would
    help. Raises FileError (a ValueError) for a file that is not what it should be.
    """
    paths, names = [Path(b) for b in btf], Path(symbols) if symbols is not None else None
    source_name = str(core) if core is not None else "/proc/kcore"
    try:
        with of_core(Path(core), paths, names) if core is not None else running(paths, names) as source:
            return inspect_source(source, max_seconds)
    except NotPossibleError as e:
        return Inspection(Holdings.of(source_name, [], missing=[e.missing]), {})


def inspect_source(source: Source, max_seconds: float = MAX_SECONDS) -> Inspection:
    """Report the pages in an open source. Raises NotPossibleError where it lacks what leads to them."""
    end = time.monotonic() + max_seconds
    where = nodes.find(source.memory, source.kernel, source.symbols, source.note, source.page_size)
    driver = Driver(source.memory, source.kernel, source.types, source.symbols)
    reader = Reader(source.memory, driver, where, source.page_size)
    found: dict[int, _Outcome] = {}
    missing: list[Missing] = []
    try:
        addresses = _devices(driver, source.live, end)
    except (TornError, UnmappedError) as e:
        return Inspection(_report(source, [], [_unsettled(f"the list of devices: {e}", source)], where.known), {})
    for address in addresses:
        found[address] = _settled(reader, driver, address, source.live, end)
    if not found:
        missing.append(
            Missing(
                what=f"a device: mlx5_core drives none {'on this machine' if source.live else 'in this core'}",
                command="",
            )
        )
    rows = [_device(o, source) for o in found.values()]
    pages = {
        (o.name, str(f.identity)): f.addresses
        for o in found.values()
        if o.reading is not None and not o.problem
        for f in o.reading.functions
    }
    return Inspection(_report(source, rows, missing, where.known), pages)


def _report(source: Source, rows: list[DeviceHoldings], missing: list[Missing], nodes_known: bool) -> Holdings:
    notes = (
        []
        if nodes_known or not rows
        else ["The NUMA nodes of pages are not known: the kernel's symbols do not lead to them."]
    )
    return Holdings.of(
        source.name,
        rows,
        kernel=source.release,
        machine=source.machine,
        page_size=source.page_size,
        missing=missing,
        notes=notes,
    )


def _devices(driver: Driver, live: bool, end: float) -> list[int]:
    """The devices, as soon as their list holds together."""
    while True:
        try:
            return driver.devices()
        except (TornError, UnmappedError):
            if not live or time.monotonic() + _PAUSE >= end:
                raise
        time.sleep(_PAUSE)


def _settled(reader: Reader, driver: Driver, address: int, live: bool, end: float) -> _Outcome:
    """Read a device until it settles, or until counters and lists have disagreed for long enough, or the time is over.

    A core does not change: it is read once.
    """
    problem, since, earlier = "", 0.0, None
    reading: Reading | None = None
    for n in count(1):
        try:
            reading = reader.read(address, lambda: not live or time.monotonic() < end)
        except TornError as e:
            reading, problem, earlier = None, str(e), None
        else:
            if not reading.differences:
                return _Outcome(reading.device.name, reading, n)
            problem = "a page command was pending, and counters and lists disagreed"
            if not reading.device.pending:
                figures = _figures(reading)
                since = since if figures == earlier else time.monotonic()
                earlier = figures
                if not live or time.monotonic() - since >= _STANDS:
                    return _Outcome(reading.device.name, reading, n, differs=True)
                problem = "counters and lists disagreed, each time in another manner"
            else:
                earlier = None
        if not live or time.monotonic() + _PAUSE >= end:
            break
        time.sleep(_PAUSE)
    return _Outcome(_name(driver, address), reading, n, problem)


def _figures(reading: Reading) -> tuple[object, ...]:
    """The figures that must stand still for a disagreement to count."""
    return (reading.device, tuple((f.identity, f.held, f.idle) for f in reading.functions))


def _name(driver: Driver, address: int) -> str:
    try:
        return driver.name(address)
    except (TornError, UnmappedError):
        return f"(device at {address:#x})"


def _unsettled(problem: str, source: Source) -> Missing:
    again = (
        "fwpages inspect --max-seconds 60"
        if source.live
        else "another core: taken while the driver is idle, or with less left out (-d 1)"
    )
    return Missing(what=f"lists that hold together: {problem}", command=again)


# -- the report --------------------------------------------------------------------------------------------------------


def _device(o: _Outcome, source: Source) -> DeviceHoldings:
    if o.reading is None:
        return DeviceHoldings(
            device=o.name,
            verdict=Verdict.NOT_KNOWN,
            settled=False,
            missing=[_unsettled(o.problem, source)],
            readings=o.readings,
        )
    device, settled = o.reading.device, not o.problem
    functions = [_function(f, o.reading) for f in o.reading.functions] if settled else []
    findings = list(_findings(o.reading)) if o.differs else []
    return DeviceHoldings(
        device=o.name,
        mode=device.mode.value,
        supplier=device.kind,
        vhca_id=device.own,
        numa_node=device.numa_node,
        verdict=Verdict.FINDINGS if findings else Verdict.CONSISTENT if settled else Verdict.NOT_KNOWN,
        settled=settled,
        fw_pages=device.fw_pages,
        counters={**{kind.value: n for kind, n in device.by_type.items()}, **device.counters},
        pages=o.reading.held if settled else None,
        idle=sum(f.idle for f in o.reading.functions) if settled else None,
        by_node=_summed(f.by_node for f in functions),
        by_type=_summed(f.by_type for f in functions),
        functions=sorted(functions, key=lambda f: -(f.pages or 0)),
        findings=findings,
        missing=[] if settled else [_unsettled(o.problem, source)],
        notes=_notes(functions),
        readings=o.readings,
    )


def _function(f: FunctionPages, reading: Reading) -> FunctionHoldings:
    known = [kind for kind in f.by_type if kind is not FunctionType.UNKNOWN]
    by_number = reading.device.supplier.type_by_number(f.identity)
    vport = reading.device.vports.of.get(f.identity)
    return FunctionHoldings(
        identity=str(f.identity),
        type=known[0] if len(known) == 1 else by_number if not known else FunctionType.UNKNOWN,
        vport=vport.number if vport is not None else None,
        vport_enabled=_enabled(reading.device, f.identity),
        pages=f.held,
        idle=f.idle,
        by_node={"unknown" if node == nodes.UNKNOWN else str(node): n for node, n in f.by_node.items()},
        by_type={kind.value: n for kind, n in f.by_type.items()},
    )


def _enabled(device: Device, who: Identity) -> bool | None:
    """True if the function has an enabled vport. None for the device's own function, whose driver is at work."""
    own = vhca_id(device.own) if device.mode is Mode.VHCA_ID and device.own is not None else device.supplier.own
    return None if who == own else device.vports.enabled(who)


def _notes(functions: Sequence[FunctionHoldings]) -> list[str]:
    """The lists of functions that are gone: with pages, though no vport of theirs is enabled; and the empty ones."""
    return [*_without_vport(functions), *_without_pages(functions)]


def _without_vport(functions: Sequence[FunctionHoldings]) -> list[str]:
    """The functions that have pages and no enabled vport."""
    notes = [
        f"{f.identity}: {many(f.pages)}, and no enabled vport: the function was disabled, or is not enabled yet."
        for f in functions
        if f.pages and f.vport_enabled is False
    ]
    if len(notes) > _MOST_NOTES:
        rest = sum(f.pages or 0 for f in functions if f.vport_enabled is False)
        notes[_MOST_NOTES:] = [f"{len(notes)} functions without an enabled vport have {many(rest)} in all."]
    return notes


def _without_pages(functions: Sequence[FunctionHoldings]) -> list[str]:
    """The functions whose lists are empty."""
    empty = [f.identity for f in functions if f.pages == 0]
    if not empty:
        return []
    more = f" and {len(empty) - _MOST_NOTES} more" if len(empty) > _MOST_NOTES else ""
    return [f"Lists without pages, of functions that had some: {', '.join(empty[:_MOST_NOTES])}{more}."]


def _summed(several: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in several:
        for key, n in row.items():
            found[key] = found.get(key, 0) + n
    return dict(sorted(found.items()))


def _findings(reading: Reading) -> Iterator[FindingAccount]:
    """The counters that disagree with the lists."""
    cause = Cause.COUNTER_NOT_LISTS
    for name, (counter, blocks) in reading.differences.items():
        yield FindingAccount(
            name=cause.finding.value,
            blame=cause.blame.value,
            pages=abs(counter - blocks),
            detail=f"{reading.device.name}: the counter {name} is {counter:,}, the lists have {many(blocks)}",
            remedy=cause.remedy,
        )
