"""The command line. Exit codes: 0 fine, 1 findings, 2 misuse, 3 our own bug, 4 not known."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from inspect import cleandoc
from types import MappingProxyType
from typing import TYPE_CHECKING, TextIO

import click

from fwpages.cli.streams import complain
from fwpages.pages.words import either, nearest

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: the commands by group, each with what it does in a line. This is the one place for it: ``--help`` lists these lines
#: without an import of the commands' modules, and each begins the command's own help
GROUPS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "Running machine": {
            "top": "Show how many pages each mlx5 function of this machine has now: live, once, or recorded.",
            "inspect": "Show who holds which pages, from the driver's own lists in the running kernel or in a core.",
            "record": "Record what mlx5_core does with pages from now on, as a trace, without its debug messages.",
            "metrics": "Serve the counters of this machine's functions to Prometheus, or write them for node_exporter.",
            "doctor": "Say what there is to look with on this machine, and what each command could tell.",
        },
        "Files": {
            "audit": "Read traces and kernel logs: which function holds what, and what is wrong.",
            "diff": "Compare two runs, logs or reports: what one gave and the other did not, findings new and gone.",
            "report": "Make a report to hand to somebody: one HTML file, or text, of logs, traces and results in JSON.",
            "explain": "Explain one command, answer or event, field by field.",
            "import-profile": "Make a device profile from a real driver's debug log: what the hardware said of itself.",
        },
        "Test a driver": {
            "serve": "Be a device to a virtual machine: an unmodified driver loads on the embedded firmware.",
            "trial": "Put a kernel's driver on trial: it is loaded under every fault, and both sides are judged.",
        },
        "Drive a device": {
            "drive": "Drive a device with our own driver: a function of this machine by VFIO, or what a socket serves.",
        },
        "Model": {
            "run": "Run a scenario with our own driver on the embedded firmware.",
            "explore": "Try every order of events of a small world: can this happen?",
            "review": "Settle nineteen questions about Linux's VHCA_ID patch for three designs.",
        },
        "List": {
            "list": "Show what there is: scenarios, worlds, profiles, findings, faults and more.",
        },
    }
)
#: commands that ``--help`` does not show
HIDDEN: Mapping[str, str] = MappingProxyType(
    {"bench": "Measure what a page costs on this machine: ledger, page path, sessions, wire, start."}
)
#: names that commands had before
ALIASES: Mapping[str, str] = MappingProxyType({"decode": "explain", "profile": "import-profile"})
COMMANDS: Mapping[str, str] = MappingProxyType({k: v for rows in (*GROUPS.values(), HIDDEN) for k, v in rows.items()})


class _Lazy(click.Group):
    """A group that imports a command's module only when the command is used; the module has the command's name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS.keys() - HIDDEN.keys())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"fwpages.cli.{name.replace('-', '_')}").command
        if command.short_help is None:
            command.short_help = COMMANDS[name]
            command.help = f"{COMMANDS[name]}\n\n{cleandoc(command.help or '')}"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command by its name or by one that it had; a name that is none is misuse, with what is near it."""
        if args and args[0] not in COMMANDS.keys() | ALIASES.keys() and not args[0].startswith("-"):
            near = nearest(args[0], [name for name in COMMANDS if name not in HIDDEN])
            hint = f" Did you mean {either(near)}?" if near else ""
            ctx.fail(f"There is no command {args[0]!r}.{hint}")
        _, command, rest = super().resolve_command(ctx, args)
        return None if command is None else command.name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))
        for group, rows in GROUPS.items():
            if rows:
                with formatter.section(group):
                    formatter.write_dl([(name.ljust(width), words) for name, words in rows.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "-V", "--version", package_name="fwpages", message="%(prog)s %(version)s")
def cli() -> None:
    """The host–firmware page protocol of mlx5 devices (ConnectX, BlueField), both ends of it."""


def main() -> None:
    """Run the console script: set up signals and streams, then ``invoke``; exits with its code."""
    # a half-written file is removed as upon SIGINT; serve handles the signal itself
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # open to the end
    if sys.stdout is None:
        complain("fwpages: standard output is closed: there is nowhere to print to; /dev/null would be")
        sys.exit(2)
    sys.stdout, sys.stderr = _outlet(sys.stdout), _outlet(sys.stderr)
    sys.exit(invoke(sys.argv[1:]))


class _Outlet(io.FileIO):
    """A stream whose reader may stop reading: output after that is dropped.

    The command goes on, so that its exit code is still that of its result. click and Rich end the process with 1 on
    this error, each by itself, so that it must not reach them.
    """

    def write(self, data: ReadableBuffer) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return memoryview(data).nbytes


def _outlet(stream: TextIO) -> TextIO:
    """Put an ``_Outlet`` under the stream; a stream without a file of its own stays as it is."""
    try:
        raw = _Outlet(stream.fileno(), "w", closefd=False)
    except OSError:
        return stream
    lines = bool(stream.line_buffering)
    # "?" would stand for a figure that is not known
    errors = "backslashreplace" if stream.errors == "strict" else stream.errors
    return io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, errors, line_buffering=lines)


def invoke(args: list[str]) -> int:
    """Run the command line with these arguments; returns the exit code. It raises nothing."""
    try:
        result = cli.main(args, prog_name="fwpages", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as e:
        return e.exit_code
    except click.Abort:
        complain("interrupted")
        return 130
    except click.ClickException as e:
        shown = io.StringIO()
        e.show(shown)
        complain(shown.getvalue().rstrip("\n"))
        return 2
    except OSError as e:
        if e.errno != errno.ENOSPC:
            return _bug(e)
        complain(f"fwpages: what it prints cannot be written: {e.strerror}")
        _drop_output()
        return 2
    except Exception as e:
        return _bug(e)
    return result if isinstance(result, int) else 0


def _drop_output() -> None:
    """Drop the output that is still buffered: it keeps the interpreter from trying again at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug(e: Exception) -> int:
    """Report a bug of our own without a traceback, and how to get one."""
    if os.environ.get("FWPAGES_TRACEBACK"):
        traceback.print_exception(e)
    complain(
        f"fwpages: a bug of its own: {type(e).__name__}: {e}\n"
        "Please report it with the command and its input; FWPAGES_TRACEBACK=1 shows where it happened."
    )
    return 3
