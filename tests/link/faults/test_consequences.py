from __future__ import annotations

from fwpages.device import OFFENCES, Offence
from fwpages.link.faults.consequences import MISLEADS, misled
from fwpages.scenario.fault_syntax import EVERY_FAULT


def test_the_table_names_faults_and_offences_that_there_are() -> None:
    assert MISLEADS.keys() <= EVERY_FAULT.keys()
    assert set().union(*MISLEADS.values()) <= OFFENCES.keys()


def test_an_offence_is_a_faults_doing_where_that_fault_leads_to_it_and_took_effect() -> None:
    offence = Offence("pages-missing", None, "37 boot pages missing")
    assert misled(offence, ("give-late", "pages-zero", "pages-least")) == "pages-zero"
    assert misled(offence, ("give-late", "take-refused")) is None
    assert misled(offence, ()) is None
