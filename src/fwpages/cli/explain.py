"""``fwpages explain``: one command, answer or event, field by field."""

from __future__ import annotations

import click
import msgspec
from rich.console import Console

from fwpages.cli import names
from fwpages.cli.files import standard_input
from fwpages.cli.names import Name
from fwpages.explain.explanation import ExplainError, Explanation
from fwpages.explain.pasted_bytes import explain_text, parse_opcode
from fwpages.report.tables import show_messages


@click.command("explain")
@click.argument("hex_", nargs=-1, required=True, metavar="HEX...")
@click.option(
    "--opcode",
    type=Name(names.opcodes),
    help="It is the answer to this command (a name or a number): an answer does not say which.",
)
@click.option("--event", "is_event", is_flag=True, help="It is an event queue entry.")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def command(hex_: tuple[str, ...], opcode: str | None, is_event: bool, as_json: bool) -> int:
    """HEX: bytes with or without blanks, 0x and colons, or lines pasted from a dump; - is standard input."""
    if opcode is not None and is_event:
        raise click.UsageError("--opcode is for an answer, --event for an event: give one of them")
    text = standard_input().buffer.read().decode("utf-8", "replace") if hex_ == ("-",) else "\n".join(hex_)
    try:
        messages = explain_text(text, opcode=None if opcode is None else parse_opcode(opcode), is_event=is_event)
    except ExplainError as e:
        raise click.UsageError(str(e)) from None
    if as_json:
        click.echo(msgspec.json.encode(Explanation(messages=messages)))
    else:
        show_messages(messages, Console())
    return 0
