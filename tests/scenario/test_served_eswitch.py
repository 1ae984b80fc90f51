"""Functions that a driver's e-switch enables: the steps of a scenario wait for it, and mean what they mean in a run."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from fwpages.auditor.audit import audit
from fwpages.device import Asks
from fwpages.prm.event import EventType
from fwpages.prm.message import Command
from fwpages.prm.opcodes import Opcode
from fwpages.readers.trace_writer import TraceWriter
from fwpages.scenario import ScenarioError, load
from fwpages.scenario.served_runner import ServedRun
from fwpages.scenario.served_steps import QUIET, STEP_WAIT
from fwpages.scenario.topology import device_profile, functions, names_of
from tests.link.vfio_driver import Driver
from tests.scenario.stage import Stage

HEAD = """
[device]
profile = "bluefield3"
init_pages = 20
[[function]]
name = "host-pf"
type = "host_pf"
vhca_id = 1
pages = 6
[[function]]
name = "spf0"
type = "spf"
vhca_id = 0x61
pages = 3
""" + "".join(
    f'[[function]]\nname = "vf{n}"\ntype = "vf"\nindex = {n}\nvhca_id = {0x31 + n}\npages = {4 + n}\n' for n in range(3)
)
VPORT = {"host-pf": 0, "vf0": 1, "vf1": 2, "vf2": 3}
NUMBER = {"host-pf": 1, "spf0": 0x61, "vf0": 0x31, "vf1": 0x32, "vf2": 0x33}


def steps(*rows: str) -> str:
    return HEAD + "".join(f"[[step]]\n{row}\n" for row in ('do = "open"', *rows))


def enable(name: str, more: str = "") -> str:
    return f'do = "enable"\nfunction = "{name}"\n{more}'


def disable(name: str) -> str:
    return f'do = "disable"\nfunction = "{name}"'


class Ecpf(Driver):
    """A driver of an embedded CPU with an e-switch, which does as Linux does when it is told to."""

    ec = 1

    def ready(self) -> None:
        """Started, with a queue for events about the e-switch."""
        self.own = self.up()
        self.eqns.append(self.eq(2, 1 << EventType.ESW_FUNCTIONS_CHANGED, self.uar))

    def host_vfs(self) -> int:
        return int.from_bytes(self.ok(Opcode.QUERY_ESW_FUNCTIONS).data[2:4], "big")

    def vport(self, name: str, *, events: int = 1) -> None:
        """Ask for the vport's capabilities and arm its events: it is in the e-switch. Events of 0: no more."""
        if events:
            self.ok(Opcode.QUERY_HCA_CAP, 0, other_function=1, function_id=VPORT[name])
        context = bytes(4) + (1 << 31 | events).to_bytes(4, "big")
        fields = {"other_vport": 1, "vport_number": VPORT[name], "field_select": 1 << 5}
        data = bytes(240) + context.ljust(256, b"\0")
        assert self.command(Command(Opcode.MODIFY_NIC_VPORT_CONTEXT, 0, fields, data=data)).ok

    def serve(self) -> list[tuple[int, int]]:
        """Answer every page request since the last time; returns their vhca_ids and pages."""
        found = []
        while (ev := self.event(1)) is not None:
            found.append((ev.number, ev.num_pages))
            if ev.num_pages > 0:
                self.give(ev.number, ev.num_pages)
            else:
                assert self.take(ev.number, -ev.num_pages) == -ev.num_pages
        return found


def ready(stages: list[Stage], *rows: str) -> tuple[Stage, Ecpf]:
    stage = Stage(steps(*rows))
    stages.append(stage)
    d = Ecpf(stage.serving)
    stage.drivers.append(d)
    d.ready()
    return stage, d


def missed(stage: Stage) -> list[int]:
    return [m.step.number for m in stage.serving.missed]


