"""A hostile client at ``fwpages serve``, a process of its own, over its socket.

A conversation is a chain of deeds, most of them legal by themselves: messages that are well-formed, cut, mutated or
made up, with descriptors of the right and the wrong kind, command queue entries that name any opcode and any memory,
and answers to the server's own commands that are right, wrong, late or missing. Between conversations the server must
greet the next client within ``PATIENCE`` seconds, and have no descriptor left of the one before.
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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fwpages.link.vfio_user.transfers import Layout
from fwpages.prm.opcodes import Opcode
from fwpages.prm.queue import CMDQ_ENTRY
from tests.fuzz.vfio_user import piece
from tests.fuzz.watched import Broken, Watched
from tests.link.vfio_client import HEADER, HELLO, Wire, dma_map, dma_unmap, memfd, message, region, set_irqs
from tests.link.vfio_user.kept_memory import answer

#: seconds in which the server must greet a client
PATIENCE = 20.0
#: bytes that a server may grow by after a first quarter of the time
MOST_GROWTH = 48 << 20
#: conversations between looks at descriptors and memory
ROUND = 20
RAM = 1 << 20
QUEUE = 0x10000
CODE = "import sys; from fwpages.cli import main; main()"
SCENARIO = """
[device]
profile = "connectx7"
init_pages = 100
[[function]]
name = "vf0"
type = "vf"
vhca_id = 0x31
[[step]]
do = "open"
[[step]]
do = "request"
function = "self"
pages = 64
"""
#: every command, and those that open a device more often: behind them lies the rest
_OPCODES = [*(int(x) for x in Opcode), *[Opcode.ENABLE_HCA, Opcode.SET_ISSI, Opcode.INIT_HCA] * 10]


class Conversation:
    """One client, from its connection to its end. ``chance`` decides everything."""

    def __init__(self, path: Path, chance: random.Random) -> None:
        self.chance = chance
        self.ram = memfd(RAM, sealed=chance.random() < 0.7)
        self.wire = Wire(path)
        self.wire.socket.setblocking(False)
        self.unread = bytearray()
        self.asked: list[bytes] = []
        self.seen = 0
        self.deeds: list[tuple[int, Callable[[], None]]] = [
            (20, self.anything),
            (12, self.command),
            (25, self.answers),
            (6, self.map),
            (3, self.unmap),
            (3, self.arm),
            (3, self.shrink),
            (3, self.flip),
            (2, self.reset),
            (1, self.raw),
            (1, self.cut),
            (1, self.flood),
            (1, lambda: time.sleep(0.001)),
        ]

    def send(self, data: bytes, fds: list[int] | None = None) -> None:
        """Send what the socket takes; the descriptors are closed."""
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds))] if fds else []
        try:
            with suppress(BlockingIOError):
                self.wire.socket.sendmsg([data], passed)
        finally:
            for fd in fds or []:
                os.close(fd)

    def receive(self) -> None:
        """Take what the server sent, and keep its commands."""
        with suppress(BlockingIOError):
            while data := self.wire.socket.recv(1 << 16):
                self.unread += data
        while len(self.unread) >= 16:
            _, command, size, flags, _ = HEADER.unpack_from(self.unread)
            if size < 16 or flags & 0xF > 1 or (not flags & 1 and command not in (11, 12)):
                raise Broken(f"the server sent {bytes(self.unread[:16]).hex()}")
            if len(self.unread) < size:
                break
            whole = bytes(self.unread[:size])
            del self.unread[:size]
            self.seen += 1
            if not flags & 1:
                self.asked.append(whole)

    # -- deeds --------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Be a client as others are, as far as the doorbell; now and then only a part of it."""
        c = self.chance
        for data in (
            message(1, HELLO),
            dma_map(0, RAM) if c.random() < 0.5 else b"",
            region(10, 7, 4, 2, b"\6\0"),
            region(10, 7, 0xA2, 2, b"\0\x80"),
            region(10, 0, 0x10, 4, bytes(4)),
            region(10, 0, 0x14, 4, QUEUE.to_bytes(4, "big")),
        ):
            if data and c.random() < 0.95:
                self.send(data)

    def anything(self) -> None:
        c = self.chance
        data = piece(c.randrange(256), c.randbytes(c.choice((0, 4, 8, 16, 20, 24, 32, 40))))
        self.send(data or b"\0", self.descriptors() if c.random() < 0.3 else None)

    def descriptors(self) -> list[int]:
        kinds: list[Callable[[], int]] = [
            lambda: memfd(4 * 4096),
            lambda: memfd(4096, sealed=False),
            lambda: os.eventfd(0),
            lambda: os.open("/dev/null", os.O_RDWR),
            lambda: os.open("/dev/zero", os.O_RDONLY),
            lambda: os.dup(self.ram),
        ]
        return [self.chance.choice(kinds)() for _ in range(self.chance.randrange(1, 10))]

    def command(self) -> None:
        """Hand a command over: an entry that names any opcode, any lengths and any memory."""
        c, slot = self.chance, self.chance.randrange(33) % 32
        fields = {
            "type": 7 if c.random() < 0.95 else c.randrange(256),
            "input_length": c.choice((16, 16, 16, 8, 24, 64, 1024, 4112, 1 << 20, c.randrange(1 << 24))),
            "output_length": c.choice((16, 16, 16, 8, 64, 1024, 4112, c.randrange(1 << 24))),
            "input_mailbox": c.choice((0, 0, 0x20000, 0x20200, c.randrange(RAM), 1 << 40)),
            "output_mailbox": c.choice((0, 0x40000, c.randrange(RAM) & ~511)),
            "input": (c.choice(_OPCODES) << 112)
            | (c.randrange(3) << 64 | c.randrange(1 << 40) if c.random() < 0.4 else 0),
            "token": c.choice((0, 1)),
            "ownership": int(c.random() < 0.95),
        }
        os.pwrite(self.ram, CMDQ_ENTRY.pack(fields), QUEUE + slot * 64)
        if c.random() < 0.5:
            blocks = c.randrange(1, 8)
            for n in range(blocks):
                after = 0x20000 + (n + 1) * 1024 if n + 1 < blocks else c.choice((0, 0x20000))
                os.pwrite(self.ram, after.to_bytes(8, "big") + n.to_bytes(4, "big"), 0x20000 + n * 1024 + 528)
        self.send(region(10, 0, 0x18, 4, (1 << slot).to_bytes(4, "big")))

    def answers(self) -> None:
        """Answer what the server asked: mostly right, now and then not."""
        c = self.chance
        select.select([self.wire.socket], [], [], 0.002)
        self.receive()
        while self.asked:
            data, how = self.asked.pop(0), c.random()
            if how < 0.9:
                self.send(self.right(data))
            elif how < 0.92:
                whole = bytearray(self.right(data))
                whole[c.randrange(len(whole))] ^= 1 << c.randrange(8)
                self.send(bytes(whole))
            elif how < 0.94:
                self.send(HEADER.pack(*HEADER.unpack_from(data)[:2], 16, 0x21, c.randrange(1 << 32)))
            elif how < 0.95:
                self.send(self.right(data) * 2)
            elif how < 0.96:
                self.send(self.right(data), self.descriptors())
            elif how < 0.98:
                self.asked.append(data)
                return

    def right(self, data: bytes) -> bytes:
        """The answer that a sound client gives; memory beyond the end cannot be had."""
        iova, count = struct.unpack_from("<QI", data, 16)
        if iova + count > RAM:
            return HEADER.pack(*HEADER.unpack_from(data)[:2], 16, 0x21, 14)
        layout = Layout.TEXT if self.chance.random() < 0.99 else Layout.SHORT
        try:
            return answer(data, self.ram, layout)
        except (OSError, struct.error):
            return HEADER.pack(*HEADER.unpack_from(data)[:2], 16, 0x21, 5)

    def map(self) -> None:
        c = self.chance
        at, size = c.randrange(0, 2 * RAM, 4096), 4096 * c.randrange(1, 64)
        self.send(
            dma_map(at, size, c.randrange(0, RAM, 4096), c.randrange(4)),
            [os.dup(self.ram)] if c.random() < 0.5 else None,
        )

    def unmap(self) -> None:
        c = self.chance
        self.send(
            dma_unmap(0, 0, 2) if c.random() < 0.3 else dma_unmap(c.randrange(0, RAM, 4096), 4096 * c.randrange(256))
        )

    def arm(self) -> None:
        n = self.chance.randrange(9)
        self.send(set_irqs(self.chance.randrange(64), n), [os.eventfd(0) for _ in range(n)])

    def shrink(self) -> None:
        with suppress(OSError):
            os.truncate(self.ram, self.chance.randrange(0, RAM, 4096))
            os.truncate(self.ram, RAM)

    def flip(self) -> None:
        at = self.chance.choice((4, 0x68, 0xA2, 0x04, self.chance.randrange(0x1000)))
        self.send(region(10, 7, at, 2, self.chance.choice((b"\6\0", b"\2\0", b"\0\x80", self.chance.randbytes(2)))))

    def reset(self) -> None:
        self.send(message(13) if self.chance.random() < 0.7 else region(10, 0, 0x14, 4, b"\0\0\7\0"))

    def raw(self) -> None:
        self.send(self.chance.randbytes(self.chance.randrange(1, 400)))

    def cut(self) -> None:
        data = region(10, 0, 0, 64, bytes(64))
        self.send(data[: self.chance.randrange(1, len(data))], self.descriptors())

    def flood(self) -> None:
        """Ask for much, and read nothing."""
        self.send(region(9, 7, 0, 4096) * 200)

    def run(self, deeds: int) -> None:
        """Have the conversation; its end is sudden."""
        weights = [weight for weight, _ in self.deeds]
        try:
            self.begin()
            for _, deed in self.chance.choices(self.deeds, weights, k=deeds):
                deed()
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            self.wire.close()
            os.close(self.ram)


