"""``python -m tests.sensitivity.ask``: run in a copy of the tree, says what the worlds see of its sources, as JSON.

Nothing of the sources is imported before the question is asked: they may be broken so that they cannot be.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tests.sensitivity.verdict import CLEAN, LEAST, TRIED, Clean, Verdict, Verdicts

if TYPE_CHECKING:
    from fwpages.explore.model.spec import Spec


@click.group()
def main() -> None:
    pass


@main.command()
@click.option("--seed", default=1, help="Of the walks.")
@click.option("--every", is_flag=True, help="Under each assumption set.")
@click.option("--world", "names", multiple=True, help="Only this world (may be repeated).")
@click.option("--tried", default=TRIED, show_default=True, help="Walks that tell how often each point is reached.")
def clean(seed: int, every: bool, names: tuple[str, ...], tried: int) -> None:
    """Write what the worlds are on unbroken sources."""
    from tests.sensitivity import worlds  # noqa: PLC0415

    found = worlds.clean(_chosen(worlds.standard(every=every), names), seed, tried)
    Path(CLEAN).write_bytes(msgspec.json.encode(found))


@main.command()
@click.option("--seed", default=1, help="Of the walks.")
@click.option("--every", is_flag=True, help="Under each assumption set.")
@click.option("--walks/--no-walks", default=True, help="Walk at random too.")
@click.option("--least", default=LEAST, show_default=True, help="Processor time that walks have in any case, in s.")
def broken(seed: int, every: bool, walks: bool, least: float) -> None:
    """Print what the worlds see that is not so on unbroken sources."""
    known = msgspec.json.decode(Path(CLEAN).read_bytes(), type=Clean)
    try:
        from tests.sensitivity import worlds  # noqa: PLC0415

        specs = worlds.standard(every=every)
    except Exception as e:
        search = walk = Verdict("raised", 0.0, 0, "on import", f"{type(e).__name__}: {e}")
    else:
        search = worlds.searched(specs, known)
        spare = max(least, search.seconds, known.seconds)
        walk = worlds.walked(specs, known, seed, spare) if walks else Verdict("holds", 0.0, 0)
    click.echo(msgspec.json.encode(Verdicts(search, walk)))


def _chosen(specs: dict[str, Spec], names: tuple[str, ...]) -> dict[str, Spec]:
    return {n: s for n, s in specs.items() if not names or n in names}


if __name__ == "__main__":
    main()
