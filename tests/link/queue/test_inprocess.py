"""Host and firmware over the command queue: every session is the one of the direct link, and every fault too."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fwpages.device import Firmware, FunctionSpec, PlannedFault, Raised, Want, profile
from fwpages.host import (
    Bounds,
    Close,
    Config,
    DisableVport,
    Done,
    EnableVport,
    Finding,
    FunctionsChanged,
    Host,
    Misuse,
    Open,
    VportInfo,
    WantedMode,
    books,
)
from fwpages.host import Phase as HostPhase
from fwpages.link.faults.byte_faults import BYTE_FAULTS
from fwpages.link.faults.injector import LinkInjector
from fwpages.link.inprocess import InProcess
from fwpages.link.queue.inprocess import InProcessQueue
from tests.link.test_inprocess import ECPF_ROWS, ROWS, SMALL, SMALL_ECPF, Watch, actions, play, settled


def joined(
    kind: type[InProcess], *, ecpf: bool = False, tap: Watch | None = None, faults: LinkInjector | None = None
) -> InProcess:
    p, rows = (SMALL_ECPF, ECPF_ROWS) if ecpf else (SMALL, ROWS)
    specs = [FunctionSpec(*row[:6], row[6]) for row in rows]
    infos = [VportInfo(v, k, n, ec, vhca if k.value == "spf" else None) for _, k, v, n, ec, vhca, _ in rows]
    host = Host(Config(p.supplier, bounds=Bounds(pages_per_command=16)))
    link = kind(host, Firmware(p, specs), tap=tap, checked=True, faults=faults)
    link.feed(FunctionsChanged(tuple(infos)))
    return link


def queued(**options: bool) -> InProcessQueue:
    link = joined(InProcessQueue, **options)  # type: ignore[arg-type]
    assert isinstance(link, InProcessQueue)
    return link


def test_a_session_in_bytes() -> None:
    link = queued()
    settled(link, Open(), EnableVport(1))
    link.stir(Want("vf0", 100))
    link.stir(Want("vf0", -50))
    link.run_until_idle()
    settled(link, DisableVport(1), Close())
    assert (link.mapped, link.offences, link.wire_offences, link.host.left()) == (0, [], [], 0)
    assert link.driver.slots == {}
    assert link.memory.read(1 << 48, 1) == b"\x07", "commands were written where a device looks for them"


@pytest.mark.many_runs
@settings(max_examples=40)
@given(st.booleans(), st.sampled_from(["auto", "func_id", "vhca_id"]), actions)
def test_random_sessions_are_those_of_the_direct_link(
    ecpf: bool, mode: WantedMode, inputs: list[tuple[str, int, int, int]]
) -> None:
    out = []
    for kind in (InProcess, InProcessQueue):
        watch = Watch()
        link = settled(joined(kind, ecpf=ecpf, tap=watch), Open(mode))
        names = {row[0]: row[2] for row in (ECPF_ROWS if ecpf else ROWS)}
        play(link, names, mode, inputs)
        if isinstance(link, InProcessQueue):
            assert link.wire_offences == []
        out.append((watch.lines, books(link.host), link.events, link.mapped, link.offences, round(link.now, 9)))
    assert out[0] == out[1]


def test_misuse_is_raised_and_nothing_is_lost() -> None:
    link = queued()
    with pytest.raises(Misuse):
        link.feed(Close())
    settled(link, Open(), Close())
    assert link.mapped == 0


@pytest.mark.parametrize("checksum", [1, 3])
def test_a_device_checks_signatures_until_the_driver_turns_it_off(checksum: int) -> None:
    p = msgspec.structs.replace(
        SMALL,
        max={**SMALL.max, "cmdif_checksum": checksum},
        current={**SMALL.current, "cmdif_checksum": checksum},
    )
    ends = []
    for signatures in (True, False):
        link = InProcessQueue(Host(Config(p.supplier)), Firmware(p), checked=True, signatures=signatures)
        settled(link, Open())
        ends.append((link.host.session.phase, [o.name for o in link.wire_offences]))
        if signatures:
            settled(link, Close(), Open(), Close())
            assert (link.mapped, link.wire_offences) == (0, [])
    assert ends[0] == (HostPhase.OPEN, [])
    assert ends[1] == (HostPhase.ENDED, ["bad-signature"]), "as Linux would be refused its boot pages"


def test_a_wrong_signature_is_found_while_signatures_are_checked() -> None:
    p = msgspec.structs.replace(
        SMALL, max={**SMALL.max, "cmdif_checksum": 3}, current={**SMALL.current, "cmdif_checksum": 3}
    )
    faults = LinkInjector((PlannedFault("entry-signature", 2),))
    link = InProcessQueue(Host(Config(p.supplier)), Firmware(p), checked=True, signatures=True, faults=faults)
    settled(link, Open())
    assert [o.name for o in link.wire_offences] == ["bad-signature"]
    assert [f.name for f in link.events if isinstance(f, Finding)] == ["command-refused"]


def test_a_device_that_cannot_be_driven_is_a_link_that_is_lost() -> None:
    link = queued()
    link.device.segment.set("cmd_interface_rev", 4)
    link.feed(Open())
    link.run_until_idle()
    assert [f.name for f in link.events if isinstance(f, Finding)] == ["link-lost"]
    (done,) = [e for e in link.events if isinstance(e, Done)]
    assert not done.ok
    settled(link, Open(), Close())


def test_an_event_queue_that_runs_full_costs_requests_and_no_page() -> None:
    """The driver's doorbells for events never arrive: after a lap the device has no room."""
    faults = LinkInjector((PlannedFault("doorbell-lost", 4, 0),))
    link = joined(InProcessQueue, faults=faults)
    assert isinstance(link, InProcessQueue)
    settled(link, Open())
    for _ in range(300):
        link.stir(Want("self", 1))
    assert {o.name for o in link.wire_offences} == {"eq-overrun"}
    link.run_until_idle()
    link.host.check()
    link.safe()
    settled(link, Close())
    assert (link.mapped, link.host.left()) == (0, 0)


def test_an_interrupt_that_comes_while_one_is_handled_is_next() -> None:
    link = settled(queued(), Open())
    reported: list[Raised] = []
    link._on_event = lambda e: reported.append(e) if isinstance(e, Raised) else None
    for _ in range(300):
        link.stir(Want("self", 1))
    assert len(reported) == 300, "300 requests through a queue of 256"
    link.run_until_idle()
    settled(link, Close())


def test_faults_of_the_wire_have_no_opportunity_without_one() -> None:
    faults = LinkInjector(tuple(PlannedFault(name) for name in BYTE_FAULTS))
    link = joined(InProcess, faults=faults)
    settled(link, Open(), Close())
    assert (link.took, len(link.missed)) == ((), len(BYTE_FAULTS))
    assert profile("connectx7").boot_pages
