"""The counters as metrics of Prometheus: a collector over snapshots.

It needs the extra ``fwpages[metrics]``. Memory is in bytes, counters end in ``_total``, and a figure that is not known
has no series: a sum over series never takes it for zero. ``mlx5_scrape_success`` says of each function whether its
total was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Lock

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from fwpages.custody.accounts import Count
from fwpages.machine.snapshot import PAGE_BYTES, FunctionCounters, Snapshot

_Value = Callable[[FunctionCounters], Count]
#: gauges by function: name, help, value
_GAUGES: tuple[tuple[str, str, _Value], ...] = (
    ("mlx5_fw_memory_bytes", "Memory that the function's driver has given to firmware.", lambda f: _bytes(f.pages)),
    ("mlx5_command_slots_in_use", "Command slots in use; one that stays in use is lost.", lambda f: f.slots_inuse),
)
#: counters by function since the driver was loaded: name without ``_total``, help, value
_COUNTERS: tuple[tuple[str, str, _Value], ...] = (
    ("mlx5_fw_alloc_failed_pages", "Pages that the host had no memory for.", lambda f: f.alloc_failed),
    ("mlx5_fw_give_dropped_pages", "Pages whose GIVE failed.", lambda f: f.give_dropped),
    ("mlx5_fw_reclaim_discarded_pages", "Pages whose TAKE failed.", lambda f: f.reclaim_discarded),
    ("mlx5_fw_page_commands", "MANAGE_PAGES commands.", lambda f: f.commands.n),
    ("mlx5_fw_page_commands_failed", "MANAGE_PAGES commands that failed.", lambda f: f.commands.failed),
)


def _bytes(pages: Count) -> Count:
    return None if pages is None else pages * PAGE_BYTES


class Functions(Collector):
    """The metrics of every function, from a new snapshot at each scrape. Two scrapes at once take turns.

    A source that gives None has nothing to read: no series is there, not even the number of functions.
    """

    def __init__(self, source: Callable[[], Snapshot | None]) -> None:
        self.last: Snapshot | None = None
        self._source = source
        self._lock = Lock()

    def collect(self) -> Iterator[Metric]:
        """Take a snapshot, and give its metrics."""
        with self._lock:
            self.last = snapshot = self._source()
        if snapshot is not None:
            yield from families(snapshot)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """The metrics of a snapshot. Every name is there, also without a series."""
    success = GaugeMetricFamily(
        "mlx5_scrape_success", "1 if the total of the function was read, else 0.", labels=["device"]
    )
    for f in snapshot.functions:
        success.add_metric([f.device], float(f.pages is not None))
    yield success
    found = GaugeMetricFamily("mlx5_functions", "Functions that mlx5_core drives here.")
    found.add_metric([], len(snapshot.functions))
    yield found
    yield _info(snapshot)
    for name, words, value in _GAUGES:
        gauge = GaugeMetricFamily(name, words, labels=["device"])
        for f in snapshot.functions:
            n = value(f)
            if n is not None:
                gauge.add_metric([f.device], n)
        yield gauge
    yield _by_type(snapshot)
    for name, words, value in _COUNTERS:
        counter = CounterMetricFamily(name, f"{words} Since the driver was loaded.", labels=["device"])
        for f in snapshot.functions:
            n = value(f)
            if n is not None:
                counter.add_metric([f.device], n)
        yield counter


def _by_type(snapshot: Snapshot) -> Metric:
    """The parts of a function's memory; they add up to it where the rest is known, and are left out where it is not."""
    family = GaugeMetricFamily(
        "mlx5_fw_type_memory_bytes",
        "The memory by type of function; rest is the own function's, and what the driver counts under no type.",
        labels=["device", "type"],
    )
    for f in snapshot.functions:
        if f.by_type.get("rest") is None:
            continue
        for kind, n in f.by_type.items():
            if n is not None:
                family.add_metric([f.device, kind], n * PAGE_BYTES)
    return family


def _info(snapshot: Snapshot) -> Metric:
    """A series for each function, with its place and its driver as labels; a label that is not known is empty."""
    family = InfoMetricFamily("mlx5_device", "The function, its driver and its firmware.", labels=["device"])
    for f in snapshot.functions:
        labels = {
            "driver": f.driver,
            "driver_version": snapshot.driver_version or "",
            "fw_version": f.fw_version or "",
            "mode": f.mode or "",
            "kind": f.kind or "",
            "parent": f.parent or "",
            "pci_id": f.pci_id or "",
            "numa_node": "" if f.numa_node is None else str(f.numa_node),
        }
        family.add_metric([f.device], labels)
    return family


def registry(source: Callable[[], Snapshot | None]) -> tuple[CollectorRegistry, Functions]:
    """A registry of these metrics and no others, and its collector. It takes no snapshot yet."""
    found = CollectorRegistry(auto_describe=False)
    collector = Functions(source)
    found.register(collector)
    return found, collector


def exposition(source: Callable[[], Snapshot]) -> tuple[str, Snapshot]:
    """The metrics of one snapshot in Prometheus's text format, and the snapshot."""
    taken: list[Snapshot] = []

    def once() -> Snapshot:
        if not taken:
            taken.append(source())
        return taken[0]

    found, _ = registry(once)
    return generate_latest(found).decode(), once()
