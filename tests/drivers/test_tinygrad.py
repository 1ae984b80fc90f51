"""tinygrad's driver of mlx5 devices on ``fwpages serve``: it opens the device, makes queues, and never closes it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

CODE = "import sys; from fwpages.cli import main; main()"
SECONDS = 120
SCENARIO = """
[device]
profile = "connectx7"
[[step]]
do = "open"
"""
#: pages that a connectx7 wants at boot and for its start
BOOT, INIT = 37, 12_868
#: op_mod of MANAGE_PAGES, as a trace has it
GIVE = "0001"


@pytest.fixture(autouse=True)
def _installed() -> None:
    if importlib.util.find_spec("tinygrad") is None:
        reason = "tinygrad is not installed: make test-drivers"
        if os.environ.get("FWPAGES_REQUIRE_DRIVERS"):
            pytest.fail(reason)
        pytest.skip(reason)


def driven(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """The line of the driver, the report of the server, and the trace."""
    path, scenario, trace, err = (folder / name for name in ("s", "scenario.toml", "trace.jsonl", "err"))
    scenario.write_text(SCENARIO)
    words = ["serve", "--socket", str(path), "--once", "--json", "--trace", str(trace), str(scenario)]
    with (
        err.open("w") as e,
        subprocess.Popen([sys.executable, "-c", CODE, *words], stdout=subprocess.PIPE, stderr=e) as server,
    ):
        try:
            end = time.monotonic() + SECONDS
            while not path.exists():
                assert time.monotonic() < end
                assert server.poll() is None, err.read_text()
                time.sleep(0.02)
            driver = subprocess.run(
                [sys.executable, "-m", "tests.drivers.tinygrad_client", str(path)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
            assert driver.returncode == 0, driver.stderr.decode()
            out, _ = server.communicate(timeout=SECONDS)
        finally:
            server.kill()
    return json.loads(driver.stdout), json.loads(out), trace


def test_it_opens_the_device_and_leaves_its_pages_behind(tmp_path: Path) -> None:
    """The one thing to find: no page is ever taken back. It breaks no rule else, and no command is refused."""
    made, report, trace = driven(tmp_path)
    assert made == {"uar": 16, "qpn": made["qpn"], "eq": made["eq"]}
    (session,) = report["sessions"]
    assert (session["mode"], session["end"], session["refused"]) == ("func_id", "gone", 0)
    figures = [session[name] for name in ("given", "returned", "released", "held")]
    assert figures == [BOOT + INIT, 0, 0, BOOT + INIT]
    assert (report["verdict"], report["offences"], report["unfollowed"]) == ("findings", [], [])
    assert report["missed"] == ["step[0] (open)"], "it has no queue for page requests, and would answer none"
    assert "session 1 gone, 12,905 pages (50.4 MiB) left behind" in report["summary"]

    rows = [row for row in map(json.loads, trace.read_text().splitlines()) if row["kind"] == "submit"]
    # opcode, op_mod and the number of pages; the driver keeps page commands on the last slot, as Linux does
    pages = [(row["slot"], row["in"][12:16], int(row["in"][24:32], 16)) for row in rows if row["in"][:4] == "0108"]
    assert pages == [(31, GIVE, BOOT), (31, GIVE, INIT)], "all pages in one command each, none taken back"


def test_what_an_audit_says_of_its_trace(tmp_path: Path) -> None:
    """The client went with the device open, and the device dropped the pages with it: the one finding, the driver's."""
    _, _, trace = driven(tmp_path)
    audit = subprocess.run(
        [sys.executable, "-c", CODE, "audit", "--json", str(trace)], capture_output=True, timeout=SECONDS, check=False
    )
    assert audit.returncode == 1, audit.stderr.decode()
    (session,) = json.loads(audit.stdout)["sessions"]
    totals = {name: session["totals"][name] for name in ("given", "returned", "discarded", "held")}
    assert totals == {"given": BOOT + INIT, "returned": 0, "discarded": BOOT + INIT, "held": 0}
    (finding,) = session["findings"]
    assert (finding["name"], finding["blame"]) == ("pages-left", "host")
