"""Each choice by itself makes the difference that it is named for, on top of either design."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np
import pytest

from fwpages.explore.designs import DESIGN_WORDS, DESIGNS
from fwpages.explore.designs.linux.choices import MERGED, POSTED, Choices
from fwpages.explore.designs.linux.driver import Linux
from fwpages.explore.model.driver import DriverConfig
from fwpages.host import Close, DisableVport, EnableVport, FunctionsChanged, Open, VportInfo
from fwpages.prm.identity import Supplier, vhca_id
from fwpages.prm.message import Answer
from fwpages.prm.opcodes import Opcode
from fwpages.prm.status import Status
from tests.explore.designs.driver_run import BOUNDS, DriverRun, T
from tests.explore.designs.linux.test_pages import TAKE, manages

PF, ECPF = Supplier(max_vfs=4), Supplier(True, 4, 4)


def run(choices: Choices, *, ecpf: bool = False, removes: bool = False) -> DriverRun:
    """An open device under a driver with these choices, that knows its vports."""
    driver = Linux(choices, DriverConfig(ECPF if ecpf else PF, BOUNDS), removes=removes)
    made = DriverRun("", ecpf=ecpf, driver=driver)
    made.do(Open())
    made.do(FunctionsChanged(made.vports))
    return made


def cached(c: Choices) -> object:
    """The type of pages that are out when their vhca_id is another function's."""
    a = run(c)
    a.do(EnableVport(1))
    a.fate = lambda x: Answer(x.opcode, Status.RES_BUSY) if manages(x, TAKE) else None
    a.do(DisableVport(1), FunctionsChanged((VportInfo(0x201, T.SF, 0x201, vhca_id=0x31),)))
    a.fate = lambda x: Answer(x.opcode) if x.opcode == Opcode.ALLOC_SF else None
    a.do(EnableVport(0x201))
    return a.driver.counted_as(vhca_id(0x31)) == "vf"


def by_page(c: Choices) -> object:
    """The total, where an answer names a page that no function has."""
    a = run(c)
    foreign = np.array([1 << 50], np.uint64)
    a.fate = lambda x: Answer(x.opcode, fields={"output_num_entries": 1}, pas=foreign) if manages(x, TAKE) else None
    a.do(a.request(0x2A, -1))
    return a.driver.view().counters["total"] == 5


def walks(c: Choices) -> object:
    """A vport that is disabled still tells the type, or does not, of its vhca_id, as the table of vports does."""
    a = run(c)
    a.do(EnableVport(1), DisableVport(1))
    return a.driver.counted_as(vhca_id(0x31)) == "vf"


def spf(c: Choices) -> object:
    """The type of a satellite PF that is enabled."""
    a = run(c, ecpf=True)
    a.do(EnableVport(0x2000))
    return a.driver.counted_as(vhca_id(0x36)) == "spf"


def rename_first(c: Choices) -> object:
    """The old key is there in the middle of the migration, or is not."""
    driver = Linux(c, DriverConfig(PF, BOUNDS))
    a = DriverRun("", driver=driver)
    a.stopped = {"driver"}
    a.do(Open())
    return 0 in driver.roots


def guard(c: Choices) -> object:
    """Counters that are left are passed over where the e-switch is gone, or are not."""
    a = run(c, removes=True)
    a.do(EnableVport(1))
    a.fate = lambda x: Answer(x.opcode, Status.INTERNAL_ERR) if manages(x, TAKE) and x["function_id"] == 0x31 else None
    a.do(Close())
    return "warn-counter-left" not in a.names()


SHOWN: dict[str, Callable[[Choices], object]] = {
    "cached": cached,
    "by_page": by_page,
    "walks": walks,
    "spf": spf,
    "rename_first": rename_first,
    "guard": guard,
}
NAMES = [f.name for f in fields(Choices) if f.name not in ("name", "words")]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("design", [POSTED, MERGED], ids=lambda c: c.name)
def test_a_choice_makes_its_difference_whatever_the_others_are(design: Choices, name: str) -> None:
    both = [replace(design, **{name: there}) for there in (False, True)]  # type: ignore[arg-type]  # by name
    assert [SHOWN[name](choices) for choices in both] == [False, True]


def test_the_two_designs_differ_in_every_choice() -> None:
    """One that both had made alike would be no choice, and the code would cite Linux for it."""
    assert [n for n in NAMES if getattr(POSTED, n) is getattr(MERGED, n)] == []


@pytest.mark.parametrize("name", ["posted", "merged"])
def test_a_design_is_found_by_the_name_of_its_choices(name: str) -> None:
    driver = DESIGNS[name](DriverConfig())
    assert isinstance(driver, Linux)
    assert driver.choices.name == name
    assert DESIGN_WORDS.keys() == DESIGNS.keys()
