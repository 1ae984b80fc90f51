"""Names of folders that leave room for a UNIX socket's name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def short(folder: Path) -> Iterator[Path]:
    """The folder by a short name, which holds in this process and within this context.

    A UNIX socket's name has 107 bytes at most (``sun_path``, unix(7)); a folder of the user may have more.
    """
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