def test_the_host_pf_is_enabled_by_the_driver_alone(stages: list[Stage]) -> None:
    stage, d = ready(stages, enable("host-pf"), 'do = "request"\nfunction = "host-pf"\npages = 2', disable("host-pf"))
    stage.later(10 * STEP_WAIT)
    assert (missed(stage), stage.serving.unfollowed, d.serve()) == ([1, 2, 3], [], [])
    d.ok(Opcode.ENABLE_HCA, function_id=0)
    assert d.serve() == [(1, 6), (1, 2)]
    assert missed(stage) == [3]
    d.ok(Opcode.DISABLE_HCA, function_id=0)
    assert d.serve() == [(1, -8)]
    stage.later(1)
    assert stage.serving.finished


def test_a_set_of_host_vfs_comes_in_one_step_and_goes_by_number(stages: list[Stage]) -> None:
    stage, d = ready(stages, enable("vf[01]"), disable("vf1"), disable("vf*"))
    assert d.host_vfs() == 0
    stage.later(QUIET + 0.1)
    assert d.host_vfs() == 2, "both at once"
    d.vport("vf0")
    d.vport("vf1")
    assert d.serve() == [(0x31, 4), (0x32, 5)]
    stage.later(QUIET + 0.1)
    assert d.host_vfs() == 0, "through 0, of which the driver has now heard"
    assert d.serve() == [(0x31, -4), (0x32, -5)]
    d.vport("vf0", events=0)
    d.vport("vf1", events=0)
    assert d.host_vfs() == 1
    d.vport("vf0")
    assert d.serve() == [(0x31, 4)]
    stage.later(QUIET + 0.1)
    assert d.host_vfs() == 0
    assert d.serve() == [(0x31, -4)]
    stage.later(1)
    assert (stage.serving.finished, stage.serving.unfollowed) == (True, [])
    assert [w for w in stage.said if w.startswith("the host has")] == [
        f"the host has {n} on: the driver is told to ask" for n in ("2 VFs", "0 VFs", "1 VF", "0 VFs")
    ]


def test_more_host_vfs_come_through_none_too(stages: list[Stage]) -> None:
    """A driver that has not asked is not waited for."""
    stage, d = ready(stages, enable("vf0"), enable("vf2"))
    stage.later(QUIET + 0.1)
    d.vport("vf0")
    d.serve()
    stage.later(QUIET + 0.1)
    assert [w[:14] for w in stage.said if w.startswith("the host has")] == [f"the host has {n}" for n in (1, 0, 3)]
    assert d.serve() == [(0x31, -4)]
    d.vport("vf0")
    d.vport("vf1")
    assert missed(stage) == [2], "vf2 is not in the e-switch so far"
    d.vport("vf2")
    assert d.serve() == [(0x31, 4), (0x32, 5), (0x33, 6)]
    assert stage.serving.finished


EC_VF = '[[function]]\nname = "ec-vf0"\ntype = "ec_vf"\nvhca_id = 0x51\npages = 7\n'


@pytest.mark.parametrize("sriov", [True, False])
def test_an_ec_vf_is_enabled_by_the_driver_where_it_has_sr_iov(stages: list[Stage], sriov: bool) -> None:
    stage = Stage(steps(enable("ec-vf0"), disable("ec-vf0")).replace("[[step]]", EC_VF + "[[step]]", 1), sriov=sriov)
    stages.append(stage)
    d = Ecpf(stage.serving)
    stage.drivers.append(d)
    d.ready()
    assert stage.serving.vfs == int(sriov)
    stage.later(1)
    if sriov:
        assert d.serve() == []
        d.ok(Opcode.ENABLE_HCA, function_id=1, embedded_cpu_function=1)
    assert d.serve()[0] == (0x51, 7)
    if sriov:
        d.ok(Opcode.DISABLE_HCA, function_id=1, embedded_cpu_function=1)
        assert d.serve() == [(0x51, -7)]
    stage.later(1)
    assert stage.serving.finished


