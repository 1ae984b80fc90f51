"""Devices for machines in tests, and what both sides must agree upon."""

from __future__ import annotations

import re

from fwpages.scenario import load
from fwpages.scenario.format import Scenario
from fwpages.trial.guest import Guest
from fwpages.trial.lab import Lab

#: a device whose start-up is quick, and functions of every kind that a PF has, or an ECPF
PF = """
[device]
profile = "connectx7"
init_pages = 2000
{capabilities}
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
[[function]]
name = "vf1"
type = "vf"
index = 1
vhca_id = 0x32
[[function]]
name = "sf0"
type = "sf"
vhca_id = 0x90
{steps}
"""
ECPF = """
[device]
profile = "bluefield3"
init_pages = 2000
{capabilities}
[[function]]
name = "host-pf"
type = "host_pf"
vhca_id = 1
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
[[function]]
name = "vf1"
type = "vf"
index = 1
vhca_id = 0x32
[[function]]
name = "sf0"
type = "sf"
vhca_id = 0x90
[[function]]
name = "ec-vf0"
type = "ec_vf"
vhca_id = 0x51
{steps}
"""
OPEN = """
[[step]]
do = "open"
"""
NOT_OFFERED = "capabilities = { icm_mng_function_id_mode = 0 }"


def scenario(text: str, *, offered: bool = True, steps: str = OPEN) -> Scenario:
    return load("lab", text=text.format(capabilities="" if offered else NOT_OFFERED, steps=steps))


#: what a kernel says when something is wrong with itself, or when its console has lines no more that may have said so
_BAD = re.compile(r"printk messages dropped|WARNING:|BUG:|Call Trace|Oops|hung task|blocked for more than|soft lockup")
#: what its driver says when something is wrong with the device or with pages
_WRONG = re.compile(r"not found|[Tt]ime-?out|timed out|leak|[Ff]ailed|[Ee]rror|refused|corruption|giving up")
#: what an emulated device of this kind makes it say in any case
_USUAL = re.compile(r"vendor specific ID|HW clock init|no errors\(0|pci atomics|devlink_param")


def complaints(log: str) -> list[str]:
    """The lines in which the kernel complains of itself, or its driver of the device."""
    return [
        row
        for row in log.splitlines()
        if _BAD.search(row) or ("mlx5_core" in row and _WRONG.search(row) and not _USUAL.search(row))
    ]


def agree(lab: Lab, g: Guest) -> dict[str, int]:
    """Both sides count the same; what is held on ours."""
    mine = lab.held()
    theirs = g.ok(f"held {sum(mine.values())}").strip()
    assert int(theirs) == sum(mine.values()), (mine, g.pages())
    lab.call(lab.serving.observer.inner.check)
    return mine


def clean(lab: Lab, g: Guest, sessions: int = 1) -> None:
    """The latest session was closed with nothing left, the driver broke no rule, the kernel did not complain."""
    lab.wait(lambda: lab.session.end != "open")
    assert lab.held() == {}
    assert lab.session.clean, lab.session
    assert len(lab.serving.observer.sessions) == sessions
    assert not lab.offences, (lab.offences, list(lab.events)[-40:])
    assert lab.serving.unfollowed == []
    wrong = complaints(g.console())
    assert not wrong, "\n".join(wrong)
    s = lab.session
    assert s.total("given") == s.total("returned") + s.total("released")
    lab.call(lab.serving.observer.inner.check)
