"""A hostile server for our vfio-user client, which drives it in a process of its own (``victim``).

The server is the real one, with a hand between it and the socket: replies are cut, mutated, doubled, exchanged or
held back, commands of its own and descriptors come with them, and the device writes into the client's memory what it
should not. Whatever comes, the client must end each conversation within ``PATIENCE`` seconds by an error or a result,
with its own invariants intact (``checked``), and have no descriptor left.
"""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import subprocess
import sys
import tempfile
import time
from array import array
from collections import Counter
from contextlib import suppress
from pathlib import Path

from fwpages.device import Want, profile
from fwpages.device.firmware.loadable import LoadableFirmware
from fwpages.link.bus import BusError
from fwpages.link.vfio_user.listener import receive
from fwpages.link.vfio_user.memory_events import Mapped, MemoryEvent
from fwpages.link.vfio_user.messages import StreamError
from fwpages.link.vfio_user.served_device import ServedDevice
from tests.fuzz.watched import Broken, Watched
from tests.link.vfio_client import HEADER

#: seconds in which a conversation must end once the server has gone
PATIENCE = 60.0
#: seconds after which the server goes
MOST = 1.0
#: bytes that a client may grow by after a first quarter of the time
MOST_GROWTH = 48 << 20
#: conversations between looks at descriptors and memory
ROUND = 10
#: the device's firmware wants so many pages in all
PAGES = 40


class Gone(Exception):  # no error: the end of a conversation
    """The client or the server has gone."""


class Hostility:
    """One conversation: a device for the client, and what goes wrong by ``chance``."""

    def __init__(self, client: socket.socket, chance: random.Random) -> None:
        self.client, self.chance = client, chance
        self.rate = chance.choice((0.0, 0.002, 0.01, 0.05, 0.3))
        self.mapped: list[Mapped] = []
        self.last = b""
        p = profile("connectx7")
        self.device = ServedDevice(LoadableFirmware(p), p, on_memory=self._memory)
        self.session = self.device.connected()

    def _memory(self, _: float, x: MemoryEvent) -> None:
        if isinstance(x, Mapped):
            self.mapped.append(x)

    def run(self) -> None:
        """Serve until the client, the time or the hand ends it."""
        end = time.monotonic() + MOST
        with suppress(Gone, StreamError, OSError):
            while (left := end - time.monotonic()) > 0:
                due = self.device.deadline
                wait = left if due is None else min(left, max(0.0, due - time.monotonic()))
                if select.select([self.client], [], [], min(wait, 0.05))[0]:
                    self.serve()
                if due is not None and due <= time.monotonic():
                    self.device.tick()
                self.stir()
        self.session.close()
        self.device.disconnected("")
        self.client.close()

    def serve(self) -> None:
        """Take a part of a message; the reply goes through the hand."""
        data, fds, cut = receive(self.client, self.session.need)
        if not data:
            raise Gone
        reply = self.session.feed(data, fds, cut=cut)
        if reply:
            self.send(reply)

    def send(self, reply: bytes) -> None:
        """Send a reply, or something else."""
        c = self.chance
        if c.random() >= self.rate:
            self.client.sendall(reply)
        else:
            deeds = (self.flip, self.cut, self.double, self.other, self.command, self.silence, self.passing, self.end)
            c.choice(deeds)(reply)
        self.last = reply

    def flip(self, reply: bytes) -> None:
        whole = bytearray(reply)
        for _ in range(self.chance.choice((1, 1, 4))):
            whole[self.chance.randrange(len(whole))] ^= 1 << self.chance.randrange(8)
        self.client.sendall(whole)

    def cut(self, reply: bytes) -> None:
        self.client.sendall(reply[: self.chance.randrange(len(reply))])
        if self.chance.random() < 0.5:
            raise Gone

    def double(self, reply: bytes) -> None:
        self.client.sendall(reply * 2)

    def other(self, reply: bytes) -> None:
        """An earlier reply, or one with any size, errno and flags."""
        number, command, _, _, _ = HEADER.unpack_from(reply)
        c = self.chance
        made = HEADER.pack(
            number, command, c.choice((0, 15, 16, 32, 1 << 20, (1 << 32) - 1)), c.choice((1, 0x21, 2, 0x31)),
            c.choice((0, 5, 22, 4096, 1 << 31, (1 << 32) - 1)),
        )  # fmt: skip
        self.client.sendall(c.choice((self.last or made, made + c.randbytes(c.randrange(64)))))

    def command(self, reply: bytes) -> None:
        """Commands of the server's own, with any body, before the reply."""
        c = self.chance
        for _ in range(c.choice((1, 3))):
            what = c.choice((11, 12, 1, 99))
            body = c.choice((self.access(what), c.randbytes(c.choice((0, 16, 64)))))
            self.client.sendall(
                HEADER.pack(c.randrange(1 << 16), what, 16 + len(body), c.choice((0, 0, 0x10)), 0) + body
            )
        self.client.sendall(reply)

    def access(self, what: int) -> bytes:
        """The body of an access to the client's memory, or to the addresses around it, of any length."""
        c = self.chance
        place = c.choice(self.mapped) if self.mapped else Mapped(1 << 32, 1 << 20)
        iova = (place.iova + c.choice((0, -1, place.size - 1, place.size, c.randrange(place.size)))) % (1 << 64)
        count = c.choice((0, 1, 64, 4096, 1 << 20, (1 << 20) + 1, (1 << 64) - 1))
        data = c.randbytes(min(count, 1 << 20)) if what == 12 else b""
        return struct.pack("<QQ", iova, count) + data

    def silence(self, reply: bytes) -> None:
        """Nothing."""

    def passing(self, reply: bytes) -> None:
        """The reply with descriptors."""
        fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(self.chance.randrange(1, 12))]
        try:
            self.client.sendmsg([reply], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))])
        finally:
            for fd in fds:
                os.close(fd)

    def end(self, reply: bytes) -> None:
        raise Gone

    def stir(self) -> None:
        """Let firmware want pages, and write into the client's memory what no device should."""
        c = self.chance
        with suppress(ValueError):
            if c.random() < 0.02:
                self.device.stir(Want("self", c.choice((1, 8, -1, -8, 64))))
        if self.mapped and c.random() < self.rate:
            place = c.choice(self.mapped)
            at = place.iova + c.randrange(min(place.size, 1 << 16))
            with suppress(BusError):
                self.device.memory.write(at, c.randbytes(c.choice((1, 4, 8, 64))))


