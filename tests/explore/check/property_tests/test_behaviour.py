"""Properties of a driver's behaviour that mutants survived: their tests by hand."""

from __future__ import annotations

from dataclasses import replace

from fwpages.custody.findings import Cause
from fwpages.device import Submitted
from fwpages.explore.check.property_tests.behaviour import early_teardown, failed_open, needless_reset
from fwpages.explore.model.log import FromDriver, ToDevice, ToDriver
from fwpages.host import Close, Done, Finding, HealthFatal, Reset
from fwpages.host.io import CLOSE, OPEN
from fwpages.pages.words import many
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode, Teardown
from tests.explore.check.test_properties import rest
from tests.explore.small_worlds import HEAD, OverriddenDriver, at, made, steps

RESET = FromDriver(Reset(1, "why not"))
DOWN = ToDevice(Submitted(1, Command(Opcode.TEARDOWN_HCA, fields={"profile": 0}), 16))


def test_a_reset_needs_a_fault_trouble_or_a_fast_close() -> None:
    w = rest()
    assert needless_reset(w) is None
    w = replace(w, log=[RESET])
    assert needless_reset(w) == "a reset is asked for: why not"
    assert needless_reset(replace(w, log=[ToDriver(HealthFatal("it burns")), RESET])) is None
    assert needless_reset(replace(w, faults_left=w.faults_left - 1)) is None
    fast = made(HEAD + steps("open", "close") + 'how = "fast"\n').build()
    (deeds,) = fast.rules.plan.values()
    assert Close(Teardown.PREPARE_FAST) in [d.act for d in deeds]
    assert needless_reset(replace(fast, log=[RESET])) is None


def test_an_open_that_fails_leaves_no_page_with_the_device_unless_the_device_cannot_be_fenced() -> None:
    failed = FromDriver(Done(1, OPEN, ok=False, detail="why not"))
    w = replace(rest(), log=[failed])
    assert (
        failed_open(w) == f"the open failed, and firmware has {many(sum(p.size for p in w.firmware.holds().values()))}"
    )
    assert failed_open(replace(w, log=[failed, FromDriver(Finding(Cause.NOT_FENCED))])) is None
    assert failed_open(replace(w, log=[FromDriver(Done(1, OPEN, ok=True))])) is None
    assert failed_open(replace(w, log=[FromDriver(Done(1, CLOSE, ok=False))])) is None
    assert failed_open(replace(made(HEAD + steps("open")).build(), log=[failed])) is None


def test_a_teardown_waits_for_the_pages_of_functions_that_the_e_switch_knew() -> None:
    w = replace(rest(), log=[DOWN])
    assert early_teardown(w) == "TEARDOWN_HCA, and firmware has 1 page of vf0"
    for counter in (None, "unknown"):
        other = OverriddenDriver(w.driver, counted_as=lambda _, counter=counter: counter)
        assert early_teardown(replace(w, driver=other)) is None  # type: ignore[arg-type]  # it has what a driver has
    assert early_teardown(replace(w, faults_left=w.faults_left - 1)) is None
    assert early_teardown(replace(w, log=[])) is None
    assert early_teardown(replace(at("session", "open"), log=[DOWN])) is None
