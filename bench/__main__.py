"""``make bench``: the cases of ``fwpages bench`` with peers, whose rounds lie between ours.

python -m bench [--case CASE]… [--rounds N] [--json]
"""

from __future__ import annotations

import sys

import click

from bench.copies import CopyPeer
from bench.dictionaries import DictionaryPeer
from bench.linux_rounds import LinuxPeer, build
from fwpages.bench.cases import chosen
from fwpages.bench.rounds import LEAST_ROUNDS, Peer
from fwpages.cli.bench import run


@click.command()
@click.option("--case", "cases", multiple=True)
@click.option("--rounds", type=click.IntRange(LEAST_ROUNDS, 1000), default=LEAST_ROUNDS, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(cases: tuple[str, ...], rounds: int, as_json: bool) -> None:
    """Time the cases beside Linux's own code, its design in Python dictionaries, and a plain copy."""
    try:
        asked = chosen(cases)
    except ValueError as e:
        raise click.UsageError(str(e)) from None
    peers: list[Peer] = [DictionaryPeer(), CopyPeer()]
    missing = build()
    linux = None if missing else LinuxPeer()
    if linux is None:
        click.echo(f"without Linux's own code: {missing}", err=True)
    else:
        peers.insert(0, linux)
    try:
        run(asked, rounds, peers, as_json=as_json)
    finally:
        if linux is not None:
            linux.close()
    sys.exit(0)


if __name__ == "__main__":
    main()
