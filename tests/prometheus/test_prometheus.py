"""Prometheus itself, from Debian's package: promtool takes what is shipped, and a server runs rules and dashboard."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import fwpages as fw
from fwpages.machine.metrics import exposition
from tests.machine.trees import PF, server

SHIPPED = files("fwpages.machine") / "shipped"
UNPACKED = Path(__file__).parents[2] / "build" / "prometheus" / "usr" / "bin"
#: seconds for a server to start and to scrape on a busy machine
PATIENCE = 60.0


def program(name: str) -> str:
    """A program of the package: what ``make prometheus`` unpacked, or the machine's."""
    found = str(UNPACKED / name) if (UNPACKED / name).exists() else shutil.which(name)
    if found is None:
        assert not os.environ.get("FWPAGES_REQUIRE_PROMETHEUS"), f"there is no {name}: make prometheus"
        pytest.skip(f"there is no {name} here: make prometheus unpacks Debian's")
    return found


def text(name: str) -> str:
    return (SHIPPED / name).read_text("utf-8")


def check(what: str, *args: object, given: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [program("promtool"), "check", what, *map(str, args)]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_promtool_takes_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(text("rules.yml"), "utf-8")
    done = check("rules", tmp_path / "rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_refuses_rules_that_are_wrong(tmp_path: Path) -> None:
    (tmp_path / "rules.yml").write_text(text("rules.yml").replace("predict_linear(", "predict_linear(("), "utf-8")
    assert check("rules", tmp_path / "rules.yml").returncode != 0


def test_promtool_takes_the_metrics(tmp_path: Path) -> None:
    server(tmp_path).rdma("mlx5_0", of=PF, pages=1)
    exported, _ = exposition(lambda: fw.machine.counters(tmp_path))
    done = check("metrics", given=exported)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# -- a server that scrapes our endpoint ---------------------------------------------------------------------------


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@contextmanager
def _running(*command: object) -> Iterator[None]:
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.2)


class Prometheus:
    """A server that scrapes our endpoint each second, and has our rules."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1/"

    def ask(self, what: str, **parameters: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._url}{what}?{urllib.parse.urlencode(parameters)}", timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        assert found["status"] == "success"
        data: dict[str, Any] = found["data"]
        return data

    def query(self, expression: str) -> list[Any]:
        rows: list[Any] = self.ask("query", query=expression)["result"]
        return rows


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    binary = program("prometheus")
    server(folder / "root").rdma("mlx5_0", of=PF, pages=1)
    ours, theirs = _free_port(), _free_port()
    (folder / "rules.yml").write_text(text("rules.yml"), "utf-8")
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "fwpages", "static_configs": [{"targets": [f"127.0.0.1:{ours}"]}]}],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), "utf-8")  # JSON is YAML
    with ExitStack() as stack:
        listen = ("--listen", f"127.0.0.1:{ours}")
        stack.enter_context(_running(sys.executable, "-m", "fwpages", "metrics", *listen, "--root", folder / "root"))
        options = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
        stack.enter_context(_running(binary, *options, f"--web.listen-address=127.0.0.1:{theirs}"))
        found = Prometheus(theirs)
        _until(lambda: len(found.query("mlx5_fw_memory_bytes[1m]")[0]["values"]) > 2 if _first(found) else False)
        yield found


def _first(found: Prometheus) -> bool:
    return bool(found.query("mlx5_fw_memory_bytes"))


def queries() -> list[str]:
    """The dashboard's queries, as Grafana sends them with every instance chosen."""
    panels = json.loads(text("dashboard.json"))["panels"]
    return [t["expr"].replace("$instance", ".*") for p in panels for t in p["targets"]]


@pytest.mark.parametrize("expression", queries())
def test_every_query_of_the_dashboard_finds_series(prometheus: Prometheus, expression: str) -> None:
    assert prometheus.query(expression)


def test_the_sum_of_a_machine_is_that_of_its_functions(prometheus: Prometheus) -> None:
    [total] = prometheus.query("sum(mlx5_fw_memory_bytes)")
    [types] = prometheus.query("sum(mlx5_fw_type_memory_bytes)")
    assert total["value"][1] == types["value"][1]


def test_the_rules_are_evaluated_without_an_error(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        return [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]

    _until(lambda: all(rule["health"] != "unknown" for rule in rules()))
    assert {rule["health"] for rule in rules()} == {"ok"}
    assert {rule["state"] for rule in rules()} == {"inactive"}, "a healthy machine raises no alert"
