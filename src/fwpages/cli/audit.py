"""``fwpages audit``: the accounts of a real driver, from its traces and logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import msgspec
from rich.console import Console

from fwpages.auditor.audit import InputError, audit
from fwpages.cli.exits import exit_code
from fwpages.cli.files import standard_input, written
from fwpages.cli.following import followed
from fwpages.cli.junit import Junit, junit_option
from fwpages.cli.names import OneOf
from fwpages.cli.progress import reading
from fwpages.cli.streams import complain
from fwpages.custody.accounts import Report, Verdict
from fwpages.pages.words import many, meant
from fwpages.report.junit import of_audit
from fwpages.report.redact import Redactor
from fwpages.report.views import FEW, View, show_audit


@click.command("audit")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@junit_option("audit")
@click.option(
    "--fail-on",
    type=OneOf(["findings", "not-known"]),
    default="not-known",
    show_default=True,
    help="The least that is no success: with findings, what is not known exits with 0.",
)
@click.option("--device", "devices", multiple=True, metavar="NAME", help="Print only the sessions of this device.")
@click.option("--session", "sessions", multiple=True, type=click.IntRange(1), metavar="N", help="Print only session N.")
@click.option("--findings-only", is_flag=True, help="Print only sessions with findings.")
@click.option("--sort", type=OneOf(["input", "held"]), default="input", help="held: first who holds the most pages.")
@click.option(
    "--full",
    is_flag=True,
    help="Print the tables of more than four sessions too, and every field that firmware printed.",
)
@click.option("--plot", "plotted", is_flag=True, help="Draw the pages over time below the tables.")
@click.option(
    "--svg", type=click.Path(path_type=Path), metavar="FILE", help="Write the pages over time as a figure here."
)
@click.option(
    "--redact", is_flag=True, help="Put tokens for the names of hosts and files, MACs, GUIDs, serials and IP addresses."
)
@click.option(
    "--follow",
    is_flag=True,
    help="Read on as FILE grows, with a live table on a terminal; Ctrl-C ends, and the report follows.",
)
def command(
    files: tuple[str, ...],
    as_json: bool,
    fail_on: str,
    devices: tuple[str, ...],
    sessions: tuple[int, ...],
    findings_only: bool,
    sort: str,
    full: bool,
    plotted: bool,
    svg: Path | None,
    redact: bool,
    follow: bool,
    junit: Junit,
) -> int:
    """FILE: a trace of fwpages, or a kernel log with mlx5_core's messages (dmesg, journalctl, syslog).
    Files may be packed with gzip; - is standard input.

    Exit code: 0 clean, or open and consistent so far, 1 findings, 2 misuse or a file that cannot be read, 4
    not known: the report says what is missing. It is that of the whole report, whatever part is printed. A file that
    cannot be read does not hide the others.
    """
    view = View(devices, sessions, findings_only, sort == "held", full)
    hosts: set[str] = set()
    unread: list[InputError] = []
    if "-" in files:
        standard_input()
    if plotted and as_json:
        raise click.UsageError("--plot draws on the terminal, --json prints values: give one of them")
    if follow and len(files) != 1:
        raise click.UsageError("--follow takes one FILE: follow others beside it")
    try:
        if follow:
            report = followed(files[0], hosts)
        else:
            with reading(files) as watch:
                report = audit(*files, hosts=hosts, unread=unread, watch=watch)
    except InputError as e:
        raise click.UsageError(Redactor(files, hosts).text(str(e)) if redact else str(e)) from None
    if not follow:
        _check_view(view, report)
    if redact:
        redactor = Redactor(files, hosts)
        report = redactor.report(report)
        view = replace(view, devices=tuple(map(redactor.text, devices)))
        unread = [InputError(redactor.text(e.text), redactor.text(e.command)) for e in unread]
    for error in unread:
        complain(f"Error: {error}")
    if as_json:
        click.echo(msgspec.json.encode(report))
    else:
        show_audit(report, Console(), view)
    junit(of_audit(report))
    _draw(report, view, plotted=plotted, svg=svg)
    return _exit_code(report, unread, not_known_fails=fail_on == "not-known")


def _draw(report: Report, view: View, *, plotted: bool, svg: Path | None) -> None:
    """Draw the sessions that the view chooses: on the terminal, in a file."""
    if not plotted and svg is None:
        return
    from fwpages.report.page.figure import figure
    from fwpages.report.page.plot import WIDTH, plot
    from fwpages.report.page.sessions import charts

    drawn = charts(report, view.chosen(report))
    if plotted:
        for chart in drawn[:FEW]:
            click.echo("\n" + "\n".join(plot(chart, WIDTH)))
        if len(drawn) > FEW:
            click.echo(f"\n{len(drawn) - FEW} more sessions: --session N --plot draws one of them")
        if not drawn:
            click.echo("\nno plot: the input does not tell any pages over time")
    if svg is not None:
        if len(drawn) != 1:
            why = (
                f"{len(drawn)} sessions have no common time; --session N chooses one" if drawn else "no pages over time"
            )
            raise click.UsageError(f"--svg {svg}: nothing to draw in one figure: {why}")
        with written("--svg", svg) as file:
            file.write(figure(drawn[0], alone=True) + "\n")


def _check_view(view: View, report: Report) -> None:
    """Refuse devices and sessions that the report does not have: a part with nothing in it would look fine."""
    known = list(dict.fromkeys(s.device for s in report.sessions))
    for device in view.devices:
        if device not in known:
            raise click.UsageError(f"--device: there is no device {device!r}; {meant(device, known)}")
    for n in view.sessions:
        if n > len(report.sessions):
            raise click.UsageError(f"--session {n}: the report has {many(len(report.sessions), 'session')}")


def _exit_code(report: Report, unread: list[InputError], *, not_known_fails: bool) -> int:
    """Findings outrank an input that cannot be read, and that outranks what is not known."""
    if unread and report.verdict is not Verdict.FINDINGS:
        return 2
    return exit_code(report.verdict, fail_on_not_known=not_known_fails)