def _victim(path: Path, err: Path) -> subprocess.Popen[str]:
    with err.open("w") as e:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.victim", str(path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=e, text=True,
        )  # fmt: skip


def _outcome(victim: subprocess.Popen[str], err: Path) -> str:
    """How the victim's conversation ended. ``Broken`` where it has not, or the victim with it."""
    assert victim.stdout is not None
    if not select.select([victim.stdout], [], [], PATIENCE)[0]:
        raise Broken(f"the client is not done {PATIENCE:.0f} s after the server has gone")
    line = victim.stdout.readline().strip()
    if not line:
        raise Broken(f"the client ended with {victim.wait(PATIENCE)} and said: {err.read_text()[-3000:]}")
    return line


def attack(seconds: float, seed: int) -> str:
    """Attack a client for so long; return the figures. ``Broken`` where it breaks a rule."""
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        path, err = Path(name) / "s", Path(name) / "err"
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(PATIENCE)
        victim = _victim(path, err)
        try:
            ends, watched = _attack(listener, victim, err, seconds, random.Random(seed))
            victim.communicate(timeout=PATIENCE)
            code = victim.returncode
        finally:
            victim.kill()
            victim.communicate()
        said = err.read_text()
    if code or said:
        raise Broken(f"the client ended with {code} and said: {said[-3000:]}")
    if watched.growth() > MOST_GROWTH:
        raise Broken(f"the client grew by {watched.growth() >> 20} MiB after its first quarter")
    figures = ", ".join(f"{n:,} {how}" for how, n in sorted(ends.items()))
    return f"hostile server, seed {seed}: {ends.total():,} conversations ({figures}); {watched.figures}"


def _attack(
    listener: socket.socket, victim: subprocess.Popen[str], err: Path, seconds: float, chance: random.Random
) -> tuple[Counter[str], Watched]:
    """Have conversations for so long; return how they ended, and the client's figures."""
    watched, ends, stop = Watched(victim.pid), Counter[str](), time.monotonic() + seconds
    assert victim.stdin is not None
    while time.monotonic() < stop:
        for _ in range(ROUND):
            own = chance.randrange(1 << 62)
            try:
                victim.stdin.write("\n")
                victim.stdin.flush()
                hostility = Hostility(listener.accept()[0], random.Random(own))
                hostility.run()
                ends[_outcome(victim, err)] += 1
            except (Broken, OSError) as e:
                e.add_note(
                    f"conversation {ends.total()} has the seed {own}; the client said: {err.read_text()[-3000:]}"
                )
                raise
        if watched.descriptors:
            watched.settled()
        else:
            watched.begin()
    return ends, watched
