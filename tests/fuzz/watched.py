"""A process under attack: whether it lives, how many descriptors it has open, and how much memory it uses."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path


class Broken(AssertionError):
    """The process did what it must never do; the text says what."""


@dataclass(slots=True)
class Watched:
    """The process with this id. ``settled`` is called between conversations; ``least`` is its memory at the first."""

    pid: int
    descriptors: int = 0
    least: int = 0
    most: int = 0
    samples: list[int] = field(default_factory=list)

    def open_now(self) -> int:
        """Return the number of open descriptors."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def links(self) -> str:
        """Return the targets of the open descriptors."""
        folder = Path(f"/proc/{self.pid}/fd")
        return ", ".join(sorted(os.readlink(fd) for fd in folder.iterdir()))

    def memory_now(self) -> int:
        """Return the bytes of memory of its own (``RssAnon``), without files that others share with it."""
        rows = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(row.split()[1]) << 10 for row in rows if row.startswith("RssAnon:"))

    def begin(self) -> None:
        """Take what it has open now as what it may have open between conversations."""
        self.descriptors = self.open_now()
        self.least = self.most = self.memory_now()

    def settled(self, within: float = 5.0) -> None:
        """Check that it has no more descriptors open than at the beginning, and note its memory."""
        end = time.monotonic() + within
        while (now := self.open_now()) > self.descriptors:
            if time.monotonic() > end:
                raise Broken(
                    f"{now} descriptors are open between conversations, {self.descriptors} were at the beginning: "
                    f"{self.links()}"
                )
            time.sleep(0.01)
        self.samples.append(self.memory_now())
        self.most = max(self.most, self.samples[-1])

    def growth(self) -> int:
        """Return the bytes that it grew by since the first quarter of the samples: warming up is over by then."""
        if len(self.samples) < 8:
            return 0
        quarter = len(self.samples) // 4
        return max(self.samples[-quarter:]) - max(self.samples[:quarter])

    @property
    def figures(self) -> str:
        """The figures in words."""
        least, most, growth = (n / (1 << 20) for n in (self.least, self.most, self.growth()))
        return (
            f"{self.descriptors} descriptors before and after; memory {least:.0f} MiB at the beginning, {most:.0f} MiB "
            f"at most, grown by {growth:.1f} MiB after the first quarter"
        )
