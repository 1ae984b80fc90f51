"""Files that a command writes beside what it prints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click


@contextmanager
def written(option: str, path: Path) -> Iterator[TextIO]:
    """Where ``option`` writes to: a file gets its name when it is whole, a device or a pipe is written into as it is.

    What cannot be written is misuse of the option.
    """
    target = path.resolve()
    part = target.with_name(target.name + ".part") if target.is_file() or not target.exists() else None
    try:
        with (part or target).open("w", encoding="utf-8") as stream:
            yield stream
        if part is not None:
            os.replace(part, target)
    except OSError as e:
        raise click.UsageError(f"{option} {path}: {e.strerror or e}") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
