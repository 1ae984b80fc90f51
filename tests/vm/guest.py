"""A virtual machine with one device: started, given commands over a serial port, and always ended."""

from __future__ import annotations

import base64
import compileall
import ctypes
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

BUILD = Path(__file__).parents[2] / "build" / "vm"
#: its command line: an emulated timer may tick late on a busy machine, which Linux would take for a broken one;
#: and an emulated processor has no secrets to guard
APPEND = "console=ttyS0 panic=-1 loglevel=8 no_timer_check mitigations=off"
#: seconds that a command in the guest may take, on a machine that has much else to do
PATIENCE = 180.0
#: seconds from power-on to the first command, under emulation on a busy machine
BOOT = 240.0


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _ends_with_us() -> None:
    """The kernel ends this process when the one that started it ends, however that happens."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


class MissingError(RuntimeError):
    """No QEMU or no kernel: the text says what to set or to build."""


@dataclass(frozen=True)
class Kernel:
    """A kernel image and an initramfs made with ``vm/init``; the name is Linux's own version."""

    image: Path
    initrd: Path
    name: str


def qemu() -> str:
    """The QEMU to start. MissingError where there is none."""
    given = os.environ.get("FWPAGES_QEMU")
    if given:
        return given
    if (BUILD / "qemu").exists():
        return str(BUILD / "qemu")
    found = shutil.which("qemu-system-x86_64")
    if found is None:
        raise MissingError("no QEMU: `make vm` on Debian, elsewhere set FWPAGES_QEMU (10.1 or newer, with vfio-user)")
    return found


def kernel(which: str) -> Kernel:
    """The newest kernel (``new``), an older one (``old``) or the ``oldest``. MissingError where it is not there.

    FWPAGES_KERNEL and FWPAGES_INITRD (FWPAGES_OLD_KERNEL, FWPAGES_OLDEST_KERNEL, …) name others than ``make vm``'s.
    """
    mark = "" if which == "new" else f"{which.upper()}_"
    image, initrd = os.environ.get(f"FWPAGES_{mark}KERNEL"), os.environ.get(f"FWPAGES_{mark}INITRD")
    if image and initrd:
        return Kernel(Path(image), Path(initrd), Path(image).name)
    folder = BUILD / which
    if not (folder / "version").exists():
        raise MissingError(f"no kernel: `make vm` on Debian, or set FWPAGES_{mark}KERNEL and FWPAGES_{mark}INITRD")
    return Kernel(folder / "vmlinuz", folder / "initramfs", (folder / "version").read_text().strip())


@dataclass(frozen=True)
class Said:
    """The output of a command in the guest, and its exit status."""

    text: str
    status: int


@dataclass(frozen=True)
class Ran:
    """What a program of this machine printed in the guest, and its exit status."""

    stdout: str
    stderr: str
    status: int


@dataclass(frozen=True)
class Job:
    """A program of this machine that runs in the guest: its process id there, and the name of its output."""

    pid: int
    name: str


