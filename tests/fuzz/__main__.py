"""Both ends of a vfio-user socket under attack, one after the other: ``make fuzz SECONDS=600``.

Each prints its figures. Exit code 1, and what happened with the seed that shows it, where an end breaks a rule.
"""

from __future__ import annotations

import argparse
import sys

from tests.fuzz import hostile_client, hostile_server
from tests.fuzz.watched import Broken

#: what attacks, by its name
ATTACKS = {"client": hostile_client.attack, "server": hostile_server.attack}


def main() -> None:
    """Run what the words ask for."""
    words = argparse.ArgumentParser(prog="python -m tests.fuzz")
    words.add_argument("--seconds", type=float, default=60.0, help="of each attack")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--only", choices=sorted(ATTACKS))
    given = words.parse_args()
    for name, attack in ATTACKS.items():
        if given.only not in (None, name):
            continue
        try:
            print(attack(given.seconds, given.seed), flush=True)
        except Broken as e:
            notes = [note for x in (e, e.__cause__) if x is not None for note in getattr(x, "__notes__", ())]
            print(f"hostile {name}, seed {given.seed}: {e}", *notes, sep="\n", file=sys.stderr)
            sys.exit(1)


if __name__ == "__main__":
    main()
