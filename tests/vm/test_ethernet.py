"""The driver's Ethernet part on the capabilities and the plain answers that a served device has for it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from fwpages.device.firmware.other_commands import OTHER
from fwpages.trial.kernel import Kernel
from fwpages.trial.lab import Lab
from tests.vm.lab import PF, clean, scenario

START = 37 + 2000
#: what a load makes, and an unload unmakes, whose number is at 0x48:24 in the answer of the one and the command of the
#: other
MADE = ("PD", "TRANSPORT_DOMAIN", "MKEY", "CQ", "RQ", "RQT", "TIR", "TIS")


def others(lab: Lab) -> list[tuple[str, bytes, bytes]]:
    """Commands that have nothing to do with pages, with what was said and answered."""
    asked: dict[object, bytes] = {}
    found = []
    for row in map(json.loads, lab.trace().splitlines()):
        if row["kind"] == "submit":
            asked[row["id"]] = bytes.fromhex(row["in"])
        elif row["kind"] == "complete":
            said = asked[row["id"]]
            name = OTHER.get(int.from_bytes(said[:2], "big"))
            if name is not None:
                found.append((name, said, bytes.fromhex(row["out"])))
    return found


def numbers(found: list[tuple[str, bytes, bytes]], what: str) -> tuple[Counter[int], Counter[int]]:
    """By what numbers those of a kind went when they were made, and when they were unmade."""
    made = [out[9:12] for name, _, out in found if name in (f"CREATE_{what}", f"ALLOC_{what}")]
    gone = [said[9:12] for name, said, _ in found if name in (f"DESTROY_{what}", f"DEALLOC_{what}")]
    return Counter(int.from_bytes(n, "big") for n in made), Counter(int.from_bytes(n, "big") for n in gone)


def test_a_network_interface_comes_and_goes(either: Kernel, tmp_path: Path) -> None:
    """Linux makes one only where every capability is there that it needs (``mlx5_eth_supported``), and unmakes what it
    made by the number that it read."""
    with Lab(scenario(PF), tmp_path) as lab, lab.guest(either) as g:
        g.ok("load")
        lab.until({"self": START})
        assert g.ok("ls /sys/bus/pci/devices/$(address)/net").split() == ["eth0"]
        g.ok("unload")
        clean(lab, g)
        found = others(lab)
        assert not [name for name, _, out in found if out[0]], "every one is answered OK"
        for what in MADE:
            made, gone = numbers(found, what)
            assert made == gone, what
            assert set(made.values()) == {1}, f"{what}: no number twice"
        g.off()
