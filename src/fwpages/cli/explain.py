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
from fwpages.explain.pasted_lines import explain_number
from fwpages.report.messages import show_messages


@click.command("explain")
@click.argument("hex_", nargs=-1, metavar="[HEX|LINE|NAME]...", type=Name(names.opcodes))
@click.option(
    "--opcode",
    type=Name(names.opcodes),
    help="It is the answer to this command (a name or a number): an answer does not say which.",
)
@click.option("--event", "is_event", is_flag=True, help="It is an event queue entry.")
@click.option("--status", metavar="N", help="Explain the status of a command's answer.")
@click.option("--syndrome", metavar="N", help="Explain a syndrome: of a health buffer, or of a command's answer.")
@click.option("--errno", metavar="N", help="Explain an error number of the kernel's.")
@click.option("--json", "as_json", is_flag=True, help="Print the explanation as JSON.")
def command(
    hex_: tuple[str, ...],
    opcode: str | None,
    is_event: bool,
    status: str | None,
    syndrome: str | None,
    errno: str | None,
    as_json: bool,
) -> int:
    """HEX: bytes with or without blanks, 0x and colons, or lines pasted from a dump; - is standard input.
    LINE: a line of mlx5_core's, such as "MANAGE_PAGES(0x108) op_mod(0x1) failed, status …".
    NAME: a command, such as MANAGE_PAGES.
    """
    if opcode is not None and is_event:
        raise click.UsageError("--opcode is for an answer, --event for an event: give one of them")
    numbers = {kind: n for kind, n in (("status", status), ("syndrome", syndrome), ("errno", errno)) if n is not None}
    if not numbers and not hex_:
        raise click.UsageError("nothing to explain; give bytes as hex, a line of mlx5_core's, or a command's name")
    try:
        messages = [explain_number(kind, n) for kind, n in numbers.items()]
        if hex_:
            messages += explain_text(
                _pasted(hex_), opcode=None if opcode is None else parse_opcode(opcode), is_event=is_event
            )
    except ExplainError as e:
        raise click.UsageError(str(e)) from None
    if as_json:
        click.echo(msgspec.json.encode(Explanation(messages=messages)))
    else:
        show_messages(messages, Console())
    return 0


def _pasted(words: tuple[str, ...]) -> str:
    return standard_input().buffer.read().decode("utf-8", "replace") if words == ("-",) else "\n".join(words)
