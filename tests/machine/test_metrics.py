"""The metrics: what Prometheus reads of them, and that what is not known has no series."""

from __future__ import annotations

import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

import fwpages as fw
from fwpages.machine.metrics import exposition
from fwpages.machine.snapshot import PAGE_BYTES
from tests.machine.trees import PAGES, PF, SF, VF, server

ROOT = Path(__file__).parents[2]
SHIPPED = files("fwpages.machine") / "shipped"


def scrape(root: Path) -> dict[str, Metric]:
    text, _ = exposition(lambda: fw.machine.counters(root))
    return {family.name: family for family in text_string_to_metric_families(text)}


def series(root: Path, name: str) -> dict[tuple[str, ...], float]:
    """The series of a metric by the values of their labels."""
    return {tuple(s.labels.values()): s.value for s in scrape(root)[name].samples}


def test_memory_is_in_bytes(tmp_path: Path) -> None:
    server(tmp_path)
    assert series(tmp_path, "mlx5_fw_memory_bytes") == {
        (PF,): 15_237 * PAGE_BYTES,
        (VF,): 37 * PAGE_BYTES,
        (SF,): 9 * PAGE_BYTES,
    }


@pytest.mark.parametrize("generation", PAGES)
def test_types_add_up_to_the_function_or_have_no_series(generation: str, tmp_path: Path) -> None:
    server(tmp_path, generation)
    sums: dict[str, float] = {}
    for labels, value in series(tmp_path, "mlx5_fw_type_memory_bytes").items():
        sums[labels[0]] = sums.get(labels[0], 0) + value
    totals = {labels[0]: value for labels, value in series(tmp_path, "mlx5_fw_memory_bytes").items()}
    assert sums in ({}, totals)
    assert bool(sums) == ("vfs" in PAGES[generation])


def test_a_figure_that_is_not_known_has_no_series(tmp_path: Path) -> None:
    m = server(tmp_path, "6.1")
    m.rdma("mlx5_0", of=PF, pages=15_237)
    shutil.rmtree(tmp_path / "sys/kernel/debug")
    assert series(tmp_path, "mlx5_fw_memory_bytes") == {(PF,): 15_237 * PAGE_BYTES}
    assert series(tmp_path, "mlx5_fw_alloc_failed_pages") == {}
    assert series(tmp_path, "mlx5_fw_type_memory_bytes") == {}


def test_success_is_said_of_every_function(tmp_path: Path) -> None:
    server(tmp_path)
    shutil.rmtree(tmp_path / f"sys/kernel/debug/mlx5/{VF}")
    assert series(tmp_path, "mlx5_scrape_success") == {(PF,): 1, (VF,): 0, (SF,): 1}


def test_failures_are_counters(tmp_path: Path) -> None:
    server(tmp_path).counters(PF, 15_237, alloc_failed=1, give_dropped=2, reclaim_discard=3)
    names = ("alloc_failed", "give_dropped", "reclaim_discarded")
    found = [scrape(tmp_path)[f"mlx5_fw_{name}_pages"] for name in names]
    assert [f.type for f in found] == ["counter"] * 3
    assert [s.value for f in found for s in f.samples if s.labels["device"] == PF] == [1, 2, 3]
    assert all(s.name.endswith("_total") for f in found for s in f.samples)


def test_the_device_is_described_by_labels(tmp_path: Path) -> None:
    server(tmp_path).rdma("mlx5_0", of=PF, pages=1)
    info = {s.labels["device"]: s.labels for s in scrape(tmp_path)["mlx5_device_info"].samples}
    assert {"driver": "mlx5_core", "fw_version": "28.39.1002", "mode": "func_id", "kind": "pf"}.items() <= info[
        PF
    ].items()
    assert (info[VF]["parent"], info[VF]["fw_version"]) == (PF, "")


def test_no_function_is_a_zero_of_its_own(tmp_path: Path) -> None:
    assert series(tmp_path, "mlx5_functions") == {(): 0}
    assert series(tmp_path, "mlx5_fw_memory_bytes") == {}


def test_every_metric_is_described(tmp_path: Path) -> None:
    exported, _ = exposition(lambda: fw.machine.counters(tmp_path))
    page = (ROOT / "docs" / "howto" / "memory-use.md").read_text("utf-8")
    for name in re.findall(r"^# TYPE (mlx5_\w+)", exported, re.MULTILINE):
        assert re.search(rf"`{name}[`{{]", page), name


# -- what is shipped ---------------------------------------------------------------------------------------------------


def text(name: str) -> str:
    return (SHIPPED / name).read_text("utf-8")


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(r"\bmlx5_\w+", expression))


def expressions() -> list[str]:
    panels = json.loads(text("dashboard.json"))["panels"]
    return [t["expr"] for p in panels for t in p["targets"]]


@pytest.mark.parametrize("words", [text("rules.yml"), *expressions()])
def test_rules_and_dashboard_ask_for_metrics_that_there_are(words: str, tmp_path: Path) -> None:
    server(tmp_path)
    exported, _ = exposition(lambda: fw.machine.counters(tmp_path))
    there = set(re.findall(r"^# TYPE (mlx5_\w+)", exported, re.MULTILINE))
    assert metrics_in(words)
    assert metrics_in(words) <= there


def test_panels_do_not_cover_each_other() -> None:
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(text("dashboard.json"))["panels"]:
        at = panel["gridPos"]
        own = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not own & cells
        assert at["x"] + at["w"] <= 24
        cells |= own
