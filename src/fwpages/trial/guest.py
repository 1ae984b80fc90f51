"""A virtual machine with one device: started, given commands over a serial port, and always ended."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from fwpages.trial.clock import MachineClock
from fwpages.trial.errors import CommandFailedError, GuestTimeoutError, MachineOffError
from fwpages.trial.hangs import HangWatch
from fwpages.trial.kernel import Kernel
from fwpages.trial.qemu import CONSOLE, PORT, Machine, command_line
from fwpages.trial.short_names import short

#: seconds that a command in the guest may take, on a machine that has much else to do
PATIENCE: Final = 180.0
#: seconds from power-on to the first command, under emulation on a busy machine
BOOT: Final = 240.0
#: seconds for QEMU to open its serial port, and for a machine to end
START: Final = 30.0
#: bytes of a command's output that are kept, the last of them: a log in a page of text is shorter
MOST_OUTPUT: Final = 4 << 20
#: bytes of the console's log: a kernel that prints without end would fill the disk
MOST_LOG: Final = 64 << 20
#: the words of a machine that was ended for it
FLOODED: Final = f"the kernel printed more than {MOST_LOG >> 20} MiB, and its machine was ended for that"
#: bytes at the end of the console that an error shows
SHOWN: Final = 3000

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _ends_with_us() -> None:
    """The kernel ends this process when the one that started it ends, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


@dataclass(frozen=True, slots=True)
class Said:
    """The output of a command in the guest, and its exit status; ``lost``: bytes before it that were not kept."""

    text: str
    status: int
    lost: int = 0


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").replace("\r\n", "\n")


def ended(status: int) -> str:
    """The end of a process in words."""
    return f"signal {-status}" if status < 0 else f"status {status}"