def test_the_trace_has_the_type_that_a_command_or_else_the_scenario_shows(tmp_path: Path, stages: list[Stage]) -> None:
    """An audit of it alone tells what the e-switch did; a function that no command is about has the scenario's type."""
    plan = load("test", text=steps('do = "request"\nfunction = "vf2"\npages = 2'))
    path = tmp_path / "trace.jsonl"
    p = device_profile(plan)
    pairs = functions(plan, p)
    stream = StringIO()
    writer = TraceWriter(
        stream,
        device=p.name,
        supplier=p.supplier,
        names=names_of(pairs),
        types={spec.name: spec.type for spec, _ in pairs},
    )
    stage = Stage(steps('do = "request"\nfunction = "vf2"\npages = 2'))
    stage.serving.observer.tap = writer
    stages.append(stage)
    d = Ecpf(stage.serving)
    stage.drivers.append(d)
    d.ready()
    # an ECPF asks for its own capabilities by its vport, too
    d.ok(Opcode.QUERY_HCA_CAP, 0, other_function=1, function_id=0xFFFE)
    spf = d.ok(Opcode.CREATE_ESW_VPORT, managed_vhca_id=0x61)["vport_num"]
    d.ok(Opcode.QUERY_HCA_CAP, 0, other_function=1, function_id=spf)
    d.ok(Opcode.ENABLE_HCA, function_id=spf)
    for _ in range(2):
        d.ok(Opcode.QUERY_HCA_CAP, 0, other_function=1, function_id=0)
        d.ok(Opcode.ENABLE_HCA, function_id=1, function_id_type=1)
        d.serve()
        d.ok(Opcode.DISABLE_HCA, function_id=1, function_id_type=1)
        d.serve()
    writer.end()
    path.write_text(stream.getvalue())
    (session,) = audit(path).sessions
    assert session.findings == []
    assert {f.name: f.type for f in session.functions if f.name} == {"host-pf": "host_pf", "spf0": "spf", "vf2": "vf"}
    assert session.by_type["vf"].held == session.counters["fw_pages_vfs"] == 2
    assert session.by_type["unknown"].given == 0


@pytest.mark.parametrize("value", [2, 1])
def test_commands_that_name_functions_by_vhca_id_are_a_capability(value: int) -> None:
    text = steps().replace("init_pages = 20", f"capabilities = {{ function_id_type_vhca_id = {value} }}")
    if value == 2:
        with pytest.raises(ScenarioError, match="expected 0 or 1, not 2"):
            ServedRun(load("test", text=text))
    else:
        assert ServedRun(load("test", text=text)).profile.function_id_type_vhca_id


SF = '[[function]]\nname = "{name}"\ntype = "{kind}"\nvhca_id = 0x90\nasks = "activate"\n'


@pytest.mark.parametrize(
    ("kind", "served", "words"),
    [("sf", False, "of a served device alone"), ("ec_vf", True, "is of an sf alone"), ("sf", True, None)],
)
def test_an_sf_of_a_served_device_may_ask_when_it_is_activated(kind: str, served: bool, words: str | None) -> None:
    plan = load("test", text=steps().replace("[[step]]", SF.format(name="more", kind=kind) + "[[step]]", 1))
    if words is None:
        specs = [spec for spec, _ in functions(plan, device_profile(plan), served=served)]
        assert specs[-1].asks is Asks.ACTIVATE
        return
    with pytest.raises(ScenarioError, match=words):
        functions(plan, device_profile(plan), served=served)


NEXT = '[[function]]\nname = "more"\ntype = "ec_vf"\nvhca_id = 0x90\nnext_vhca_id = {}\n{}'


@pytest.mark.parametrize(
    ("number", "more", "served", "words"),
    [
        (0x91, "", True, None),
        (0x91, "", False, "next_vhca_id: a served device alone"),
        (0x90, "", True, "next_vhca_id: 0x90 is taken by more"),
        (0x2A, "", True, "next_vhca_id: 0x2a is taken by the supplier itself"),
        (0x91, 'reuses = "vf0"\n', True, "shares its vhca_id by reuses"),
    ],
)
def test_a_function_of_a_served_device_may_get_another_vhca_id(
    number: int, more: str, served: bool, words: str | None
) -> None:
    plan = load("test", text=steps().replace("[[step]]", NEXT.format(number, more) + "[[step]]", 1))
    if words is None:
        pairs = functions(plan, device_profile(plan), served=served)
        assert [str(who) for who in names_of(pairs)["more"]] == ["func:0x1/ec", "vhca:0x90", "vhca:0x91"]
        return
    with pytest.raises(ScenarioError, match=words):
        functions(plan, device_profile(plan), served=served)
