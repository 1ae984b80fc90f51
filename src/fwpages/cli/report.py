"""``fwpages report``: a report that can be handed to somebody, as one HTML file or as text."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType

import click
import msgspec

from fwpages.cli.exits import exit_code
from fwpages.cli.files import standard_input, written
from fwpages.cli.names import OneOf
from fwpages.cli.progress import reading
from fwpages.cli.streams import complain
from fwpages.custody.accounts import Report, Verdict, verdict_of
from fwpages.readers.inputs import InputError, Source, Watch, open_source
from fwpages.readers.reports import decoded, schema_of, whole
from fwpages.report.html_page import NotInstalledError, check_installed
from fwpages.report.page.content import Document, Section

#: snapshots of a recording that are drawn: the last of them, where there are more
MAX_SNAPSHOTS = 200_000


@click.command("report")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path(allow_dash=True))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write the report here.")
@click.option(
    "--format",
    "form",
    type=OneOf(["html", "text"]),
    default="html",
    show_default=True,
    help="text: 72 columns, lines of a log as they are, for lists that refuse HTML; without -o it is printed.",
)
@click.option(
    "--fail-on",
    type=OneOf(["findings", "not-known"]),
    default="not-known",
    show_default=True,
    help="The least that is no success: with findings, what is not known exits with 0.",
)
@click.option(
    "--redact", is_flag=True, help="Put tokens for the names of hosts and files, MACs, GUIDs, serials and IP addresses."
)
def command(inputs: tuple[str, ...], output: Path | None, form: str, fail_on: str, redact: bool) -> int:
    """INPUT: a trace of fwpages, a kernel log with mlx5_core's messages, or what run, drive, serve, audit, top and
    inspect print with --json, and top --record writes; - is standard input. The content tells what it is, never the
    name.

    The HTML file stands by itself: it loads nothing, and can be read without scripts.

    Exit code: 0 clean, or open and consistent so far, 1 findings, 2 misuse or an input that cannot be read, 4 not
    known. An input that cannot be read does not hide the others.
    """
    _check_form(form, output)
    _check_standard_input(inputs)
    with ExitStack() as stack:
        # opened before the work, which may be long: a file that cannot be written is said at once
        file = None if output is None else stack.enter_context(written("-o", output))
        document = _document(inputs, redact=redact)
        for words in document.unread:
            complain(f"Error: {words}")
        text = _rendered(document, form)
        if file is None:
            click.echo(text, nl=False)
        else:
            file.write(text)
    if document.unread and document.verdict is not Verdict.FINDINGS:
        return 2
    return exit_code(document.verdict, fail_on_not_known=fail_on == "not-known")


def _check_form(form: str, output: Path | None) -> None:
    """Refuse HTML that has no file to go to, or that this installation cannot make."""
    if form == "html" and output is None:
        raise click.UsageError("-o FILE is missing: where the HTML report goes; --format text prints one")
    if form == "html":
        try:
            check_installed()
        except NotInstalledError as e:
            raise click.UsageError(f"{e}; --format text does without") from None


def _check_standard_input(inputs: Sequence[str]) -> None:
    """Refuse standard input that is closed, or named twice."""
    if "-" in inputs:
        standard_input()
    if inputs.count("-") > 1:
        raise click.UsageError("standard input (-) can be read once only")


def _rendered(document: Document, form: str) -> str:
    if form == "text":
        from fwpages.report.page.plain import plain

        return plain(document)
    from fwpages.report.page.page import render

    return render(document)


def _document(inputs: Sequence[str], *, redact: bool) -> Document:
    """The report of all inputs; UsageError where none can be read."""
    import fwpages
    from fwpages.report.redact import Redactor

    hosts: set[str] = set()
    sections, errors = _sections(inputs, hosts)
    # a device behind a socket has the path for its name
    sockets = [part.title for s in sections for part in s.parts if "/" in part.title]
    redactor = Redactor([*inputs, *sockets], hosts) if redact else None
    if redactor is not None:
        from fwpages.report.page.redacted import redacted

        errors = [redactor.text(e) for e in errors]
        sections = [redacted(s, redactor) for s in sections]
    if not sections:
        raise click.UsageError("\n".join(errors))
    made = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    verdict = verdict_of([*(s.verdict for s in sections), *[Verdict.NOT_KNOWN] * bool(errors)])
    return Document(tuple(sections), verdict, fwpages.__version__, made, tuple(errors))


def _sections(inputs: Sequence[str], hosts: set[str]) -> tuple[list[Section], list[str]]:
    """The sections of the inputs that can be read, and why others cannot; the names of their hosts go to ``hosts``."""
    sections: list[Section] = []
    errors: list[str] = []
    with reading(inputs) as watch:
        for n, path in enumerate(inputs, 1):
            try:
                sections.append(_section(path, n, hosts, watch))
            except InputError as e:
                errors.append(str(e))
    return sections, errors


# -- what an input is


def _section(path: str, number: int, hosts: set[str], watch: Watch | None) -> Section:
    """The section of one input; InputError where it cannot be read."""
    from fwpages.auditor.audit import audit_source
    from fwpages.report.page.sessions import audit_section

    source = open_source(path, watch)
    try:
        schema = schema_of(source)
        if schema is not None:
            return _known(source, schema, number)
        report = audit_source(source, hosts)
    finally:
        source.close()
    return audit_section(report, source.name, number, None if path == "-" else path)


def _known(source: Source, schema: str, number: int) -> Section:
    """The section of a report in JSON; InputError for a schema that is none of those, or for another shape."""
    if schema not in _READERS:
        known = ", ".join(_READERS)
        raise InputError(
            f"{source.name}: its schema is {schema!r}; a report can be made of {known}, of traces and logs"
        )
    return _READERS[schema](source, number)


def _of_audit(source: Source, number: int) -> Section:
    from fwpages.report.page.sessions import audit_section

    return audit_section(decoded(source.name, whole(source), Report, "audit/2"), source.name, number, None)


def _of_run(source: Source, number: int) -> Section:
    from fwpages.report.page.sessions import run_section
    from fwpages.report.run import RunReport

    return run_section(decoded(source.name, whole(source), RunReport, "run/2"), source.name, number)


def _of_drive(source: Source, number: int) -> Section:
    from fwpages.report.drive import DriveReport
    from fwpages.report.page.sessions import drive_section

    return drive_section(decoded(source.name, whole(source), DriveReport, "drive/1"), source.name, number)


def _of_serve(source: Source, number: int) -> Section:
    from fwpages.report.page.sessions import serve_section
    from fwpages.report.serve import ServeReport

    return serve_section(decoded(source.name, whole(source), ServeReport, "serve/2"), source.name, number)


def _of_top(source: Source, number: int) -> Section:
    from collections import deque

    from fwpages.machine.sections import snapshots_section
    from fwpages.machine.snapshot import Snapshot

    snapshots: deque[Snapshot] = deque(maxlen=MAX_SNAPSHOTS)
    for first, lines in source.batches():
        for n, row in enumerate(lines, first):
            if row.strip():
                try:
                    snapshots.append(msgspec.json.decode(row, type=Snapshot))
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as e:
                    if source.cut:
                        break  # a recording that was stopped in the middle of a line
                    raise InputError(f"{source.name}:{n}: expected a snapshot of fwpages top ({e})") from None
    if not snapshots:
        raise InputError(f"{source.name}: there is no snapshot in it")
    return snapshots_section(list(snapshots), source.name, number)


def _of_inspect(source: Source, number: int) -> Section:
    from fwpages.machine.holdings import Holdings
    from fwpages.machine.sections import holdings_section

    return holdings_section(decoded(source.name, whole(source), Holdings, "inspect/1"), source.name, number)


_READERS: Mapping[str, Callable[[Source, int], Section]] = MappingProxyType(
    {
        "audit/2": _of_audit,
        "run/2": _of_run,
        "drive/1": _of_drive,
        "serve/2": _of_serve,
        "top/1": _of_top,
        "inspect/1": _of_inspect,
    }
)
