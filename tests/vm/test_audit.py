"""The kernel's own debug log of a run gives the same accounts as the server's trace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fwpages.cli import cli
from fwpages.custody.verdicts import DUMPS, LINES_AT_LOAD, PAGE_LINES
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.lab import ECPF, PF, agree, clean, scenario

START = 37 + 2000


def audit(path: Path) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["audit", "--json", str(path)], standalone_mode=False)
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def accounts(report: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The figures of each function, of the only session."""
    (session,) = report["sessions"]
    return {
        f["identity"]: tuple(
            int(f[what] or 0) for what in ("given", "returned", "released", "held", "doubtful", "peak")
        )
        for f in session["functions"]
    }


@pytest.mark.parametrize("offered", [True, False], ids=["vhca_id", "func_id"])
def test_log_and_trace_of_an_ecpf(new: Kernel, tmp_path: Path, offered: bool) -> None:
    """``test_diff`` has those of a PF."""
    with Lab(scenario(ECPF, offered=offered), tmp_path) as lab, lab.guest(new) as g:
        g.ok("load dyndbg=+p")
        lab.until({"self": START})
        lab.want(vf0=600, sf0=7)
        lab.until({"self": START, "vf0": 600, "sf0": 7})
        lab.want(vf0=-100)
        lab.reset("sf0")
        lab.until({"self": START, "vf0": 500})
        agree(lab, g)
        # Linux waits for the pages of VFs where it can tell them
        lab.reset("vf0")
        lab.until({"self": START})
        g.ok("unload")
        clean(lab, g)
        g.off()
    log, trace = tmp_path / "console.log", tmp_path / "trace.jsonl"
    log.write_text(g.console().replace("\r\n", "\n"))
    trace.write_text(lab.trace())
    assert accounts(audit(log)) == accounts(audit(trace))
    own = f"vhca:{lab.profile.vhca_id:#x}" if offered else "func:0x0/ec"
    assert accounts(audit(log))[own] == (START, START, 0, 0, 0, START)
    assert audit(log)["sessions"][0]["mode"] == ("vhca_id" if offered else "func_id")


def test_messages_of_the_page_path_switched_on_while_the_driver_is_loaded(new: Kernel, tmp_path: Path) -> None:
    """By the commands that an audit suggests; the session that was open then is not known, the next one is."""
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(new) as g:
        g.ok("load")
        lab.until({"self": START})
        g.ok(PAGE_LINES)
        g.ok(DUMPS)
        address = g.ok("address").strip()
        driver = "/sys/bus/pci/drivers/mlx5_core"
        g.ok(f"echo {address} > {driver}/unbind")
        lab.wait(lambda: lab.session.end != "open")
        g.ok(f"echo {address} > {driver}/bind")
        lab.until({"self": START})
        lab.want(vf0=600)
        lab.until({"self": START, "vf0": 600})
        lab.reset("vf0")
        lab.until({"self": START})
        g.ok("unload")
        clean(lab, g, sessions=2)
        g.off()
    log = tmp_path / "console.log"
    log.write_text(g.console().replace("\r\n", "\n"))
    first, second = audit(log)["sessions"]
    assert (first["verdict"], first["missing"][0]["command"]) == ("not known", LINES_AT_LOAD)
    assert (second["verdict"], second["end"]) == ("clean", "closed")
    assert (second["totals"]["given"], second["totals"]["returned"], second["totals"]["released"]) == (
        START + 600,
        START,
        600,
    )