class Guest:
    """QEMU with the device at ``device``, if any. A context manager: at its end the machine is off, whatever happened.

    MachineOffError where QEMU does not start. ``folder`` has the console's log and what QEMU says.
    """

    def __init__(self, kernel: Kernel, device: Path | None, folder: Path, machine: Machine | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / CONSOLE
        self._errors = folder / "qemu.log"
        self._unread = bytearray()
        #: bytes of the output that is being read which were not kept
        self._lost = 0
        self._next = 0
        self._port: socket.socket | None = None
        #: it was ended by force
        self.killed = False
        #: its kernel printed without end, and it was ended for that
        self.flooded = False
        name = None if device is None else os.path.relpath(device, folder)
        words = command_line(kernel, machine or Machine(), name)
        with socket.socket(socket.AF_UNIX) as listener, short(folder) as here:
            listener.bind(str(here / PORT))
            listener.listen(1)
            try:
                self.process = self._started(words)
                #: the time that the machine has had: what it may take is counted by it
                self.clock = MachineClock(self.process.pid)
                #: the hangs that its kernel has reported
                self.hangs = HangWatch(self.log, self.clock.had_in_last)
                self._port = self._connected(listener)
            finally:
                (folder / PORT).unlink()

    def _started(self, words: list[str]) -> subprocess.Popen[bytes]:
        with self._errors.open("w") as errors:
            try:
                return subprocess.Popen(  # noqa: S603  # the words are ours, and no shell reads them
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=errors,
                    stderr=errors,
                    cwd=self.folder,
                    preexec_fn=_ends_with_us,  # noqa: PLW1509  # nothing but a system call
                )
            except OSError as e:
                raise MachineOffError(f"QEMU does not start: {e}") from None

    def _connected(self, listener: socket.socket) -> socket.socket:
        """The serial port's connection, which QEMU makes."""
        listener.settimeout(0.1)
        end = time.monotonic() + START
        while time.monotonic() < end:
            try:
                return listener.accept()[0]
            except TimeoutError:
                # one that ended at once may have connected before
                if self.process.poll() is not None:
                    break
            except BaseException:
                self.kill()
                raise
        status = self.process.poll()
        why = f"it opened no serial port within {START:.0f} s" if status is None else f"it ended with {ended(status)}"
        self.kill()
        raise MachineOffError(f"QEMU does not start, {why}: {self.qemu_said().strip() or 'it said nothing'}")

    @property
    def port(self) -> socket.socket:
        """The serial port that takes commands."""
        assert self._port is not None
        return self._port

    def ready(self, seconds: float = BOOT) -> str:
        """Wait until it has booted; the kernel's version. GuestTimeoutError or MachineOffError where it does not."""
        return self._line(b"READY ", seconds)[1].strip().decode()

    def run(self, command: str, seconds: float = PATIENCE) -> Said:
        """Run a shell command of one line in the guest. GuestTimeoutError where it does not end in time."""
        number = self.start(command)
        return self._said(b"END %d " % number, seconds)

    def start(self, command: str) -> int:
        """Run a shell command of one line in the guest and do not wait for it; its number."""
        if "\n" in command:
            raise ValueError(f"one command is one line: {command}")
        self._next += 1
        try:
            self.port.sendall(f"{self._next} {command}\n".encode())
        except OSError:
            raise self._off() from None
        return self._next

    def aside(self, command: str, seconds: float = PATIENCE) -> int:
        """Start a shell command of one line in the guest, which goes on taking others; ``ended`` waits for it."""
        number = self._next + 1
        self.run(f"aside {number} {shlex.quote(command)}", seconds)
        return number

    def ended(self, number: int, seconds: float) -> Said:
        """Wait for the end of a command that runs aside. GuestTimeoutError where it does not end in time."""
        return self._said(b"ENDED %d " % number, seconds)

    def _said(self, mark: bytes, seconds: float) -> Said:
        """The output before the line that starts with ``mark``, and the status that it has."""
        before, status = self._line(mark, seconds)
        lost, self._lost = self._lost, 0
        return Said(_text(before), int(status), lost)

    def ok(self, command: str, seconds: float = PATIENCE) -> str:
        """Run a command that must succeed, else CommandFailedError; what it printed, the whole of it."""
        said = self.run(command, seconds)
        if said.lost:
            raise CommandFailedError(f"{command}: its first {said.lost} bytes are lost, beyond {MOST_OUTPUT >> 20} MiB")
        if said.status:
            raise CommandFailedError(f"{command}: {said.status}: {said.text}\n{self.console()[-SHOWN:]}")
        return said.text

    def pages(self) -> dict[str, int]:
        """Every page counter of debugfs by name."""
        return {name: int(value) for name, value in (row.split() for row in self.ok("pages").splitlines())}

    def console(self) -> str:
        """The kernel's console output so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def qemu_said(self) -> str:
        """The output of QEMU itself so far."""
        return self._errors.read_text("utf-8", "replace") if self._errors.exists() else ""

    def _off(self) -> MachineOffError:
        # its port closes a moment before it has ended: how it ended is known only then
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(START)
        return MachineOffError(f"the machine is off: {self.qemu_said()}\n{self.console()[-SHOWN:]}")

    def _line(self, mark: bytes, seconds: float) -> tuple[bytes, bytes]:
        """The output before the line that starts with ``mark``, and the rest of that line."""
        end = self.clock.now() + seconds
        while True:
            at = self._unread.find(mark)
            stop = self._unread.find(b"\n", at) if at >= 0 else -1
            if stop >= 0:
                before, rest = bytes(self._unread[:at]), bytes(self._unread[at + len(mark) : stop])
                del self._unread[: stop + 1]
                return before, rest
            left = end - self.clock.now()
            if left <= 0:
                raise GuestTimeoutError(f"nothing after {seconds} s: {self.said_last()!r}\n{self.console()[-SHOWN:]}")
            self._receive(min(left, 1.0))

    def _receive(self, seconds: float) -> None:
        """Take what the guest prints, at most this long."""
        self.alive()
        self.port.settimeout(seconds)
        try:
            data = self.port.recv(65536)
        except TimeoutError:
            return
        except OSError:
            raise self._off() from None
        if not data:
            raise self._off()
        self._unread += data
        self._lost += max(len(self._unread) - MOST_OUTPUT, 0)
        del self._unread[:-MOST_OUTPUT]

    def alive(self) -> None:
        """MachineOffError where the machine is off; one whose kernel prints without end is ended."""
        self.hangs.look()
        if self.log.exists() and self.log.stat().st_size > MOST_LOG:
            self.flooded = True
            self.kill()
            raise MachineOffError(FLOODED)
        if self.process.poll() is not None:
            raise self._off()

    def said_last(self) -> bytes:
        """The end of what the guest printed and nobody has taken."""
        return bytes(self._unread[-500:])

    def kill(self) -> None:
        """End the machine as a power cut does."""
        if self.process.poll() is None:
            self.killed = True
            self.process.kill()
        self.process.wait(START)
        if self._port is not None:
            self._port.close()

    def off(self, seconds: float = START) -> bool:
        """Shut it down as an orderly user does, by force where that takes longer; True where it went by itself."""
        try:
            self.start("poweroff -f")
            self.process.wait(seconds)
        except (MachineOffError, subprocess.TimeoutExpired):
            pass
        orderly = self.process.poll() == 0
        self.kill()
        return orderly

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()
