"""Any bytes and descriptors at a vfio-user session with a device behind it: nothing may raise, nothing may leak.

    python -m tests.fuzz.vfio_user              with atheris, where it is installed: coverage-guided, its own options
    python -m tests.fuzz.vfio_user --seconds 60 without: random messages, seeded

The input is cut into pieces: a byte says what comes (a message of some type with a body from the input, raw bytes, or
a message that is well-formed), and how many descriptors of what kind come with it.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import time

from fwpages.device import profile
from fwpages.device.firmware.loadable import LoadableFirmware
from fwpages.link.vfio_user.connection import Connection
from fwpages.link.vfio_user.messages import StreamError
from fwpages.link.vfio_user.served_device import ServedDevice
from tests.link.vfio_client import HELLO, dma_map, dma_unmap, memfd, message, open_fds, region, set_irqs

PAGE = 4096


def _descriptors(kind: int) -> list[int]:
    n = kind & 3
    if kind & 4:
        return [memfd(4 * PAGE, sealed=bool(kind & 8)) for _ in range(n)]
    return [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(n)]


def piece(kind: int, body: bytes) -> bytes:
    """A message, more or less."""
    words = body.ljust(8, b"\0")
    a, b = int.from_bytes(words[:4], "little"), int.from_bytes(words[4:8], "little")
    well_formed = (
        lambda: message(1, HELLO),
        lambda: dma_map(a % 8 * PAGE, PAGE, offset=b % 5 * PAGE),
        lambda: dma_unmap(a % 8 * PAGE, b % 4 * PAGE),
        lambda: set_irqs(a % 70, b % 5),
        lambda: region(9, a % 9, b % 0x11000, 4),
        lambda: region(10, a % 9, b % 0x11000, len(body) or 1, body or b"\0"),
        lambda: region(10, 0, 0x18, 4, words[:4]),
        lambda: region(10, 7, a % 0x100, 2, words[4:6]),
        lambda: message(13),
    )
    if kind < 0x60:
        return well_formed[kind % len(well_formed)]()
    if kind < 0xC0:
        return message(kind & 0x1F, body)
    return body


def one_input(data: bytes) -> None:
    """One client's whole conversation. Anything raised but StreamError, or a descriptor left, is a finding."""
    before = open_fds()
    device = ServedDevice(LoadableFirmware(profile("connectx4-lx")), profile("connectx4-lx"))
    session = device.connected()
    try:
        at = 0
        while at + 3 <= len(data):
            kind, fds, length = data[at : at + 3]
            body = data[at + 3 : at + 3 + length]
            at += 3 + length
            _feed(session, piece(kind, body), _descriptors(fds & 0xF) if fds & 0x80 else [])
    except StreamError:
        pass
    finally:
        session.close()
        device.disconnected("over")
    assert open_fds() == before, "a descriptor is left"
    device.queue.firmware.check()


def _feed(session: Connection, piece: bytes, fds: list[int]) -> None:
    while piece or fds:
        need = session.need
        session.feed(piece[:need], fds)
        piece, fds = piece[need:], []


def _random(seconds: float, seed: int) -> None:
    chance, end, n = random.Random(seed), time.monotonic() + seconds, 0
    while time.monotonic() < end:
        rows = [bytes([0, 0, 0])] + [
            bytes([chance.randrange(256), chance.randrange(256), n]) + chance.randbytes(n)
            for n in (chance.choice((0, 4, 8, 16, 20, 24, 32, 40)) for _ in range(chance.randrange(40)))
        ]
        one_input(b"".join(rows))
        n += 1
    print(f"{n} conversations, seed {seed}: nothing found")


def main() -> None:
    if "--seconds" in sys.argv:
        _random(float(sys.argv[sys.argv.index("--seconds") + 1]), seed=int(os.environ.get("SEED", "1")))
        return
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        sys.exit("atheris is not installed; --seconds 60 runs random conversations without it")
    atheris.instrument_all()
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
