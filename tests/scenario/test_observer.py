"""The books of a served device, kept by looking on: sessions, moments, pages, and how a session may end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.device import Completed, FunctionSpec, Input, Profile, Raised, Reset, ResetFunction, Submitted, Want
from fwpages.device import profile as profile_named
from fwpages.link.queue.offences import WireOffence, WireOffenceName
from fwpages.prm.identity import FunctionType
from fwpages.prm.message import Answer, Command
from fwpages.prm.opcodes import ManagePages, Opcode, QueryPages
from fwpages.readers.trace_writer import TraceWriter
from fwpages.scenario.observer import MOST_OFFENCES, FunctionPages, Observer, ServedSession
from tests.device.conftest import SF, SPF, VF, VF2, Driver

#: has the vhca_id that vf1 had before
HEIR = FunctionSpec("heir", FunctionType.VF, 3, 3, ec=False, vhca_id=VF.vhca_id, pages=2, reuses="vf1")


class Watched(Driver):
    """A driver whose device is looked at; a second passes with each thing that it feeds."""

    def __init__(self, profile: Profile, functions: Sequence[FunctionSpec] = (VF, VF2, SF)) -> None:
        super().__init__(profile, functions)
        self.stream, self.said, self.t = StringIO(), list[tuple[float, str]](), 0.0
        self.tap = TraceWriter(self.stream, device="small", supplier=profile.supplier)
        self.observer = Observer(self.fw, self.tap, lambda t, words: self.said.append((t, words)))

    def feed(self, x: Input) -> Answer | None:
        self.t += 1.0
        if isinstance(x, Submitted):
            self.observer.watch(self.t, x, slot=3)
        answer = None
        for effect in self.fw.feed(self.t, x):
            self.observer.watch(self.t, effect)
            answer = effect.answer if isinstance(effect, Completed) else answer
            if isinstance(effect, Raised):
                self.events.append(effect.event)
        return answer

    @property
    def now(self) -> ServedSession:
        return self.observer.sessions[-1]


def moments(d: Watched) -> set[str]:
    return {str(m) for m in d.observer.moments}


@pytest.fixture
def small() -> Profile:
    caps = {"release_all_pages": 1, "icm_mng_function_id_mode": 1}
    return Profile(name="small", description="", boot_pages=3, init_pages=10, vhca_id=0x2A, max_vfs=4, max=caps)


@pytest.fixture(params=[False, True], ids=["func_id", "vhca_id"])
def d(small: Profile, request: pytest.FixtureRequest) -> Watched:
    """A driver at work in either mode, looked at from the beginning."""
    d = Watched(small)
    d.open(by_vhca_id=request.param)
    return d


def of_vf(d: Watched, spec: FunctionSpec = VF) -> dict[str, int]:
    who = spec.identity(d.fw.mode)
    assert who is not None
    return who.fields


def give_vf(d: Watched, n: int, spec: FunctionSpec = VF) -> None:
    who = spec.identity(d.fw.mode)
    assert who is not None
    d.give(who, n)


# -- a session ---------------------------------------------------------------------------------------------------------


def test_a_session_from_its_beginning_to_its_end(d: Watched) -> None:
    """It is up when the driver takes page requests, not before, and closed with nothing left."""
    assert (d.now.number, d.now.begun, d.now.mode) == (1, 1.0, d.fw.mode)
    assert (d.now.up, d.observer.open, moments(d)) == (d.t - 1.0, True, {"open"})
    assert d.now.functions == {"self": FunctionPages(given=13, held=13, peak=13)}
    words = f"the driver takes page requests, {d.now.up:.3f} s after it began; 13 pages (0.051 MiB) held: the PF 13"
    assert d.said[-1] == (d.t, words)
    sent = d.observer.commands
    d.close()
    assert (d.now.end, d.now.ended, d.now.clean) == ("closed", d.t, True)
    assert (d.observer.session, d.observer.open) == (None, False)
    assert d.now.commands == d.observer.commands > sent
    assert "close" in moments(d)
    assert d.said[-1] == (d.t, "session 1 is closed, 0 pages left")
    assert d.observer.last_command == d.t


def test_a_session_that_leaves_pages_behind_is_not_clean(d: Watched) -> None:
    d.ok(Opcode.TEARDOWN_HCA)
    d.take(d.own, 6)
    d.send(Command(Opcode.DISABLE_HCA))
    assert (d.now.end, d.now.total("held"), d.now.clean) == ("closed", 7, False)
    assert [(n, o.name) for n, o in d.observer.offences] == [(1, "disabled-with-pages")]


@pytest.mark.parametrize("trouble", [None, "health", "lost"])
def test_a_reset_is_right_in_trouble_and_wrong_without(d: Watched, trouble: str | None) -> None:
    if trouble is not None:
        d.observer.troubled(50.0, "health" if trouble == "health" else "lost", "syndrome 0x8")
    d.feed(Reset())
    assert (d.now.end, d.now.ended, d.now.total("held")) == ("reset", d.t, 13)
    assert d.now.clean is d.now.dropped is (trouble is not None)
    said = [words for _, words in d.said]
    assert "session 1 is over: the device is reset, 13 pages (0.051 MiB) dropped" in said
    line = {"health": "firmware reports a fatal state", "lost": "the link is lost"}.get(trouble or "")
    assert [w for w in said if "syndrome 0x8" in w] == (
        [f"{line} (syndrome 0x8); 13 pages (0.051 MiB) held: the PF 13"] * bool(line)
    )
    d.feed(Reset())
    assert d.now.ended == d.t - 1.0, "what is over does not end again"


def test_trouble_is_no_excuse_for_a_close_that_leaves_pages(d: Watched) -> None:
    d.observer.troubled(50.0, "health", "syndrome 0x8")
    d.ok(Opcode.TEARDOWN_HCA)
    d.send(Command(Opcode.DISABLE_HCA))
    assert (d.now.end, d.now.dropped, d.now.clean) == ("closed", False, False)


def test_without_a_session_nothing_is_over_and_nothing_is_in_trouble(small: Profile) -> None:
    d = Watched(small)
    d.feed(Reset())
    d.observer.over(1.0, "gone", "the machine is gone")
    d.observer.troubled(1.0, "lost", "all ones")
    assert (d.observer.sessions, d.said, d.observer.last_command) == ([], [], 0.0)


def test_what_was_refused_is_counted_and_moves_no_page(d: Watched) -> None:
    d.feed(Want("vf1", 2))
    before = dict(d.now.functions)
    assert not d.send(d.give_command(d.own, 1)).ok
    assert (d.now.refused, d.now.functions) == (1, before)
    assert [o.name for _, o in d.observer.offences] == ["unrequested-give"]


def test_two_sessions_have_numbers_and_books_of_their_own(d: Watched) -> None:
    d.close()
    first = d.now
    d.own, d.given = Driver(d.profile).own, {}
    d.boot()
    assert [s.number for s in d.observer.sessions] == [1, 2]
    assert (d.now.functions["self"].given, first.functions["self"].given) == (3, 13)
    assert (d.now.up, first.up is None) == (None, False)


@pytest.mark.parametrize(
    ("fields", "reply_length"), [({"function_id": 1}, None), ({}, 4)], ids=["for a VF", "no room for the answer"]
)
def test_an_enable_hca_that_is_refused_begins_no_session(
    small: Profile, fields: dict[str, int], reply_length: int | None
) -> None:
    """The next good one does, as the first."""
    d = Watched(small)
    assert not d.send(Command(Opcode.ENABLE_HCA, fields=fields), reply_length).ok
    assert (d.observer.sessions, d.observer.session, d.observer.commands) == ([], None, 1)
    began = [words for _, words in d.said if "opens the device" in words]
    refused = [words for _, words in d.said if "did not begin" in words]
    assert began == ["session 1: the driver opens the device"] * len(refused), "what was reported is taken back"
    d.open()
    d.close()
    assert [(s.number, s.end, s.clean) for s in d.observer.sessions] == [(1, "closed", True)]
    d.send(Command(Opcode.ENABLE_HCA), 4)
    assert (len(d.observer.sessions), d.now.refused) == (1, 0), "nor does it trouble the one before"


# -- pages -------------------------------------------------------------------------------------------------------------


def test_every_page_is_booked_on_the_function_s_name(d: Watched) -> None:
    d.ok(Opcode.ENABLE_HCA, function_id=1)
    give_vf(d, 5)
    d.feed(Want("vf1", -2))
    d.ok(Opcode.MANAGE_PAGES, ManagePages.TAKE, **of_vf(d), input_num_entries=2)
    assert d.now.functions["vf1"] == FunctionPages(given=5, returned=2, held=3, peak=5)
    d.feed(ResetFunction("vf1"))
    assert d.now.functions["vf1"] == FunctionPages(given=5, returned=2, released=3, held=0, peak=5)
    assert d.now.functions["self"] == FunctionPages(given=13, held=13, peak=13)
    assert [d.now.total(w) for w in ("given", "returned", "released", "held")] == [18, 2, 3, 13]
    give_vf(d, 4)
    assert d.now.functions["vf1"] == FunctionPages(given=9, returned=2, released=3, held=4, peak=5)


def test_each_event_has_its_words(d: Watched) -> None:
    d.said.clear()
    d.ok(Opcode.ENABLE_HCA, function_id=2)
    give_vf(d, 7, VF2)
    d.ok(Opcode.MANAGE_PAGES, ManagePages.CANT_GIVE, **of_vf(d))
    d.feed(ResetFunction("vf2"))
    vf1, vf2 = (f"{spec.name} ({spec.identity(d.now.mode)})" for spec in (VF, VF2))
    seven = "7 pages (0.027 MiB)"
    assert [words for _, words in d.said] == [
        "the driver enables vf2",
        f"firmware asks for {seven} for {vf2}",
        f"{seven} for {vf2}; 20 pages (0.078 MiB) held: the PF 13, vf2 7",
        f"the driver cannot give pages for {vf1}; 20 pages (0.078 MiB) held: the PF 13, vf2 7",
        f"firmware lets go of all pages of {vf2}",
        f"firmware asks for {seven} for {vf2}",
    ]


def test_moments_are_those_that_a_step_may_wait_for(d: Watched) -> None:
    d.ok(Opcode.ENABLE_HCA, function_id=1)
    assert moments(d) == {"open", "enable vf1", "request vf1"}
    d.ok(Opcode.DISABLE_HCA, function_id=1)
    assert moments(d) == {"open", "enable vf1", "disable vf1", "request vf1"}
    assert d.now.requests == 1, "nothing was given, so that nothing is asked back"
    assert not d.send(Command(Opcode.DISABLE_HCA, fields={"function_id": 2})).ok
    assert "disable vf2" not in moments(d), "it was refused"


def test_an_sf_comes_and_goes_as_a_moment_too(d: Watched) -> None:
    d.ok(Opcode.ALLOC_SF, function_id=SF.function_id)
    assert moments(d) == {"open", "enable sf", "request sf"}
    d.ok(Opcode.DEALLOC_SF, function_id=SF.function_id)
    assert moments(d) == {"open", "enable sf", "disable sf", "request sf"}
    assert [w for _, w in d.said if w.endswith("s sf")] == ["the driver allocates sf", "the driver deallocates sf"]


def test_an_spf_s_function_id_names_no_function(small: Profile) -> None:
    """It may be 0, as the supplier's own is: in FUNC_ID mode that means the supplier alone."""
    d = Watched(small, (SPF, VF))
    d.open(by_vhca_id=False)
    assert list(d.now.functions) == ["self"]
    assert (SPF.function_id, d.now.functions["self"].given) == (0, 13)