_REPOSITORY = Path(__file__).parents[2]
#: makes this machine's root, read-only, the guest's /host, with the guest's own kernel in it: what a program sees of
#: /proc, /sys, /dev is the guest's. /tmp and /run are empty and can be written; a repository below them is there still.
_HOST_ROOT = (
    "set -e",
    "for m in $(cat /more/order); do [ -d /sys/module/${m%.ko} ] || insmod /more/$m; done",
    "mkdir -p /host /machine /output",
    "mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose root /machine",
    "mount --bind /machine /host",
    "mount -t proc none /host/proc",
    "mount -t sysfs none /host/sys",
    "mount -t securityfs none /host/sys/kernel/security",
    "mount -t devtmpfs none /host/dev",
    "mount -t debugfs none /host/sys/kernel/debug",
    "mount -t tracefs none /host/sys/kernel/tracing",
    "mount -t tmpfs none /host/tmp",
    "mount -t tmpfs none /host/run",
    "ifconfig lo up",
)
_ENVIRONMENT = ("PATH=/usr/bin:/bin:/usr/sbin:/sbin", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb")


class Guest:
    """QEMU with the device at ``socket_path``. A context manager: at its end the machine is off, whatever happened.

    With ``iommu`` the device reaches only the pages that its driver maps, one by one. ``vfs``: so many places for VFs.
    With ``dumps`` its memory can be dumped; with ``python`` this machine's fwpages runs in it: ``fwpages`` runs a
    command to its end, ``begin`` starts one, ``end`` stops it.
    """

    def __init__(
        self,
        k: Kernel,
        socket_path: Path,
        folder: Path,
        *,
        memory: int = 1024,
        iommu: bool = False,
        vfs: int = 0,
        dumps: bool = False,
        python: bool = False,
        append: str = "",
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "console.log"
        self._errors = folder / "qemu.log"
        listener = socket.socket(socket.AF_UNIX)
        port = folder / "port"
        listener.bind(str(port))
        listener.listen(1)
        listener.settimeout(30)
        machine = "q35,kernel-irqchip=split" if iommu else "q35"
        append += " intel_iommu=on iommu=strict" if iommu else ""
        command = [
            qemu(), "-M", machine, "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", f"{memory}M",
            "-object", f"memory-backend-memfd,id=ram,size={memory}M,share=on", "-machine", "memory-backend=ram",
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(k.image), "-initrd", str(k.initrd),
            "-append", f"{APPEND} {append}",
            "-serial", f"file:{self.log}",
            "-chardev", f"socket,id=port,path={port}", "-serial", "chardev:port",
            *(["-device", "intel-iommu,intremap=off,caching-mode=on"] if iommu else []),
            "-device", "pcie-root-port,id=rp0,slot=1",
            *(word for n in range(1, vfs + 1) for word in ("-device", f"pci-testdev,bus=rp0,addr={n}")),
            "-device", f'{{"driver":"vfio-user-pci","bus":"rp0","socket":{{"type":"unix","path":"{socket_path}"}}}}',
        ]  # fmt: skip
        self._monitor = folder / "monitor"
        if dumps:
            command += ["-device", "vmcoreinfo", "-qmp", f"unix:{self._monitor},server=on,wait=off"]
        if python:
            command += [
                "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
                "-device", "virtio-9p-pci,fsdev=root,mount_tag=root",
            ]  # fmt: skip
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                preexec_fn=_ends_with_us,  # noqa: PLW1509  # nothing but a system call
            )
        self._port: socket.socket | None = None
        try:
            self._port, _ = listener.accept()
        except TimeoutError:
            self.kill()
            raise RuntimeError(f"QEMU does not start: {self._errors.read_text()}") from None
        finally:
            listener.close()
            port.unlink()
        self._unread = bytearray()
        self._next = 0
        self._has_root = False

    @property
    def port(self) -> socket.socket:
        """The serial port that takes commands."""
        assert self._port is not None
        return self._port

    def ready(self) -> str:
        """Wait until it has booted; the kernel's version."""
        return self._line(b"READY ", BOOT)[1].strip().decode()

    def run(self, command: str, seconds: float = PATIENCE) -> Said:
        """Run a shell command in the guest. TimeoutError where it does not end in time."""
        assert "\n" not in command, f"one command is one line: {command}"
        self._next += 1
        self.port.sendall(f"{self._next} {command}\n".encode())
        before, status = self._line(b"END %d " % self._next, seconds)
        return Said(before.decode("utf-8", "replace").replace("\r\n", "\n"), int(status))

    def start(self, command: str) -> None:
        """Run a shell command in the guest and do not wait for it."""
        self._next += 1
        self.port.sendall(f"{self._next} {command}\n".encode())

    def ok(self, command: str, seconds: float = PATIENCE) -> str:
        """Run a command that must succeed; what it printed."""
        said = self.run(command, seconds)
        assert said.status == 0, f"{command}: {said.status}: {said.text}\n{self.console()[-3000:]}"
        return said.text

    def pages(self) -> dict[str, int]:
        """Every counter of debugfs by name."""
        return {name: int(value) for name, value in (row.split() for row in self.ok("pages").splitlines())}

    def console(self) -> str:
        """The kernel's console output so far."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def _line(self, mark: bytes, seconds: float) -> tuple[bytes, bytes]:
        """The output before the line that starts with ``mark``, and the rest of that line."""
        end = time.monotonic() + seconds
        while True:
            at = self._unread.find(mark)
            stop = self._unread.find(b"\n", at) if at >= 0 else -1
            if stop >= 0:
                before, rest = bytes(self._unread[:at]), bytes(self._unread[at + len(mark) : stop])
                del self._unread[: stop + 1]
                return before, rest
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"nothing after {seconds} s: {self._unread[-500:]!r}\n{self.console()[-3000:]}")
            self.port.settimeout(min(left, 1.0))
            try:
                data = self.port.recv(65536)
            except TimeoutError:
                continue
            if not data:
                raise RuntimeError(f"the machine is off: {self._errors.read_text()}\n{self.console()[-3000:]}")
            self._unread += data

    def kill(self) -> None:
        """End the machine as a power cut does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        if self._port is not None:
            self._port.close()

    # -- this machine's programs in the guest -------------------------------------------------------------------------

    def fwpages(self, words: Sequence[str], seconds: float = BOOT) -> Ran:
        """Run ``fwpages`` with these words in the guest, on its kernel, as root, without a terminal.

        It is this machine's own, with this repository's sources. Its files are this machine's, and read-only, but for
        /tmp and /run, which are the guest's. TimeoutError where it does not end in time.
        """
        return self.end(self.begin(words), seconds, stop="")

    def begin(self, words: Sequence[str]) -> Job:
        """Start ``fwpages`` with these words in the guest, and go on."""
        return self.begin_program([str(Path(sys.prefix) / "bin" / "fwpages"), *words])

    def begin_program(self, command: Sequence[str]) -> Job:
        """Start a program of this machine in the guest, as ``begin`` does."""
        self._host_root()
        name = f"/output/{self._next}"
        # a shell without job control makes what it starts in the background deaf to SIGINT
        line = shlex.join(["/usr/bin/env", "--default-signal=INT", *_ENVIRONMENT, *command])
        pid = self.ok(f"chroot /host {line} </dev/null >{name}.out 2>{name}.err & echo $!")
        return Job(int(pid), name)

    def end(self, job: Job, seconds: float = PATIENCE, stop: str = "INT") -> Ran:
        """Send a signal to a job ("": none), wait for its end, and return what it printed."""
        if stop:
            self.run(f"kill -{stop} {job.pid}")
        status = self.run(f"wait {job.pid}", seconds).status
        return Ran(self.ok(f"cat {job.name}.out"), self.ok(f"cat {job.name}.err"), status)

    def read(self, path: str) -> bytes:
        """The content of a file, by the name that it has for ``fwpages`` in the guest."""
        return base64.b64decode(self.ok(f"base64 /host{shlex.quote(path)}"))

    def _host_root(self) -> None:
        """Make this machine's root the guest's /host, once."""
        if self._has_root:
            return
        # the guest can write no bytecode, and compiling the package takes it half a minute
        compileall.compile_dir(_REPOSITORY / "src", quiet=1)
        hidden = {f for f in (str(_REPOSITORY), sys.prefix, sys.base_prefix) if f.startswith(("/tmp/", "/run/"))}
        binds = [f"mkdir -p /host{f}; mount --bind /machine{f} /host{f}" for f in map(shlex.quote, sorted(hidden))]
        self.ok("(" + "; ".join([*_HOST_ROOT, *binds]) + ")")
        self._has_root = True

    def dump(self, file: Path, form: str = "elf") -> Path:
        """Write the machine's memory to a file, in one of QEMU's formats; the machine stands still meanwhile."""
        arguments = {"paging": False, "protocol": f"file:{file}", "format": form}
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(PATIENCE)
            monitor.connect(str(self._monitor))
            with monitor.makefile("rw") as lines:
                lines.readline()
                for command in (
                    {"execute": "qmp_capabilities"},
                    {"execute": "dump-guest-memory", "arguments": arguments},
                ):
                    lines.write(json.dumps(command) + "\n")
                    lines.flush()
                    while "return" not in (answer := json.loads(lines.readline())):
                        assert "error" not in answer, answer
        return file

    def off(self) -> None:
        """Shut it down as an orderly user does; by force where that takes longer than 30 s."""
        try:
            self.start("poweroff -f")
            self.process.wait(30)
        except (OSError, subprocess.TimeoutExpired):
            pass
        self.kill()

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        self.kill()
