"""Queue entries and mailboxes as Linux 7.2.13 dumped them on its debug log."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass

from fwpages.prm.queue import ENTRY_SIZE, MAILBOX_SIZE
from tests.conftest import GOLDEN


@dataclass(frozen=True)
class QueueDump:
    """One command in one direction: the entry's 64 bytes, and its mailboxes of 576 bytes as far as they were needed."""

    slot: int
    entry: bytes
    blocks: tuple[bytes, ...]

    @property
    def is_input(self) -> bool:
        return bool(self.entry[63] & 1)


def dumps() -> list[QueueDump]:
    out: list[QueueDump] = []
    raw: bytearray | None = None
    slot = 0
    with gzip.open(GOLDEN / "linux-7.2.13-pf-vhca_id.dmesg.txt.gz", "rt", encoding="utf-8", errors="replace") as log:
        for line in log:
            start = re.search(r"cmd\[(\d+)\]: start dump", line)
            row = re.search(r"cmd\[\d+\]: [0-9a-f]{3,}: ([0-9a-f ]+)$", line)
            if start:
                slot, raw = int(start[1]), bytearray()
            elif "end dump" in line and raw is not None:
                rest = bytes(raw[ENTRY_SIZE:])
                blocks = tuple(rest[n : n + MAILBOX_SIZE] for n in range(0, len(rest), MAILBOX_SIZE))
                out.append(QueueDump(slot, bytes(raw[:ENTRY_SIZE]), blocks))
                raw = None
            elif row and raw is not None:
                raw += bytes.fromhex(row[1].replace(" ", ""))
    return out