# -- a vhca_id that is used again --------------------------------------------------------------------------------------


def held(d: Watched) -> dict[str, int]:
    return {name: f.held for name, f in d.now.functions.items() if name != "self"}


def test_pages_of_a_vhca_id_are_those_of_its_present_function(small: Profile) -> None:
    """Also where the scenario has functions that no driver enables: the first that wants pages begins its time."""
    d = Watched(small, (VF, HEIR))
    d.open()
    d.feed(Want("vf1", 5))
    give_vf(d, 5)
    assert d.now.functions["vf1"] == FunctionPages(given=5, held=5, peak=5)
    d.feed(ResetFunction("vf1"))
    assert d.now.functions["vf1"] == FunctionPages(given=5, released=5, peak=5)
    d.feed(Want("heir", 2))
    give_vf(d, 2)
    assert held(d) == {"vf1": 0, "heir": 2}
    assert {"request vf1", "request heir"} < moments(d)
    assert d.said[-1][1] == (
        f"2 pages (0.008 MiB) for heir ({HEIR.identity(d.now.mode)}); 15 pages (0.059 MiB) held: the PF 13, heir 2"
    )


def test_pages_that_come_back_are_whose_they_were(small: Profile) -> None:
    """A TAKE names the vhca_id: of what it gets, the pages of the function before it are not counted."""
    d = Watched(small, (VF, HEIR))
    d.open(release_all=False)
    d.ok(Opcode.ENABLE_HCA, function_id=VF.function_id)
    give_vf(d, 5)
    d.ok(Opcode.DISABLE_HCA, function_id=VF.function_id)
    d.ok(Opcode.ENABLE_HCA, function_id=HEIR.function_id)
    give_vf(d, 2)
    assert held(d) == {"vf1": 5, "heir": 2}
    d.ok(Opcode.MANAGE_PAGES, ManagePages.TAKE, **of_vf(d), input_num_entries=3)
    assert held(d) == {"vf1": 2, "heir": 2}
    d.ok(Opcode.DISABLE_HCA, function_id=HEIR.function_id)
    d.ok(Opcode.MANAGE_PAGES, ManagePages.TAKE, **of_vf(d), input_num_entries=3)
    assert d.now.functions["vf1"] == FunctionPages(given=5, returned=5, held=0, peak=5)
    assert d.now.functions["heir"] == FunctionPages(given=2, returned=1, held=1, peak=2)


