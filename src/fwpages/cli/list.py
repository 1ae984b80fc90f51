"""``fwpages list``: scenarios, profiles, findings and more, a line each."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
import msgspec

from fwpages.cli.names import OneOf
from fwpages.report.width import fold, width_of

Rows = list[tuple[str, str]]
#: a longer name moves its description to the right, and not that of the others
_MOST_NAME = 32


def _scenarios() -> Rows:
    from fwpages.scenario import load, names  # only what is listed is imported

    return [(name, load(name).description) for name in names()]


def _profiles() -> Rows:
    from fwpages.device import names, profile

    return [(name, profile(name).description) for name in names()]


def _functions() -> Rows:
    return [
        ("self", "the supplier: func:0x0, on an ECPF func:0x0/ec; after SET_HCA_CAP in VHCA_ID mode its own vhca_id"),
        ("host_pf", "the external host's PF, supplied by an ECPF: func:0x0, or its vhca_id"),
        ("vf", "a virtual function: func:0x1 to func:max_vfs, or its vhca_id"),
        ("ec_vf", "a VF of the embedded CPU: func:0x1/ec and up, or its vhca_id"),
        ("sf", "a sub-function: func above the VFs' numbers, or its vhca_id"),
        ("spf", "a further physical function of a SmartNIC: its vhca_id alone, FUNC_ID mode has no name for it"),
        ("unknown", "a vhca_id that the e-switch has not announced: counted in sight until it is"),
    ]


def _commands() -> Rows:
    from fwpages.prm.commands import FORMS

    def fields(op: object) -> str:
        form = FORMS[op]  # type: ignore[index]  # the keys are what is iterated over
        return ", ".join(f.name for f in form.request.fixed if f.name not in ("opcode", "uid", "op_mod"))

    return [(f"{op.name} {op:#x}", fields(op)) for op in FORMS]


def _findings() -> Rows:
    from fwpages.custody.findings import Cause, FindingName

    rows = {name: [f"{c.blame}: {c.meaning}" for c in Cause if c.finding is name] for name in FindingName}
    return [(name, "; ".join(causes)) for name, causes in rows.items()]


def _faults() -> Rows:
    from fwpages.scenario.fault_syntax import EVERY_FAULT, FAULTS

    wire = {False: " (with --link queue)", True: ""}
    return [(name, row.words + wire[name in FAULTS]) for name, row in EVERY_FAULT.items()]


def _offences() -> Rows:
    from fwpages.device import OffenceName
    from fwpages.link.queue.offences import WireOffenceName

    return [(o.value, o.meaning) for names in (OffenceName, WireOffenceName) for o in names]


def _cases() -> Rows:
    from fwpages.bench.cases import CASES

    return [(c.name, c.what) for c in CASES]


def _worlds() -> Rows:
    from fwpages.explore.model.library import load, names

    return [(name, load(name).description) for name in names()]


def _designs() -> Rows:
    from fwpages.explore.designs import DESIGN_WORDS, DESIGNS

    return [(name, DESIGN_WORDS[name]) for name in DESIGNS]


def _properties() -> Rows:
    from fwpages.explore.check.properties import EVENTUALLY, PROPERTIES

    rows = [(name, p.words) for name, p in PROPERTIES.items()]
    return rows + [(name, f"eventually: {goal.words}") for name, goal in EVENTUALLY.items()]


def _assumptions() -> Rows:
    from fwpages.scenario.assumptions import ASSUMPTIONS

    stands = {True: "on", False: "off", None: "as designed"}
    return [
        (name, f"on: {a.on}; off: {a.off}; by default {stands[a.default]}; source: {a.source}")
        for name, a in ASSUMPTIONS.items()
    ]


def _questions() -> Rows:
    from fwpages.explore.review.questions import QUESTIONS

    return [(q.id, f"{q.number}: {q.title}: {q.argued}") for q in QUESTIONS]


_LISTS: dict[str, Callable[[], Rows]] = {
    "scenarios": _scenarios,
    "worlds": _worlds,
    "profiles": _profiles,
    "functions": _functions,
    "commands": _commands,
    "findings": _findings,
    "faults": _faults,
    "offences": _offences,
    "designs": _designs,
    "properties": _properties,
    "assumptions": _assumptions,
    "questions": _questions,
    "cases": _cases,
}


@click.command("list")
@click.argument("what", metavar="WHAT", type=OneOf(list(_LISTS)))
@click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
def command(what: str, as_json: bool) -> None:
    """WHAT: scenarios, worlds, profiles, functions, commands, findings, faults, offences, designs, properties,
    assumptions, questions or cases. Each entry is a line, which is folded between words on a terminal.
    """
    rows = _LISTS[what]()
    if as_json:
        entries = [{"name": name, "description": words} for name, words in rows]
        click.echo(msgspec.json.encode({"schema": "list/1", what: entries}))
        return
    width = min(max((len(name) for name, _ in rows), default=0), _MOST_NAME)
    columns = width_of(sys.stdout)
    for name, words in rows:
        lines = fold(f"{name.ljust(width)}  {words}".rstrip(), columns, width + 2)
        click.echo(click.style(name, bold=True) + lines.removeprefix(name))
