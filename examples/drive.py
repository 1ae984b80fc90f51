"""Enable, use and disable a VF, and print the pages held after each step: ``python drive.py [PROFILE]``."""

from __future__ import annotations

import sys

import fwpages as fw


def main(profile: str = "connectx7") -> int:
    """Return 0 if every page came back, 1 if not."""
    device = fw.Device(profile, each=2)
    with fw.open(device) as session:

        def show(moment: str) -> None:
            session.run_until_idle()
            held = ", ".join(f"{f.identity} ({f.type}) {f.held}" for f in session.accounts.functions if f.held)
            print(f"{moment:<16} {held}")

        show("open")
        vf = session.eswitch.enable_vf(0)
        device.request_pages(vf, 2048)
        show("VF enabled")
        device.request_pages(vf, -48)
        show("48 less")
        device.reset_function(vf)
        show("VF reset")
        device.request_pages(vf, 512)
        show("at work again")
        session.eswitch.disable(vf)
        show("VF disabled")
    totals = session.result.totals
    print(f"closed: {totals.given} given, {totals.returned} returned, {totals.released} released, {totals.held} left")
    return 0 if session.result.clean else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