def test_a_vhca_id_that_comes_back_to_its_first_owner(small: Profile) -> None:
    d = Watched(small, (VF, HEIR))
    d.open()
    for spec, n in ((VF, 5), (HEIR, 2), (VF, 5)):
        d.ok(Opcode.ENABLE_HCA, function_id=spec.function_id)
        give_vf(d, n)
        d.ok(Opcode.DISABLE_HCA, function_id=spec.function_id)
    assert held(d) == {"vf1": 10, "heir": 2}
    assert d.said[-2][1] == "the driver disables vf1"
    d.close()
    assert (d.now.clean, d.now.functions["heir"].returned, d.now.functions["vf1"].returned) == (True, 2, 10)


def test_an_embedded_cpu_and_its_host_have_the_same_number_and_different_books() -> None:
    """In FUNC_ID mode the ec bit tells them apart."""
    host = FunctionSpec("host", FunctionType.HOST_PF, 0, 0, ec=False, vhca_id=0x10, pages=8)
    ec_vf = FunctionSpec("ec_vf", FunctionType.EC_VF, 0x4001, 1, ec=True, vhca_id=0x12)
    d = Watched(profile_named("bluefield3"), [host, ec_vf, VF])
    d.open(by_vhca_id=False)
    d.ok(Opcode.ENABLE_HCA)
    d.feed(Want("ec_vf", 3))
    for spec, n in ((host, 8), (ec_vf, 3)):
        give_vf(d, n, spec)
    held = {name: f.held for name, f in d.now.functions.items()}
    assert held == {"self": 37 + 12868, "host": 8, "ec_vf": 3}


