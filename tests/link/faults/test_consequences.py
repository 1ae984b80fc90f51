from __future__ import annotations

from fwpages.device import Offence, OffenceName
from fwpages.link.faults.consequences import cause_of
from fwpages.link.queue.offences import WireOffence, WireOffenceName


def test_an_offence_is_caused_by_a_fault_that_took_effect_and_can_cause_it() -> None:
    offence = Offence(OffenceName.PAGES_MISSING, None, "37 boot pages missing")
    assert cause_of(offence, ("give-late", "pages-zero", "pages-least")) == "pages-zero"
    assert cause_of(offence, ("give-late", "take-refused")) is None
    assert cause_of(offence, ()) is None


def test_an_event_queue_that_our_own_storm_overruns_is_not_the_drivers_offence() -> None:
    offence = WireOffence(WireOffenceName.EQ_OVERRUN, "EQ 3: 256 entries not consumed")
    assert cause_of(offence, ("request-storm",)) == "request-storm"
    assert cause_of(offence, ("request-twice",)) is None
