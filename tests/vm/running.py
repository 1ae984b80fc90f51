"""What ``fwpages`` in the guest says of its running kernel, held to the books of the served firmware."""

from __future__ import annotations

import base64
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

import fwpages as fw
from fwpages.custody.accounts import Verdict
from fwpages.machine.holdings import DeviceHoldings, Holdings
from fwpages.machine.snapshot import PAGE_BYTES, FunctionCounters, Snapshot
from fwpages.trial.guest import Guest
from fwpages.trial.lab import Lab
from tests.vm.guest import Job, begin, begin_program, dump, finish, fwpages

Addresses = NDArray[np.uint64]
METRICS = "http://127.0.0.1:9732/metrics"


@dataclass(frozen=True)
class Listed:
    """A report of ``inspect``, with the addresses of the pages by the identities of functions, for its only device."""

    report: Holdings
    addresses: dict[str, Addresses]

    @property
    def device(self) -> DeviceHoldings:
        (device,) = self.report.devices
        return device


def inspect(g: Guest, *options: str, status: int | None = 0) -> Holdings:
    """The report of ``fwpages inspect --json`` in the guest; its exit code must be ``status`` (None: any)."""
    ran = fwpages(g, ["inspect", "--json", *options])
    assert status is None or ran.status == status, ran
    return msgspec.json.decode(ran.stdout, type=Holdings)


def inspect_pages(g: Guest, status: int = 0) -> Listed:
    """The report of ``fw.machine.inspect`` in the guest, and the addresses of the pages; ``status`` as ``inspect``."""
    program = Path(__file__).with_name("pages_in_guest.py")
    ran = finish(g, begin_program(g, [sys.executable, str(program)]), stop="")
    assert ran.status == status, ran
    report, pages = ran.stdout.splitlines()
    (device,) = msgspec.json.decode(pages, type=dict[str, dict[str, str]]).values()
    return Listed(
        msgspec.json.decode(report, type=Holdings),
        {who: np.frombuffer(zlib.decompress(base64.b64decode(text)), "<u8") for who, text in device.items()},
    )


def inspect_core(g: Guest, folder: Path) -> Listed:
    """The report of a core of the machine, which has its types and symbols in its memory."""
    core = dump(g, folder / "core")
    try:
        i = fw.machine.inspect(core)
    finally:
        core.unlink()
    (device,) = i.report.devices
    return Listed(i.report, {f.identity: i.addresses(device.device, f.identity) for f in device.functions})


def books(lab: Lab) -> dict[str, Addresses]:
    """The pages that firmware has of each function, by the function's identity, ascending."""
    holds = lab.call(lab.serving.observer.inner.holds)
    return {str(who): np.sort(addresses) for who, addresses in holds.items()}


def agree_in_counts(lab: Lab, report: Holdings) -> DeviceHoldings:
    """The driver's lists have as many pages of each function as firmware has."""
    assert report.verdict is Verdict.CONSISTENT, report
    (device,) = report.devices
    assert {f.identity: f.pages for f in device.functions if f.pages} == {
        who: len(pages) for who, pages in books(lab).items()
    }
    assert device.pages == device.fw_pages == lab.call(lambda: lab.serving.observer.inner.total)
    assert sum(device.by_node.values()) == device.by_node["0"] == device.pages
    return device


def agree_in_pages(lab: Lab, listed: Listed) -> DeviceHoldings:
    """The driver's lists have the same pages of each function as firmware has, address by address."""
    device = agree_in_counts(lab, listed.report)
    for who, pages in books(lab).items():
        assert np.array_equal(listed.addresses[who], pages), who
    return device


def supplier(s: Snapshot) -> FunctionCounters:
    """The only PF, or ECPF."""
    [pf] = [f for f in s.functions if f.kind == "pf"]
    return pf


def top(g: Guest, status: int = 0) -> Snapshot:
    """The snapshot of ``fwpages top --once --json`` in the guest."""
    ran = fwpages(g, ["top", "--once", "--json"])
    assert ran.status == status, ran
    return msgspec.json.decode(ran.stdout, type=Snapshot)


class Metrics:
    """``fwpages metrics`` at work in the guest. Scrape it as often as is needed; ``end`` stops it."""

    def __init__(self, g: Guest) -> None:
        self._guest = g
        self._job: Job = begin(g, ["metrics"])
        g.ok(f"for _ in $(seq 600); do wget -q -O /dev/null {METRICS} && break; usleep 100000; done")

    def scrape(self) -> dict[str, dict[str, int]]:
        """One scrape: pages by metric and type; the type of one without types is ""."""
        text = self._guest.ok(f"wget -q -O - {METRICS}")
        found: dict[str, dict[str, int]] = {}
        for family in text_string_to_metric_families(text):
            for row in family.samples:
                if row.name.endswith("_memory_bytes"):
                    assert row.value % PAGE_BYTES == 0
                    found.setdefault(row.name, {})[row.labels.get("type", "")] = int(row.value) // PAGE_BYTES
                else:
                    found.setdefault(row.name, {})[""] = int(row.value)
        return found

    def end(self) -> None:
        assert finish(self._guest, self._job).status == 0