def test_an_answer_to_nothing_is_passed_over(d: Watched) -> None:
    before = (d.now.commands, d.now.refused, len(d.said))
    d.observer.watch(9.0, Completed(9999, Answer(Opcode.MANAGE_PAGES, fields={"output_num_entries": 5})))
    assert (d.now.commands, d.now.refused, len(d.said)) == before


def test_offences_of_the_wire_are_kept_too_and_as_many_as_make_sense(small: Profile) -> None:
    """Those before the first session belong to session 0."""
    d = Watched(small)
    for n in range(MOST_OFFENCES + 3):
        d.observer.watch(float(n), WireOffence(WireOffenceName.NOT_OWNED, f"slot {n}", slot=n))
        if n == 0:
            d.enable()
    numbers = [number for number, _ in d.observer.offences]
    assert (len(numbers), numbers[:2], numbers[-1]) == (MOST_OFFENCES, [0, 1], 1)
    d.observer.lines.flush(d.t)
    assert d.said[-1][1].endswith(f"more like this one: OFFENCE not-owned: slot {MOST_OFFENCES + 2}")


def test_an_audit_of_its_trace_comes_to_the_same_books(d: Watched, tmp_path: Path) -> None:
    d.ok(Opcode.ENABLE_HCA, function_id=1)
    give_vf(d, 5)
    d.feed(ResetFunction("vf1"))
    d.observer.troubled(d.t, "lost", "all reads return ones")
    d.feed(Reset())
    d.observer.back(d.t + 1.0)
    d.own, d.given = Driver(d.profile).own, {}
    d.boot()
    d.ok(Opcode.QUERY_PAGES, QueryPages.REGULAR)
    d.tap.end()
    rows = [json.loads(row) for row in d.stream.getvalue().splitlines()]
    assert {row["slot"] for row in rows if row["kind"] == "submit"} == {3}
    assert [row["what"] for row in rows if row["kind"] == "link"] == ["lost", "fenced", "back"]
    path = tmp_path / "trace.jsonl"
    path.write_text(d.stream.getvalue())
    one, two = audit(path).sessions
    ours = d.observer.sessions
    assert [(s.totals.given, s.totals.released) for s in (one, two)] == [(18, 5), (3, 0)]
    assert [(s.total("given"), s.total("released")) for s in ours] == [(18, 5), (3, 0)]
    assert (one.totals.discarded, ours[0].total("held")) == (13, 13)
    assert [f.name for f in (*one.findings, *two.findings)] == ["link-lost"]