def greeted(path: Path) -> None:
    """Check that the server greets a client that behaves; one whose place is taken yet tries again."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        wire = Wire(path)
        try:
            wire.send(message(1, HELLO))
            if wire.answer()[0] == 0:
                return
        except (EOFError, ConnectionError):
            time.sleep(0.002)
        except TimeoutError:
            break
        finally:
            wire.close()
    raise Broken(f"the server has greeted nobody for {PATIENCE:.0f} s")


def attack(seconds: float, seed: int) -> str:
    """Attack a server for so long; return the figures. ``Broken`` where it breaks a rule."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, out, err = folder / "s", folder / "out", folder / "err"
        with out.open("w") as o, err.open("w") as e:
            process = subprocess.Popen(
                [sys.executable, "-c", CODE, "serve", "--socket", str(path), "-"],
                stdin=subprocess.PIPE, stdout=o, stderr=e,
            )  # fmt: skip
        try:
            _started(process, path, err)
            watched = Watched(process.pid)
            watched.begin()
            n, seen = _attack(path, watched, seconds, random.Random(seed))
            process.terminate()
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Broken(f"the server has not ended {PATIENCE:.0f} s after SIGTERM") from None
        except OSError as e:
            with suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            raise Broken(
                f"the server is out of reach, {process.poll()}: {e}; it said: {err.read_text()[-3000:]}"
            ) from e
        finally:
            process.kill()
            process.wait()
        said, lines = err.read_text(), out.read_text().count("\n")
    if code not in (0, 1, 4) or said:
        raise Broken(f"the server ended with {code} and said: {said[-3000:]}")
    if watched.growth() > MOST_GROWTH:
        raise Broken(f"the server grew by {watched.growth() >> 20} MiB after its first quarter")
    return (
        f"hostile client, seed {seed}: {n:,} conversations, {seen:,} messages of the server, {lines:,} lines that it "
        f"printed; {watched.figures}"
    )


def _started(process: subprocess.Popen[bytes], path: Path, err: Path) -> None:
    """Give the server its scenario, and wait until it greets a client."""
    assert process.stdin is not None
    process.stdin.write(SCENARIO.encode())
    process.stdin.close()
    end = time.monotonic() + PATIENCE
    while True:
        # the socket is there a moment before the server listens
        with suppress(FileNotFoundError, ConnectionRefusedError):
            greeted(path)
            return
        if time.monotonic() > end or process.poll() is not None:
            raise Broken(f"the server does not start: {err.read_text()}")
        time.sleep(0.02)


def _attack(path: Path, watched: Watched, seconds: float, chance: random.Random) -> tuple[int, int]:
    """Have conversations for so long; return how many, and the messages of the server in them."""
    stop, n, seen = time.monotonic() + seconds, 0, 0
    while time.monotonic() < stop:
        for _ in range(ROUND):
            own = chance.randrange(1 << 62)
            try:
                one = Conversation(path, random.Random(own))
                one.run(one.chance.randrange(1, 120))
                greeted(path)
            except (Broken, OSError) as e:
                e.add_note(f"conversation {n} has the seed {own}")
                raise
            n, seen = n + 1, seen + one.seen
        watched.settled()
    return n, seen
