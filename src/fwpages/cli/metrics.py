"""``fwpages metrics``: the counters for Prometheus, over HTTP or as a textfile of node_exporter."""

from __future__ import annotations

import re
import signal
import threading
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import click

from fwpages.cli.exits import exit_code
from fwpages.cli.files import written
from fwpages.cli.streams import complain
from fwpages.machine.sampling import counters
from fwpages.machine.snapshot import Snapshot

#: the line that installs the metrics
INSTALL = "pip install 'fwpages[metrics]'"
_PORT = re.compile("[0-9]{1,5}")
#: the files of the package that ``--print`` prints
SHIPPED = {"rules": "rules.yml", "dashboard": "dashboard.json", "unit": "fwpages-metrics.service"}


class Address(click.ParamType[tuple[str, int]]):
    """``HOST:PORT``, an IPv6 address in brackets; port 0 is any that is free."""

    name = "address"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """Return host and port; BadParameter for another text."""
        host, colon, port = str(value).rpartition(":")
        if not colon or not host or not _PORT.fullmatch(port) or int(port) > 65_535:
            raise click.BadParameter(f"{value!r}: expected HOST:PORT, such as 127.0.0.1:9732", ctx, param)
        return host.removeprefix("[").removesuffix("]"), int(port)


@click.command("metrics")
@click.option(
    "--listen",
    type=Address(),
    metavar="HOST:PORT",
    help="Serve them at this address.  [default: 127.0.0.1:9732]",
)
@click.option("--textfile", type=click.Path(path_type=Path), metavar="FILE", help="Write them here once, and end.")
@click.option("--print", "shipped", type=click.Choice(list(SHIPPED)), help="Print a file of the package, and end.")
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    default=Path("/"),
    metavar="DIR",
    help="Read a copy of a machine's files.",
)
def command(listen: tuple[str, int] | None, textfile: Path | None, shipped: str | None, root: Path) -> int:
    """Each scrape reads the counters anew. Only this machine reaches the default address: the metrics have no password.

    Exit code of --textfile: 0 every function's pages are known, 1 a driver counts pages that it could not move, 2
    misuse, 4 not known. A figure that is not known has no series.
    """
    if sum(option is not None for option in (listen, textfile, shipped)) > 1:
        raise click.UsageError("--listen, --textfile and --print: give one of them")
    if shipped is not None:
        click.echo((files("fwpages.machine") / "shipped" / SHIPPED[shipped]).read_text("utf-8"), nl=False)
        return 0
    if find_spec("prometheus_client") is None:
        raise click.UsageError(f"the metrics need prometheus-client: {INSTALL}")
    _counted(root)  # a wrong --root is refused here
    return _write(textfile, root) if textfile is not None else _serve(listen or ("127.0.0.1", 9732), root)


def _counted(root: Path) -> Snapshot:
    try:
        return counters(root)
    except NotADirectoryError as e:
        raise click.UsageError(f"--root {e}") from None


def _write(textfile: Path, root: Path) -> int:
    from fwpages.machine.metrics import exposition  # there only with the extra

    text, snapshot = exposition(lambda: counters(root))
    with written("--textfile", textfile) as file:
        file.write(text)
    return exit_code(snapshot.verdict)


def _serve(listen: tuple[str, int], root: Path) -> int:
    """Serve until SIGINT or SIGTERM, both of which end it as they should."""
    from prometheus_client import start_http_server

    from fwpages.machine.metrics import registry

    host, port = listen

    def source() -> Snapshot | None:
        try:
            return counters(root)
        except NotADirectoryError as e:
            complain(f"fwpages metrics: --root {e}: it was one at the start; no metrics until it is one again")
            return None

    found, _ = registry(source)
    try:
        server, thread = start_http_server(port, addr=host, registry=found)
    except OSError as e:
        raise click.UsageError(f"--listen {host}:{port}: {e.strerror}") from None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    shown = f"[{host}]" if ":" in host else host
    click.echo(f"metrics at http://{shown}:{server.server_port}/metrics", err=True)
    stop.wait()
    server.shutdown()
    server.server_close()
    thread.join()
    return 0
