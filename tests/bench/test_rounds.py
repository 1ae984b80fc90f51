from __future__ import annotations

import pytest
from rich.console import Console

from fwpages.bench.cases import CASES, chosen
from fwpages.bench.processes import bare_import, memory, program_help
from fwpages.bench.report import figure, ratio, table
from fwpages.bench.rounds import Result, timed
from fwpages.bench.shape import Case, Round, Shape


class Count:
    """Rounds that take 0, 1, 2 … seconds, and say in which order they were asked for."""

    def __init__(self, name: str, log: list[str], factor: float = 1.0) -> None:
        self.name = name
        self.log = log
        self.factor = factor
        self.rounds = 0

    def run(self, _: Case | Shape) -> Round:
        self.log.append(self.name)
        self.rounds += 1
        return {"give": (self.rounds - 1) * self.factor}


class Nothing:
    name = "nothing"

    def run(self, _: Case) -> Round | None:
        return None


def case(log: list[str], unit: str = "seconds", pages: int = 1000) -> Case:
    return Case("made-up", "for a test", Shape(pages, 10), {"give": "ascending"}, Count("ours", log).run, unit)


def test_the_first_round_does_not_count_and_the_peers_lie_between() -> None:
    log: list[str] = []
    peer = Count("peer", log, 2.0)
    watched: list[str] = []
    (r,) = timed([case(log)], 5, [peer, Nothing()], lambda c: watched.append(c.name))
    assert log == ["ours", "peer"] * 6
    assert watched == ["made-up"] * 6
    assert (r.seconds, r.ns_per_page, r.spread, r.bytes_per_page) == (3.0, 3e6, (1e6, 5e6), None)
    assert (r.peer, r.ratio) == ("peer", 0.5)


def test_memory_is_not_time_and_a_program_has_no_pages() -> None:
    (size,) = timed([case([], "bytes")], 5)
    assert (size.seconds, size.ns_per_page, size.bytes_per_page, size.peer) == (None, None, 0.003, None)
    (whole,) = timed([case([], pages=0)], 5)
    assert (whole.seconds, whole.ns_per_page, whole.spread) == (3.0, None, (1.0, 5.0))


def result(peer: str | None, times: float | None) -> Result:
    return Result("ledger-1", "give", 10, 1, 1, "ascending", 5.5, None, 1.0, (5.0, 6.0), peer, times)


def test_a_row_has_all_peers_beside_it() -> None:
    console = Console(width=120, record=True, quiet=True)
    console.print(table([result("linux", 0.125), result("copy", 12.0)], 5))
    assert figure(result(None, None)) == "5.5 ns/page"
    assert [ratio(x) for x in (0.125, 1.0, 12.0)] == ["1/8.0", "1.00", "12.00"]


def test_cases_are_asked_for_by_name_or_by_how_they_begin() -> None:
    assert chosen(()) == CASES
    assert [c.name for c in chosen(("ledger-1", "wire"))] == ["ledger-1", "wire", "wire-signed", "wire-scattered"]
    with pytest.raises(ValueError, match="no case 'ledge'; did you mean ledger-1, ledger-64 or ledger-16"):
        chosen(("ledge",))
    assert len({c.name for c in CASES}) == len(CASES)


def test_processes() -> None:
    assert program_help(Shape(0))["help"] > 0
    assert bare_import(Shape(0))["import"] > 0
    # a tag of four bytes and room to grow
    assert 3 * 500_000 < memory(Shape(500_000, 50_000))["memory"] < 20 * 500_000
